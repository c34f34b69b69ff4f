"""`gpbo best`, `gpbo trials` and `gpbo studies`: what is in a study file."""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Container, Iterable, Sequence
from typing import Any

from gpbo.cli.messages import complain
from gpbo.cli.study import names_of, open_file, open_study
from gpbo.cli.text import as_record, as_table, print_json, print_params
from gpbo.errors import SchemaVersionError
from gpbo.history import History
from gpbo.journal import load_journal
from gpbo.optimizer import Optimizer
from gpbo.options import Options
from gpbo.text import encodable, last_line, one_line
from gpbo.trial import Trial

ERROR_WIDTH = 60  # characters of a trial's error in the table; --json has all of it
COLUMNS = ("number", "state", "value", "noise", "error", "started", "finished")  # of the CSV
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def best(args: argparse.Namespace) -> int:
    """Show the best trial, or with --recommend the params that the model believes in.

    Raises   NoResultsError, StorageError, StudyError
    """
    journal = open_study(args)
    history = journal.history
    trial = history.best
    params = trial.params
    if args.recommend:
        params = Optimizer.from_journal(journal, Options()).recommend()
    names = names_of(history.space)
    if args.format == "json":
        record: dict[str, Any] = {"study": journal.study, "direction": history.direction}
        if not args.recommend:
            record |= {"number": trial.number, "value": trial.value, "noise": trial.noise}
        print_json(record, params=params)
    elif args.format == "text":
        print(f"study {one_line(journal.study)!r}: {_counted(history)}")
        print(_headline(trial, history.direction, args.recommend))
        print(as_table(params))
    else:
        number = trial.number if args.format == "shell" and not args.recommend else None
        print_params(args.format, params, names, number)
    return 0


def _headline(trial: Trial, direction: str, recommended: bool) -> str:
    if recommended:
        return f"recommended ({direction})"
    noise = "" if trial.noise is None else f" ± {trial.noise!r}"
    return f"best value ({direction}): {trial.value!r}{noise}, trial {trial.number}"


def _counted(history: History) -> str:
    """How many trials there are, and in which states."""
    states = {"complete": len(history.complete), "failed": len(history.failed)}
    states["pending"] = len(history.pending)
    parts = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    return f"{len(history)} trials" + (f" ({parts})" if parts else "")


def trials(args: argparse.Namespace) -> int:
    """List the trials of a study.

    Raises   StorageError, StudyError
    """
    history = open_study(args).history
    chosen = [t for t in history.trials if args.state in (None, t.state)]
    if args.sort == "value":
        chosen.sort(key=lambda t: math.inf if t.value is None else -history.sign * t.value)
    chosen = chosen[: args.limit]
    names = names_of(history.space)
    if args.json:
        for trial in chosen:
            print_json(as_record(trial))
    elif args.csv:
        _write_csv(chosen, names)
    else:
        _print_trials(chosen, names)
    return 0


def _write_csv(chosen: Iterable[Trial], names: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*COLUMNS, *(encodable(f"params.{name}") for name in names)])
    for trial in chosen:
        record = as_record(trial)
        if trial.error is not None:
            record["error"] = encodable(trial.error)
        values = [encodable(trial.params[name]) if name in trial.params else "" for name in names]
        writer.writerow([*(record[name] for name in COLUMNS), *values])


def _print_trials(chosen: Sequence[Trial], names: Sequence[str]) -> None:
    """The columns that no trial has anything in are left out."""
    columns = ["number", "state", "value", "noise", "seconds", *names, "error"]
    rows = [_row(trial, names) for trial in chosen]
    used = [k for k in range(len(columns)) if k < 3 or any(row[k] for row in rows)]
    numeric = {"number", "value", "noise", "seconds"}
    print_table([columns[k] for k in used], [[row[k] for k in used] for row in rows], numeric)


def _row(trial: Trial, names: Sequence[str]) -> list[str]:
    error = last_line(trial.error)
    took = "" if trial.finished is None or not trial.started else trial.finished - trial.started
    return [
        str(trial.number),
        trial.state,
        "" if trial.value is None else f"{trial.value:.6g}",
        "" if trial.noise is None else f"{trial.noise:.3g}",
        "" if took == "" else f"{took:.1f}",
        *(_cell(trial.params[name]) if name in trial.params else "" for name in names),
        error if len(error) <= ERROR_WIDTH else error[: ERROR_WIDTH - 1] + "…",
    ]


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else one_line(value)


def studies(args: argparse.Namespace) -> int:
    """List the studies in a file.

    Raises   StorageError
    """
    storage = open_file(args.file)
    found = []
    for study in storage.studies():
        try:
            found.append(load_journal(storage, study))
        except SchemaVersionError as error:  # of another gpbo, which does not hide the others
            complain(f"warning: {error}")
    records = [_study_record(journal.header, journal.history) for journal in found]
    if args.json:
        for record in records:
            print_json(record)
        return 0
    columns = ["study", "direction", "strategy", "parameters", "trials", "complete", "failed",
               "pending", "best", "made"]  # fmt: skip
    rows = [
        ["" if record[name] is None else _cell(record[name]) for name in columns[:-1]]
        + [_ago(time.time() - record["created"])]
        for record in records
    ]
    print_table(columns, rows, {"parameters", "trials", "complete", "failed", "pending", "best"})
    return 0


def _study_record(header: dict[str, Any], history: History) -> dict[str, Any]:
    return {
        "study": history.study,
        "direction": history.direction,
        "strategy": header.get("strategy"),
        "seed": header.get("seed"),
        "created": header.get("created", 0.0),
        "parameters": len(history.space.leaves),
        "trials": len(history),
        "complete": len(history.complete),
        "failed": len(history.failed),
        "pending": len(history.pending),
        "best": history.best.value if history.complete else None,
    }


def _ago(seconds: float) -> str:
    """About how long ago something was."""
    for unit, name in ((DAY, "days"), (HOUR, "hours"), (MINUTE, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name} ago"
    return "just now"


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Container[str]
) -> None:
    """Print a table at its natural width: no cell is ever cut or broken to fit a window.

    Not a rich.Table: with 10^5 rows that takes minutes.
    """
    from rich.cells import cell_len  # how wide text is on a terminal

    header = [one_line(name) for name in columns]
    cells = [header, *rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    right = [name in numeric for name in columns]
    for row in cells:
        parts = []
        for cell, width, to_the_right in zip(row, widths, right, strict=True):
            room = " " * (width - cell_len(cell))
            parts.append(room + cell if to_the_right else cell + room)
        print("  ".join(parts).rstrip())
