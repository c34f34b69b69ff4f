"""The public kernel matrices: checks, the choice of compiled or reference, gradients.

Symbols   X1 (..., n, d), X2 (..., m, d), lengthscale (..., d), K (..., n, m)
          s (...) the outputscale, D (..., n) the diagonal, shape (...) alpha where a kernel has it
          G the gradient that arrives at K
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpbo.ops import library, reference
from gpbo.ops.check import check_pairs, is_plain
from gpbo.ops.compiled import Call
from gpbo.ops.operator import checked, evaluate, gradients, matrix_operator
from gpbo.ops.watched import watched

NAMES = tuple(sorted(reference.VALUES))


def matern52(x1: Tensor, x2: Tensor | None, lengthscale: Tensor) -> Tensor:
    """Matern 5/2 covariance of every pair of points, with unit outputscale; see kernel_matrix.

    Shapes   x1 (..., n, d), x2 (..., m, d) or None for x1, lengthscale (..., d) -> (..., n, m);
             the batch shapes broadcast
    Source   Rasmussen & Williams 2006, eq. 4.17, each column divided by its lengthscale
    """
    return kernel_matrix("matern52", x1, x2, lengthscale)


def kernel_matrix(
    kernel: str,
    x1: Tensor,
    x2: Tensor | None,
    lengthscale: Tensor,
    *,
    shape: Tensor | None = None,
    outputscale: Tensor | None = None,
    diagonal: Tensor | None = None,
) -> Tensor:
    """outputscale * k(r2) of every pair of points, plus a diagonal.

    kernel is "matern12", "matern32", "matern52", "rbf" or "rational_quadratic"; the last needs
    `shape`, its alpha. Differentiable in every tensor: once by a closed form that needs no n x m x
    d tensor and keeps none of n x m, and again.

    Shapes   x1 (..., n, d), x2 (..., m, d) or None for x1, lengthscale (..., d), shape (...),
             outputscale (...), diagonal (..., min(n, m)) -> (..., n, m); batch shapes broadcast
    Needs    float32 or float64, all alike and on one device; lengthscale and shape > 0
    Raises   TypeError    if something is not a tensor, or shape does not belong to the kernel
             ValueError   if the kernel is unknown
             ShapeError   if a shape or dtype does not fit, or a lengthscale or shape is nan or
                          <= 0. These are looked at on the CPU only. On a GPU that would wait for
                          the device; there nan gives nan, and a lengthscale <= 0 counts as tiny
             DeviceError  if the tensors are on different devices
    Source   Rasmussen & Williams 2006, section 4.2.1, each column divided by its lengthscale
    """
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]  # torch leaves it untyped
    if tracing or torch.compiler.is_compiling():
        made: Tensor = matrix_operator(kernel, x1, x2, lengthscale, shape, outputscale, diagonal)
        return made
    bare = shape is None and outputscale is None and diagonal is None
    if bare and x2 is None and is_plain(kernel, x1, lengthscale):
        # The common call goes straight to compiled code, past what only others need.
        compiled = library.on(x1.device)
        if compiled is not None and not (
            (x1.requires_grad or lengthscale.requires_grad) and torch.is_grad_enabled()
        ):
            return compiled.plain_matrix(kernel, x1, None, lengthscale)
    call = check_pairs(kernel, x1, x2, lengthscale, shape)
    if outputscale is not None or diagonal is not None:
        call = checked(kernel, (x1, call.x2, lengthscale, shape, outputscale, diagonal))
    given = (x1, call.x2, lengthscale, shape, outputscale, diagonal)
    if watched():
        return reference.kernel_matrix(call, outputscale, diagonal)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given):
        result: Tensor = _KernelMatrix.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            kernel, call.batch, *given
        )
        return result
    return evaluate(call, outputscale, diagonal)


class _KernelMatrix(torch.autograd.Function):
    """K; on the way back everything is computed again from the points."""

    @staticmethod
    def forward(ctx: Any, kernel: str, batch: tuple[int, ...], *given: Tensor | None) -> Tensor:
        x1, x2, lengthscale, shape, outputscale, diagonal = given
        ctx.kernel, ctx.batch = kernel, batch
        ctx.save_for_backward(*given)
        assert x1 is not None
        assert lengthscale is not None
        call = Call(kernel, x1, x2, lengthscale, shape, batch)
        return evaluate(call, outputscale, diagonal)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x1, x2, lengthscale, shape, outputscale, diagonal = ctx.saved_tensors
        call = Call(ctx.kernel, x1, x2, lengthscale, shape, ctx.batch)
        extras = (outputscale, diagonal)
        return None, None, *gradients(call, grads[0], extras, ctx.needs_input_grad[2:])
