"""The public kernel matrices: checks, the choice of compiled or reference, gradients.

Symbols   X1 (..., n, d), X2 (..., m, d), lengthscale (..., d), K (..., n, m)
          r2 (..., n, m)   squared distance after dividing by the lengthscales; slope = dK/dr2
          a, b             points divided by the lengthscales
          G                the gradient that arrives at K; W = G * slope
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpbo.ops import library, reference
from gpbo.ops.check import check_pairs


def matern52(x1: Tensor, x2: Tensor | None, lengthscale: Tensor) -> Tensor:
    """Matern 5/2 covariance of every pair of points, with unit outputscale.

    Differentiable in all three: once by a closed form that needs no n x m x d tensor, and again.

    Shapes   x1 (..., n, d), x2 (..., m, d) or None for x1, lengthscale (..., d) -> (..., n, m);
             the batch shapes broadcast
    Needs    float32 or float64, all three alike and on one device; lengthscale > 0
    Raises   TypeError    if something is not a tensor
             ShapeError   if a shape or dtype does not fit, or a lengthscale is nan or <= 0.
                          Lengthscales are looked at on the CPU only. On a GPU that would wait
                          for the device; there nan gives nan, and <= 0 counts as tiny
             DeviceError  if the tensors are on different devices
    Source   Rasmussen & Williams 2006, eq. 4.17, each column divided by its lengthscale
    """
    return _kernel_matrix("matern52", x1, x2, lengthscale)


def _kernel_matrix(kernel: str, x1: Tensor, x2: Tensor | None, lengthscale: Tensor) -> Tensor:
    if x2 is x1:
        x2 = None
    check_pairs(kernel, x1, x2, lengthscale)
    wants_gradient = x1.requires_grad or lengthscale.requires_grad
    wants_gradient = wants_gradient or (x2 is not None and x2.requires_grad)
    if wants_gradient and torch.is_grad_enabled():
        result: Tensor = _KernelMatrix.apply(kernel, x1, x2, lengthscale)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return result
    return _evaluate(kernel, x1, x2, lengthscale, slope=False)[0]


class _KernelMatrix(torch.autograd.Function):
    """K, with its slope kept for the way back."""

    @staticmethod
    def forward(
        ctx: Any, kernel: str, x1: Tensor, x2: Tensor | None, lengthscale: Tensor
    ) -> Tensor:
        value, slope = _evaluate(kernel, x1, x2, lengthscale, slope=True)
        ctx.kernel = kernel
        ctx.save_for_backward(x1, x2, lengthscale, slope)
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x1, x2, lengthscale, slope = ctx.saved_tensors
        if (
            torch.is_grad_enabled()
        ):  # this gradient is differentiated in turn, and with it the slope
            slope = reference.SLOPES[ctx.kernel](reference.squared_distance(x1, x2, lengthscale))
        return None, *_gradients(grads[0] * slope, x1, x2, lengthscale, ctx.needs_input_grad[1:])


def _evaluate(
    kernel: str, x1: Tensor, x2: Tensor | None, lengthscale: Tensor, *, slope: bool
) -> tuple[Tensor, Tensor | None]:
    compiled = library.on(x1.device)
    if compiled is not None:
        return compiled.kernel_matrix(kernel, x1, x2, lengthscale, slope=slope)
    with torch.no_grad():
        return reference.kernel_matrix(kernel, x1, x2, lengthscale, slope=slope)


def _gradients(
    weight: Tensor, x1: Tensor, x2: Tensor | None, lengthscale: Tensor, needed: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """What W = dL/dr2 means for points and lengthscales, by matrix products.

    r2_ij = |a_i - b_j|^2, so dL/da = 2 (rowsum(W) a - W b), and dL/dlengthscale collects
    -(a dL/da + b dL/db) / lengthscale. Only differences matter: taking one point off everywhere
    keeps the digits where the points lie far from 0.
    """
    for_x1, for_x2, for_lengthscale = needed
    if weight.numel() == 0:
        return (
            torch.zeros_like(x1) if for_x1 else None,
            torch.zeros_like(x2) if for_x2 and x2 is not None else None,
            torch.zeros_like(lengthscale) if for_lengthscale else None,
        )
    scale = reference.positive(lengthscale)
    columns = scale.unsqueeze(-2)
    origin = reference.origin(x1)
    a = (x1 - origin) / columns
    b = a if x2 is None else (x2 - origin) / columns
    grad_a = grad_b = grad_x1 = grad_x2 = grad_lengthscale = None
    if x2 is None:
        weight = weight + weight.mT
    if for_x1 or for_lengthscale:
        grad_a = _pull(weight, a, b)
    if x2 is not None and (for_x2 or for_lengthscale):
        grad_b = _pull(weight.mT, b, a)
    if for_x1 and grad_a is not None:
        grad_x1 = (grad_a / columns).sum_to_size(x1.shape)
    if for_x2 and grad_b is not None and x2 is not None:
        grad_x2 = (grad_b / columns).sum_to_size(x2.shape)
    if for_lengthscale and grad_a is not None:
        moment = (a * grad_a).sum(-2)
        if grad_b is not None:
            moment = moment + (b * grad_b).sum(-2)
        grad_lengthscale = (-moment / scale).sum_to_size(lengthscale.shape)
    return grad_x1, grad_x2, grad_lengthscale


def _pull(weight: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """2 sum_j W_ij (a_i - b_j) for every i: W (..., n, m), a (..., n, d), b (..., m, d)."""
    return 2.0 * (weight.sum(-1, keepdim=True) * a - weight @ b)
