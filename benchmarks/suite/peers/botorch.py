"""BoTorch as its tutorials use it: SingleTaskGP, LogExpectedImprovement, optimize_acqf."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from benchmarks.suite.peers.base import Cube, Params, Peer, Worst, no_branches
from gpbo import Space

START = 10  # Sobol points before the first model


class BoTorch(Peer):
    """A new model for each ask; categories are one-hot, proposals are rounded.

    A failed trial is told as the worst value so far: BoTorch knows no failures.
    """

    name, package = "botorch", "botorch"
    modules = ("botorch.acquisition", "botorch.fit", "botorch.models", "botorch.optim")

    def __init__(self, space: Space, seed: int) -> None:
        import torch

        torch.manual_seed(seed)
        self._cube, self._worst = Cube(space), Worst()
        sobol = torch.quasirandom.SobolEngine(self._cube.d, scramble=True, seed=seed)
        self._start = list(sobol.draw(START, dtype=torch.float64).numpy())[::-1]
        self._x: list[np.ndarray] = []
        self._y: list[float] = []

    def ask(self) -> Params:
        return self._cube.params(self._start.pop() if self._start else self._propose())

    def tell(self, params: Params, value: float | None) -> None:
        self._x.append(self._cube.point(params))
        self._y.append(self._worst.value(value))

    @classmethod
    def cannot(cls, space: Space) -> str | None:
        return no_branches(space)

    def _propose(self) -> Any:
        import torch
        from botorch.acquisition import LogExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.optim import optimize_acqf
        from gpytorch.mlls import ExactMarginalLogLikelihood

        x = torch.from_numpy(np.array(self._x))
        y = -torch.tensor(self._y, dtype=torch.float64).unsqueeze(-1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = SingleTaskGP(x, y)
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            bounds = torch.stack([torch.zeros(self._cube.d), torch.ones(self._cube.d)]).double()
            acquisition = LogExpectedImprovement(model, best_f=y.max())
            point, _ = optimize_acqf(
                acquisition, bounds=bounds, q=1, num_restarts=10, raw_samples=512
            )
        return point.squeeze(0).numpy()
