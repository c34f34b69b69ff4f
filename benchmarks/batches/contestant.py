"""Those of the suite's optimizers that know of pending trials, asked for several at a time."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.suite.peers import botorch, optuna, ours
from benchmarks.suite.peers.base import Params, Peer


@dataclass(frozen=True)
class Asked:
    """A trial that is being tried, and what its optimizer knows it by."""

    params: Params
    handle: Any


class Contestant(Peer):
    """An optimizer that knows of pending trials."""

    @abstractmethod
    def ask_for(self, count: int) -> list[Asked]:
        """Trials to try side by side; those asked for before and not told are pending."""

    @abstractmethod
    def tell_of(self, asked: Asked, value: float | None) -> None:
        """What a pending trial gave; None where it failed."""


class _Ours(ours.Gpbo, Contestant):
    """gpbo.Optimizer, which gets a batch in one call."""

    def ask_for(self, count: int) -> list[Asked]:
        if count == 1:
            trial = self._opt.ask()
            return [] if trial is None else [Asked(dict(trial.params), trial)]
        return [Asked(dict(trial.params), trial) for trial in self._opt.ask(count)]

    def tell_of(self, asked: Asked, value: float | None) -> None:
        self._trial = asked.handle
        self.tell(asked.params, value)


class Gpbo(_Ours, ours.GpboBayes):
    """The default strategy."""


class Random(_Ours, ours.Random):
    """Independent draws."""


class _Optuna(optuna.Optuna, Contestant):
    """A study that is asked once for each trial of a batch."""

    def ask_for(self, count: int) -> list[Asked]:
        made = []
        for _ in range(count):
            params = self.ask()
            made.append(Asked(params, self._trial))
        return made

    def tell_of(self, asked: Asked, value: float | None) -> None:
        self._trial = asked.handle
        self.tell(asked.params, value)


class Tpe(_Optuna, optuna.Tpe):
    """TPESampler with the constant liar, as Optuna advises for parallel trials."""

    def sampler(self, seed: int) -> Any:
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed, constant_liar=True)


class Gp(_Optuna, optuna.Gp):
    """GPSampler, which counts running trials in by itself."""


class BoTorch(botorch.BoTorch, Contestant):
    """qLogExpectedImprovement with X_pending, maximized point after point (sequential=True)."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._pending: dict[int, np.ndarray] = {}
        self._number = 0

    def ask_for(self, count: int) -> list[Asked]:
        points = [self._start.pop() for _ in range(min(count, len(self._start)))]
        if count > len(points):
            points += list(self._propose_beside(points, count - len(points)))
        made = []
        for point in points:
            params = self._cube.params(point)
            made.append(Asked(params, self._number))
            self._pending[self._number] = self._cube.point(params)
            self._number += 1
        return made

    def tell_of(self, asked: Asked, value: float | None) -> None:
        del self._pending[asked.handle]
        self.tell(asked.params, value)

    def _propose_beside(self, points: list[np.ndarray], count: int) -> Any:
        """`count` points beside the pending ones and `points`: (count, d)."""
        import torch
        from botorch.acquisition.logei import qLogExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.optim.optimize import optimize_acqf
        from gpytorch.mlls import ExactMarginalLogLikelihood

        beside = [*self._pending.values(), *points]
        if count == 1 and not beside:
            return self._propose()[None]
        x = torch.from_numpy(np.array(self._x))
        y = -torch.tensor(self._y, dtype=torch.float64).unsqueeze(-1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = SingleTaskGP(x, y)
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            bounds = torch.stack([torch.zeros(self._cube.d), torch.ones(self._cube.d)]).double()
            pending = torch.from_numpy(np.array(beside)) if beside else None
            acquisition = qLogExpectedImprovement(model, best_f=y.max(), X_pending=pending)
            found, _ = optimize_acqf(
                acquisition,
                bounds=bounds,
                q=count,
                num_restarts=10,
                raw_samples=512,
                sequential=True,
            )
        return found.numpy()


CONTESTANTS: dict[str, type[Contestant]] = {
    kind.name: kind for kind in (Gpbo, Gp, Tpe, BoTorch, Random)
}
