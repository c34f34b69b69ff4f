"""The trials of one run: ask, evaluate, tell, one after the other or side by side."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from threading import Thread
from typing import Any, TypeAlias

import numpy as np

from gpbo.check import seconds, whole
from gpbo.errors import (
    ObservationError,
    StorageError,
    TooManyFailuresError,
    TrialFailed,
    TrialStateError,
    explain,
)
from gpbo.optimizer import MAX_ASK, Optimizer
from gpbo.runner.progress import Progress, trial_line
from gpbo.trial import Trial

Evaluate: TypeAlias = Callable[[Trial], Any]
Callback: TypeAlias = Callable[[Optimizer, Trial], Any]
Catch: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]

log = logging.getLogger("gpbo")

MAX_FAILURES = 10  # errors of the objective in a row: the fault is then in the code, not in a point


@dataclass(frozen=True)
class Limits:
    """When a run stops, which exceptions are failed trials, and how many of them are evaluated at
    once; see `minimize`.

    Raises   TypeError, ValueError  if one makes no sense
    """

    n_trials: int | None = None
    timeout: float | None = None
    callbacks: Iterable[Callback] = ()
    catch: Catch = Exception
    workers: int = 1

    def __post_init__(self) -> None:
        if self.n_trials is not None:
            whole("n_trials", self.n_trials, 0)
        if self.timeout is not None:
            object.__setattr__(self, "timeout", seconds("timeout", self.timeout))
        if not isinstance(self.callbacks, Iterable):
            rule = "a list of functions"
            raise TypeError(explain("callbacks", "not a list", self.callbacks, expected=rule))
        object.__setattr__(self, "callbacks", tuple(self.callbacks))
        for callback in self.callbacks:
            if not callable(callback):
                raise TypeError(explain("callbacks", "not callable", callback))
        classes = self.catch if isinstance(self.catch, tuple) else (self.catch,)
        if not all(isinstance(c, type) and issubclass(c, BaseException) for c in classes):
            rule = "an exception class or a tuple of them"
            raise TypeError(explain("catch", "not exceptions", self.catch, expected=rule))
        whole("workers", self.workers, 1, MAX_ASK)


@dataclass(frozen=True)
class Outcome:
    """What an evaluation gave: a value, or why it failed and whether the objective is at fault."""

    value: Any = None
    error: str | None = None
    at_fault: bool = True


class Trials:
    """The trials of one run, one after the other or side by side."""

    def __init__(self, opt: Optimizer, evaluate: Evaluate, limits: Limits, bar: Progress) -> None:
        self.opt, self.evaluate, self.limits, self.bar = opt, evaluate, limits, bar
        self.errors: list[str] = []  # of the objective, the last ones in a row
        self.failures = 0
        timeout = limits.timeout
        self.deadline = None if timeout is None else time.monotonic() + timeout

    def run(self) -> str:
        """Run trials until a reason to stop, which it returns."""
        while True:
            reason = self._reason_to_stop()
            trial = None if reason else self.opt.ask()
            if trial is None:
                return reason or self._nothing_left()
            outcome = None
            try:
                outcome = self._outcome(trial)
                error = self._tell(trial, outcome)
            except KeyboardInterrupt:
                if outcome is not None:  # it has ended: a Ctrl-C in the tell does not undo that
                    self._tell(trial, outcome)
                raise
            if self._note(trial, outcome, error):
                return "callback"

    def run_side_by_side(self) -> str:
        """The same with several trials at a time, each evaluated in a thread.

        Where it ends early, whatever has ended is told, and `run` gives back those that are still
        running: nothing can stop an evaluation, but what it gives is not taken, and the process may
        end before it does.
        """
        running: dict[Future[Outcome], Trial] = {}
        try:
            while True:
                reason = self._reason_to_stop()
                while not reason and len(running) < self.limits.workers:
                    trial = self.opt.ask()
                    if trial is None:
                        break
                    future: Future[Outcome] = Future()
                    running[future] = trial
                    self._start(trial, future)
                if not running:
                    return reason or self._nothing_left()
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                stop = False
                for future in [one for one in running if one in ended]:
                    trial, outcome = running[future], future.result()
                    error = self._tell(trial, outcome)
                    del running[future]
                    stop |= self._note(trial, outcome, error)
                if stop:
                    return "callback"
        finally:
            for future, trial in running.items():
                if future.done() and future.exception() is None:
                    self._tell_in_the_end(trial, future.result())

    def _start(self, trial: Trial, future: Future[Outcome]) -> None:
        """Evaluate a trial in a thread of its own. A pool's threads would be waited for when the
        process ends, which after Ctrl-C may take as long as a training.
        """

        def evaluate() -> None:
            try:
                future.set_result(self._outcome(trial))
            except BaseException as error:
                future.set_exception(error)

        try:
            Thread(target=evaluate, name=f"gpbo trial {trial.number}", daemon=True).start()
        except RuntimeError as error:  # of a lock in it, where Ctrl-C fell into the start
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None
            raise

    def _reason_to_stop(self) -> str | None:
        finished, limit = self._finished(), self.limits.n_trials
        self.bar.show(self.opt, finished)
        if limit is not None and finished >= limit:
            return "n_trials"
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return "timeout"
        return None

    def _nothing_left(self) -> str:
        """Why there was nothing to ask for; the last trials may be in other processes' hands."""
        limit, taken = self.limits.n_trials, self._finished() + self.opt.count("pending")
        return "n_trials" if limit is not None and taken >= limit else "exhausted"

    def _finished(self) -> int:
        return self.opt.count("complete") + self.opt.count("failed")

    def _outcome(self, trial: Trial) -> Outcome:
        """Evaluate a trial; what `catch` does not name passes through."""
        try:
            return Outcome(self.evaluate(trial))
        except TrialFailed as failed:
            return Outcome(error=str(failed), at_fault=failed.at_fault)
        except self.limits.catch:
            return Outcome(error=traceback.format_exc())

    def _tell_in_the_end(self, trial: Trial, outcome: Outcome) -> None:
        """Tell what ended beside what ends the run; one that cannot be written does not keep the
        others from being told.
        """
        try:
            self._tell(trial, outcome)
        except StorageError as error:
            log.warning("trial %d: %s", trial.number, error)

    def _tell(self, trial: Trial, outcome: Outcome) -> str | None:
        """Tell what became of a trial; returns why it failed, None where it did not."""
        error = outcome.error
        try:
            if error is None:
                try:
                    self.opt.tell(trial, outcome.value)
                except (TypeError, ObservationError) as refused:  # what came back is no result
                    error = f"{type(refused).__name__}: {refused}"
            if error is not None:
                self.opt.tell(trial, failed=True, error=error)
        except TrialStateError as told:  # as where another process took it for left behind
            log.warning("what this run found for a trial is dropped: %s", told)
        return error

    def _note(self, trial: Trial, outcome: Outcome, error: str | None) -> bool:
        """Log a trial that was told, and call back; returns whether a callback wants to stop.

        Raises   TooManyFailuresError
        """
        at_fault = error is not None and outcome.at_fault
        told = self.opt.trial(trial.number)
        self._log(told, at_fault)
        self.errors = [*self.errors, str(error)] if at_fault else []
        if len(self.errors) >= MAX_FAILURES:
            raise TooManyFailuresError(
                f"the objective failed {len(self.errors)} times in a row; if the fault is in the "
                "code, mend it and start a new study, since these points count as failed. "
                f"The first time:\n{self.errors[0]}"
            )
        answers = [callback(self.opt, told) for callback in self.limits.callbacks]
        stop = any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)
        if stop:
            self.bar.show(self.opt, self._finished())
        return stop

    def _log(self, told: Trial, at_fault: bool) -> None:
        """A line for each trial; the first error of the objective is not to be overlooked."""
        self.failures += at_fault
        level = logging.WARNING if at_fault and self.failures == 1 else logging.INFO
        if log.isEnabledFor(level):
            log.log(level, "%s", trial_line(self.opt, told, self.limits.n_trials))
