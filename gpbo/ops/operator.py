"""The kernel matrix as torch sees it: how it is evaluated, its way back, and the two operators
registered with torch, for torch.compile and torch.export.

Eager calls go past the operators, whose dispatch costs more than a kernel matrix of fifty points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpbo.ops import library, reference
from gpbo.ops.check import check_pairs, check_part, check_positive
from gpbo.ops.compiled import Call
from gpbo.ops.contraction import RESULTS, by_definition, contract_call

CORE = {"x1": 2, "x2": 2, "lengthscale": 1, "shape": 0}  # dimensions that are not batch


def evaluate(call: Call, outputscale: Tensor | None, diagonal: Tensor | None) -> Tensor:
    """The matrix of a checked call: compiled where that works, else by the definition."""
    compiled = library.on(call.x1.device)
    if compiled is not None:
        return compiled.kernel_matrix(call, outputscale, diagonal)
    check_positive(call)
    with torch.no_grad():
        return reference.kernel_matrix(call, outputscale, diagonal)


def checked(kernel: str, given: Sequence[Tensor | None]) -> Call:
    """The call for x1, x2, lengthscale, shape, outputscale and diagonal, if it makes sense."""
    x1, x2, lengthscale, shape, outputscale, diagonal = given
    assert x1 is not None
    assert lengthscale is not None
    call = check_pairs(kernel, x1, x2, lengthscale, shape)
    if outputscale is not None:
        call = check_part(kernel, "outputscale", outputscale, call, ())
    if diagonal is not None:
        call = check_part(kernel, "diagonal", diagonal, call, (min(call.sizes[:2]),))
    return call


def gradients(
    call: Call,
    upstream: Tensor,
    extras: tuple[Tensor | None, Tensor | None],
    needed: Sequence[bool],
    *,
    registered: bool = False,
) -> list[Tensor | None]:
    """What a gradient at K means for the six tensors of `checked`; None where not needed.

    registered: by the operator that a compiler can look at.
    """
    outputscale, diagonal = extras
    needs = dict(zip((*CORE, "scale", "diagonal"), needed, strict=True))
    wanted = [f"by_{name}" for name in CORE if needs[name]]
    wanted += ["total"] if needs["scale"] else []
    if torch.is_grad_enabled():  # differentiated in turn: it has to be made of torch's own ops
        sums = by_definition(call, upstream, None, wanted)
        found = {name: getattr(sums, name) for name in wanted}
    elif registered:
        flags = [name in wanted for name in RESULTS]
        parts = contract_operator(call.kernel, upstream, *call[1:5], flags)
        found = {name: part for name, part in zip(RESULTS, parts, strict=True) if name in wanted}
    else:
        sums = contract_call(call, upstream, None, wanted)
        found = {name: getattr(sums, name) for name in wanted}
    results: list[Tensor | None] = []
    for name, tensor in zip(CORE, call[1:5], strict=True):
        part = found.get(f"by_{name}")
        if part is not None and outputscale is not None:
            part = part * outputscale.reshape(outputscale.shape + (1,) * CORE[name])
        results.append(None if part is None or tensor is None else part.sum_to_size(tensor.shape))
    total = found.get("total")
    results.append(
        None if total is None or outputscale is None else total.sum_to_size(outputscale.shape)
    )
    by_diagonal = None
    if needs["diagonal"] and diagonal is not None:
        by_diagonal = upstream.diagonal(dim1=-2, dim2=-1).sum_to_size(diagonal.shape)
    return [*results, by_diagonal]


@torch.library.custom_op("gpbo::kernel_matrix", mutates_args=())
def matrix_operator(
    kernel: str,
    x1: Tensor,
    x2: Tensor | None,
    lengthscale: Tensor,
    shape: Tensor | None,
    outputscale: Tensor | None,
    diagonal: Tensor | None,
) -> Tensor:
    """kernel_matrix as an operator of torch: torch.ops.gpbo.kernel_matrix."""
    given = (x1, x2, lengthscale, shape, outputscale, diagonal)
    return evaluate(checked(kernel, given), outputscale, diagonal)


@matrix_operator.register_fake
def _(
    kernel: str,
    x1: Tensor,
    x2: Tensor | None,
    lengthscale: Tensor,
    shape: Tensor | None,
    outputscale: Tensor | None,
    diagonal: Tensor | None,
) -> Tensor:
    call = checked(kernel, (x1, x2, lengthscale, shape, outputscale, diagonal))
    return x1.new_empty((*call.batch, *call.sizes[:2]))


@torch.library.custom_op("gpbo::contract", mutates_args=())
def contract_operator(
    kernel: str,
    weight: Tensor,
    x1: Tensor,
    x2: Tensor | None,
    lengthscale: Tensor,
    shape: Tensor | None,
    wanted: Sequence[bool],
) -> list[Tensor]:
    """contract as an operator of torch; what is not wanted is empty."""
    names = [name for name, want in zip(RESULTS, wanted, strict=True) if want]
    sums = contract_call(_weighted(kernel, weight, x1, x2, lengthscale, shape), weight, None, names)
    parts = [getattr(sums, name) for name in RESULTS]
    return [x1.new_empty(0) if part is None else part for part in parts]


@contract_operator.register_fake
def _(
    kernel: str,
    weight: Tensor,
    x1: Tensor,
    x2: Tensor | None,
    lengthscale: Tensor,
    shape: Tensor | None,
    wanted: Sequence[bool],
) -> list[Tensor]:
    call = _weighted(kernel, weight, x1, x2, lengthscale, shape)
    n, m, d = call.sizes
    ends: list[tuple[int, ...]] = [(d,), (), (), (n, d), (m, d)]
    return [
        x1.new_empty((*call.batch, *end) if want else (0,))
        for end, want in zip(ends, wanted, strict=True)
    ]


def _weighted(
    kernel: str,
    weight: Tensor,
    x1: Tensor,
    x2: Tensor | None,
    lengthscale: Tensor,
    shape: Tensor | None,
) -> Call:
    call = check_pairs(kernel, x1, x2, lengthscale, shape)
    return check_part(kernel, "weight", weight, call, call.sizes[:2])


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.kernel, ctx.batch = inputs[0], output.shape[:-2]
    ctx.save_for_backward(*inputs[1:])


def _way_back(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    x1, x2, lengthscale, shape, outputscale, diagonal = ctx.saved_tensors
    call = Call(ctx.kernel, x1, x2, lengthscale, shape, tuple(ctx.batch))
    needed = ctx.needs_input_grad[1:]
    extras = (outputscale, diagonal)
    return None, *gradients(call, upstream, extras, needed, registered=True)


matrix_operator.register_autograd(_way_back, setup_context=_remember)
