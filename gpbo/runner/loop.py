"""Runs an objective trial by trial: ask, evaluate, tell, until enough is known."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from gpbo.check import whole
from gpbo.errors import (
    NoResultsError,
    ObservationError,
    TooManyFailuresError,
    explain,
    hint_keywords,
)
from gpbo.optimizer import Optimizer
from gpbo.runner.progress import Progress, open_progress
from gpbo.space import Params, Space
from gpbo.strategy import Strategy
from gpbo.trial import Trial

Objective: TypeAlias = Callable[[Params], Any]
Callback: TypeAlias = Callable[[Optimizer, Trial], Any]

MAX_FAILURES = 10  # errors of the objective in a row: the fault is then in the code, not in a point


@dataclass(frozen=True)
class Result:
    """What a run found.

    `stopped` says why it ended: "n_trials", "timeout", "exhausted" (no point is left), "callback"
    or "interrupted" (Ctrl-C).
    """

    trials: list[Trial]
    direction: str
    stopped: str
    optimizer: Optimizer

    @property
    def best(self) -> Trial:
        """The complete trial with the best value.

        Raises   NoResultsError  if nothing is complete
        """
        return self.optimizer.best

    @property
    def best_params(self) -> Params:
        """The params of `best`."""
        return self.best.params

    @property
    def best_value(self) -> float:
        """The value of `best`."""
        return self.optimizer.best_value

    def __repr__(self) -> str:
        try:
            found = f"best_value={self.best_value!r}, best_params={self.best_params!r}"
        except NoResultsError:
            found = "best_value=None"
        return (
            f"Result({found}, direction={self.direction!r}, trials={len(self.trials)}, "
            f"stopped={self.stopped!r})"
        )


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
    catch: type[BaseException] | tuple[type[BaseException], ...] = Exception,
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
               the run, and the trial comes again when it goes on
    others     as in Optimizer

    Ctrl-C ends the run and gives what there is; everything told is kept.

    Raises   TooManyFailuresError  after 10 errors of the objective in a row
             and what Optimizer raises
    """
    options = _Options(n_trials, workers, timeout, tuple(callbacks), catch)
    opt = Optimizer(
        space, "minimize", strategy, seed, storage, study, device=device, budget=n_trials
    )
    return _run(opt, objective, options, progress)


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
    catch: type[BaseException] | tuple[type[BaseException], ...] = Exception,
) -> Result:
    """Find params that make the objective large; everything else is as in `minimize`."""
    options = _Options(n_trials, workers, timeout, tuple(callbacks), catch)
    opt = Optimizer(
        space, "maximize", strategy, seed, storage, study, device=device, budget=n_trials
    )
    return _run(opt, objective, options, progress)


@dataclass(frozen=True)
class _Options:
    """When to stop, and what to catch."""

    n_trials: int | None
    workers: int
    timeout: float | None
    callbacks: tuple[Callback, ...]
    catch: type[BaseException] | tuple[type[BaseException], ...]

    def __post_init__(self) -> None:
        if self.n_trials is not None:
            whole("n_trials", self.n_trials, 0)
        if self.workers != 1:
            fix = "For more, share a study file between processes and call ask and tell in each."
            raise ValueError(explain("workers", "only one here", self.workers, fix=fix))
        if self.timeout is not None and not self.timeout >= 0:
            raise ValueError(explain("timeout", "negative", self.timeout, expected="seconds >= 0"))
        for callback in self.callbacks:
            if not callable(callback):
                raise TypeError(explain("callbacks", "not callable", callback))


def _run(opt: Optimizer, objective: Objective, options: _Options, progress: str | bool) -> Result:
    if not callable(objective):
        raise TypeError(explain("objective", "not callable", objective))
    with open_progress(progress, opt.direction, options.n_trials) as bar:
        try:
            stopped = _loop(opt, objective, options, bar)
        except KeyboardInterrupt:
            stopped = "interrupted"
    return Result(opt.trials, opt.direction, stopped, opt)


def _loop(opt: Optimizer, objective: Objective, options: _Options, bar: Progress) -> str:
    """Run trials until a reason to stop, which it returns."""
    deadline = None if options.timeout is None else time.monotonic() + options.timeout
    errors: list[str] = []
    while True:
        finished = len(opt.trials) - len(opt.pending)
        bar.show(opt, finished)
        if options.n_trials is not None and finished >= options.n_trials:
            return "n_trials"
        if deadline is not None and time.monotonic() >= deadline:
            return "timeout"
        trial = opt.ask()
        if trial is None:
            return "exhausted"
        error = _evaluate(opt, trial, objective, options.catch)
        errors = [*errors, error] if error else []
        if len(errors) >= MAX_FAILURES:
            raise TooManyFailuresError(
                f"the objective failed {len(errors)} times in a row; the first time:\n{errors[0]}"
            )
        told = opt.trials[trial.number]
        answers = [callback(opt, told) for callback in options.callbacks]
        if True in answers:
            bar.show(opt, finished + 1)
            return "callback"


def _evaluate(
    opt: Optimizer,
    trial: Trial,
    objective: Objective,
    catch: type[BaseException] | tuple[type[BaseException], ...],
) -> str | None:
    """Evaluate one trial and tell it; returns the traceback if the objective is at fault."""
    try:
        value = objective(dict(trial.params))
    except catch:
        error = traceback.format_exc()
        opt.tell(trial, failed=True, error=error)
        return error
    except BaseException:
        opt.release(trial)
        raise
    try:
        opt.tell(trial, value)
    except (TypeError, ObservationError):  # what came back is no result
        error = traceback.format_exc()
        opt.tell(trial, failed=True, error=error)
        return error
    return None
