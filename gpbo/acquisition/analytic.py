"""Expected improvement in closed form, on a log scale that never underflows.

Symbols   z           (mean - best) / std, how far the belief lies above the best, in its own units
          h(z)        phi(z) + z Phi(z): expected improvement = std h(z)
          t = -z      for z < 0; R(t) = Phi(-t) / phi(t), the Mills ratio
          m(t)        1 - t R(t), so that h(z) = phi(z) m(t)
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gpbo.acquisition.base import Acquisition, single
from gpbo.errors import ShapeError, explain
from gpbo.surrogate.base import Posterior

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
# Below NEAR the two parts of h cancel: their relative error grows as t^4. Below FAR m is what is
# left of 1 - 1, with a relative error that grows as t^2; there the series is exact to 1e-15.
NEAR = -3.0
FAR = -25.0
# m = w - 3 w^2 + 15 w^3 - ... with w = 1 / t^2, from the asymptotic series of the Mills ratio
# (Abramowitz & Stegun 26.2.12); the coefficients are (-1)^k (2k + 1)!!
SERIES = (1.0, -3.0, 15.0, -105.0, 945.0, -10395.0, 135135.0, -2027025.0, 34459425.0)


def log_expected_improvement(mean: Tensor, std: Tensor, best: Tensor | float) -> Tensor:
    """Log of the improvement over `best` that a Gaussian belief expects.

    Shapes   mean, std (...), best () or broadcastable to (...) -> (...)
    Units    standardized targets, larger is better
    Needs    std > 0; float64 (float32 loses the tail); differentiable once in all three
    Raises   ShapeError  if mean and std differ in shape
    Source   Ament et al. 2023, arXiv:2310.20708, eq. 9; the branches are ours
    """
    if mean.shape != std.shape:
        shapes = (tuple(mean.shape), tuple(std.shape))
        raise ShapeError(explain("log EI", "mean and std differ in shape", shapes))
    return log_h((mean - best) / std) + std.log()


def log_h(z: Tensor) -> Tensor:
    """log(phi(z) + z Phi(z)), to 1e-12 for every z whose square is a float64.

    Shapes   z (...) -> (...); differentiable once
    """
    if z.requires_grad and torch.is_grad_enabled():
        result: Tensor = _LogH.apply(z)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return result
    return _value_and_slope(z, slope=False)[0]


class LogExpectedImprovement(Acquisition):
    """Log expected improvement over `best` of one point a set; exact, no sampling.

    Raises   ShapeError  when called with more than one point a set
    """

    def __init__(self, posterior: Posterior, best: float) -> None:
        self.posterior, self.best = posterior, best

    def __call__(self, x: Tensor) -> Tensor:
        mean, variance = self.posterior.mean_variance(single("LogExpectedImprovement", x))
        return log_expected_improvement(mean, variance.sqrt(), self.best)


class _LogH(torch.autograd.Function):
    """log h with d log h / dz = Phi / h from the same branches; autograd would divide 0 by 0."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        value, slope = _value_and_slope(z, slope=True)
        ctx.save_for_backward(slope)
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        product: Tensor = grad * slope
        return product


def _value_and_slope(z: Tensor, *, slope: bool) -> tuple[Tensor, Tensor | None]:
    """log h and its derivative Phi / h; every branch sees only arguments that it can take."""
    near, t = z > NEAR, (-z).clamp(min=-NEAR)
    m = torch.where(z > FAR, 1 - t * _mills(t.clamp(max=-FAR)), _series(t.clamp(min=-FAR)))
    z = z.clamp(min=NEAR)
    cdf = torch.special.ndtr(z)
    h = torch.exp(-0.5 * z * z - LOG_SQRT_2PI).addcmul_(z, cdf)
    value = torch.where(near, h, m).log_()
    value += torch.where(near, 0.0, -0.5 * t * t - LOG_SQRT_2PI)
    return value, torch.where(near, cdf / h, (1 - m) / (t * m)) if slope else None


def _mills(t: Tensor) -> Tensor:
    scaled: Tensor = torch.special.erfcx(t * math.sqrt(0.5))
    return math.sqrt(math.pi / 2) * scaled


def _series(t: Tensor) -> Tensor:
    w = t.square().reciprocal_()
    total = torch.full_like(w, SERIES[-1])
    for coefficient in reversed(SERIES[:-1]):
        total.mul_(w).add_(coefficient)
    return total.mul_(w)
