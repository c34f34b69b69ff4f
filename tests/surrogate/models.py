"""Models of a user's own that several tests look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gpytorch
import torch
from botorch.models import SingleTaskGP
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import (
    AdditiveKernel,
    InducingPointKernel,
    Kernel,
    LinearKernel,
    MaternKernel,
    PeriodicKernel,
    RBFKernel,
    ScaleKernel,
)
from gpytorch.likelihoods import GaussianLikelihood
from torch import Tensor

from gpbo.surrogate.custom import CustomSurrogate
from gpbo.surrogate.custom_fit import Row
from gpbo.surrogate.custom_posterior import ModelPosterior
from gpbo.surrogate.evidence import Data
from gpbo.surrogate.model import LogRange
from gpbo.surrogate.prior import default_priors
from tests.surrogate.data import problem


def matern(d: int) -> Kernel:
    """The kernel of the default surrogate, with its priors and ranges, as GPyTorch's modules."""
    priors = default_priors(d)
    kernel = MaternKernel(
        nu=2.5,
        ard_num_dims=d,
        lengthscale_prior=priors.lengthscale.module(),
        lengthscale_constraint=LogRange(priors.lengthscale_range),
    )
    scaled = ScaleKernel(
        kernel,
        outputscale_prior=priors.outputscale.module(),
        outputscale_constraint=LogRange(priors.outputscale_range),
    ).double()
    kernel.lengthscale = torch.full((1, d), priors.lengthscale.mode, dtype=torch.float64)
    scaled.outputscale = torch.tensor(priors.outputscale.mode, dtype=torch.float64)
    return scaled


class Warped(gpytorch.models.ExactGP):
    """A kernel on learned features, and a linear mean; parameters that no constraint holds."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        super().__init__(x, y, GaussianLikelihood())
        self.bend = torch.nn.Linear(x.shape[-1], 2)
        self.mean = gpytorch.means.LinearMean(x.shape[-1])
        self.kernel = ScaleKernel(RBFKernel())

    def forward(self, x: Tensor) -> MultivariateNormal:
        return MultivariateNormal(self.mean(x), self.kernel(torch.tanh(self.bend(x))))


def sparse(d: int) -> Kernel:
    points = torch.linspace(0.1, 0.9, 4 * d).view(4, d)
    return InducingPointKernel(ScaleKernel(RBFKernel()), points, GaussianLikelihood())


KERNELS: dict[str, Callable[[int], Kernel]] = {
    "matern": matern,
    "rbf and periodic": lambda d: ScaleKernel(RBFKernel(ard_num_dims=d) + PeriodicKernel()),
    "product": lambda d: ScaleKernel(RBFKernel() * LinearKernel()),
    "additive": lambda d: AdditiveKernel(
        *(ScaleKernel(RBFKernel(active_dims=[column])) for column in range(d))
    ),
    "inducing points": sparse,
}
SURROGATES = {name: CustomSurrogate.from_kernel(kernel) for name, kernel in KERNELS.items()}
SURROGATES["exact gp"] = CustomSurrogate(Warped)
SURROGATES["botorch"] = CustomSurrogate(lambda x, y: SingleTaskGP(x, y.unsqueeze(-1)))
QUICK = [name for name in SURROGATES if name != "inducing points"]


def quick(name: str, n: int = 12, d: int = 2) -> tuple[ModelPosterior, Data]:
    """A belief with the parameters as they are made."""
    x, y = problem(n, d)
    noise = torch.full((n,), torch.nan, dtype=torch.float64)
    noise[1::4] = 0.05
    return SURROGATES[name].posterior(x, y, as_made(name, x, y), noise=noise), Data.build(
        x, y, noise
    )


def as_made(name: str, x: Tensor, y: Tensor) -> dict[str, Any]:
    """The memory of a model with the parameters that it was made with."""
    model = SURROGATES[name].model(x, y).double()
    row = Row.of(model, x)
    return {"parameters": row.to_dict(row.read())}
