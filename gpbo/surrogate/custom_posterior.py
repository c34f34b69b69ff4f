"""The exact Gaussian belief of any GPyTorch model, in closed form from a Cholesky factor.

Symbols: X (n, d) observed points, m and k the model's mean and kernel, K = L L^T = k(X, X) with
noise, a = K^-1 (y - m(X)). Then, without observation noise,

    mean = m(x) + k(x, X) a,    covariance = k(x, x) - (L^-1 k(X, x))^T (L^-1 k(X, x))

The model is asked for m and k alone, through its `forward` and its likelihood: GPyTorch's own
predictions come from iterative solvers where n is large, and change with its global settings.
Source: Rasmussen & Williams 2006, eq. 2.25 and 2.26.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import gpytorch
import torch
from linear_operator.operators import DiagLinearOperator, LinearOperator
from torch import Tensor

from gpbo.errors import ShapeError, explain
from gpbo.linalg import append_rows, cholesky, solve, solve_lower
from gpbo.surrogate.base import Posterior
from gpbo.surrogate.evidence import Data
from gpbo.surrogate.posterior import LEAST


def observed(model: gpytorch.models.ExactGP, data: Data) -> tuple[Tensor, Tensor, Tensor]:
    """What the model expects to observe: mean, covariance with noise, and the noise it learned.

    Shapes   (n,), (n, n), (n,); differentiable in the model's parameters
    """
    belief = model.forward(data.x)
    mean: Tensor = belief.mean.double()
    # The likelihood says its noise by what it adds to a function without variance.
    sure = gpytorch.distributions.MultivariateNormal(
        mean, DiagLinearOperator(torch.zeros_like(mean))
    )
    learned: Tensor = model.likelihood(sure, data.x).lazy_covariance_matrix.diagonal().double()
    diagonal = data.known + learned * data.unknown
    matrix = belief.lazy_covariance_matrix.to_dense().double() + diagonal.diag_embed()
    return mean, matrix, learned


@dataclass(frozen=True, eq=False)
class ModelPosterior(Posterior):
    """The belief of a GPyTorch model whose parameters are learned.

    Shapes   x (n, d), lower (n, n), residual and weights (n,); noise, the variance of one more
             observation, and jitter are numbers
    """

    model: gpytorch.models.ExactGP  # in evaluation mode, without gradients for its parameters
    x: Tensor
    lower: Tensor
    residual: Tensor
    weights: Tensor
    noise: float
    jitter: float

    @classmethod
    def build(cls, model: gpytorch.models.ExactGP, data: Data) -> ModelPosterior:
        """Factorize once; everything that is asked later uses the factor. The model is kept.

        Raises   FactorizationError  if the covariance has no factor, even with jitter
        """
        model.eval().requires_grad_(False)
        with torch.no_grad():
            mean, matrix, learned = observed(model, data)
            factor = cholesky(matrix)
            residual = data.y - mean
            some = learned[data.unknown > 0]
            some = some if len(some) else learned
            return cls(
                model=model,
                x=data.x,
                lower=factor.lower,
                residual=residual,
                weights=solve(factor.lower, residual.unsqueeze(-1)).squeeze(-1),
                noise=float(some.median()) if len(some) else 0.0,
                jitter=float(factor.jitter),
            )

    def mean(self, x: Tensor) -> Tensor:
        self._check(x, 1)
        mean, cross, _ = self._beside(x.reshape(-1, x.shape[-1]))
        return (mean + cross @ self.weights).reshape(x.shape[:-1])

    def mean_variance(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self._check(x, 1)
        mean, cross, own = self._beside(x.reshape(-1, x.shape[-1]))
        before = own.diagonal(dim1=-2, dim2=-1).double()
        variance = before - solve_lower(self.lower, cross.mT).square().sum(0)
        variance = torch.maximum(variance, LEAST * before.detach())
        mean = mean + cross @ self.weights
        return mean.reshape(x.shape[:-1]), variance.reshape(x.shape[:-1])

    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self._check(x, 2)
        mean, cross, own = self._beside(x.reshape(-1, x.shape[-1]))
        if x.ndim > 2:  # only the sets' own blocks are wanted
            own = self.model.forward(x).lazy_covariance_matrix
        white = solve_lower(self.lower, cross.mT).mT.reshape(*x.shape[:-1], len(self.x))
        mean = (mean + cross @ self.weights).reshape(x.shape[:-1])
        return mean, own.to_dense().double() - white @ white.mT

    def condition(self, x: Tensor, y: Tensor | None) -> ModelPosterior:
        """As promised by Posterior; the new observations have the noise in `noise`.

        Raises   ShapeError  if x is not (m, d), or y not (m,)
        """
        x = x.detach()
        if y is not None and y.shape != x.shape[:1]:
            got = (tuple(x.shape), tuple(y.shape))
            raise ShapeError(
                explain("condition", "x and y do not match", got, expected="(m, d), (m,)")
            )
        with torch.no_grad():
            self._check(x, 2)
            mean, cross, own = self._beside(x)
            new = own.to_dense().double() + torch.full_like(mean, self.noise).diag_embed()
            factor = append_rows(self.lower, new, cross)
            believed = cross @ self.weights if y is None else y.detach() - mean
            residual = torch.cat([self.residual, believed])
            return replace(
                self,
                x=torch.cat([self.x, x]),
                lower=factor.lower,
                residual=residual,
                weights=solve(factor.lower, residual.unsqueeze(-1)).squeeze(-1),
                jitter=max(self.jitter, float(factor.jitter)),
            )

    def _beside(self, x: Tensor) -> tuple[Tensor, Tensor, LinearOperator]:
        """m(x), k(x, X) and k(x, x), the last not yet computed: (N, d) -> (N,), (N, n), (N, N)."""
        n = len(self.x)
        belief = self.model.forward(torch.cat([self.x, x]))
        covariance = belief.lazy_covariance_matrix
        cross = covariance[n:, :n].to_dense() if n and len(x) else x.new_zeros(len(x), n)
        own = covariance[n:, n:] if n else covariance
        return belief.mean[n:].double(), cross.double(), own

    def _check(self, x: Tensor, dimensions: int) -> None:
        d = self.x.shape[-1]
        if x.ndim < dimensions or x.shape[-1] != d:
            leading = "..., q" if dimensions == 2 else "..."
            raise ShapeError(
                explain("posterior", "x does not fit", tuple(x.shape), expected=f"({leading}, {d})")
            )
