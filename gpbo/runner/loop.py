"""Runs an objective trial by trial: ask, evaluate, tell, until enough is known."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from gpbo.check import whole
from gpbo.errors import (
    GpboError,
    NoResultsError,
    ObservationError,
    TooManyFailuresError,
    TrialFailed,
    explain,
    hint_keywords,
)
from gpbo.history import no_results
from gpbo.optimizer import Optimizer
from gpbo.runner.progress import Progress, open_progress
from gpbo.space import Params, Space
from gpbo.strategy import Strategy
from gpbo.trial import Trial

Objective: TypeAlias = Callable[[Params], Any]
Evaluate: TypeAlias = Callable[[Trial], Any]
Callback: TypeAlias = Callable[[Optimizer, Trial], Any]
Catch: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]

MAX_FAILURES = 10  # errors of the objective in a row: the fault is then in the code, not in a point


@dataclass(frozen=True)
class Result:
    """What a run found, as it stood at its end.

    `stopped` says why it ended: "n_trials", "timeout", "exhausted" (no point is left), "callback"
    or "interrupted" (Ctrl-C). `optimizer` goes on with the study; a pickled Result is without it,
    and recommends what was to be recommended when it was pickled.
    """

    trials: list[Trial]
    direction: str
    stopped: str
    study: str
    optimizer: Optimizer | None
    _best: Trial | None
    _recommended: Params | None = None  # where there is no optimizer to ask

    @property
    def best(self) -> Trial:
        """The complete trial with the best value.

        Raises   NoResultsError  if nothing is complete
        """
        if self._best is None:
            raise NoResultsError(no_results(self.study, self.trials))
        return self._best

    @property
    def best_params(self) -> Params:
        """The params of `best`."""
        return self.best.params

    @property
    def best_value(self) -> float:
        """The value of `best`."""
        return cast(float, self.best.value)

    def recommend(self) -> Params:
        """The params to use in the end; see `Optimizer.recommend`.

        Raises   NoResultsError  if nothing is complete
        """
        if self.optimizer is not None:
            return self.optimizer.recommend()
        return self.best_params if self._recommended is None else dict(self._recommended)

    def __getstate__(self) -> dict[str, Any]:
        recommended = None
        with suppress(GpboError):  # nothing is complete, or the study's file is gone
            recommended = self.recommend()
        return {**self.__dict__, "optimizer": None, "_recommended": recommended}

    def __repr__(self) -> str:
        found = "best_value=None"
        if self._best is not None:
            found = f"best_value={self.best_value!r}, best_params={self.best_params!r}"
        return (
            f"Result({found}, direction={self.direction!r}, trials={len(self.trials)}, "
            f"stopped={self.stopped!r})"
        )


@dataclass(frozen=True)
class Limits:
    """When a run stops, and which exceptions are failed trials; see `minimize`.

    Raises   TypeError, ValueError  if one makes no sense
    """

    n_trials: int | None = None
    timeout: float | None = None
    callbacks: Iterable[Callback] = ()
    catch: Catch = Exception

    def __post_init__(self) -> None:
        if self.n_trials is not None:
            whole("n_trials", self.n_trials, 0)
        if self.timeout is not None:
            if isinstance(self.timeout, bool) or not isinstance(self.timeout, (int, float)):
                raise TypeError(
                    explain("timeout", "not a number", self.timeout, expected="seconds")
                )
            if not self.timeout >= 0:
                rule = "seconds >= 0"
                raise ValueError(explain("timeout", "out of range", self.timeout, expected=rule))
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


@hint_keywords
def minimize(
    objective: Objective,
    space: Space | Mapping[str, Any],
    n_trials: int | None = 100,
    *,
    strategy: str | Strategy = "bayes",
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
               and optionally "status"
    n_trials   how many trials the study shall have in the end: a run that was interrupted goes on
               where it stopped. None: until `timeout`, or for ever
    timeout    seconds after which no further trial starts
    callbacks  called with (optimizer, trial) after every trial; True stops the run
    progress   "auto" (a bar on a terminal), True or False
    catch      exceptions of the objective that make a failed trial, its traceback kept; others end
               the run, and the trial comes again when it goes on. `errors.TrialFailed` always makes
               one, and keeps its text only
    others     as in Optimizer

    Ctrl-C ends the run and gives what there is; everything told is kept.

    Raises   TooManyFailuresError  after 10 errors of the objective in a row
             and what Optimizer raises
    """
    limits, evaluate = Limits(n_trials, timeout, callbacks, catch), _with_params(objective)
    _one_worker(workers)
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
    strategy: str | Strategy = "bayes",
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
    limits, evaluate = Limits(n_trials, timeout, callbacks, catch), _with_params(objective)
    _one_worker(workers)
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
        try:
            stopped = _loop(opt, evaluate, limits, bar)
        except KeyboardInterrupt:
            stopped = "interrupted"
    best = opt.best if opt.count("complete") else None
    return Result(opt.trials, opt.direction, stopped, opt.study, opt, best)


def _one_worker(workers: int) -> None:
    if workers != 1:
        fix = "For more, share a study file between processes and call ask and tell in each."
        raise ValueError(explain("workers", "only one here", workers, fix=fix))


def _with_params(objective: Objective) -> Evaluate:
    """An objective of params, which it may change, as one of trials."""
    if not callable(objective):
        raise TypeError(explain("objective", "not callable", objective))
    return lambda trial: objective(dict(trial.params))


def _loop(opt: Optimizer, evaluate: Evaluate, limits: Limits, bar: Progress) -> str:
    """Run trials until a reason to stop, which it returns."""
    deadline = None if limits.timeout is None else time.monotonic() + limits.timeout
    errors: list[str] = []
    while True:
        finished = opt.count("complete") + opt.count("failed")
        bar.show(opt, finished)
        if limits.n_trials is not None and finished >= limits.n_trials:
            return "n_trials"
        if deadline is not None and time.monotonic() >= deadline:
            return "timeout"
        trial = opt.ask()
        if trial is None:  # the last trials may be in other processes' hands
            at_limit = finished + opt.count("pending") == limits.n_trials
            return "n_trials" if at_limit else "exhausted"
        error = _evaluate(opt, trial, evaluate, limits.catch)
        errors = [*errors, error] if error else []
        if len(errors) >= MAX_FAILURES:
            raise TooManyFailuresError(
                f"the objective failed {len(errors)} times in a row; if the fault is in the code, "
                "mend it and start a new study, since these points count as failed. "
                f"The first time:\n{errors[0]}"
            )
        told = opt.trial(trial.number)
        answers = [callback(opt, told) for callback in limits.callbacks]
        if any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers):
            bar.show(opt, finished + 1)
            return "callback"


def _evaluate(opt: Optimizer, trial: Trial, evaluate: Evaluate, catch: Catch) -> str | None:
    """Evaluate one trial and tell it; returns what went wrong if the objective is at fault."""
    at_fault = True
    try:
        value = evaluate(trial)
    except TrialFailed as failed:
        error, at_fault = str(failed), failed.at_fault
    except catch:
        error = traceback.format_exc()
    except BaseException:
        opt.release(trial)
        raise
    else:
        try:
            opt.tell(trial, value)
            return None
        except (TypeError, ObservationError) as refused:  # what came back is no result
            error = f"{type(refused).__name__}: {refused}"
    opt.tell(trial, failed=True, error=error)
    return error if at_fault else None
