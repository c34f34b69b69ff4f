"""Cholesky factors of kernel matrices that do not fail, and what is solved and built with them.

Symbols: A (..., n, n) symmetric, L (..., n, n) its lower factor, B (..., n, k) right-hand sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gpbo.errors import GpboError, ShapeError, explain

# Relative to the mean diagonal; the first rung is the matrix as it is.
JITTERS = (0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)

SMALL = 128  # rows of a triangular matrix that is not halved any more


class FactorizationError(GpboError, ArithmeticError):
    """A matrix has no Cholesky factor, even with the largest jitter on its diagonal."""


@dataclass(frozen=True, eq=False)
class Factor:
    """A lower Cholesky factor and what had to be added to the diagonal to get it.

    Shapes   lower (..., n, n), jitter (...): absolute, 0 for none, nan where there is no factor
    """

    lower: Tensor
    jitter: Tensor


def cholesky(matrix: Tensor, scale: Tensor | None = None) -> Factor:
    """The lower Cholesky factor of each matrix, with as little jitter as each one needs.

    Shapes   matrix (..., n, n), scale (...) -> lower (..., n, n), jitter (...)
    Needs    symmetric matrices; scale is what the jitter is relative to, by default the mean of
             the diagonal; no gradient
    Raises   FactorizationError  if the largest jitter is not enough for one of them
    """
    factor = try_cholesky(matrix, scale)
    bad = torch.isnan(factor.jitter)
    if bool(bad.any()):
        _complain(matrix, bad)
    return factor


def try_cholesky(matrix: Tensor, scale: Tensor | None = None) -> Factor:
    """As `cholesky`, but a matrix without a factor gets nan in its jitter and its factor.

    Each rung of JITTERS is tried on those batch elements alone that failed on the one before.
    A backend's status word is not enough: cuSOLVER can give nan and call it success.
    """
    _check_square(matrix)
    with torch.no_grad():
        lower, failed = _factorize(matrix)
        if not bool(failed.any()):
            return Factor(lower, lower.new_zeros(matrix.shape[:-2]))
        n = matrix.shape[-1]
        flat, out = matrix.reshape(-1, n, n), lower.reshape(-1, n, n).clone()
        if scale is None:
            scale = matrix.diagonal(dim1=-2, dim2=-1).mean(-1)
        size = scale.expand(matrix.shape[:-2]).reshape(-1)
        used = torch.zeros_like(size)
        left = failed.reshape(-1).nonzero().squeeze(-1)
        for rung in JITTERS[1:]:
            amount = rung * size[left]
            shifted = flat[left]
            shifted.diagonal(dim1=-2, dim2=-1).add_(amount.unsqueeze(-1))
            part, failed = _factorize(shifted)
            out[left], used[left] = part, amount
            left = left[failed]
            if left.numel() == 0:
                break
        out[left], used[left] = torch.nan, torch.nan
        return Factor(out.reshape(matrix.shape), used.reshape(matrix.shape[:-2]))


def append_rows(lower: Tensor, new: Tensor, cross: Tensor) -> Factor:
    """The factor of [[A, cross^T], [cross, new]] from the factor of A.

    Shapes   lower (..., n, n), new (..., m, m), cross (..., m, n) -> lower (..., n + m, n + m)
    Needs    jitter, where needed, goes on the diagonal of `new`, relative to its mean
    Raises   FactorizationError  if the largest jitter is not enough
    """
    with torch.no_grad():
        below = solve_lower(lower, cross.mT).mT
        scale = new.diagonal(dim1=-2, dim2=-1).mean(-1)
        corner = cholesky(new - below @ below.mT, scale)
        n, m = lower.shape[-1], new.shape[-1]
        whole = lower.new_zeros(*corner.lower.shape[:-2], n + m, n + m)
        whole[..., :n, :n] = lower
        whole[..., n:, :n] = below
        whole[..., n:, n:] = corner.lower
        return Factor(whole, corner.jitter)


def independent(matrix: Tensor, least: float) -> Tensor:
    """Which rows the others do not tell: those with more than `least` left on the diagonal, in a
    Cholesky factorization that takes the largest first.

    Shapes   matrix (n, n) -> (k,), ascending
    Needs    a symmetric matrix, finite
    Source   Higham 2002, Accuracy and Stability of Numerical Algorithms, section 10.3; LAPACK's
             pstrf
    """
    from scipy.linalg.lapack import dpstrf  # imported here: it takes a while, and is seldom needed

    factor, order, rank, _ = dpstrf(matrix.cpu().numpy(), tol=least, lower=1)
    left = factor.diagonal()[:rank] ** 2 > least  # of the first LAPACK does not ask it
    return torch.from_numpy(np.sort(order[:rank][left]) - 1).to(matrix.device, torch.int64)


def inverse_lower(lower: Tensor) -> Tensor:
    """L^-1, by halves: half the time of solving for the identity from 1000 rows on.

    Shapes   lower (..., n, n) -> (..., n, n), zero above its diagonal, contiguous
    """
    n = lower.shape[-1]
    if n <= SMALL:
        return solve_lower(
            lower, torch.eye(n, dtype=lower.dtype, device=lower.device).expand(lower.shape)
        ).contiguous()
    half = n // 2
    corner = inverse_lower(lower[..., half:, half:])
    return append_inverse(inverse_lower(lower[..., :half, :half]), lower, corner)


def append_inverse(inverse: Tensor, lower: Tensor, corner: Tensor | None = None) -> Tensor:
    """L^-1 from that of its first n rows and, if it is known, of its corner.

    Shapes   inverse (..., n, n), lower (..., n + m, n + m), corner (..., m, m) -> as lower
    """
    n = inverse.shape[-1]
    if corner is None:
        corner = inverse_lower(lower[..., n:, n:])
    whole = lower.new_zeros(lower.shape)  # not like lower, whose columns may lie together
    whole[..., :n, :n] = inverse
    whole[..., n:, n:] = corner
    whole[..., n:, :n] = -corner @ (lower[..., n:, :n] @ inverse)
    return whole


def solve_lower(lower: Tensor, b: Tensor) -> Tensor:
    """L^-1 B.

    Shapes   lower (..., n, n), b (..., n, k) -> (..., n, k); differentiable in b
    """
    x: Tensor = torch.linalg.solve_triangular(lower, b, upper=False)
    return x


def solve_upper(upper: Tensor, b: Tensor) -> Tensor:
    """U^-1 B for an upper triangular U.

    Shapes   upper (..., n, n), b (..., n, k) -> (..., n, k)
    """
    x: Tensor = torch.linalg.solve_triangular(upper, b, upper=True)
    return x


def solve(lower: Tensor, b: Tensor) -> Tensor:
    """A^-1 B from the factor of A.

    Shapes   lower (..., n, n), b (..., n, k) -> (..., n, k)
    """
    return solve_upper(lower.mT, solve_lower(lower, b))


def inverse(lower: Tensor) -> Tensor:
    """A^-1 from the factor of A, for those who need every entry of it; else solve.

    Shapes   lower (..., n, n) -> (..., n, n), symmetric
    """
    return torch.cholesky_inverse(lower).mT  # the same numbers, and rows lie together


def _factorize(matrix: Tensor) -> tuple[Tensor, Tensor]:
    lower, info = torch.linalg.cholesky_ex(matrix)
    # One nan or inf anywhere makes the sum non-finite: cheaper than a mask of n x n.
    return lower, (info != 0) | ~torch.isfinite(lower.sum((-2, -1)))


def _check_square(matrix: Tensor) -> None:
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        shape = tuple(matrix.shape)
        raise ShapeError(explain("cholesky", "not square", shape, expected="(..., n, n)"))


def _complain(matrix: Tensor, bad: Tensor) -> None:
    n = matrix.shape[-1]
    broken = matrix.reshape(-1, n, n)[bad.reshape(-1)]
    count = f"{broken.shape[0]} of {bad.numel()} matrices of size {n}"
    if not bool(torch.isfinite(broken).all()):
        raise FactorizationError(
            explain("cholesky", f"nan or infinity in {count}", fix="Check the inputs' scale.")
        )
    raise FactorizationError(
        explain(
            "cholesky",
            f"{count} not positive definite even with {JITTERS[-1]:g} of the mean diagonal added",
            fix="Add noise to the diagonal, or drop duplicate points.",
        )
    )
