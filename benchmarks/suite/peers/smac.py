"""SMAC3: a random forest and expected improvement, its facade for hyperparameters."""

from __future__ import annotations

import logging
import tempfile
import warnings
from typing import Any

from benchmarks.suite.peers.base import Params, Peer, is_number, levels, value_of
from gpbo import Float, Int, Space
from gpbo.space import Parameter


class Smac(Peer):
    """HyperparameterOptimizationFacade with ask and tell; conditions and failures are its own."""

    name, package = "smac", "smac"
    modules = ("smac", "ConfigSpace")

    def __init__(self, space: Space, seed: int) -> None:
        from smac import HyperparameterOptimizationFacade, Scenario

        logging.getLogger("smac").setLevel(logging.ERROR)
        self._space, self._known = space, configuration_space(space, seed)
        self._folder = tempfile.TemporaryDirectory()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scenario = Scenario(
                self._known, output_directory=self._folder.name, deterministic=True, seed=seed
            )
            self._opt = HyperparameterOptimizationFacade(
                scenario, _no_objective, logging_level=logging.ERROR, overwrite=True
            )

    def ask(self) -> Params:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._info = self._opt.ask()
        chosen, params = dict(self._info.config), Params()
        for _, leaf in self._space.active(params):
            params[leaf.name] = value_of(leaf.parameter, chosen[leaf.path])
        return params

    def tell(self, params: Params, value: float | None) -> None:
        from smac.runhistory import StatusType, TrialValue

        if value is None:
            result = TrialValue(cost=float("inf"), status=StatusType.CRASHED)
        else:
            result = TrialValue(cost=value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._opt.tell(self._info, result, save=False)


def _no_objective(_: Any, seed: int = 0) -> float:
    raise NotImplementedError("asked and told, never called")


def configuration_space(space: Space, seed: int) -> Any:
    """The space in ConfigSpace's terms; names are paths, for names may occur twice."""
    from ConfigSpace import ConfigurationSpace, EqualsCondition

    made = ConfigurationSpace(seed=seed)
    entries = [_hyperparameter(leaf.path, leaf.parameter) for leaf in space.leaves]
    conditions = [
        EqualsCondition(entries[k], entries[leaf.parent], leaf.branch)
        for k, leaf in enumerate(space.leaves)
        if leaf.parent >= 0
    ]
    made.add(*entries)
    if conditions:
        made.add(*conditions)
    return made


def _hyperparameter(name: str, parameter: Parameter) -> Any:
    """A number as it is; ordered values and categories by their index."""
    from ConfigSpace import CategoricalHyperparameter, OrdinalHyperparameter
    from ConfigSpace import Float as FloatHyperparameter
    from ConfigSpace import Integer as IntegerHyperparameter

    if is_number(parameter):
        assert isinstance(parameter, (Float, Int))
        make = FloatHyperparameter if isinstance(parameter, Float) else IntegerHyperparameter
        return make(name, (parameter.low, parameter.high), log=parameter.log)
    indices = list(range(len(levels(parameter))))
    if parameter.kind == "category":
        return CategoricalHyperparameter(name, indices)
    return OrdinalHyperparameter(name, indices)
