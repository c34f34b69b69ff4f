"""The rules of a trust region: how long it is after what came of its proposals, and when it ends.

A run is everything from one start design to the next. Which run a proposal belongs to, and how long
the region then was, is in its provenance: under "region" the number of the run's first trial, under
"length", and under "batch" the number of the first model's proposal in the same ask. All else is
derived from these and from what the trials gave, by going through them in order of number. So a
state depends on what was told, and not on when.

Source   Eriksson et al. 2019, arXiv:1910.01739, section 2 and its supplement; the constants are
         those of the paper
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import median

from gpbo.history import History
from gpbo.trial import Trial

NAME = "trust_region"
FIRST, LONGEST, SHORTEST = 0.8, 1.6, 2.0**-7  # of the unit cube's side
SUCCESSES = 3  # in a row, after which the length doubles
PATIENCE = 4  # failures, at least, after which it halves; with more dimensions, as many as those
MARGIN = 1e-3  # of a value, or of what the run has gained, by which a success must be better


@dataclass(frozen=True)
class Region:
    """The state of a trust region.

    Needs    losses: what the user minimizes, or the negative of what the user maximizes
    """

    began: int  # the number of the run's first trial
    patience: int  # failures in a row after which the length halves
    length: float = FIRST  # of a side whose lengthscale is the geometric mean of all
    successes: int = 0  # batches in a row
    failures: int = 0  # trials in a row
    best: float | None = None  # the least loss of the run
    level: float | None = None  # a typical loss of the run's start

    @property
    def over(self) -> bool:
        """Whether the next proposal begins a new run."""
        return self.length < SHORTEST

    def seen(self, losses: Iterable[float]) -> Region:
        """The region after trials that are not its own proposals."""
        known = [*losses, *([] if self.best is None else [self.best])]
        return replace(self, best=min(known, default=None))

    def after(self, losses: list[float], ended: int) -> Region:
        """The region after a batch of its own of which so many trials ended; the others failed.

        A batch of q trials fails as q trials: halving after max(4, d) of them is the paper's
        max(4 / q, d / q) batches.
        """
        better = any(self._improves(loss) for loss in losses)
        successes = self.successes + 1 if better else 0
        failures = 0 if better else self.failures + ended
        length = self.length
        if successes == SUCCESSES:
            length, successes = min(2 * length, LONGEST), 0
        elif failures >= self.patience:
            length, failures = length / 2, 0
        changed = replace(self, length=length, successes=successes, failures=failures)
        return changed.seen(losses)

    def _improves(self, loss: float) -> bool:
        """Whether it is better than the best by a share of that, or of the run's gain so far.

        The paper's margin is a share of the best value alone, and so depends on where its zero is.
        """
        if self.best is None:
            return True
        size = abs(self.best)
        if self.level is not None:
            size = min(size, abs(self.level - self.best))
        return loss < self.best - MARGIN * size


def region_of(history: History) -> Region:
    """The region that the next proposal is made in; a new one where the last one is over."""
    patience = max(PATIENCE, len(history.space.leaves))
    region = Region(_newest(history), patience)
    trials = history.trials[region.began :]
    start = [loss for trial in _start(trials) for loss in _losses([trial], history)]
    region = replace(region, level=median(start) if start else None)
    for own, batch in groupby(trials, key=_batch):
        members = list(batch)
        losses = _losses(members, history)
        ended = sum(trial.state != "pending" for trial in members)
        # A trial from before the region changed says nothing about how long it should be now.
        if own is None or ended == 0 or members[0].provenance.get("length") != region.length:
            region = region.seen(losses)
        else:
            region = region.after(losses, ended)
        if region.over:
            return Region(len(history), patience)
    return region


def run_at(history: History, number: int) -> tuple[int, int]:
    """The run of a trial: the numbers of its first trial, and of the first one after it."""
    starts = {0, *(run for trial in history.trials if (run := _run(trial)) is not None)}
    began = max(start for start in starts if start <= number)
    return began, min((start for start in starts if start > number), default=len(history))


def since(history: History, began: int, end: int | None = None) -> History:
    """The trials from a number on, or up to another one, as a history of their own."""
    if began == 0 and end in (None, len(history)):
        return history
    local = History(history.space, history.direction, history.study, history.study_id)
    for number, trial in enumerate(history.trials[began:end]):
        local.apply(
            {
                "event": "ask",
                "trial": number,
                "params": trial.params,
                "at": trial.started,
                "provenance": trial.provenance,
            }
        )
    for trial in [*history.complete, *history.failed]:
        number = trial.number - began
        if 0 <= number < len(local):
            event = "fail" if trial.value is None else "complete"
            told = {"value": trial.value, "noise": trial.noise, "error": trial.error}
            local.apply({"event": event, "trial": number, "at": trial.finished, **told})
    return local


def _newest(history: History) -> int:
    found = (_run(trial) for trial in reversed(history.trials))
    return next((run for run in found if run is not None), 0)


def _run(trial: Trial) -> int | None:
    """The run that a trial was proposed in; None where it was not."""
    made = trial.provenance
    return int(made["region"]) if made.get("strategy") == NAME and "region" in made else None


def _batch(trial: Trial) -> int | None:
    """The batch of a proposal of the model; None for every other trial."""
    made = trial.provenance
    if made.get("strategy") != NAME or made.get("phase") != "model":
        return None
    return int(made["batch"])


def _start(trials: list[Trial]) -> Iterator[Trial]:
    """What came before the run's first proposal of the model."""
    for trial in trials:
        if _batch(trial) is not None:
            return
        yield trial


def _losses(trials: Iterable[Trial], history: History) -> list[float]:
    return [-history.sign * trial.value for trial in trials if trial.value is not None]
