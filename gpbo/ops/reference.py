"""Every op in plain torch: its definition, the oracle of the tests, and the fallback.

Symbols   X1 (..., n, d), X2 (..., m, d)   points; X2 None stands for X1
          lengthscale (..., d)             one per column; batch shapes broadcast
          r2 (..., n, m)                   squared distance after dividing by the lengthscales
          value, slope (..., n, m)         k(r2) and dk/dr2
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

SQRT5 = math.sqrt(5.0)
# Beyond this every kernel here is exactly 0 in float64, and no inf * 0 can arise from it.
R2_FAR = 1e6


def squared_distance(x1: Tensor, x2: Tensor | None, lengthscale: Tensor) -> Tensor:
    """Squared distance of every pair, each column divided by its lengthscale.

    Shapes   x1 (..., n, d), x2 (..., m, d) or None for x1, lengthscale (..., d) -> (..., n, m)
    Needs    memory for an n x m x d tensor where a gradient is recorded, else n x m
    """
    scale = positive(lengthscale).unsqueeze(-2)
    zero = origin(x1)
    a = (x1 - zero) / scale
    b = a if x2 is None else (x2 - zero) / scale
    if torch.is_grad_enabled() and (a.requires_grad or b.requires_grad):
        # torch.cdist has no second derivative.
        return (a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(-1)
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()


def origin(x1: Tensor) -> Tensor:
    """A point (d,) to measure from: one of x1. Distances stay, and keep digits far from 0."""
    if x1.numel() == 0:
        return x1.new_zeros(x1.shape[-1])
    first = x1.detach()[(0,) * (x1.ndim - 1)]
    return first.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)  # a broken point breaks its row only


def positive(lengthscale: Tensor) -> Tensor:
    """The lengthscales, none below the smallest normal number, so that none divides to infinity."""
    return lengthscale.clamp(min=torch.finfo(lengthscale.dtype).tiny)


def matern52_value(r2: Tensor) -> Tensor:
    """Matern 5/2 of the squared distance; differentiable, with a finite slope at 0."""
    s, decay = _root_and_decay(r2)
    return (1.0 + s + s * s / 3.0) * decay


def matern52_slope(r2: Tensor) -> Tensor:
    """Derivative of Matern 5/2 by the squared distance, -5/6 at 0."""
    s, decay = _root_and_decay(r2)
    return (-5.0 / 6.0) * (1.0 + s) * decay


def _root_and_decay(r2: Tensor) -> tuple[Tensor, Tensor]:
    """s = sqrt(5 r2) and exp(-s). At r2 = 0 the gradient of s counts as 0, not as infinite.

    There it is always multiplied by the gradient of r2, which is 0 as well.
    """
    r2 = r2.clamp(max=R2_FAR)
    apart = r2 != 0
    s = torch.where(apart, SQRT5 * torch.where(apart, r2, 1.0).sqrt(), 0.0)
    return s, torch.exp(-s)


Formula = Callable[[Tensor], Tensor]
VALUES: dict[str, Formula] = {"matern52": matern52_value}
SLOPES: dict[str, Formula] = {"matern52": matern52_slope}


def kernel_matrix(
    kernel: str, x1: Tensor, x2: Tensor | None, lengthscale: Tensor, *, slope: bool
) -> tuple[Tensor, Tensor | None]:
    """The matrix of a kernel and, where asked for, its derivative by r2; both (..., n, m)."""
    r2 = squared_distance(x1, x2, lengthscale)
    return VALUES[kernel](r2), SLOPES[kernel](r2) if slope else None


def matern52(x1: Tensor, x2: Tensor | None, lengthscale: Tensor) -> Tensor:
    """Matern 5/2 covariance of every pair of points, with unit outputscale.

    Shapes   x1 (..., n, d), x2 (..., m, d) or None for x1, lengthscale (..., d) -> (..., n, m)
    Needs    lengthscale > 0. First derivatives are right everywhere, second ones where no two
             points coincide; kernel_matrix.matern52 has both everywhere
    Source   Rasmussen & Williams 2006, eq. 4.17 with r scaled by each lengthscale
    """
    return matern52_value(squared_distance(x1, x2, lengthscale))
