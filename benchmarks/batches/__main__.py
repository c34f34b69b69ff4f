"""Proposals in batches: what they cost in evaluations, how far apart they are, how long they take.

    python -m benchmarks.batches                  all sections
    python -m benchmarks.batches reach --half tune --seeds 2 --peers gpbo,optuna-tpe
    python -m benchmarks.batches reach --peers botorch --problems hartmann3 --seeds 1
    python -m benchmarks.batches spread
    python -m benchmarks.batches seconds --sizes 1,8,64
    python -m benchmarks.batches --quick          does everything work? in a minute
    python -m benchmarks.batches --record         also benchmarks/results/batches.json and the page

With --record, what is measured is added to what was: figures of the same study are replaced, and
the tables are of all. Everything runs with one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from rich.console import Console

from benchmarks import machine
from benchmarks.ask.worker import OverTimeError, Worker
from benchmarks.batches import page, reach, seconds, spread
from benchmarks.batches.contestant import CONTESTANTS
from benchmarks.batches.plan import OUR_WAYS, OURS, SEQUENTIAL, WAYS, Plan
from benchmarks.batches.table import grids

RESULT = machine.RESULTS / "batches.json"
# Seconds after which a process that does not answer is ended.
LIMITS = {"reach": 3600.0, "spread": 600.0, "seconds": 600.0}
ABOUT = ("machine", "commit", "version")
KEYS = {
    "reach": ("problem", "name", "seed", "way"),
    "spread": ("problem", "seed"),
    "seconds": ("problem", "q"),
}
QUICK = Plan(
    names=(OURS, "random"),
    patterns=("camel6",),
    seeds=(0,),
    seen=10,
    batch=8,
    scrambles=2,
    sizes=(1, 8),
    timed="camel6",
)

Row: TypeAlias = dict[str, Any]
Record: TypeAlias = dict[str, Any]
Call: TypeAlias = Callable[..., Row]


def run_reach(plan: Plan, call: Call, known: list[Row]) -> Iterator[Row]:
    """A row for each problem, optimizer, seed and way; every seed is complete before the next.

    `known` are rows of earlier runs: sequential ones say how far the others have to go.
    """
    done = {reach.key_of(row): row for row in known if "steps" in row}
    for seed in plan.seeds:
        for problem in plan.problems():
            for name in plan.names:
                for way in OUR_WAYS if name == OURS else WAYS:
                    beside = [done.get((problem, who, seed, SEQUENTIAL)) for who in (name, OURS)]
                    ends = [reach.best_after(row, row["n"]) for row in beside if row is not None]
                    enough = -math.inf if way == SEQUENTIAL else min(ends, default=-math.inf)
                    wanted = reach.Run(problem, name, seed, way, enough, plan.cap)
                    row = call("reach", wanted.key, reach.run, wanted)
                    if "steps" in row:
                        done[wanted.key] = row
                    yield row


def run_spread(plan: Plan, call: Call, known: list[Row]) -> Iterator[Row]:
    """A row for each problem and seed."""
    for problem in plan.spread():
        for seed in plan.seeds:
            sizes = plan.seen, plan.batch, plan.scrambles
            yield call("spread", (problem, seed), spread.measure, problem, seed, *sizes)


def run_seconds(plan: Plan, call: Call, known: list[Row]) -> Iterator[Row]:
    """A row for each size of a batch."""
    for q in plan.sizes:
        yield call("seconds", (plan.timed, q), seconds.measure, plan.timed, q, plan.seen)


RUNS = {"reach": run_reach, "spread": run_spread, "seconds": run_seconds}


def read(args: Sequence[str] | None) -> tuple[Plan, list[str], bool]:
    """What the command line asks for: the plan, the sections, and whether to record them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batches",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", choices=[*RUNS, []], metavar="SECTION")
    parser.add_argument("--half", choices=("tune", "report"), help="of the suite; report")
    parser.add_argument("--problems", type=_names, metavar="NAME,NAME", help="names or patterns")
    parser.add_argument("--peers", type=_names, metavar="NAME,NAME", help=", ".join(CONTESTANTS))
    parser.add_argument("--seeds", type=int, metavar="N", help="how many, from 0 on; 3")
    parser.add_argument("--sizes", type=_sizes, metavar="Q,Q", help="of the batches that are timed")
    parser.add_argument("--cap", type=float, metavar="SECONDS", help="of thinking in a study; 900")
    parser.add_argument("--quick", action="store_true", help="the smallest cases only")
    parser.add_argument("--table", action="store_true", help="measure nothing, show the record")
    parser.add_argument("--record", action="store_true", help=f"write {RESULT.name} and the page")
    given = parser.parse_args(args)
    unknown = [name for name in given.peers or () if name not in CONTESTANTS]
    if unknown:
        parser.error(f"--peers: {unknown[0]!r} is none of {', '.join(CONTESTANTS)}")
    chosen = {
        "half": given.half,
        "patterns": given.problems,
        "names": given.peers,
        "seeds": given.seeds and tuple(range(given.seeds)),
        "sizes": given.sizes,
        "cap": given.cap,
    }
    plan = replace(QUICK if given.quick else Plan(), **{k: v for k, v in chosen.items() if v})
    return plan, [] if given.table else given.sections or list(RUNS), given.record


def main(args: Sequence[str] | None = None) -> None:
    """Measure, show, and record."""
    plan, sections, keep = read(args)
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    before = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    found: Record = before if not sections else {}
    worker = Worker()
    try:
        for name in sections:
            known = before.get(name, {}).get("rows", [])
            for row in RUNS[name](plan, _caller(worker), known):
                progress.print(_line(row))
                _merge(found, name, row)
                if keep:  # at once: a run that is stopped loses nothing
                    _merge(before, name, row)
                    RESULT.write_text(_text(before))
    finally:
        worker.close()
    if keep:
        found = before
        page.update(before)
    for grid in grids(found):
        Console(width=None if sys.stdout.isatty() else 200).print(grid.rich())


def _caller(worker: Worker) -> Call:
    """Calls in a process with one thread, whose rows say what, where, and why if there are none."""
    about = {"machine": machine.describe()["cpu"], "commit": machine.describe()["commit"]}

    def call(section: str, key: tuple[Any, ...], function: Callable[..., Row], *args: Any) -> Row:
        row: Row = dict(zip(KEYS[section], key, strict=True))
        try:
            row |= worker.call(function, *args, limit=LIMITS[section])
        except (OverTimeError, RuntimeError) as error:
            row["skipped"] = str(error).strip().splitlines()[-1]
        return row | about

    return call


def _merge(record: Record, section: str, row: Row) -> None:
    """Put a row in the place of the one that it replaces, or at the end."""
    rows = record.setdefault(section, {"rows": []})["rows"]

    def key(one: Row) -> list[Any]:
        return [one[part] for part in KEYS[section]]

    at = [k for k, one in enumerate(rows) if key(one) == key(row)]
    if at:
        rows[at[0]] = row
    else:
        rows.append(row)


def _text(record: Record) -> str:
    """The record as JSON, a row a line, sections in their order."""
    parts = []
    for name in (name for name in RUNS if name in record):
        rows = ",\n".join(f"  {json.dumps(row)}" for row in record[name]["rows"])
        parts.append(f' {json.dumps(name)}: {{"rows": [\n{rows}\n ]}}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _line(row: Row) -> str:
    """A row as one line of progress."""
    parts = (f"{key} {value}" for key, value in row.items() if key not in ("steps", *ABOUT))
    return "  ".join(parts)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    main()
