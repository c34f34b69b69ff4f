"""One ask, timed beside the peers, and the quality of what the time buys.

    python -m benchmarks.ask                    all sections but memory, in about two hours
    python -m benchmarks.ask latency --n 20,100 --d 6 --peers optuna,botorch
    python -m benchmarks.ask --quick            a minute: does everything work?
    python -m benchmarks.ask --memory --record  also benchmarks/results/ask.json and the page

Every contestant runs in a process of its own with one thread. A peer that is not installed, or too
slow, is skipped, and the tables say so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rich.console import Console

from benchmarks import machine
from benchmarks.ask import latency, page, quality, study
from benchmarks.ask.contestant import CONTESTANTS
from benchmarks.ask.problem import PROBLEMS
from benchmarks.ask.table import grids
from benchmarks.ask.worker import OverTimeError, Worker

RESULT = machine.RESULTS / "ask.json"
SECTIONS = ("latency", "quality", "study")
# greenlet: without it Optuna climbs from its starts one after the other
PACKAGES = ("optuna", "greenlet", "botorch", "scikit-optimize", "scikit-learn")

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    names: tuple[str, ...] = tuple(CONTESTANTS)
    sizes: tuple[int, ...] = (10, 20, 50, 100, 200, 500, 1000, 2000)
    dimensions: tuple[int, ...] = (2, 6, 20, 100)
    limits: latency.Limits = field(default_factory=latency.Limits)
    problems: tuple[str, ...] = tuple(PROBLEMS)
    seeds: int = 2
    trials: int = 200  # of the whole study
    study_dimension: int = 10
    study_names: tuple[str, ...] = ("gpbo", "optuna")
    study_seeds: int = 3
    asks: int = 2000  # while memory is watched


QUICK = Plan(
    sizes=(10, 20),
    dimensions=(2,),
    limits=latency.Limits(enough=0.0),
    problems=("hartmann",),
    seeds=1,
    trials=12,
    study_dimension=2,
    study_seeds=1,
    asks=100,
)


def run_latency(plan: Plan, say: Callable[[Row], None]) -> Row:
    """One row for each contestant, n and d; they take turns, so that drift hits all alike."""
    race = latency.Race(list(plan.names), plan.limits)
    rows = []
    try:
        for d in plan.dimensions:
            for n in plan.sizes:
                for name in plan.names:
                    rows.append(race.row(name, n, d))
                    say(rows[-1])
    finally:
        race.close()
    return {"limits": vars(plan.limits), "rows": rows}


def run_quality(plan: Plan, say: Callable[[Row], None]) -> Row:
    """One row for each data set, of fewer where n is large; none above n = 1000."""
    worker, rows = Worker(), []
    cases = [
        (name, n, d, seed)
        for n in plan.sizes
        for d in plan.dimensions
        for name in (plan.problems if n <= 500 else plan.problems[:1])
        for seed in range(plan.seeds if n <= 200 else 1)
        if n <= 1000
    ]
    try:
        for case in cases:
            try:
                row = worker.call(quality.compare, *case, limit=plan.limits.most)
            except (OverTimeError, RuntimeError) as error:
                row = dict(zip(("problem", "n", "d", "seed"), case, strict=True))
                row["failed"] = str(error).strip().splitlines()[-1]
            rows.append(row)
            say(row)
    finally:
        worker.close()
    return {"rows": rows}


def run_study(plan: Plan, say: Callable[[Row], None]) -> Row:
    """One row for each contestant and seed; after one that was skipped no other."""
    rows = []
    for name in plan.study_names:
        worker = Worker()
        for seed in range(plan.study_seeds):
            row: Row = {"contestant": name, "seed": seed}
            try:
                if CONTESTANTS[name].missing():
                    raise RuntimeError(f"{CONTESTANTS[name].package} is not installed")
                row = worker.call(
                    study.whole,
                    *(name, plan.trials, plan.study_dimension, seed),
                    limit=plan.limits.most,
                )
            except (OverTimeError, RuntimeError) as error:
                row["skipped"] = str(error).strip().splitlines()[-1]
            rows.append(row)
            say(row)
            if "skipped" in row:
                break
        worker.close()
    return {"trials": plan.trials, "d": plan.study_dimension, "rows": rows}


def run_memory(plan: Plan, say: Callable[[Row], None]) -> Row:
    """Resident memory over many asks: in short studies, and in one that grows."""
    found = {}
    for key, function in (("studies", study.resident), ("one", study.resident_in_one)):
        worker = Worker()
        found[key] = worker.call(function, plan.asks, 6, limit=4 * 3600.0)
        worker.close()
        say(found[key])
    return found


RUNS = {"latency": run_latency, "quality": run_quality, "study": run_study, "memory": run_memory}


def read(args: Sequence[str] | None) -> tuple[Plan, list[str], bool]:
    """What the command line asks for: the plan, the sections, and whether to record them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ask",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], metavar="SECTION")
    parser.add_argument("--memory", action="store_true", help="also watch the memory, 2000 asks")
    parser.add_argument("--quick", action="store_true", help="the smallest cases only")
    parser.add_argument("--n", type=_numbers, metavar="N,N", help="numbers of observations")
    parser.add_argument("--d", type=_numbers, metavar="D,D", help="dimensions")
    parser.add_argument("--peers", type=_names, metavar="NAME,NAME", help=", ".join(CONTESTANTS))
    parser.add_argument("--cap", type=float, metavar="SECONDS", help="of a contestant and case")
    parser.add_argument("--record", action="store_true", help=f"write {RESULT.name} and the page")
    given = parser.parse_args(args)
    plan = QUICK if given.quick else Plan()
    plan = replace(plan, sizes=given.n or plan.sizes, dimensions=given.d or plan.dimensions)
    if given.peers is not None:
        names = ("gpbo", *(name for name in given.peers if name != "gpbo"))
        whole = tuple(name for name in plan.study_names if name in names)
        plan = replace(plan, names=names, study_names=whole)
    if given.cap is not None:
        plan = replace(plan, limits=replace(plan.limits, case=given.cap))
    sections = given.sections or ([] if given.memory else list(SECTIONS))
    return plan, sections + ["memory"] * given.memory, given.record


