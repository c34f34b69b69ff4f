"""A weight for every pair of points, contracted with the derivatives of the kernel matrix.

Symbols   W (..., n, m)   the weights: what a loss changes with each element of K
          w = W * slope; a, b points divided by the lengthscales; P_k = (a_k - b_k)^2

    sum W dK/dl_k = -2 / l_k sum w P_k,   sum W dK/dx_ik = 2 / l_k sum_j w_ij (a_ik - b_jk)

Compiled, all of it is one pass over the pairs that keeps nothing of size n x m.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from gpbo.ops import library, reference
from gpbo.ops.check import check_pairs, check_part, check_positive
from gpbo.ops.compiled import Call

RESULTS = ("by_lengthscale", "by_shape", "total", "by_x1", "by_x2")


@dataclass(frozen=True, eq=False, slots=True)
class Contraction:
    """The sums over all pairs of weight times derivative; None where one was not asked for.

    Shapes   by_lengthscale (..., d), by_shape and total (...), by_x1 (..., n, d), by_x2 (..., m, d)
             of the batch shape that all arguments broadcast to; total is the sum of W * K
    """

    by_lengthscale: Tensor | None = None
    by_shape: Tensor | None = None
    total: Tensor | None = None
    by_x1: Tensor | None = None
    by_x2: Tensor | None = None


def contract(
    kernel: str,
    weight: Tensor | None,
    x1: Tensor,
    x2: Tensor | None,
    lengthscale: Tensor,
    *,
    shape: Tensor | None = None,
    factors: tuple[Tensor, Tensor] | None = None,
    wanted: Collection[str] = ("by_lengthscale", "total"),
    mirrored: bool = False,
) -> Contraction:
    """Sums of weight * dK/dtheta for every theta in `wanted`, with unit outputscale.

    The weight is `weight` plus left right^T for factors (left, right); either may be None. With x2
    None, by_x1 counts both places in which a point stands, and by_x2 is None. Not differentiable:
    kernel_matrix and product are, and use this.

    Shapes   weight (..., n, m), left (..., n, r), right (..., m, r), the others as in kernel_matrix
    Needs    mirrored promises that x2 is None and that the whole weight is symmetric; half of it
             may be left unread
    Raises   as kernel_matrix
    """
    call = check_pairs(kernel, x1, x2, lengthscale, shape)
    n, m, _ = call.sizes
    if weight is not None:
        call = check_part(kernel, "weight", weight, call, (n, m))
    if factors is not None:
        rank = factors[0].shape[-1]
        call = check_part(kernel, "left", factors[0], call, (n, rank))
        call = check_part(kernel, "right", factors[1], call, (m, rank))
    with torch.no_grad():
        return contract_call(call, weight, factors, wanted, mirrored=mirrored)


def contract_call(
    call: Call,
    weight: Tensor | None,
    factors: tuple[Tensor, Tensor] | None,
    wanted: Collection[str],
    *,
    mirrored: bool = False,
) -> Contraction:
    """As contract, for a checked call."""
    compiled = library.on(call.x1.device)
    if compiled is None:
        check_positive(call)
        return by_definition(call, weight, factors, wanted)
    n, m, d = call.sizes
    ends = ((d,), (), (), (n, d), (m, d))
    results = [
        call.x1.new_empty((*call.batch, *end)) if name in wanted else None
        for name, end in zip(RESULTS, ends, strict=True)
    ]
    if call.x2 is None:
        results[4] = None
    compiled.contract(call, weight, factors, results, mirrored=mirrored)
    return Contraction(*results)


def by_definition(
    call: Call,
    weight: Tensor | None,
    factors: tuple[Tensor, Tensor] | None,
    wanted: Collection[str],
) -> Contraction:
    """The same in plain torch, by matrix products; differentiable in everything.

    sum_j w_ij (a_i - b_j) = rowsum(w) a - w b. Only differences matter: taking one point off
    everywhere keeps the digits where the points lie far from 0.
    """
    n, m, _ = call.sizes
    full = call.x1.new_zeros((*call.batch, n, m))
    if weight is not None:
        full = full + weight
    if factors is not None:
        full = full + factors[0] @ factors[1].mT
    r2 = reference.squared_distance(call.x1, call.x2, call.lengthscale)
    found: dict[str, Tensor] = {}
    if "total" in wanted:
        found["total"] = (full * reference.VALUES[call.kernel](r2, call.shape)).sum((-2, -1))
    if "by_shape" in wanted and call.shape is not None:
        by_shape = reference.rational_quadratic_by_shape(r2, call.shape)
        found["by_shape"] = (full * by_shape).sum((-2, -1))
    elif "by_shape" in wanted:
        found["by_shape"] = full.new_zeros(call.batch)
    w = full * reference.SLOPES[call.kernel](r2, call.shape)
    return Contraction(**found, **_by_points(call, w, wanted))


def _by_points(call: Call, w: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    if not {"by_lengthscale", "by_x1", "by_x2"}.intersection(wanted):
        return found
    a, b, scale = reference.scaled(call.x1, call.x2, call.lengthscale)
    if w.numel() == 0:
        a, b = torch.zeros_like(a), torch.zeros_like(b)
    columns = scale.unsqueeze(-2)
    if call.x2 is None:
        w = w + w.mT
    for_a = _pull(w, a, b)
    moment = (a * for_a).sum(-2)
    if call.x2 is not None:
        for_b = _pull(w.mT, b, a)
        moment = moment + (b * for_b).sum(-2)
        if "by_x2" in wanted:
            found["by_x2"] = for_b / columns
    if "by_x1" in wanted:
        found["by_x1"] = for_a / columns
    if "by_lengthscale" in wanted:
        found["by_lengthscale"] = -moment / scale
    return found


def _pull(w: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """2 sum_j w_ij (a_i - b_j) for every i: w (..., n, m), a (..., n, d), b (..., m, d)."""
    return 2.0 * (w.sum(-1, keepdim=True) * a - w @ b)
