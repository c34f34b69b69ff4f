"""Expected improvement of several points, some of them pending, by fixed quasi-random samples.

Symbols   b sets, q points in a set, m pending points, S samples, d columns
          P, Q        the pending points and those of a set; f_P, f_Q the function there
          L_P         Cholesky factor of cov(P, P), made once
          w (m, bq)   L_P^-1 cov(P, Q): f_Q = mean_Q + w^T e_P + chol(cov(Q, Q) - w^T w) e_Q
          e (S, .)    the base samples, standard normal

The block of the pending points does not change while a maximizer walks, so it is factorized once;
a call costs one triangular solve with it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gpbo.acquisition.analytic import log_h
from gpbo.acquisition.base import Acquisition, single
from gpbo.acquisition.news import log_news
from gpbo.errors import ShapeError, explain
from gpbo.linalg import FactorizationError, cholesky, solve_lower, try_cholesky
from gpbo.quasirandom import MOST_COLUMNS, sobol_points
from gpbo.surrogate.base import Posterior

# Ament et al. 2023, arXiv:2310.20708, section 3.3 and BoTorch's defaults: far below any improvement
# that matters, and k points blur their maximum by a factor of at most k^TAU_MAX.
TAU_RELU = 1e-6
TAU_MAX = 1e-2
# Weight of the Cauchy bump that keeps log softplus from falling linearly to -1e6: its slope stays
# below softplus's own, so the sum is monotone (BoTorch: `fat=True`, the same weight).
FAT = 0.1
# Least variance that is left of a point once the pending ones are known, as a share of before: what
# rounding leaves of 1 - 1, squared in a matrix of some hundred rows.
FLOOR = 1e-10
TOGETHER = 64  # points whose joint covariance is asked for at once: n^2 each, but few calls


def normal_base_samples(
    count: int, columns: int, rng: np.random.Generator, device: torch.device | None = None
) -> Tensor:
    """Standard normal samples spread more evenly than random ones.

    Shapes   -> (count, columns), float64
    Needs    count a power of two, for the even spread
    Source   scrambled Sobol points (Owen 1998) through the inverse normal cdf
    """
    seed = int(rng.integers(2**31))
    if columns == 0:
        return torch.zeros(count, 0, dtype=torch.float64, device=device)
    if columns > MOST_COLUMNS:
        return torch.from_numpy(rng.standard_normal((count, columns))).to(device)
    u = sobol_points(columns, count, seed).to(device)
    tiny = 2.0**-31  # half a step of the sequence: 0 would become -inf
    samples: Tensor = torch.special.ndtri(u.clamp(tiny, 1 - tiny))
    return samples


def pending_samples(posterior: Posterior, x: Tensor, base_samples: Tensor) -> Tensor:
    """What the function may be at the pending points, in as many ways as there are samples.

    Shapes   x (m, d), base_samples (S, at least m) -> (S, m)
    Raises   ShapeError  if there are too few base samples
    """
    return _Pending(posterior, x, base_samples).values()


class ConditionalLogExpectedImprovement(Acquisition):
    """Log of what one more point adds to the expected improvement of the pending ones.

    E[(f(x) - max(best, f_P))+]: only f_P is sampled, and f(x) given f_P integrated in closed form.
    So nothing is smoothed, few samples suffice, and without pending points it is exact. The point
    that is best by it is best by the q-point expected improvement of x and P, which differs by a
    constant.

    With `noise`, the variance of an observation, what one would say of the point beside the pending
    ones is added (see news.py).

    Shapes   pending (m, d) or None, base_samples (S, at least m)
    Raises   ShapeError  if there are too few base samples, or more than one point a set in a call
    Source   Snoek, Larochelle & Adams 2012, arXiv:1206.2944, section 3.3, on a log scale
    """

    def __init__(
        self,
        posterior: Posterior,
        best: float,
        pending: Tensor | None,
        base_samples: Tensor,
        *,
        noise: float = 0.0,
    ) -> None:
        self.posterior, self.noise = posterior, noise
        self.block = _Pending(posterior, pending, base_samples)
        if self.block.size == 0:  # every sample would say the same
            self.block.samples = self.block.samples[:1]
        self.best = self.block.values().amax(-1).clamp(min=best) if self.block.size else best

    def __call__(self, x: Tensor) -> Tensor:
        single("ConditionalLogExpectedImprovement", x)
        mean, covariance, w = self.block.beside(self.posterior, x)
        before = covariance[:, 0, 0]
        std = torch.maximum(before - w.square().sum(0), FLOOR * before.detach()).sqrt()
        z = (mean + w.mT @ self.block.samples.mT - self.best) / std.unsqueeze(-1)
        value = _log_mean_exp(log_h(z)) + std.log()
        return value + log_news(std.square(), self.noise) if self.noise > 0 else value


class QLogExpectedImprovement(Acquisition):
    """Log of the expected improvement of the best among a set and the pending points.

    The maximum and the improvement are smoothed, so that no gradient vanishes.

    Shapes   pending (m, d) or None, base_samples (S, at least m + q)
    Raises   ShapeError  if there are too few base samples
    Source   Ament et al. 2023, arXiv:2310.20708, section 3.3
    """

    def __init__(
        self, posterior: Posterior, best: float, pending: Tensor | None, base_samples: Tensor
    ) -> None:
        self.posterior, self.best, self.base_samples = posterior, best, base_samples
        self.block = _Pending(posterior, pending, base_samples)
        self.pending_power = _log_power_sum(self.block.values() - best)

    def __call__(self, x: Tensor) -> Tensor:
        if x.ndim != 3:
            raise ShapeError(
                explain("QLogExpectedImprovement", "no sets", tuple(x.shape), expected="(b, q, d)")
            )
        b, q, _ = x.shape
        own = _columns(self.base_samples, self.block.size, q)
        mean, covariance, w = self.block.beside(self.posterior, x)
        left = w.view(self.block.size, b, q).movedim(0, 1)
        factor = _factor(covariance - left.mT @ left)
        shift = (w.mT @ self.block.samples.mT).view(b, q, own.shape[0])
        samples = mean.unsqueeze(-1) + shift + factor @ own.mT
        power = _log_power_sum(samples.mT - self.best)
        if self.block.size:
            power = torch.logaddexp(power, self.pending_power)
        return _log_mean_exp(TAU_MAX * power)


class _Pending:
    """The pending points, with all that does not depend on the points beside them."""

    def __init__(self, posterior: Posterior, x: Tensor | None, base_samples: Tensor) -> None:
        self.x = x
        self.size = 0 if x is None else x.shape[0]
        self.samples = _columns(base_samples, 0, self.size)
        self.lower = self.mean = base_samples.new_zeros(0)
        if x is not None and self.size:
            with torch.no_grad():
                self.mean, covariance = posterior.joint(x)
                self.lower = cholesky(covariance).lower

    def values(self) -> Tensor:
        """Samples of the function at the pending points: (S, m)."""
        if self.size == 0:
            return self.samples
        return self.mean + self.samples @ self.lower.mT

    def beside(self, posterior: Posterior, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The belief about each set, and w.

        Shapes   x (b, q, d) -> mean (b, q), covariance (b, q, q), w (m, b q)
        """
        if self.size == 0 and x.shape[1] == 1:
            mean, variance = posterior.mean_variance(x)
            return mean, variance.unsqueeze(-1), x.new_zeros(0, x.shape[0])
        if self.x is None or self.size == 0:
            return *posterior.joint(x), x.new_zeros(0, x.shape[0] * x.shape[1])
        rows = max(1, TOGETHER // x.shape[1])
        parts = [self._together(posterior, some) for some in torch.split(x, rows)]
        mean, covariance, cross = (torch.cat(part) for part in zip(*parts, strict=True))
        return mean, covariance, solve_lower(self.lower, cross.mT)

    def _together(self, posterior: Posterior, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One joint belief about all sets and the pending points, and the blocks of it we need.

        The covariances between sets are thrown away; asking for each set with the pending points
        would instead solve for the pending points once a set.

        Shapes   x (c, q, d) -> mean (c, q), covariance (c, q, q), cross (c q, m)
        """
        assert self.x is not None
        c, q, d = x.shape
        mean, covariance = posterior.joint(torch.cat([x.reshape(c * q, d), self.x]))
        own = covariance[: c * q, : c * q].reshape(c, q, c, q).diagonal(dim1=0, dim2=2)
        return mean[: c * q].view(c, q), own.movedim(-1, 0), covariance[: c * q, c * q :]


def _columns(samples: Tensor, first: int, count: int) -> Tensor:
    if samples.ndim != 2 or samples.shape[1] < first + count:
        got, expected = tuple(samples.shape), f"(S, at least {first + count})"
        raise ShapeError(explain("base_samples", "too few columns", got, expected=expected))
    return samples[:, first : first + count]


def _factor(covariance: Tensor) -> Tensor:
    """The Cholesky factor of each matrix, differentiable; jitter where one needs it.

    Raises   FactorizationError  if the largest jitter is not enough
    """
    if covariance.shape[-1] == 1:
        floor = torch.finfo(covariance.dtype).tiny
        return covariance.clamp(min=floor).sqrt()
    jitter = try_cholesky(covariance.detach()).jitter
    if bool(torch.isnan(jitter).any()):
        raise FactorizationError(explain("QLogExpectedImprovement", "no factor of the covariance"))
    size = covariance.shape[-1]
    ridge = jitter[..., None, None] * torch.eye(size, dtype=jitter.dtype, device=jitter.device)
    factor: Tensor = torch.linalg.cholesky(covariance + ridge)
    return factor


def _log_power_sum(improvement: Tensor) -> Tensor:
    """log sum_j ReLU(improvement_j)^(1 / TAU_MAX), smoothed.

    Shapes   (..., k) -> (...); -inf for k = 0
    """
    y = improvement / TAU_RELU
    relu = torch.nn.functional.softplus(y) + FAT / (1 + y * y)
    return torch.logsumexp((relu.log() + math.log(TAU_RELU)) / TAU_MAX, -1)


def _log_mean_exp(values: Tensor) -> Tensor:
    return torch.logsumexp(values, -1) - math.log(values.shape[-1])
