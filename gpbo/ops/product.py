"""The product of a kernel matrix with vectors, without the matrix.

For histories that are too long to store K: tiles of it live in cache only, forward and backward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpbo.ops import library, reference
from gpbo.ops.check import check_pairs, check_part, check_positive
from gpbo.ops.compiled import Call
from gpbo.ops.contraction import contract_call

STRIP = 1 << 22  # elements of K that torch holds at once where nothing is compiled


def product(
    kernel: str,
    x1: Tensor,
    x2: Tensor | None,
    lengthscale: Tensor,
    v: Tensor,
    *,
    shape: Tensor | None = None,
) -> Tensor:
    """K(X1, X2) V with unit outputscale; differentiable once in every tensor.

    Shapes   v (..., m, c), the others as in kernel_matrix -> (..., n, c)
    Needs    memory for the points and v beside the result
    Raises   as kernel_matrix
    """
    call = check_pairs(kernel, x1, x2, lengthscale, shape)
    columns = v.shape[-1] if isinstance(v, Tensor) and v.ndim > 1 else 0
    call = check_part(kernel, "v", v, call, (call.sizes[1], columns))
    result: Tensor = _Product.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        kernel, call.batch, x1, call.x2, lengthscale, shape, v
    )
    return result


def _evaluate(call: Call, v: Tensor) -> Tensor:
    compiled = library.on(call.x1.device)
    n, m, _ = call.sizes
    if compiled is not None:
        result = v.new_empty((*call.batch, n, v.shape[-1]))
        compiled.product(call, v, result)
        return result
    check_positive(call)
    second = call.x1 if call.x2 is None else call.x2
    rows = max(1, STRIP // max(1, m))
    parts = [
        reference.kernel_matrix(call._replace(x1=call.x1[..., i : i + rows, :], x2=second)) @ v
        for i in range(0, max(n, 1), rows)
    ]
    return torch.cat(parts, -2)


class _Product(torch.autograd.Function):
    """K V; on the way back K^T G, and the derivatives of K weighted with G V^T."""

    @staticmethod
    def forward(ctx: Any, kernel: str, batch: tuple[int, ...], *given: Tensor | None) -> Tensor:
        x1, x2, lengthscale, shape, v = given
        ctx.kernel, ctx.batch = kernel, batch
        ctx.save_for_backward(*given)
        assert x1 is not None
        assert lengthscale is not None
        assert v is not None
        return _evaluate(Call(kernel, x1, x2, lengthscale, shape, batch), v)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x1, x2, lengthscale, shape, v = ctx.saved_tensors
        call = Call(ctx.kernel, x1, x2, lengthscale, shape, ctx.batch)
        names = ("by_x1", "by_x2", "by_lengthscale", "by_shape")
        needs = dict(zip((*names, "v"), ctx.needs_input_grad[2:], strict=True))
        wanted = [name for name in names if needs[name]]
        results: list[Tensor | None] = [None, None]
        sums = contract_call(call, None, (grads[0], v), wanted) if wanted else None
        for name, tensor in zip(names, (x1, x2, lengthscale, shape), strict=True):
            part = getattr(sums, name) if needs[name] else None
            results.append(None if part is None else part.sum_to_size(tensor.shape))
        for_v = None
        if needs["v"]:
            turned = call if x2 is None else call._replace(x1=x2, x2=x1)
            for_v = _evaluate(turned, grads[0]).sum_to_size(v.shape)
        return *results, for_v
