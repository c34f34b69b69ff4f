"""The progress bar of a run: how many trials are done, and the best value so far."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from types import TracebackType

from gpbo.check import one_of
from gpbo.errors import NoResultsError
from gpbo.optimizer import Optimizer


class Progress(ABC):
    """Shows how a run gets on."""

    @abstractmethod
    def show(self, opt: Optimizer, finished: int) -> None:
        """Show that so many trials have finished."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class Silent(Progress):
    """Shows nothing."""

    def show(self, opt: Optimizer, finished: int) -> None:
        return None


class Bar(Progress):
    """A bar on stderr, drawn by rich."""

    def __init__(self, direction: str, total: int | None) -> None:
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn(f"gpbo {direction}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.fields[best]}"),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=total, best="")

    def show(self, opt: Optimizer, finished: int) -> None:
        try:
            best = f"best {opt.best_value:.6g} (trial {opt.best.number})"
        except NoResultsError:
            best = "no result yet"
        self._bar.update(self._task, completed=finished, best=best)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


def open_progress(wanted: str | bool, direction: str, total: int | None) -> Progress:
    """The progress display that `progress=` asks for.

    Raises   ValueError, TypeError  if it is not "auto", True or False
    """
    if isinstance(wanted, bool):
        return Bar(direction, total) if wanted else Silent()
    one_of("progress", wanted, ["auto"])
    return Bar(direction, total) if sys.stderr.isatty() else Silent()
