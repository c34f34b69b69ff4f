"""Who is timed: gpbo and its peers behind one interface, each as its documentation would use it.

A contestant is told what is known and proposes. A round is a tell and an ask together, since one
peer does its work in the first and the others in the second.

Symbols   x (n, d) points in the unit cube, y (n,) values, smaller is better
"""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from types import TracebackType
from typing import Any

import numpy as np

from benchmarks.ask.problem import Array

FEW = 2  # points before the first model, where trials are given: every timed ask is a model's
OWN_START = 10  # for peers that leave the first points to their user; Optuna's and skopt's default


class Stopwatch:
    """Seconds that were spent under a name since the last `reset`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def reset(self) -> None:
        """Forget what was measured."""
        self.seconds = {}

    def add(self, name: str, seconds: float) -> None:
        """Count seconds that something else measured."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def time(self, name: str) -> AbstractContextManager[None]:
        """Count a block under a name."""
        return _Lap(self, name)

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Count every call of a peer's function under a name, from now on in this process."""
        function: Callable[..., Any] = getattr(owner, attribute)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.time(name):
                return function(*args, **kwargs)

        setattr(owner, attribute, timed)


class _Lap(AbstractContextManager[None]):
    def __init__(self, watch: Stopwatch, name: str) -> None:
        self._watch, self._name = watch, name

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._watch.add(self._name, time.perf_counter() - self._began)


class Contestant(ABC):
    """An optimizer in the middle of a study; `fit` and `maximize` are counted in its watch."""

    name: str
    package: str  # what has to be installed
    cycle = 0.0  # by what share the data grow until its costs repeat; 0: all asks cost the same

    def __init__(self) -> None:
        self.watch = Stopwatch()
        self.proposal = np.empty(0)  # the last point that was proposed

    @abstractmethod
    def begin(self, x: Array, y: Array, seed: int = 0) -> None:
        """Start a new study in which these trials were made.

        With no trial at all it begins as it does by default, and without a model.
        """

    @abstractmethod
    def tell(self, x: Array, y: float) -> None:
        """One more trial: x (d,)."""

    @abstractmethod
    def ask(self) -> Array:
        """The point to try next: (d,)."""

    @classmethod
    def missing(cls) -> bool:
        """Whether its package is not installed."""
        return find_spec(cls.package) is None


class Gpbo(Contestant):
    """gpbo.Optimizer with its default strategy."""

    name, package = "gpbo", "gpbo"
    cycle = 0.125  # all starts of the fit are tried again after a growth of 10 %

    def begin(self, x: Array, y: Array, seed: int = 0) -> None:
        import gpbo

        self.names = [f"x{j}" for j in range(x.shape[1])]
        space = {name: gpbo.Float(0.0, 1.0) for name in self.names}
        self.given = bool(len(x))
        strategy = gpbo.Bayes(device="cpu", start=FEW if self.given else None)
        self.opt = gpbo.Optimizer(space, strategy=strategy, seed=seed)
        if self.given:
            self.opt.add([self._params(row) for row in x], list(map(float, y)))

    def tell(self, x: Array, y: float) -> None:
        self.opt.tell(self.trial, y)

    def ask(self) -> Array:
        began = time.perf_counter()
        self.trial = self.opt.ask()
        total = time.perf_counter() - began
        provenance = self.trial.provenance
        if self.given and (provenance.get("phase") != "model" or provenance.get("fallback")):
            raise RuntimeError(f"no model was asked: {provenance}")
        # All that is not the search for hyperparameters counts as maximization.
        fit = (provenance.get("fit") or {}).get("seconds", 0.0)
        self.watch.add("fit", fit)
        self.watch.add("maximize", total - fit)
        return np.array([self.trial.params[name] for name in self.names])

    def _params(self, row: Array) -> dict[str, float]:
        return dict(zip(self.names, row.tolist(), strict=True))


