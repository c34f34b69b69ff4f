"""The kernels in plain torch: their definition, the oracle of the tests, and the fallback.

Symbols   X1 (..., n, d), X2 (..., m, d)   points; X2 None stands for X1
          lengthscale (..., d)             one per column; batch shapes broadcast
          shape (...)                      alpha of the rational quadratic; None for the others
          r2 (..., n, m)                   squared distance after dividing by the lengthscales
          value, slope (..., n, m)         k(r2) and dk/dr2
          a, b                             points divided by the lengthscales
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gpbo.ops.compiled import Call
from gpbo.ops.watched import watched

# Beyond this every kernel with an exponential is exactly 0 in float64, and no inf * 0 can arise.
R2_FAR = 1e6
R2_FARTHEST = {torch.float64: 1e300, torch.float32: 1e36}  # the same for heavy tails


def squared_distance(x1: Tensor, x2: Tensor | None, lengthscale: Tensor) -> Tensor:
    """Squared distance of every pair, each column divided by its lengthscale.

    Shapes   x1 (..., n, d), x2 (..., m, d) or None for x1, lengthscale (..., d) -> (..., n, m)
    Needs    memory for an n x m x d tensor where a gradient is recorded, else n x m
    """
    a, b, _ = scaled(x1, x2, lengthscale)
    if watched() or (torch.is_grad_enabled() and (a.requires_grad or b.requires_grad)):
        # torch.cdist has no second derivative, and none forward.
        return (a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(-1)
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()


def scaled(x1: Tensor, x2: Tensor | None, lengthscale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both sets of points from a common origin, divided by the lengthscales; and these."""
    scale = positive(lengthscale)
    columns, zero = scale.unsqueeze(-2), origin(x1)
    a = (x1 - zero) / columns
    return a, a if x2 is None else (x2 - zero) / columns, scale


def origin(x1: Tensor) -> Tensor:
    """A point (d,) to measure from: one of x1. Distances stay, and keep digits far from 0."""
    if x1.numel() == 0:
        return x1.new_zeros(x1.shape[-1])
    first = x1.detach()[(0,) * (x1.ndim - 1)]
    return first.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)  # a broken point breaks its row only


def positive(lengthscale: Tensor) -> Tensor:
    """The lengthscales, none below the smallest normal number, so that none divides to infinity."""
    return lengthscale.clamp(min=torch.finfo(lengthscale.dtype).tiny)