def main(args: Sequence[str] | None = None) -> None:
    """Measure, show, and record."""
    plan, sections, record = read(args)
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    found: Row = {}
    for name in sections:
        section = RUNS[name](plan, lambda row: progress.print(_line(row)))
        found[name] = {"machine": machine.describe(), "packages": _packages(), **section}
        if record:  # at once: a long run that is stopped in the next section loses only that
            _record(name, found[name])
    for grid in grids(found):
        Console(width=None if sys.stdout.isatty() else 160).print(grid.rich())
    if "optuna" in plan.names and not _packages()["greenlet"]:
        print(page.WITHOUT_GREENLET)


def _record(name: str, section: Row) -> None:
    """Put a section in place of an earlier one, and make the page of the whole."""
    record = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    record[name] = section
    record = {name: record[name] for name in RUNS if name in record}
    RESULT.write_text(json.dumps(record, indent=1) + "\n")
    page.update(record)
    if "latency" in record:
        page.draw(record)


def _packages() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions


def _line(row: Row) -> str:
    """A row as one line of progress."""

    def text(value: Any) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    parts = [f"{key} {text(value)}" for key, value in row.items() if not isinstance(value, dict)]
    for key, value in row.items():
        if isinstance(value, dict):
            inner = (f"{name} {text(found['value'])}" for name, found in value.items())
            parts.append(f"{key}: {', '.join(inner)}")
    return "  ".join(parts)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [name for name in names if name not in CONTESTANTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(CONTESTANTS)}")
    return names


if __name__ == "__main__":
    main()
