"""The Gaussian process made of GPyTorch modules: for all that GPyTorch can do with a model.

The same kernel, priors, ranges and noise as the surrogate in gp.py, which fits and predicts by its
own closed forms and does not need GPyTorch for it.
"""

from __future__ import annotations

from typing import Any

import gpytorch
import torch
from gpytorch.likelihoods.noise_models import HomoskedasticNoise
from linear_operator.operators import DiagLinearOperator, LinearOperator
from torch import Tensor

from gpbo.surrogate.evidence import Data
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.kernel import MaternKernel
from gpbo.surrogate.posterior import GaussianPosterior
from gpbo.surrogate.prior import Priors, Range


class ExactGaussianProcess(gpytorch.models.ExactGP):
    """The model of `GaussianProcess` as a gpytorch.models.ExactGP, with its priors and ranges."""

    def __init__(self, data: Data, priors: Priors, values: Hyperparameters) -> None:
        likelihood = gpytorch.likelihoods.GaussianLikelihood()
        likelihood.noise_covar = PartlyKnownNoise(data, priors)
        super().__init__(data.x, data.y, likelihood)
        kernel = MaternKernel(
            ard_num_dims=data.n_groups,
            groups=data.groups,
            lengthscale_prior=priors.lengthscale_module(),
            lengthscale_constraint=LogRange(*priors.ranges(data.n_groups)[:-2]),
        )
        self.mean_module = gpytorch.means.ConstantMean()
        self.covar_module = gpytorch.kernels.ScaleKernel(
            kernel,
            outputscale_prior=priors.outputscale.module(),
            outputscale_constraint=LogRange(priors.outputscale_range),
        )
        self.to(data.x)
        # As float64 tensors: GPyTorch takes plain numbers through float32.
        kernel.lengthscale = data.x.new_tensor(values.lengthscale)
        self.covar_module.outputscale = data.x.new_tensor(values.outputscale)
        self.likelihood.noise = data.x.new_tensor([values.noise])
        mean = GaussianPosterior.build(data, values).constant
        self.mean_module.constant = data.x.new_tensor(mean)

    def forward(self, x: Tensor) -> gpytorch.distributions.MultivariateNormal:
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


class PartlyKnownNoise(HomoskedasticNoise):
    """A learned noise variance for the observations of which it is not known."""

    def __init__(self, data: Data, priors: Priors) -> None:
        super().__init__(
            noise_prior=priors.noise.module(), noise_constraint=LogRange(priors.noise_range)
        )
        self.register_buffer("points", data.x)
        self.register_buffer("known", data.known)
        self.register_buffer("unknown", data.unknown)

    def forward(
        self, *params: Any, shape: torch.Size | None = None, **kwargs: Any
    ) -> LinearOperator:
        learned = super().forward(*params, shape=shape, **kwargs)
        if not self._observed(params):
            return learned
        return DiagLinearOperator(self.known + self.noise * self.unknown)

    def _observed(self, params: Any) -> bool:
        """Whether it is about the observed points: GPyTorch passes points, a list of them, or, as
        when it trains, none.
        """
        points = params[0] if params else None
        if isinstance(points, (list, tuple)) and points:
            points = points[0]
        if not isinstance(points, Tensor):
            return bool(self.training)
        return torch.equal(points, self.points)


class LogRange(gpytorch.constraints.Interval):
    """Values in a range, or each in its own, of which the logarithms are the raw parameters."""

    def __init__(self, *boxes: Range) -> None:
        ends = torch.tensor([(box.low, box.high) for box in boxes], dtype=torch.float64)
        super().__init__(*ends.view(-1, 2).squeeze(0).unbind(-1))

    def transform(self, tensor: Tensor) -> Tensor:
        return tensor.exp().clamp(self.lower_bound, self.upper_bound)

    def inverse_transform(self, transformed_tensor: Tensor) -> Tensor:
        return transformed_tensor.log()
