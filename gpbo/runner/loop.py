"""Find params that make an objective small, or large: the loop around it, and how it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from gpbo.errors import GpboError, TooManyFailuresError, explain, hint_keywords
from gpbo.optimizer import Optimizer
from gpbo.runner.progress import check_progress, open_progress
from gpbo.runner.result import Result
from gpbo.runner.trials import Callback, Catch, Evaluate, Limits, Trials
from gpbo.space import Params, Space
from gpbo.strategy import Strategy

Objective: TypeAlias = Callable[[Params], Any]

log = logging.getLogger("gpbo")


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
        trials = Trials(opt, evaluate, limits, bar)
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
