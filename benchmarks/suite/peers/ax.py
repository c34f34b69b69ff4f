"""Ax's client with its default generation strategy: Sobol points, then a BoTorch model."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from benchmarks.suite.peers.base import (
    Params,
    Peer,
    is_number,
    levels,
    no_branches,
    parameters,
    value_of,
)
from gpbo import Float, Int, Space
from gpbo.space import Parameter


class Ax(Peer):
    """Failures are told as such."""

    name, package = "ax", "ax-platform"
    modules = ("ax.api.client",)

    def __init__(self, space: Space, seed: int) -> None:
        from ax.api.client import Client

        self._parameters = parameters(space)
        for name in ("ax", "ax.api.client", "ax.service", "ax.core.experiment"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._client = Client(random_seed=seed)
        entries = [_entry(name, one) for name, one in self._parameters.items()]
        self._client.configure_experiment(parameters=entries)
        self._client.configure_optimization(objective="-loss")

    def ask(self) -> Params:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ((self._number, chosen),) = self._client.get_next_trials(max_trials=1).items()
        return {name: value_of(one, chosen[name]) for name, one in self._parameters.items()}

    def tell(self, params: Params, value: float | None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if value is None:
                self._client.mark_trial_failed(self._number)
            else:
                self._client.complete_trial(self._number, raw_data={"loss": value})

    @classmethod
    def cannot(cls, space: Space) -> str | None:
        return no_branches(space)


def _entry(name: str, parameter: Parameter) -> Any:
    """A number as it is; ordered values and categories by their index."""
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    if is_number(parameter):
        assert isinstance(parameter, (Float, Int))
        return RangeParameterConfig(
            name=name,
            bounds=(parameter.low, parameter.high),
            parameter_type="float" if isinstance(parameter, Float) else "int",
            scaling="log" if parameter.log else "linear",
        )
    return ChoiceParameterConfig(
        name=name,
        values=list(range(len(levels(parameter)))),
        parameter_type="int",
        is_ordered=parameter.kind != "category",
    )
