"""How a run gets on: how many trials are done, and the best value so far; a bar, and lines."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from gpbo.errors import NoResultsError, explain
from gpbo.optimizer import Optimizer
from gpbo.text import first_line, last_line
from gpbo.trial import Trial


class Progress(ABC):
    """Shows how a run gets on."""

    @abstractmethod
    def show(self, opt: Optimizer, finished: int) -> None:
        """Show that so many trials have finished."""


class Silent(Progress):
    """Shows nothing."""

    def show(self, opt: Optimizer, finished: int) -> None:
        return None


class Bar(Progress):
    """A bar on stderr, drawn by rich while `display` is entered."""

    def __init__(self, direction: str, total: int | None) -> None:
        from rich import progress
        from rich.console import Console

        self.display = progress.Progress(
            progress.TextColumn(f"gpbo {direction}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.fields[best]}"),
            console=Console(stderr=True),
        )
        self._task = self.display.add_task("", total=total, best="")

    def show(self, opt: Optimizer, finished: int) -> None:
        try:
            best = f"best {opt.best_value:.6g} (trial {opt.best.number})"
        except NoResultsError:
            best = "no result yet"
        failed = opt.count("failed")
        best += f", {failed} failed" if failed else ""
        self.display.update(self._task, completed=finished, best=best)


def check_progress(wanted: str | bool) -> None:
    """Refuse what `progress=` does not mean.

    Raises   ValueError, TypeError  if it is not "auto", True or False
    """
    if not isinstance(wanted, bool) and wanted != "auto":
        kind = ValueError if isinstance(wanted, str) else TypeError
        raise kind(explain("progress", "unknown", wanted, expected="'auto', True or False"))


@contextmanager
def open_progress(wanted: str | bool, direction: str, total: int | None) -> Iterator[Progress]:
    """The progress display that `progress=` asks for: "auto" draws a bar on a terminal only."""
    if wanted == "auto":
        wanted = getattr(sys.stderr, "isatty", bool)()  # there may be no stderr, or half of one
    if not wanted:
        yield Silent()
        return
    bar = Bar(direction, total)
    with bar.display:
        yield bar


def trial_line(opt: Optimizer, trial: Trial, wanted: int | None) -> str:
    """What became of a trial, how many have finished, and the best so far."""
    finished = opt.count("complete") + opt.count("failed")
    done = f"{finished}/{wanted}" if wanted else f"{finished} done"
    if trial.value is None:
        why = trial.error or ""
        why = last_line(why) if why.startswith("Traceback") else first_line(why)
        return f"trial {trial.number}: failed: {why} ({done})"
    best = f"best {opt.best_value!r} in trial {opt.best.number}"
    return f"trial {trial.number}: {trial.value!r} ({done}, {best})"
