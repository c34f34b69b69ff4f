"""scikit-optimize's Optimizer with its defaults: a Gaussian process, several acquisitions."""

from __future__ import annotations

import warnings
from typing import Any

from benchmarks.suite.peers.base import (
    Params,
    Peer,
    Worst,
    is_number,
    levels,
    no_branches,
    parameters,
    value_of,
)
from gpbo import Float, Int, Space
from gpbo.space import Parameter


class Skopt(Peer):
    """A failed trial is told as the worst value so far: it knows no failures."""

    name, package = "skopt", "scikit-optimize"
    modules = ("skopt", "skopt.learning")

    def __init__(self, space: Space, seed: int) -> None:
        from skopt import Optimizer

        self._space, self._parameters, self._worst = space, parameters(space), Worst()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dimensions = [_dimension(one) for one in self._parameters.values()]
            self._opt = Optimizer(dimensions, random_state=seed)

    def ask(self) -> Params:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._point = self._opt.ask()
        pairs = zip(self._parameters.items(), self._point, strict=True)
        return {name: value_of(one, x) for (name, one), x in pairs}

    def tell(self, params: Params, value: float | None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._opt.tell(self._point, self._worst.value(value))

    @classmethod
    def cannot(cls, space: Space) -> str | None:
        return no_branches(space)


def _dimension(parameter: Parameter) -> Any:
    """A number as it is; ordered values by their index; categories by name."""
    from skopt.space import Categorical, Integer, Real

    if is_number(parameter):
        assert isinstance(parameter, (Float, Int))
        prior = "log-uniform" if parameter.log else "uniform"
        kind = Real if isinstance(parameter, Float) else Integer
        return kind(parameter.low, parameter.high, prior=prior)
    count = len(levels(parameter))
    if parameter.kind == "category":
        return Categorical([str(k) for k in range(count)])
    return Integer(0, count - 1)
