"""hyperopt's TPE, asked through the functions that its fmin is made of."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from benchmarks.suite.peers.base import Params, Peer, levels, value_of
from gpbo import Float, Int, Space
from gpbo.space import Choice, Parameter


class Hyperopt(Peer):
    """tpe.suggest; spaces nest, failures are told as such."""

    name, package = "hyperopt", "hyperopt"
    modules = ("hyperopt", "hyperopt.tpe")

    def __init__(self, space: Space, seed: int) -> None:
        from hyperopt import Trials
        from hyperopt.base import Domain

        self._space, self._rng = space, np.random.default_rng(seed)
        self._tree = _nested(space, "")
        self._trials = Trials()
        self._domain = Domain(_no_objective, self._tree)

    def ask(self) -> Params:
        from hyperopt import space_eval, tpe

        ids = self._trials.new_trial_ids(1)
        self._trials.refresh()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seed = int(self._rng.integers(2**31 - 1))
            self._documents = tpe.suggest(ids, self._domain, self._trials, seed)
        values = {k: v[0] for k, v in self._documents[0]["misc"]["vals"].items() if v}
        return _flat(self._space, space_eval(self._tree, values))

    def tell(self, params: Params, value: float | None) -> None:
        from hyperopt import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK

        result = {"status": STATUS_FAIL}
        if value is not None:
            result = {"status": STATUS_OK, "loss": value}
        for document in self._documents:
            document["state"], document["result"] = JOB_STATE_DONE, result
        self._trials.insert_trial_docs(self._documents)
        self._trials.refresh()


def _no_objective(_: Any) -> float:
    raise NotImplementedError("asked and told, never called")


def _nested(space: Space, path: str) -> dict[str, Any]:
    """The space in hyperopt's terms; labels are paths, for names may occur twice."""
    from hyperopt import hp

    tree: dict[str, Any] = {}
    for name, parameter in space.items():
        label = f"{path}{name}"
        if isinstance(parameter, Choice):
            branches = [
                {"taken": k, "inner": _nested(inner, f"{label}={k}/")}
                for k, (_, inner) in enumerate(parameter.branches)
            ]
            tree[name] = hp.choice(label, branches)
        else:
            tree[name] = _one(label, parameter)
    return tree


def _one(label: str, parameter: Parameter) -> Any:
    from hyperopt import hp

    if isinstance(parameter, Float) and parameter.step is None:
        if parameter.log:
            return hp.loguniform(label, math.log(parameter.low), math.log(parameter.high))
        return hp.uniform(label, parameter.low, parameter.high)
    if isinstance(parameter, Int) and parameter.log:
        return hp.qloguniform(label, math.log(parameter.low), math.log(parameter.high), 1)
    if isinstance(parameter, Int) and parameter.step == 1:
        return hp.uniformint(label, parameter.low, parameter.high)
    count = len(levels(parameter))
    if parameter.kind == "category":
        return hp.choice(label, list(range(count)))
    return hp.uniformint(label, 0, count - 1)


def _flat(space: Space, tree: dict[str, Any]) -> Params:
    """gpbo's params of what `space_eval` gave."""
    params: Params = {}
    for name, parameter in space.items():
        value = tree[name]
        if isinstance(parameter, Choice):
            branch, inner = parameter.branches[value["taken"]]
            params |= {name: branch, **_flat(inner, value["inner"])}
        else:
            params[name] = value_of(parameter, value)
    return params
