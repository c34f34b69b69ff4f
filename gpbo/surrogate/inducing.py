"""The belief where there are too many observations for an exact one: they are seen through a few.

What ties the observations together are the values at m inducing points Z, which are some of the
observed ones; given these, every observation is independent of the others, with the variance that
they leave it. That is an approximation of the Gaussian process, and a Gaussian process again: of m
observations at Z whose errors are correlated. So all that a GaussianPosterior can do, it can.

Symbols: X (n, d), Z (m, d), s M the covariance without noise, K_ZZ = L L^T, c the constant mean,

    Lambda = diag(s - |L^-1 k(Z, x)|^2) + noise,    V = L^-1 K_ZX Lambda^-1/2,    B = I + V V^T

    mean = c + k w,    w = L^-T B^-1 L^-1 K_ZX Lambda^-1 (y - c)
    variance = s - k P k,    P = K_ZZ^-1 - L^-T B^-1 L^-1 = (K_ZZ + N)^-1,    N = L (V V^T)^-1 L^T

so N is the covariance of the errors. c is the generalized least squares estimate from these n.
Source: Snelson & Ghahramani 2006 (FITC); Quinonero-Candela & Rasmussen 2005, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gpbo.linalg import cholesky, solve, solve_lower, solve_upper
from gpbo.ops.product import product
from gpbo.seeding import generator
from gpbo.surrogate.evidence import Data
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.posterior import FirstRows, GaussianPosterior, matrix_of, terms_of
from gpbo.surrogate.recent import Recent

BLOCK = 4096  # observations that are looked at at once
MOST = 4096  # inducing points, whatever memory there is
# Steps to the weights, each from what the one before left: their equations are as ill-conditioned
# as the inducing points are close. After one, the mean was off by 0.2 to 1.1 at noises of 1e-6 and
# 1e-8. An ask beside 4000 trials takes 0.29 s with three, 0.20 with one.
STEPS = 3


@dataclass(frozen=True, eq=False)
class InducingPoints:
    """What n observations tell of the values at m inducing points, but for what was observed.

    Shapes   x (n, d), variance (n,): Lambda, prior (m, m): L, inner (m, m): the factor of B;
             first: the factor of K_ZZ + N, with Z as its points
    """

    x: Tensor
    variance: Tensor
    prior: Tensor
    inner: Tensor
    first: FirstRows

    @classmethod
    def build(
        cls, x: Tensor, z: Tensor, lengthscale: Tensor, noise: Tensor, outputscale: float
    ) -> InducingPoints:
        """In O(n m^2), with memory for m x m and m x BLOCK numbers.

        Raises   FactorizationError  if there is no factor
        """
        covariance = matrix_of(z, None, lengthscale, outputscale)
        prior = cholesky(covariance).lower
        gram, variances = torch.zeros_like(covariance), []  # gram: V V^T
        for start in range(0, len(x), BLOCK):
            rows = slice(start, start + BLOCK)
            white = solve_lower(prior, matrix_of(z, x[rows], lengthscale, outputscale))
            unseen = (outputscale - white.square().sum(0)).clamp_min(0.0)
            variances.append(noise[rows] + unseen)
            white /= variances[-1].sqrt()
            gram += white @ white.mT
        turned = solve_lower(cholesky(gram).lower, prior.mT)
        factor = cholesky(covariance + turned.mT @ turned)
        first = FirstRows(z, lengthscale, outputscale, factor.lower, float(factor.jitter))
        gram.diagonal().add_(1.0)
        return cls(x, torch.cat(variances), prior, cholesky(gram).lower, first)

    def targets(self, y: Tensor) -> tuple[Tensor, float]:
        """The values at Z, less their mean, that say what y says, and that mean.

        Shapes   y (n,) -> (m,), number
        """
        sides = torch.stack([torch.ones_like(y), y], -1)
        weights, left = sides.new_zeros(len(self.first.x), 2), sides
        for _ in range(STEPS):
            # What is left is small, so its sums keep the digits that those of the sides lose.
            weights = weights + self._correction(weights, left)
            left = sides - self._at(weights)
        # Of a and b the form a (K_XZ K_ZZ^-1 K_ZX + Lambda)^-1 b, without a difference.
        tall = self.prior.mT @ weights
        products = tall.mT @ tall + left.mT @ (left / self.variance.unsqueeze(-1))
        ones, both = products[0].tolist()
        mean = both / ones
        centered = (weights[:, 1] - mean * weights[:, 0]).unsqueeze(-1)
        first = self.first
        return (first.lower @ (first.lower.mT @ centered)).squeeze(-1), mean

    def _at(self, weights: Tensor) -> Tensor:
        """The means at X that these weights say: (m, k) -> (n, k)."""
        first = self.first
        return first.outputscale * product(
            "matern52", self.x, first.x, first.lengthscale, weights.contiguous()
        )

    def _correction(self, weights: Tensor, left: Tensor) -> Tensor:
        """What is to be added to weights that leave `left` of the sides unexplained.

        (K_ZZ + K_ZX Lambda^-1 K_XZ)^-1 (K_ZX Lambda^-1 left - K_ZZ weights)

        Shapes   weights (m, k), left (n, k) -> (m, k)
        """
        first, scaled = self.first, left / self.variance.unsqueeze(-1)
        sums = first.outputscale * product("matern52", first.x, self.x, first.lengthscale, scaled)
        white = solve_lower(self.prior, sums) - self.prior.mT @ weights
        inner = solve_upper(self.inner.mT, solve_lower(self.inner, white))
        return solve_upper(self.prior.mT, inner)


# Kept as in posterior.py, but four: there may be two kinds of targets, each with labels of success,
# and to make one takes seconds. 300 MB with 1500 inducing points.
_recent: Recent[InducingPoints] = Recent(4)


def inducing_posterior(data: Data, values: Hyperparameters, count: int) -> GaussianPosterior:
    """The belief through `count` inducing points.

    These are chosen among the observations that the hyperparameters were fitted to; later ones are
    each taken in exactly, as one more observation. Whether what the former tell is still at hand or
    not, the numbers are the same.

    Raises   StudyError          if the hyperparameters are those of another space
             FactorizationError  if a covariance has no factor
    """
    x, y = data.x, data.y
    lengthscale, noise, base = terms_of(data, values)
    z = x[best_and_others(y[:base], count, generator(base, "inducing points"))]
    given = x[:base], z, lengthscale, noise[:base]
    scale = values.outputscale
    inducing = _recent.get(given, scale, lambda: InducingPoints.build(*given, scale))
    first = inducing.first
    residual, mean = inducing.targets(y[:base])
    residual = torch.cat([residual, y[base:] - mean])
    lower, jitter = first.append(x[base:], noise[base:])
    return GaussianPosterior(
        x=torch.cat([first.x, x[base:]]),
        lower=lower,
        residual=residual,
        weights=solve(lower, residual.unsqueeze(-1)).squeeze(-1),
        lengthscale=lengthscale,
        constant=mean,
        outputscale=scale,
        noise=values.noise,
        jitter=jitter,
        first=first,
    )


def best_and_others(y: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Some of the observations, in their order: half of them the best, and others at random.

    Shapes   y (n,), larger is better -> (at most count,)
    """
    n = len(y)
    if n <= count:
        return torch.arange(n, device=y.device)
    order = rng.permutation(n)  # equal values come in any order
    order = order[np.argsort(-y.cpu().numpy()[order], kind="stable")]
    best, others = np.split(order, [count // 2])
    drawn = rng.choice(others, count - len(best), replace=False)
    return torch.from_numpy(np.sort(np.concatenate([best, drawn]))).to(y.device)
