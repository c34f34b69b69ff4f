"""What every op asks of its tensors, checked at the door."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gpbo.errors import DeviceError, ShapeError, did_you_mean, explain
from gpbo.ops.compiled import DTYPES, KERNELS, Call, not_positive
from gpbo.ops.watched import watched

SHAPED = "rational_quadratic"  # the kernel with a parameter beside its lengthscales


def check_pairs(
    kernel: str, x1: Tensor, x2: Tensor | None, lengthscale: Tensor, shape: Tensor | None = None
) -> Call:
    """The call of an op over pairs of points, if it makes sense.

    Whether lengthscales and shapes are positive is looked at where they are read: see
    check_positive.

    Raises   TypeError    if something is not a tensor
             ValueError   if the kernel is unknown
             ShapeError   if a shape or dtype does not fit
             DeviceError  if the tensors are on different devices
    """
    if x2 is x1:
        x2 = None
    if x2 is None and shape is None and is_plain(kernel, x1, lengthscale):
        return Call(kernel, x1, None, lengthscale, None, ())
    if kernel not in KERNELS:
        wrong = explain("kernel", "unknown", kernel, fix=did_you_mean(kernel, KERNELS))
        raise ValueError(wrong)
    if (kernel == SHAPED) != (shape is not None):
        raise TypeError(_needs_shape(kernel, shape))
    _check_points(kernel, "x1", x1, x1)
    if x2 is not None:
        _check_points(kernel, "x2", x2, x1)
    check_like(kernel, "lengthscale", lengthscale, x1)
    columns = x1.shape[-1]
    if lengthscale.ndim < 1 or lengthscale.shape[-1] != columns:
        raise ShapeError(
            explain(
                f"{kernel}: lengthscale",
                "not one for each column of x1",
                tuple(lengthscale.shape),
                expected=f"(..., {columns})",
            )
        )
    if shape is not None:
        check_like(kernel, "shape", shape, x1)
    if x1.ndim == 2 and lengthscale.ndim == 1 and shape is None and (x2 is None or x2.ndim == 2):
        return Call(kernel, x1, x2, lengthscale, None, ())
    named = {"x1": x1.shape[:-2], "lengthscale": lengthscale.shape[:-1]}
    named["x2"] = torch.Size() if x2 is None else x2.shape[:-2]
    if shape is not None:
        named["shape"] = shape.shape
    return Call(kernel, x1, x2, lengthscale, shape, batch_shape(kernel, named))


def check_part(op: str, name: str, tensor: Tensor, call: Call, core: tuple[int, ...]) -> Call:
    """The call with its batch shape widened by one more tensor (..., *core).

    Raises   as check_pairs
    """
    check_like(op, name, tensor, call.x1)
    start = tensor.ndim - len(core)
    if start < 0 or tuple(tensor.shape[start:]) != core:
        text = ", ".join(("...", *map(str, core)))
        got = tuple(tensor.shape)
        raise ShapeError(explain(f"{op}: {name}", "does not fit", got, expected=f"({text})"))
    if not call.batch and start == 0:
        return call
    sizes = {"the points": torch.Size(call.batch), name: tensor.shape[:start]}
    return call._replace(batch=batch_shape(op, sizes))


def check_positive(call: Call) -> None:
    """Refuse a lengthscale or shape that is nan or <= 0, on the CPU; a look at a GPU would wait,
    and where torch is `watched` there may be nothing to look at.

    Raises   ShapeError
    """
    if watched():
        return
    for name, tensor in (("lengthscale", call.lengthscale), ("shape", call.shape)):
        if tensor is not None and tensor.device.type == "cpu" and not _all_positive(tensor):
            raise not_positive(call.kernel, name, tensor)


def batch_shape(op: str, named: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    """The batch shape that all of them broadcast to.

    Raises   ShapeError  if they do not
    """
    shapes = list(named.values())
    if not any(shapes):
        return ()
    result: list[int] = []
    for sizes in itertools.zip_longest(*(shape[::-1] for shape in shapes), fillvalue=1):
        found = 1  # compared, never hashed: a size may be a symbol of torch.compile
        for size in sizes:
            if size != 1 and found not in (1, size):
                raise ShapeError(
                    explain(
                        f"{op}: {', '.join(named)}",
                        "batch shapes do not broadcast",
                        [tuple(shape) for shape in shapes],
                        expected="equal sizes, or 1, from the right",
                    )
                )
            found = size if size != 1 else found
        result.append(found)
    return tuple(result[::-1])


def _all_positive(tensor: Tensor) -> bool:
    """False for nan, too: it is the smallest number of any that it is among."""
    return tensor.numel() == 0 or tensor.detach().amin().item() > 0


def check_like(op: str, name: str, tensor: object, first: Tensor) -> None:
    """Refuse what is not a tensor of the dtype and device of `first`."""
    if not isinstance(tensor, Tensor):
        raise TypeError(explain(f"{op}: {name}", "not a tensor", tensor))
    if tensor.dtype not in DTYPES:
        raise ShapeError(
            explain(f"{op}: {name}", "dtype not known", tensor.dtype, expected="float32 or float64")
        )
    if tensor.dtype != first.dtype:
        raise ShapeError(
            explain(
                f"{op}: {name}", "dtype is not that of x1", tensor.dtype, expected=f"{first.dtype}"
            )
        )
    if tensor.device != first.device:
        raise DeviceError(
            explain(
                f"{op}: {name}",
                "device is not that of x1",
                str(tensor.device),
                expected=f"{first.device}",
            )
        )


def is_plain(kernel: str, x1: Tensor, lengthscale: Tensor) -> bool:
    """Whether nothing is wrong with the commonest call; asked first, since a look costs as much
    as a kernel of a few points."""
    if not (isinstance(x1, Tensor) and isinstance(lengthscale, Tensor)):
        return False
    dtype, shape, lengths = x1.dtype, x1.shape, lengthscale.shape
    return (
        len(shape) == 2
        and len(lengths) == 1
        and shape[1] == lengths[0]
        and dtype in DTYPES
        and lengthscale.dtype is dtype
        and lengthscale.device == x1.device
        and kernel in KERNELS
        and kernel != SHAPED
    )


def _needs_shape(kernel: str, shape: object) -> str:
    if shape is None:
        return explain(f"{kernel}: shape", "missing", fix="Give alpha as a tensor (...).")
    return explain(f"{kernel}: shape", "not taken by this kernel", shape)


def _check_points(op: str, name: str, points: Tensor, first: Tensor) -> None:
    check_like(op, name, points, first)
    if points.ndim < 2:
        raise ShapeError(
            explain(
                f"{op}: {name}", "not a matrix of points", tuple(points.shape), expected="(n, d)"
            )
        )
    if points.shape[-1] != first.shape[-1]:
        raise ShapeError(
            explain(
                f"{op}: {name}",
                "other number of columns than x1",
                tuple(points.shape),
                expected=f"(..., m, {first.shape[-1]})",
            )
        )
