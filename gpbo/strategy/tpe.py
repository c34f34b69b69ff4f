"""Tree-structured Parzen estimator: where good trials are dense and bad ones are not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gpbo.check import flag, whole
from gpbo.errors import explain
from gpbo.history import History
from gpbo.seeding import generator
from gpbo.strategy.base import Proposal, Strategy
from gpbo.strategy.random import Fresh

if TYPE_CHECKING:
    from gpbo.strategy.parzen import Parzen

Array: TypeAlias = npt.NDArray[np.float64]

MOST_GOOD = 25  # more good trials than these blur the peak (hyperopt, Optuna)
RECENT = 25  # so many of the newest bad trials count fully, older ones less and less (hyperopt)


@dataclass(frozen=True)
class TPE(Strategy):
    """The candidate with the highest ratio of two densities, l of good and g of bad trials.

    It grows with expected improvement (Bergstra et al. 2011, eq. 7). A failed trial is bad, and so
    is a pending one until it is told, so that others go elsewhere.

    start         how many trials end before the first model; until then draws are random
    gamma         which share of the trials that ended is good, 25 of them at most
    candidates    how many points are drawn from l; the one with the highest ratio is proposed
    multivariate  True: l and g are densities of whole points, and branches are chosen together with
                  what is in them. False: each parameter by itself, as in the first paper
    prior_weight  weight of the uniform density in l and g; a trial has 1

    Raises   TypeError, ValueError  if a setting makes no sense
    Source   start, gamma, candidates, prior_weight: Optuna's defaults, see Watanabe 2023,
             arXiv:2304.11127
    """

    start: int = 10
    gamma: float = 0.1
    candidates: int = 24
    multivariate: bool = True
    prior_weight: float = 1.0

    def __post_init__(self) -> None:
        whole("TPE start", self.start, 1)
        whole("TPE candidates", self.candidates, 1)
        flag("TPE multivariate", self.multivariate)
        _positive("TPE gamma", self.gamma, 1.0)
        _positive("TPE prior_weight", self.prior_weight, math.inf)

    @property
    def name(self) -> str:
        return "tpe"

    def count(self, ended: int) -> int:
        """How many trials are good, of so many that ended."""
        return min(math.ceil(round(self.gamma * ended, 9)), MOST_GOOD)

    def propose(self, history: History, n: int, seed: int) -> list[Proposal]:
        fresh = Fresh(history)
        made: list[dict[str, Any]] = []
        model = None if _ended(history) < self.start else _Model(self, history)
        for number in range(len(history), len(history) + n):
            rng = generator(seed, "tpe", number)
            why = {"phase": "start"} if model is None else model.choose(fresh, rng)
            if len(fresh.params) == len(made) and not fresh.add_random(rng):
                break  # nothing is left
            made.append({"strategy": self.name, **why})
        return [Proposal(*pair) for pair in zip(fresh.params, made, strict=True)]


class _Model:
    """The densities of good and bad trials of a history."""

    def __init__(self, tpe: TPE, history: History) -> None:
        from gpbo.strategy.parzen import axes_of  # here: the first proposals need no SciPy

        self._tpe, self._history = tpe, history
        self._axes = axes_of(history.space)
        self._share = goodness(history, tpe.count(_ended(history)))
        good = self._share > 0
        self._good = self._density(history.rows[good], self._share[good])

    def choose(self, fresh: Fresh, rng: np.random.Generator) -> dict[str, Any]:
        """Add the best candidate that is not known; the provenance says how good it is."""
        space = self._history.space
        X = self._good.draw(rng, self._tpe.candidates)
        ratio = self._good.log_density(X) - self._bad(fresh).log_density(X)
        if not self._tpe.multivariate:  # each coordinate is ranked by itself
            X = np.take_along_axis(X, np.argsort(-ratio, axis=0, kind="stable"), axis=0)
            ratio = -np.sort(-ratio, axis=0)
        order = np.argsort(-ratio, kind="stable") if ratio.ndim == 1 else range(len(X))
        for k in order:
            if fresh.add(X[k]):
                active = ~np.isnan(space.to_row(fresh.params[-1]))
                total = ratio[k] if ratio.ndim == 1 else ratio[k][active].sum()
                return {"phase": "model", "log_ratio": float(total)}
        return {"phase": "model", "log_ratio": None, "fallback": "no candidate was new: random"}

    def _bad(self, fresh: Fresh) -> Parzen:
        """The density of all that is not good, of pending points, and of those chosen just now."""
        history = self._history
        chosen = [history.space.to_row(params) for params in fresh.params]
        bad = self._share < 1
        rows = np.concatenate([history.rows[bad], np.reshape(chosen, (-1, len(self._axes)))])
        share = np.concatenate([1 - self._share[bad], np.ones(len(chosen))])
        return self._density(rows, share * ages(len(rows)))

    def _density(self, rows: Array, weights: Array) -> Parzen:
        from gpbo.strategy.parzen import Parzen

        return Parzen(self._axes, rows, weights, self._tpe.prior_weight, self._tpe.multivariate)


def _ended(history: History) -> int:
    return history.count("complete") + history.count("failed")


def goodness(history: History, count: int) -> Array:
    """How far each trial belongs to the `count` best: 1 or 0, a share where it ties for the last.

    Shapes   -> (trials,)
    """
    share = np.zeros(len(history))
    numbers = [trial.number for trial in history.complete]
    count = min(count, len(numbers))
    if count:
        values = [trial.value for trial in history.complete]
        loss = -history.sign * np.array(values, dtype=np.float64)
        last = np.partition(loss, count - 1)[count - 1]
        better, equal = loss < last, loss == last
        share[numbers] = better + equal * (count - better.sum()) / equal.sum()
    return share


def ages(n: int) -> Array:
    """Weights of n trials, oldest first: 1 for the newest, a straight line down for the others."""
    if n <= RECENT:
        return np.ones(n)
    return np.concatenate([np.linspace(1 / n, 1.0, n - RECENT), np.ones(RECENT)])


def _positive(name: str, value: float, high: float) -> None:
    expected = f"0 < {name.split()[1]} <= {high}" if high < math.inf else "a positive number"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(explain(name, "not a number", value, expected=expected))
    if not 0 < value <= high or math.isinf(value):
        raise ValueError(explain(name, "out of range", value, expected=expected))
