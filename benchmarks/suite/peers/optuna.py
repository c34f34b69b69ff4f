"""Optuna's samplers, asked as its documentation does: define by run."""

from __future__ import annotations

import warnings
from typing import Any

from benchmarks.suite.peers.base import Params, Peer, levels
from gpbo import Float, Int, Space
from gpbo.space import Parameter


class Optuna(Peer):
    """A study with one sampler; each parameter is suggested where it exists."""

    package = "optuna"
    modules = ("optuna", "optuna._gp.gp", "torch", "scipy.optimize")

    def __init__(self, space: Space, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._failed = optuna.trial.TrialState.FAIL
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._study = optuna.create_study(sampler=self.sampler(seed))

    def sampler(self, seed: int) -> Any:
        """The sampler that this class stands for."""
        raise NotImplementedError("the peers below say which")

    def ask(self) -> Params:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._trial = self._study.ask()
            params: Params = {}
            for _, leaf in self._space.active(params):
                params[leaf.name] = _suggest(self._trial, leaf.path, leaf.parameter)
        return self._space.check(params | _constants(self._space, params))

    def tell(self, params: Params, value: float | None) -> None:
        if value is None:
            self._study.tell(self._trial, state=self._failed)
        else:
            self._study.tell(self._trial, value)


class Tpe(Optuna):
    """TPESampler, Optuna's default."""

    name = "optuna-tpe"

    def sampler(self, seed: int) -> Any:
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed)


class Gp(Optuna):
    """GPSampler."""

    name = "optuna-gp"

    def sampler(self, seed: int) -> Any:
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed)


def _suggest(trial: Any, name: str, parameter: Parameter) -> Any:
    if isinstance(parameter, Float):
        bounds = parameter.low, parameter.high
        return trial.suggest_float(name, *bounds, log=parameter.log, step=parameter.step)
    if isinstance(parameter, Int):
        bounds = parameter.low, parameter.high
        return trial.suggest_int(name, *bounds, log=parameter.log, step=parameter.step)
    choices = levels(parameter)
    if parameter.kind == "levels":  # an order, which Optuna knows of integers only
        return choices[trial.suggest_int(name, 0, len(choices) - 1)]
    return trial.suggest_categorical(name, choices)


def _constants(space: Space, params: Params) -> Params:
    """The constants at the top, which `check` wants."""
    return {
        name: parameter.value_at(0)
        for name, parameter in space.items()
        if parameter.size == 1 and name not in params
    }
