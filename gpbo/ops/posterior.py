"""Mean and variance of a Gaussian process at candidates, with their gradients, from what was
factorized once.

Symbols   X (n, d) observed, x (..., d) candidates, k = s M(x, X), a = K^-1 (y - m), v = K^-1 k

    mean = m + k a,   variance = s - k v,   d mean = dk a,   d variance = -2 dk v
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpbo.ops.check import check_pairs, check_part
from gpbo.ops.compiled import Call
from gpbo.ops.contraction import contract_call
from gpbo.ops.kernel_matrix import kernel_matrix


def mean_variance(
    kernel: str,
    x: Tensor,
    observed: Tensor,
    lengthscale: Tensor,
    weights: Tensor,
    *,
    lower: Tensor | None = None,
    inverse: Tensor | None = None,
    outputscale: float = 1.0,
    shape: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The posterior mean, without the constant m, and the latent variance, as they come.

    Differentiable once in x. With both factor and inverse at hand the inverse is quicker, the
    factor more exact where K is badly conditioned; give one of them.

    Shapes   x (N, d), observed (n, d), lengthscale (d,), weights (n,), lower or inverse (n, n)
             -> (N,), (N,)
    Raises   as kernel_matrix, and TypeError if not exactly one of lower and inverse is given
    """
    if (lower is None) == (inverse is None):
        raise TypeError("mean_variance: give one of lower and inverse")
    call = check_pairs(kernel, x, observed, lengthscale, shape)
    n = call.sizes[1]
    check_part(kernel, "weights", weights, call, (n,))
    for name, square in (("lower", lower), ("inverse", inverse)):
        if square is not None:
            check_part(kernel, name, square, call, (n, n))
    result: tuple[Tensor, Tensor] = _MeanVariance.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        x, call, weights, lower, inverse, outputscale
    )
    return result


class _MeanVariance(torch.autograd.Function):
    """Both at once; the way back is one contraction."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        call: Call,
        weights: Tensor,
        lower: Tensor | None,
        inverse: Tensor | None,
        outputscale: float,
    ) -> tuple[Tensor, Tensor]:
        assert call.x2 is not None
        scale = x.new_tensor(outputscale)
        cross = kernel_matrix(
            call.kernel, x, call.x2, call.lengthscale, shape=call.shape, outputscale=scale
        )
        if inverse is not None:
            solved = cross @ inverse
            variance = outputscale - (cross * solved).sum(-1)
        else:
            assert lower is not None
            white = torch.linalg.solve_triangular(lower, cross.mT, upper=False)
            variance = outputscale - white.square().sum(0)
            solved = white
        ctx.call, ctx.outputscale, ctx.from_inverse = call, outputscale, inverse is not None
        ctx.save_for_backward(x, weights, solved, lower)
        return cross @ weights, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weights, solved, lower = ctx.saved_tensors
        for_mean, for_variance = grads
        if not ctx.from_inverse:
            solved = torch.linalg.solve_triangular(lower.mT, solved, upper=True).mT
        scale = ctx.outputscale
        sums = contract_call(
            ctx.call._replace(x1=x),
            (-2.0 * scale * for_variance).unsqueeze(-1) * solved,
            ((scale * for_mean).unsqueeze(-1), weights.unsqueeze(-1)),
            ("by_x1",),
        )
        return sums.by_x1, None, None, None, None, None
