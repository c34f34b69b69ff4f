"""TuRBO-1, which its authors publish for non-commercial use: from the paper, on GPyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.suite.peers.base import Cube, Params, Peer, Worst, no_branches
from gpbo import Space

if TYPE_CHECKING:
    import gpytorch

LENGTH, SHORTEST, LONGEST = 0.8, 0.5**7, 1.6  # of a region's side
SUCCESSES = 3  # in a row, before the region grows
GAIN = 1e-3  # of the best value: a smaller gain is a failure
CANDIDATES, CHANGED = 5000, 20  # at most; the mean number of coordinates that one changes
ADAM_STEPS, RATE = 50, 0.1
EXACT = 2000  # rows of a covariance that is factorized as it is; GPyTorch's Lanczos above


class Turbo(Peer):
    """One trust region and one Thompson sample a trial.

    Two random points a column come first, as the authors recommend, and again whenever the region
    has collapsed. A failed trial is told as the worst value so far: TuRBO knows no failures.
    Categories are one-hot, proposals are rounded.

    Source   Eriksson et al. 2019, arXiv:1910.01935, section 2 and supplement; settings as in the
             authors' implementation
    """

    name, package = "turbo", "gpytorch"
    modules = ("gpytorch",)

    def __init__(self, space: Space, seed: int) -> None:
        import torch

        torch.manual_seed(seed)
        self._cube, self._worst = Cube(space), Worst()
        self._rng = np.random.default_rng(seed)
        self._begin()

    def ask(self) -> Params:
        return self._cube.params(self._start.pop() if self._start else self._propose())

    def tell(self, params: Params, value: float | None) -> None:
        told = self._worst.value(value)
        if len(self._y) >= 2 * self._cube.d:
            self._resize(told)
        self._x.append(self._cube.point(params))
        self._y.append(told)
        if self._length < SHORTEST:
            self._begin()

    @classmethod
    def cannot(cls, space: Space) -> str | None:
        return no_branches(space)

    def _begin(self) -> None:
        """A new region, which knows nothing of those before it."""
        from scipy.stats.qmc import LatinHypercube

        sample = LatinHypercube(self._cube.d, rng=self._rng).random(2 * self._cube.d)
        self._start = list(sample)
        self._x: list[np.ndarray] = []
        self._y: list[float] = []
        self._length, self._successes, self._failures = LENGTH, 0, 0

    def _resize(self, told: float) -> None:
        best = min(self._y)
        if told < best - GAIN * abs(best):
            self._successes, self._failures = self._successes + 1, 0
        else:
            self._successes, self._failures = 0, self._failures + 1
        if self._successes == SUCCESSES:
            self._length, self._successes = min(2 * self._length, LONGEST), 0
        elif self._failures == max(4, self._cube.d):
            self._length, self._failures = self._length / 2, 0

    def _propose(self) -> np.ndarray:
        import gpytorch
        import torch

        x, y = torch.from_numpy(np.array(self._x)), torch.tensor(self._y, dtype=torch.float64)
        y = (y - y.median()) / y.std(correction=0).clamp_min(1e-6)
        with gpytorch.settings.max_cholesky_size(EXACT):
            model = _fitted(x, y)
            lengthscale = model.covar_module.base_kernel.lengthscale.detach().flatten()
            candidates = self._candidates(x[y.argmin()].numpy(), lengthscale.numpy())
            with torch.no_grad():
                sample = model.likelihood(model(torch.from_numpy(candidates))).sample()
        point: np.ndarray = candidates[int(sample.argmin())]
        return point

    def _candidates(self, center: np.ndarray, lengthscale: np.ndarray) -> np.ndarray:
        """Points of the region around the center, each with some coordinates of its own: (m, d)."""
        from torch.quasirandom import SobolEngine

        d = self._cube.d
        side = self._length * lengthscale / np.exp(np.log(lengthscale).mean())
        low, high = np.clip(center - side / 2, 0, 1), np.clip(center + side / 2, 0, 1)
        count = min(100 * d, CANDIDATES)
        engine = SobolEngine(d, scramble=True, seed=int(self._rng.integers(2**31)))  # type: ignore[no-untyped-call]  # torch leaves it untyped
        points = low + (high - low) * engine.draw(count).double().numpy()
        own = self._rng.random((count, d)) < CHANGED / d
        own[np.arange(count), self._rng.integers(d, size=count)] = True  # one at least
        return np.where(own, points, center)


def _fitted(x: Any, y: Any) -> gpytorch.models.ExactGP:
    """The model after some steps of Adam from fixed hyperparameters."""
    import gpytorch
    import torch
    from gpytorch.constraints import Interval

    class Model(gpytorch.models.ExactGP):
        def __init__(self) -> None:
            noise = gpytorch.likelihoods.GaussianLikelihood(noise_constraint=Interval(5e-4, 0.2))
            super().__init__(x, y, noise)
            self.mean_module = gpytorch.means.ConstantMean()
            kernel = gpytorch.kernels.MaternKernel(
                nu=2.5, ard_num_dims=x.shape[1], lengthscale_constraint=Interval(0.005, 2.0)
            )
            self.covar_module = gpytorch.kernels.ScaleKernel(
                kernel, outputscale_constraint=Interval(0.05, 20.0)
            )

        def forward(self, x: Any) -> gpytorch.distributions.MultivariateNormal:
            return gpytorch.distributions.MultivariateNormal(
                self.mean_module(x), self.covar_module(x)
            )

    model = Model().double()
    model.covar_module.outputscale = 1.0
    model.covar_module.base_kernel.lengthscale = 0.5
    model.likelihood.noise = 0.005
    evidence = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    adam = torch.optim.Adam(model.parameters(), lr=RATE)
    model.train()
    for _ in range(ADAM_STEPS):
        adam.zero_grad()
        loss = -evidence(model(x), y)
        loss.backward()
        adam.step()
    return model.eval()