def _decay(r2: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """s = sqrt(factor r2) and exp(-s). At r2 = 0 the gradient of s counts as 0, not as infinite.

    There it is always multiplied by the gradient of r2, which is 0 as well.
    """
    r2 = r2.clamp(max=R2_FAR)
    apart = r2 != 0
    s = torch.where(apart, math.sqrt(factor) * torch.where(apart, r2, 1.0).sqrt(), 0.0)
    return s, torch.exp(-s)


def matern52_value(r2: Tensor, shape: Tensor | None = None) -> Tensor:
    """Matern 5/2; Rasmussen & Williams 2006, eq. 4.17."""
    s, decay = _decay(r2, 5.0)
    return (1.0 + s + s * s / 3.0) * decay


def matern52_slope(r2: Tensor, shape: Tensor | None = None) -> Tensor:
    """Its derivative by r2, -5/6 at 0."""
    s, decay = _decay(r2, 5.0)
    return (-5.0 / 6.0) * (1.0 + s) * decay


def matern32_value(r2: Tensor, shape: Tensor | None = None) -> Tensor:
    """Matern 3/2; Rasmussen & Williams 2006, eq. 4.17."""
    s, decay = _decay(r2, 3.0)
    return (1.0 + s) * decay


def matern32_slope(r2: Tensor, shape: Tensor | None = None) -> Tensor:
    """Its derivative by r2, -3/2 at 0."""
    return -1.5 * _decay(r2, 3.0)[1]


def matern12_value(r2: Tensor, shape: Tensor | None = None) -> Tensor:
    """Matern 1/2, the exponential kernel; Rasmussen & Williams 2006, eq. 4.18 with gamma 1."""
    return _decay(r2, 1.0)[1]


def matern12_slope(r2: Tensor, shape: Tensor | None = None) -> Tensor:
    """Its derivative by r2, infinite at 0; there it counts as 0, in the middle of the kink."""
    s, decay = _decay(r2, 1.0)
    apart = s != 0
    return torch.where(apart, -0.5 * decay / torch.where(apart, s, 1.0), 0.0)


def rbf_value(r2: Tensor, shape: Tensor | None = None) -> Tensor:
    """The squared exponential; Rasmussen & Williams 2006, eq. 4.9."""
    return torch.exp(-0.5 * r2.clamp(max=R2_FAR))


def rbf_slope(r2: Tensor, shape: Tensor | None = None) -> Tensor:
    """Its derivative by r2, -1/2 at 0."""
    return -0.5 * rbf_value(r2)


def rational_quadratic_value(r2: Tensor, shape: Tensor | None = None) -> Tensor:
    """(1 + r2 / (2 alpha))^-alpha; Rasmussen & Williams 2006, eq. 4.19."""
    u, alpha = _tail(r2, shape)
    return torch.exp(-alpha * torch.log1p(u))


def rational_quadratic_slope(r2: Tensor, shape: Tensor | None = None) -> Tensor:
    """Its derivative by r2, -1/2 at 0."""
    u, _ = _tail(r2, shape)
    return -0.5 * rational_quadratic_value(r2, shape) / (1.0 + u)


def rational_quadratic_by_shape(r2: Tensor, shape: Tensor) -> Tensor:
    """Its derivative by alpha."""
    u, _ = _tail(r2, shape)
    return rational_quadratic_value(r2, shape) * (u / (1.0 + u) - torch.log1p(u))


def _tail(r2: Tensor, shape: Tensor | None) -> tuple[Tensor, Tensor]:
    if shape is None:
        raise TypeError("rational_quadratic: shape: missing")
    alpha, far = shape[..., None, None], R2_FARTHEST[r2.dtype]
    return (r2.clamp(max=far) * (0.5 / alpha)).clamp(max=far), alpha


Formula = Callable[..., Tensor]  # of r2 and the shape
VALUES: dict[str, Formula] = {
    "matern52": matern52_value,
    "matern32": matern32_value,
    "matern12": matern12_value,
    "rbf": rbf_value,
    "rational_quadratic": rational_quadratic_value,
}
SLOPES: dict[str, Formula] = {
    "matern52": matern52_slope,
    "matern32": matern32_slope,
    "matern12": matern12_slope,
    "rbf": rbf_slope,
    "rational_quadratic": rational_quadratic_slope,
}


def kernel_matrix(
    call: Call, outputscale: Tensor | None = None, diagonal: Tensor | None = None
) -> Tensor:
    """The matrix (..., n, m) of a kernel, times a number (...), plus a diagonal (..., n)."""
    r2 = squared_distance(call.x1, call.x2, call.lengthscale)
    value = VALUES[call.kernel](r2, call.shape)
    if outputscale is not None:
        value = outputscale[..., None, None] * value
    if diagonal is not None:
        short = min(value.shape[-2:])
        corner = torch.diag_embed(diagonal.expand(*diagonal.shape[:-1], short))
        wide, high = value.shape[-1] - short, value.shape[-2] - short
        value = value + torch.nn.functional.pad(corner, (0, wide, 0, high))
    return value.expand(*call.batch, *value.shape[-2:]).contiguous()


def matern52(x1: Tensor, x2: Tensor | None, lengthscale: Tensor) -> Tensor:
    """Matern 5/2 covariance of every pair of points, with unit outputscale.

    Shapes   x1 (..., n, d), x2 (..., m, d) or None for x1, lengthscale (..., d) -> (..., n, m)
    Needs    lengthscale > 0. First derivatives are right everywhere, second ones where no two
             points coincide; kernel_matrix.matern52 has both everywhere
    Source   Rasmussen & Williams 2006, eq. 4.17 with r scaled by each lengthscale
    """
    return matern52_value(squared_distance(x1, x2, lengthscale))
