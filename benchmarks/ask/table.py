"""The record as tables, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.ask.goals import Record, goals, shares

ORDER = ("gpbo", "optuna", "botorch", "botorch warm", "skopt")
SKIPPED = "–"
UNEVEN = 1.5  # times the median: a mean above is shown too
MET = {True: "yes", False: "no", None: SKIPPED}


@dataclass(frozen=True)
class Grid:
    """A table of texts, and what has to be said under it."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: list[str] = field(default_factory=list)

    def rich(self) -> Table:
        """For the terminal."""
        table = Table(title=self.title, title_justify="left", caption_justify="left")
        table.caption = "\n".join(self.notes) or None
        for name in self.head:
            table.add_column(name, justify="right" if name != "goal" else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For the page."""
        lines = ["| " + " | ".join(row) + " |" for row in (self.head, *self.rows)]
        lines.insert(1, "|" + "---|" * len(self.head))
        notes = [f"- {note}" for note in self.notes]
        return "\n\n".join(filter(None, ["\n".join(lines), "\n".join(notes)]))


def grids(record: Record) -> list[Grid]:
    """Every table of the sections that the record has."""
    made = [asked_and_reached(record)]
    if "latency" in record:
        made += [ask_table(record), cold_table(record)]
    if "quality" in record:
        made.append(quality_table(record))
    if "study" in record:
        made.append(study_table(record))
    if "memory" in record:
        made.append(memory_table(record))
    return made


def asked_and_reached(record: Record) -> Grid:
    """The goals."""
    rows = [(goal.asked, goal.reached, MET[goal.met]) for goal in goals(record)]
    return Grid("Asked and reached", ("goal", "reached", "met"), rows)


def ask_table(record: Record) -> Grid:
    """One ask in a study under way: milliseconds, the fit and the maximization apart."""

    def cell(row: Record) -> str:
        parts = " + ".join(_ms(row[part]) for part in ("fit", "maximize"))
        # Who does not fit at every tell has a low median; what the fits cost shows here.
        mean = f", mean {_ms(row['mean'])}" if row["mean"] > UNEVEN * row["ask"] else ""
        return f"{_ms(row['ask'])} ({parts}){mean}"

    return _latency(record, "Ask, steady state: ms (fit + maximization)", "ask", cell)


def cold_table(record: Record) -> Grid:
    """The first fit on unseen data: milliseconds."""
    return _latency(
        record, "First fit on unseen data: ms", "cold_fit", lambda row: _ms(row["cold_fit"])
    )


def quality_table(record: Record) -> Grid:
    """By n: shares of cases where ours is not below, median seconds of everybody."""
    rows = record["quality"]["rows"]
    made = []
    for n in sorted({row["n"] for row in rows}):
        part = {"quality": {"rows": [row for row in rows if row["n"] == n]}}
        made.append(
            (
                str(n),
                _share(part, "fit", ("botorch",)),
                _share(part, "fit", ("reference",)),
                _share(part, "steady", ("botorch", "reference")),
                _medians(part, "fit", ("gpbo", "botorch", "reference")),
                _share(part, "maximize", ("botorch",)),
                _share(part, "maximize", ("optuna",)),
                _medians(part, "maximize", ("gpbo", "botorch", "optuna")),
            )
        )
    head = (
        "n",
        "log posterior ≥ BoTorch's",
        "≥ 11 SciPy runs'",
        "under way ≥ both",
        "ms: gpbo, BoTorch, SciPy",
        "log EI ≥ BoTorch's",
        "≥ Optuna's",
        "ms: gpbo, BoTorch, Optuna",
    )
    failed = [row for row in rows if "failed" in row]
    notes = [f"n = {row['n']}, d = {row['d']}, {row['problem']}: {row['failed']}" for row in failed]
    return Grid("What the time buys, on our model (all dimensions)", head, made, notes)


def study_table(record: Record) -> Grid:
    """Optimizer seconds of a whole study."""
    section = record["study"]
    made, notes = [], []
    for name in _names(section["rows"]):
        rows = [row for row in section["rows"] if row["contestant"] == name]
        notes += [f"{name}: {row['skipped']}" for row in rows if "skipped" in row][:1]
        rows = [row for row in rows if "skipped" not in row]
        if rows:
            seconds = median(row["seconds"] for row in rows)
            best = median(row["best"] for row in rows)
            made.append((name, f"{seconds:.1f}", f"{best:.4f}", str(len(rows))))
    title = f"A study of {section['trials']} trials in {section['d']} dimensions"
    return Grid(title, ("optimizer", "seconds", "best value", "seeds"), made, notes)


def memory_table(record: Record) -> Grid:
    """Resident memory over many asks."""
    made = []
    for key, what in (("studies", "short studies, one after the other"), ("one", "one study")):
        section = record["memory"].get(key)
        if section:
            marks = section["resident"]
            numbers = (marks[0], marks[1], marks[len(marks) // 2], marks[-1])
            made.append((what, str(section["asks"]), *(f"{mark:.0f}" for mark in numbers)))
    head = ("", "asks", "before", "after the first", "middle", "end")
    return Grid("Resident memory, MiB (six dimensions)", head, made)


def _latency(record: Record, title: str, part: str, cell: Any) -> Grid:
    """One row a case; a peer's figure with how many times longer it takes."""
    rows = record["latency"]["rows"]
    names = _names(rows)
    made = []
    skipped: dict[str, list[str]] = {}
    for n, d in sorted({(row["n"], row["d"]) for row in rows}, key=lambda case: case[::-1]):
        found = {row["contestant"]: row for row in rows if (row["n"], row["d"]) == (n, d)}
        ours = found.get("gpbo", {}).get(part)
        cells = []
        for name in names:
            row = found.get(name)
            if row is None or "skipped" in row:
                cells.append(SKIPPED)
                if row is not None:
                    skipped.setdefault(f"{name}: {row['skipped']}", []).append(f"n {n} d {d}")
                continue
            times = "" if name == "gpbo" or not ours else f", {row[part] / ours:.1f}×"
            cells.append(cell(row) + times)
        made.append((str(d), str(n), *cells))
    notes = [f"{SKIPPED} {reason} ({', '.join(cases)})" for reason, cases in skipped.items()]
    return Grid(title, ("d", "n", *names), made, notes)


def _share(part: Record, what: str, peers: tuple[str, ...]) -> str:
    good, cases, worst = shares(part, what, peers)
    if not cases:
        return SKIPPED
    return f"{good}/{cases}" + (f" (worst {worst:.2g} below)" if good < cases else "")


def _medians(part: Record, what: str, names: tuple[str, ...]) -> str:
    rows = [row[what] for row in part["quality"]["rows"] if what in row]
    seconds = [[row[name]["seconds"] for row in rows if name in row] for name in names]
    return ", ".join(_ms(median(some)) if some else SKIPPED for some in seconds)


def _names(rows: Iterable[Record]) -> list[str]:
    present = {row["contestant"] for row in rows}
    return [name for name in ORDER if name in present]


def _ms(seconds: float) -> str:
    value = 1e3 * seconds
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
