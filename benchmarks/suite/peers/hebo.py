"""HEBO, the winner of the black-box optimization challenge at NeurIPS 2020."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import numpy as np

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


class Hebo(Peer):
    """A failed trial is told as the worst value so far: it knows no failures."""

    name, package = "hebo", "HEBO"
    modules = ("hebo.optimizers.hebo",)

    def __init__(self, space: Space, seed: int) -> None:
        import torch
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        np.random.seed(seed)
        torch.manual_seed(seed)
        self._parameters, self._worst = parameters(space), Worst()
        columns = [_column(name, one) for name, one in self._parameters.items()]
        self._opt = HEBO(DesignSpace().parse(columns), scramble_seed=seed)

    def ask(self) -> Params:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            self._frame = self._opt.suggest(n_suggestions=1)
        row = self._frame.iloc[0]
        return {name: value_of(one, row[name]) for name, one in self._parameters.items()}

    def tell(self, params: Params, value: float | None) -> None:
        self._opt.observe(self._frame, np.array([[self._worst.value(value)]]))

    @classmethod
    def cannot(cls, space: Space) -> str | None:
        return no_branches(space)


def _column(name: str, parameter: Parameter) -> dict[str, Any]:
    """A number as it is; ordered values by their index; categories by name."""
    if is_number(parameter):
        assert isinstance(parameter, (Float, Int))
        kinds = ("pow", "num") if isinstance(parameter, Float) else ("pow_int", "int")
        kind = kinds[not parameter.log]
        return {"name": name, "type": kind, "lb": parameter.low, "ub": parameter.high}
    count = len(levels(parameter))
    if parameter.kind == "category":
        return {"name": name, "type": "cat", "categories": [str(k) for k in range(count)]}
    return {"name": name, "type": "int", "lb": 0, "ub": count - 1}
