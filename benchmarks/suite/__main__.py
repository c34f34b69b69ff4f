"""Which optimizer needs the fewest trials: runs, and the tables made of them.

    python -m benchmarks.suite --quick                a first look, in a few minutes
    python -m benchmarks.suite --half tune --peers gpbo,optuna-gp --seeds 3
    python -m benchmarks.suite --half report --jobs 8 what is published; takes a day
    python -m benchmarks.suite --table                nothing but the tables
    python -m benchmarks.suite --list                 the problems and peers

Every finished run is kept: stop with Ctrl-C, start again, it goes on. An optimizer runs with one
thread and with its own defaults.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks import machine
from benchmarks.suite import catalog, page, record, runner, table
from benchmarks.suite.peers.lineup import PEERS
from benchmarks.suite.plan import QUICK_PROBLEMS, QUICK_TRIALS, Plan
from benchmarks.suite.problem import KINDS
from benchmarks.suite.record import Row
from benchmarks.suite.regret import Scores
from benchmarks.suite.tables import MISSING, available


def read(args: Sequence[str] | None) -> tuple[Plan, argparse.Namespace]:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.suite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    many = {"type": _names, "default": None, "metavar": "NAME,NAME"}
    parser.add_argument("--half", choices=("tune", "report", "all"), default="all")
    parser.add_argument("--problems", **many, help="names or patterns such as 'ackley-*'")
    parser.add_argument("--kinds", **many, help=", ".join(KINDS))
    parser.add_argument("--peers", **many, help=", ".join(PEERS))
    parser.add_argument("--seeds", type=int, metavar="N", help="how many, from 0 on; 10")
    parser.add_argument("--trials", type=int, metavar="N", help="instead of the problem's own")
    parser.add_argument("--cap", type=float, metavar="SECONDS", help="of thinking in a study; 900")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes; 1")
    parser.add_argument("--quick", action="store_true", help="16 problems, 40 trials, 2 seeds")
    parser.add_argument("--as", dest="label", metavar="NAME", help="keep gpbo's runs under a name")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for results; in the repository")
    parser.add_argument("--retry", action="store_true", help="make runs again that failed")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--each", action="store_true", help="also a table of every problem")
    parser.add_argument("--page", action="store_true", help="write docs/performance/suite.md")
    parser.add_argument("--list", action="store_true", help="problems and peers")
    given = parser.parse_args(args)
    _check(parser, "peers", given.peers, [*PEERS, *_labels(given)])
    _check(parser, "kinds", given.kinds, KINDS)
    plan = Plan(half=given.half, jobs=given.jobs, label=given.label)
    if given.quick:
        plan = replace(
            plan,
            patterns=QUICK_PROBLEMS,
            trials=QUICK_TRIALS,
            seeds=(0, 1),
            out=Path("suite-quick"),
        )
    chosen = {
        "patterns": given.problems,
        "kinds": given.kinds,
        "peers": given.peers,
        "seeds": given.seeds and tuple(range(given.seeds)),
        "trials": given.trials,
        "cap": given.cap,
        "out": given.out,
    }
    return replace(plan, **{key: value for key, value in chosen.items() if value}), given


def main(args: Sequence[str] | None = None) -> None:
    """Run what is missing, and show all that is there."""
    plan, given = read(args)
    if given.list:
        _list(plan)
        return
    if not given.table:
        can = plan
        if not available():
            warnings.warn(MISSING, stacklevel=2)
            can = replace(plan, kinds=tuple(kind for kind in plan.kinds if kind != "table"))
        _run(can, given.retry)
    rows = selected(plan, everybody=given.peers is None)
    if not rows:
        print("There are no results of these problems and peers.", file=sys.stderr)
        return
    scores = Scores(rows)
    console = Console(width=None if sys.stdout.isatty() else 200)
    for grid in [*table.grids(scores, plan.label or table.OURS)] + (
        [table.problems(scores.level())] if given.each else []
    ):
        console.print(grid.rich())
    if given.page:
        page.update(rows)


def selected(plan: Plan, everybody: bool = False) -> list[Row]:
    """The results of what the plan asks for, cut to as many trials; with `everybody` all peers'."""
    wanted = {run.key: run.planned for run in plan.runs()}
    planned = {(problem, seed): count for (problem, _, seed), count in wanted.items()}
    found = record.read(plan.out)
    keys = [key for key in found if everybody or key in wanted]
    return [
        record.cut(found[key], planned[key[0], key[2]])
        for key in keys
        if (key[0], key[2]) in planned
    ]


def _run(plan: Plan, retry: bool) -> None:
    runs = runner.missing(plan, retry)
    about = {"machine": machine.describe()["cpu"], "commit": machine.describe()["commit"]}
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("runs", total=len(runs))

        def say(row: Row) -> None:
            what = f"{row['problem']} {row['peer']} {row['seed']}"
            progress.update(bar, advance=1, description=what)
            if "error" in row:
                progress.console.print(f"{what}: {row['error']}", style="red")

        runner.execute(plan, runs, say, about)


def _list(plan: Plan) -> None:
    for name in plan.problems():
        problem = catalog.make(name, 0)
        print(f"{name:28}{problem.kind:18}{problem.half:8}{problem.trials:4}  {problem.source}")
    for name, peer in PEERS.items():
        print(f"{name:28}{peer.package} {peer.version() or 'is not installed'}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _labels(given: argparse.Namespace) -> list[str]:
    """Names of earlier versions of gpbo: files in the folder of results."""
    folder = given.out or Path("suite-quick" if given.quick else record.RESULTS)
    return [file.stem for file in folder.glob("*.jsonl")] if given.table else []


def _check(
    parser: argparse.ArgumentParser, what: str, names: Sequence[str] | None, known: Sequence[str]
) -> None:
    unknown = [name for name in names or () if name not in known]
    if unknown:
        parser.error(f"--{what}: {unknown[0]!r} is none of {', '.join(known)}")


if __name__ == "__main__":
    main()