class Optuna(Contestant):
    """Optuna's GPSampler, which starts each fit from the last one."""

    name, package = "optuna", "optuna"

    def __init__(self) -> None:
        super().__init__()
        import optuna
        import optuna._gp.gp
        import optuna._gp.optim_mixed

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.watch.wrap(optuna._gp.gp, "fit_kernel_params", "fit")
        self.watch.wrap(optuna._gp.optim_mixed, "optimize_acqf_mixed", "maximize")

    def begin(self, x: Array, y: Array, seed: int = 0) -> None:
        import optuna

        self.names = [f"x{j}" for j in range(x.shape[1])]
        self.space = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in self.names}
        few = {"n_startup_trials": FEW} if len(x) else {}
        self.study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=seed, **few))
        self.study.add_trials([self._trial(row, value) for row, value in zip(x, y, strict=True)])

    def tell(self, x: Array, y: float) -> None:
        self.study.tell(self.trial, y)

    def ask(self) -> Array:
        self.trial = self.study.ask(self.space)
        return np.array([self.trial.params[name] for name in self.names])

    def _trial(self, x: Array, y: float) -> Any:
        import optuna

        params = dict(zip(self.names, x.tolist(), strict=True))
        return optuna.trial.create_trial(params=params, distributions=self.space, value=float(y))


class BoTorch(Contestant):
    """SingleTaskGP, fit_gpytorch_mll, LogExpectedImprovement, optimize_acqf, as in its tutorials.

    A new model is made and fitted from its own start at every ask.
    """

    name, package = "botorch", "botorch"
    warm = False

    def begin(self, x: Array, y: Array, seed: int = 0) -> None:
        import torch

        torch.manual_seed(seed)
        self.x, self.y = x, y
        self.last: Any = None
        sobol = torch.quasirandom.SobolEngine(x.shape[1], scramble=True, seed=seed)
        self.start = [] if len(x) else list(sobol.draw(OWN_START, dtype=torch.float64).numpy())

    def tell(self, x: Array, y: float) -> None:
        self.x, self.y = np.vstack([self.x, x]), np.append(self.y, y)

    def ask(self) -> Array:
        import torch
        from botorch.acquisition import LogExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.optim import optimize_acqf
        from gpytorch.mlls import ExactMarginalLogLikelihood

        if self.start:
            return self.start.pop()
        x, y = torch.from_numpy(self.x), -torch.from_numpy(self.y).unsqueeze(-1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with self.watch.time("fit"):
                model = SingleTaskGP(x, y)
                if self.last is not None:
                    model.load_state_dict(self.last)
                fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            if self.warm:
                self.last = model.state_dict()
            with self.watch.time("maximize"):
                bounds = torch.stack([torch.zeros_like(x[0]), torch.ones_like(x[0])])
                acquisition = LogExpectedImprovement(model, best_f=y.max())
                point, _ = optimize_acqf(
                    acquisition, bounds=bounds, q=1, num_restarts=10, raw_samples=512
                )
        return point.squeeze(0).numpy()


class WarmBoTorch(BoTorch):
    """BoTorch with each fit started from the last one's hyperparameters, as Ax does by default."""

    name = "botorch warm"
    warm = True


class Skopt(Contestant):
    """scikit-optimize's Optimizer with a Gaussian process and its default acquisition.

    It fits and maximizes when it is told, and hands out what it found when it is asked.
    """

    name, package = "skopt", "skopt"

    def __init__(self) -> None:
        super().__init__()
        from skopt.learning import GaussianProcessRegressor

        self.watch.wrap(GaussianProcessRegressor, "fit", "fit")

    def begin(self, x: Array, y: Array, seed: int = 0) -> None:
        from skopt import Optimizer

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.opt = Optimizer(
                [(0.0, 1.0)] * x.shape[1], "GP", n_initial_points=FEW, random_state=0
            )
            if len(x) > 1:
                self.opt.tell(x[:-1].tolist(), y[:-1].tolist(), fit=False)
            self.waiting = (x[-1].tolist(), float(y[-1]))

    def tell(self, x: Array, y: float) -> None:
        self.waiting = (x.tolist(), float(y))

    def ask(self) -> Array:
        # skopt works when it is told: the tell waits for the ask, whose time is taken.
        began = time.perf_counter()
        before = self.watch.seconds.get("fit", 0.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.opt.tell(*self.waiting)
            point = np.array(self.opt.ask())
        fit = self.watch.seconds.get("fit", 0.0) - before
        self.watch.add("maximize", time.perf_counter() - began - fit)
        return point


CONTESTANTS: dict[str, type[Contestant]] = {
    kind.name: kind for kind in (Gpbo, Optuna, BoTorch, WarmBoTorch, Skopt)
}
