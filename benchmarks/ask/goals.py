"""What was asked of an ask, and what was reached: each goal read off the record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

Record = dict[str, Any]

CLOSE = 1e-3  # log units that a value may lie below a peer's
SHARE = 0.95  # of the cases in which it must not lie lower
FLAT = 0.02  # of the resident memory: a growth below counts as none
SECONDS = 5.0  # of optimizer time in a study of 200 trials


@dataclass(frozen=True)
class Goal:
    """One line: what was asked, what was reached, and whether it is met (None: not measured)."""

    asked: str
    reached: str
    met: bool | None


def goals(record: Record) -> list[Goal]:
    """Every goal; those of sections that the record lacks count as not measured."""
    rows = record.get("latency", {}).get("rows", [])
    small, large, every = (20, 50, 100, 200), (1000,), None
    return [
        _faster(rows, "ask", "optuna", 10, small),
        _faster(rows, "ask", "botorch", 25, small),
        _faster(rows, "ask", "optuna", 5, large),
        _faster(rows, "ask", "botorch", 10, large),
        _faster(rows, "cold_fit", "botorch", 10, every),
        _not_below(record, "fit", ("botorch",), "log posterior, cold, not below BoTorch's fit's"),
        _not_below(record, "steady", ("botorch",), "log posterior, under way, not below it"),
        _not_below(record, "fit", ("reference",), "log posterior, cold, not below 11 SciPy runs'"),
        _not_below(record, "steady", ("reference",), "log posterior, under way, not below them"),
        _not_below(record, "maximize", ("botorch", "optuna"), "log EI not below the best peer's"),
        _whole_study(record),
        _memory(record),
    ]


def shares(record: Record, part: str, peers: Iterable[str]) -> tuple[int, int, float]:
    """In how many cases ours is not below the best of the peers, of how many, and the worst gap."""
    gaps = []
    for row in record.get("quality", {}).get("rows", []):
        values = {name: found["value"] for name, found in row.get(part, {}).items()}
        others = [values[name] for name in peers if name in values]
        if others and "gpbo" in values:
            gaps.append(max(others) - values["gpbo"])
    return sum(gap <= CLOSE for gap in gaps), len(gaps), max(gaps, default=0.0)


def ratios(
    rows: list[Record], part: str, peer: str, sizes: Iterable[int] | None, dimensions: Any
) -> dict[tuple[int, int], float]:
    """How many times longer a peer takes, by (n, d), where both were measured."""
    seconds = {
        (row["contestant"], row["n"], row["d"]): row[part] for row in rows if "skipped" not in row
    }
    return {
        (n, d): value / seconds["gpbo", n, d]
        for (name, n, d), value in seconds.items()
        if name == peer
        and (sizes is None or n in sizes)
        and (dimensions is None or d in dimensions)
        and ("gpbo", n, d) in seconds
    }


def _faster(
    rows: list[Record], part: str, peer: str, times: float, sizes: tuple[int, ...] | None
) -> Goal:
    names = {"ask": "ask", "cold_fit": "cold fit"}
    where = "" if sizes is None else f", n = {', '.join(map(str, sizes))}, d = 6, 20"
    asked = f"{names[part]} {times:g} times faster than {peer}{where}"
    found = ratios(rows, part, peer, sizes, None if sizes is None else (6, 20))
    if not found:
        return Goal(asked, "not measured", None)
    (n, d), least = min(found.items(), key=lambda item: item[1])
    reached = (
        f"{median(found.values()):.1f} in the median of {len(found)}, "
        f"least {least:.1f} (n = {n}, d = {d})"
    )
    if part == "ask":
        means = ratios(rows, "mean", peer, sizes, (6, 20))
        reached += f"; least {min(means.values()):.1f} by means"
    return Goal(asked, reached, least >= times)


def _not_below(record: Record, part: str, peers: tuple[str, ...], what: str) -> Goal:
    asked = f"{what}, within {CLOSE:g} in {SHARE:.0%} of cases"
    good, cases, worst = shares(record, part, peers)
    if not cases:
        return Goal(asked, "not measured", None)
    reached = f"{good / cases:.0%} of {cases}, worst gap {max(worst, 0.0):.2g}"
    return Goal(asked, reached, good >= SHARE * cases)


def _whole_study(record: Record) -> Goal:
    section = record.get("study", {})
    asked = f"200 trials in 10 dimensions cost less than {SECONDS:g} s"
    ours = [row["seconds"] for row in section.get("rows", []) if row["contestant"] == "gpbo"]
    if not ours or (section["trials"], section["d"]) != (200, 10):
        return Goal(asked, "not measured", None)
    return Goal(asked, f"{median(ours):.1f} s", median(ours) < SECONDS)


def _memory(record: Record) -> Goal:
    asked = "resident memory flat over 2000 asks"
    section = record.get("memory", {}).get("studies")
    if not section or section["asks"] < 2000:
        return Goal(asked, "not measured", None)
    # The first study loads what is loaded once.
    _, first, *_, last = section["resident"]
    reached = (
        f"{first:.0f} MiB after {section['asks'] // section['studies']}, {last:.0f} at the end"
    )
    return Goal(asked, reached, last <= first * (1 + FLAT))
