"""The log marginal likelihood of a Gaussian process, with its gradient, in one call.

Symbols   K = s M + diag(D), M the kernel matrix of X; a = K^-1 (y - m), m the constant mean

    value = -1/2 (y - m) a - 1/2 log det K - n/2 log 2 pi
    d value / d theta = 1/2 sum((a a^T - K^-1) * dK/dtheta)

Source    Rasmussen & Williams 2006, eq. 5.8 and 5.9
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpbo.ops import library
from gpbo.ops.check import check_pairs, check_part, check_positive
from gpbo.ops.compiled import Call
from gpbo.ops.contraction import contract_call
from gpbo.ops.kernel_matrix import kernel_matrix

NAMES = (
    *("mean", "value", "jitter", "by_lengthscale", "by_outputscale", "by_shape", "by_mean"),
    *("by_diagonal", "weights", "log_determinant"),
)


@dataclass(frozen=True, eq=False, slots=True)
class Likelihood:
    """The log marginal likelihood and what it changes with, one for each batch element.

    Shapes   mean, value, jitter, by_outputscale, by_shape, by_mean, log_determinant (...);
             by_lengthscale (..., d), by_diagonal and weights (..., n)
    Needs    jitter is what had to be added to the diagonal, and nan, as all else, where K has no
             factor; weights are K^-1 (y - mean), and minus them the derivative by y
    """

    mean: Tensor
    value: Tensor
    jitter: Tensor
    by_lengthscale: Tensor
    by_outputscale: Tensor
    by_shape: Tensor
    by_mean: Tensor
    by_diagonal: Tensor
    weights: Tensor
    log_determinant: Tensor


def likelihood(
    kernel: str,
    x: Tensor,
    y: Tensor,
    lengthscale: Tensor,
    diagonal: Tensor,
    *,
    shape: Tensor | None = None,
    outputscale: Tensor | None = None,
    mean: Tensor | None = None,
    jitters: Sequence[float] = (0.0,),
) -> Likelihood:
    """Value and gradient for every batch element; nothing is recorded for autograd.

    mean None: the constant that makes the value largest, for which by_mean is 0 (eq. 2.41 of the
    source with a vague prior). Then the derivatives are those of the value so maximized.

    Shapes   x (..., n, d), y (..., n), lengthscale (..., d), diagonal (..., n), shape, outputscale
             and mean (...); batch shapes broadcast
    Needs    jitters: tried in turn, relative to the outputscale, until K has a Cholesky factor
    Raises   as kernel_matrix
    """
    call = _checked(kernel, x, y, lengthscale, diagonal, shape, outputscale, mean)
    with torch.no_grad():
        return _compute(call, y, outputscale, diagonal, mean, jitters)


def log_marginal_likelihood(
    kernel: str,
    x: Tensor,
    y: Tensor,
    lengthscale: Tensor,
    diagonal: Tensor,
    *,
    shape: Tensor | None = None,
    outputscale: Tensor | None = None,
    mean: Tensor | None = None,
) -> Tensor:
    """The value alone, differentiable once in everything but x.

    Shapes   as in likelihood -> (...)
    Raises   as kernel_matrix
    """
    call = _checked(kernel, x, y, lengthscale, diagonal, shape, outputscale, mean)
    result: Tensor = _Value.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        call._replace(x1=x.detach()), y, lengthscale, diagonal, shape, outputscale, mean
    )
    return result


def _checked(
    kernel: str,
    x: Tensor,
    y: Tensor,
    lengthscale: Tensor,
    diagonal: Tensor,
    *numbers: Tensor | None,
) -> Call:
    shape, outputscale, mean = numbers
    call = check_pairs(kernel, x, None, lengthscale, shape)
    n = call.sizes[0]
    call = check_part(kernel, "y", y, call, (n,))
    call = check_part(kernel, "diagonal", diagonal, call, (n,))
    for name, number in (("outputscale", outputscale), ("mean", mean)):
        if number is not None:
            call = check_part(kernel, name, number, call, ())
    return call


def _compute(
    call: Call,
    y: Tensor,
    outputscale: Tensor | None,
    diagonal: Tensor,
    mean: Tensor | None,
    jitters: Sequence[float],
) -> Likelihood:
    compiled = library.on(call.x1.device)
    if compiled is None or compiled.kind != "cpu":
        check_positive(call)
        return by_torch(call, y, outputscale, diagonal, mean, jitters)
    n, _, d = call.sizes
    ends = ((), (), (), (d,), (), (), (), (n,), (n,), ())
    results = [call.x1.new_empty((*call.batch, *end)) for end in ends]
    if mean is not None:
        results[0].copy_(mean)
    asked: list[Tensor | None] = [*results]
    if call.shape is None:
        results[5].zero_()
        asked[5] = None
    given = (y, outputscale, diagonal)
    compiled.likelihood(call, given, tuple(jitters), asked, profile=mean is None)
    return Likelihood(*results)


def by_torch(
    call: Call,
    y: Tensor,
    outputscale: Tensor | None,
    diagonal: Tensor,
    mean: Tensor | None,
    jitters: Sequence[float],
) -> Likelihood:
    """The definition, by torch's Cholesky factor and inverse; also what a GPU does."""
    batch, n = call.batch, call.sizes[0]
    scale = call.x1.new_ones(()) if outputscale is None else outputscale
    scale = scale.expand(batch)
    unit = kernel_matrix(call.kernel, call.x1, None, call.lengthscale, shape=call.shape)
    matrix = (scale[..., None, None] * unit + torch.diag_embed(diagonal)).expand(*batch, n, n)
    lower, jitter = _factor(matrix, scale, jitters)
    y = y.expand(*batch, n)
    ones = torch.ones_like(y)
    near = y.mean(-1) if mean is None else mean.expand(batch)
    if n == 0:
        near = near.nan_to_num()
    sides = torch.stack([ones, y - near[..., None]], -1)
    white = torch.linalg.solve_triangular(lower, sides, upper=False)
    one, rest = white.unbind(-1)
    found = near.clone()
    if mean is None and n > 0:
        shift = (one * rest).sum(-1) / (one * one).sum(-1)
        found, rest = near + shift, rest - shift[..., None] * one
    weights = torch.linalg.solve_triangular(lower.mT, rest[..., None], upper=True)
    half = -0.5 * torch.cholesky_inverse(lower)
    log_determinant = 2 * lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    sums = contract_call(
        call,
        half.contiguous(),
        ((0.5 * weights), weights),
        ("by_lengthscale", "by_shape", "total"),
        mirrored=True,
    )
    a = weights.squeeze(-1)
    assert sums.by_lengthscale is not None
    assert sums.by_shape is not None
    assert sums.total is not None
    return Likelihood(
        mean=found,
        value=-0.5 * ((rest * rest).sum(-1) + log_determinant + n * math.log(2 * math.pi)),
        jitter=jitter,
        by_lengthscale=scale[..., None] * sums.by_lengthscale,
        by_outputscale=sums.total,
        by_shape=scale * sums.by_shape,
        by_mean=a.sum(-1),
        by_diagonal=half.diagonal(dim1=-2, dim2=-1) + 0.5 * a * a,
        weights=a,
        log_determinant=log_determinant,
    )


