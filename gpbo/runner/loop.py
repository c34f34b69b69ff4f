"""Runs an objective trial by trial: ask, evaluate, tell, until enough is known."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from threading import Thread
from typing import Any, TypeAlias

import numpy as np

from gpbo.check import seconds, whole
from gpbo.errors import (
    GpboError,
    ObservationError,
    StorageError,
    TooManyFailuresError,
    TrialFailed,
    TrialStateError,
    explain,
    hint_keywords,
)
from gpbo.optimizer import MAX_ASK, Optimizer
from gpbo.runner.progress import Progress, check_progress, open_progress, trial_line
from gpbo.runner.result import Result
from gpbo.space import Params, Space
from gpbo.strategy import Strategy
from gpbo.trial import Trial

Objective: TypeAlias = Callable[[Params], Any]
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


@hint_keywords
def minimize(
    objective: Objective,
    space: Space | Mapping[str, Any],
    n_trials: int | None = 100,
    *,
    strategy: str | Strategy | None = None,
    seed: int | None = None,
    storage: Any = None,
    study: str = "default",
    device: str = "auto",
    workers: int = 1,
    timeout: float | None = None,
    callbacks: Iterable[Callback] = (),
    progress: str | bool = "auto",
    catch: Catch = Exception,
) -> Result:
    """Find params that make the objective small.

    objective  called with a dict of params; returns a number, or a dict with "loss" (or "value")
               and optionally "noise", its standard deviation; or with "status" "fail" and "error"
    n_trials   how many trials the study shall have in the end: a run that was interrupted goes on
               where it stopped. A small number begins on fewer points (a quarter of it), and then
               another number gives other proposals. None: until `timeout`, or for ever
    workers    how many trials are evaluated at once, each in a thread; which one ends first then
               decides what comes next, so that a seed does not repeat such a run. Heavy Python code
               wants processes: let several share a study file
    timeout    seconds after which no further trial starts
    callbacks  called with (optimizer, trial) after every trial; True stops the run
    progress   "auto" (a bar on a terminal), True or False
    catch      exceptions of the objective that make a failed trial, its traceback kept; others end
               the run, and the trial comes again when it goes on. `errors.TrialFailed` always makes
               one, and keeps its text only
    others     as in Optimizer

    Ctrl-C ends the run and gives what there is; everything told is kept. The log "gpbo" has a line
    for each trial at INFO, and the first failure at WARNING.

    Raises   TooManyFailuresError  after 10 errors of the objective in a row; what was found until
                                   then is its `result`
             and what Optimizer raises
    """
    limits = Limits(n_trials, timeout, callbacks, catch, workers)
    check_progress(progress)
    evaluate = _with_params(objective)
    opt = Optimizer(
        space, "minimize", strategy, seed, storage, study, device=device, budget=n_trials
    )
    return run(opt, evaluate, limits, progress)


@hint_keywords
def maximize(
    objective: Objective,
    space: Space | Mapping[str, Any],
    n_trials: int | None = 100,
    *,
    strategy: str | Strategy | None = None,
    seed: int | None = None,
    storage: Any = None,
    study: str = "default",
    device: str = "auto",
    workers: int = 1,
    timeout: float | None = None,
    callbacks: Iterable[Callback] = (),
    progress: str | bool = "auto",
    catch: Catch = Exception,
) -> Result:
    """Find params that make the objective large; everything else is as in `minimize`."""
    limits = Limits(n_trials, timeout, callbacks, catch, workers)
    check_progress(progress)
    evaluate = _with_params(objective)
    opt = Optimizer(
        space, "maximize", strategy, seed, storage, study, device=device, budget=n_trials
    )
    return run(opt, evaluate, limits, progress)


def run(
    opt: Optimizer, evaluate: Evaluate, limits: Limits, progress: str | bool = "auto"
) -> Result:
    """Ask, evaluate and tell until a limit is reached; Ctrl-C ends the run with what there is.

    Raises   TooManyFailuresError  after 10 errors of `evaluate` in a row
    """
    with open_progress(progress, opt.direction, limits.n_trials) as bar:
        trials = _Trials(opt, evaluate, limits, bar)
        try:
            stopped = trials.run() if limits.workers == 1 else trials.run_side_by_side()
            if stopped == "callback" and limits.workers > 1:  # others are still running
                _give_up(opt)
        except KeyboardInterrupt:
            stopped = "interrupted"
            _give_up(opt)
        except BaseException as error:
            _give_up(opt)
            if isinstance(error, TooManyFailuresError):
                error.result = _result(opt, "failures")
            raise
    return _result(opt, stopped)


def _give_up(opt: Optimizer) -> None:
    """Give back what was asked and not told, so that whoever goes on evaluates it: Ctrl-C may fall
    between an ask that is on disk and its evaluation.
    """
    try:
        opt.release_all()
    except GpboError as error:  # what ends the run says more
        log.warning("trials that this run has asked are not given back: %s", error)


def _result(opt: Optimizer, stopped: str) -> Result:
    best = opt.best if opt.count("complete") else None
    return Result(opt.trials, opt.direction, stopped, opt.study, opt, best)


def _with_params(objective: Objective) -> Evaluate:
    """An objective of params, which it may change, as one of trials."""
    if not callable(objective):
        raise TypeError(explain("objective", "not callable", objective))
    return lambda trial: objective(dict(trial.params))


@dataclass(frozen=True)
class _Outcome:
    """What an evaluation gave: a value, or why it failed and whether the objective is at fault."""

    value: Any = None
    error: str | None = None
    at_fault: bool = True


class _Trials:
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
        running: dict[Future[_Outcome], Trial] = {}
        try:
            while True:
                reason = self._reason_to_stop()
                while not reason and len(running) < self.limits.workers:
                    trial = self.opt.ask()
                    if trial is None:
                        break
                    future: Future[_Outcome] = Future()
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

    def _start(self, trial: Trial, future: Future[_Outcome]) -> None:
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

    def _outcome(self, trial: Trial) -> _Outcome:
        """Evaluate a trial; what `catch` does not name passes through."""
        try:
            return _Outcome(self.evaluate(trial))
        except TrialFailed as failed:
            return _Outcome(error=str(failed), at_fault=failed.at_fault)
        except self.limits.catch:
            return _Outcome(error=traceback.format_exc())

    def _tell_in_the_end(self, trial: Trial, outcome: _Outcome) -> None:
        """Tell what ended beside what ends the run; one that cannot be written does not keep the
        others from being told.
        """
        try:
            self._tell(trial, outcome)
        except StorageError as error:
            log.warning("trial %d: %s", trial.number, error)

    def _tell(self, trial: Trial, outcome: _Outcome) -> str | None:
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

    def _note(self, trial: Trial, outcome: _Outcome, error: str | None) -> bool:
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