def _factor(matrix: Tensor, scale: Tensor, jitters: Sequence[float]) -> tuple[Tensor, Tensor]:
    """The first factor along the jitters of each batch element, and its jitter; nan for none."""
    lower = torch.full_like(matrix, torch.nan)
    used = torch.full_like(scale, torch.nan)
    for rung in jitters:
        shifted = matrix
        if rung:
            shifted = matrix + torch.diag_embed((rung * scale)[..., None].expand(matrix.shape[:-1]))
        factor, info = torch.linalg.cholesky_ex(shifted)
        good = used.isnan() & (info == 0) & factor.sum((-2, -1)).isfinite()
        lower = torch.where(good[..., None, None], factor, lower)
        used = torch.where(good, rung * scale, used)
        # To look costs a wait for a GPU, and another factor as much as all the rest.
        if rung != jitters[-1] and not bool(used.isnan().any()):
            break
    return lower, used


class _Value(torch.autograd.Function):
    """The value; its gradient comes with it."""

    @staticmethod
    def forward(ctx: Any, call: Call, *given: Tensor | None) -> Tensor:
        y, _, diagonal, _, outputscale, mean = given
        assert y is not None
        assert diagonal is not None
        found = _compute(call, y, outputscale, diagonal, mean, (0.0,))
        ctx.ends = [None if t is None else t.shape for t in given]
        ctx.save_for_backward(
            *(-found.weights, found.by_lengthscale, found.by_diagonal),
            *(found.by_shape, found.by_outputscale, found.by_mean),
        )
        return found.value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        results: list[Tensor | None] = [None]
        for need, by, end in zip(
            ctx.needs_input_grad[1:], ctx.saved_tensors, ctx.ends, strict=True
        ):
            if not need:
                results.append(None)
                continue
            upstream = grads[0].reshape(grads[0].shape + (1,) * (by.ndim - grads[0].ndim))
            results.append((upstream * by).sum_to_size(end))
        return tuple(results)
