"""What every op asks of its tensors, checked at the door."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from gpbo.errors import DeviceError, ShapeError, explain

DTYPES = (torch.float32, torch.float64)


def check_pairs(op: str, x1: Tensor, x2: Tensor | None, lengthscale: Tensor) -> None:
    """Refuse points and lengthscales that an op over pairs of points cannot take.

    Raises   TypeError    if something is not a tensor
             ShapeError   if a shape or dtype does not fit, or, on the CPU, a lengthscale is nan
                          or <= 0 (on a GPU the look would wait for the device)
             DeviceError  if the tensors are on different devices
    """
    _check_points(op, "x1", x1, x1)
    if x2 is not None:
        _check_points(op, "x2", x2, x1)
    _check_tensor(op, "lengthscale", lengthscale, x1)
    columns = x1.shape[-1]
    if lengthscale.ndim < 1 or lengthscale.shape[-1] != columns:
        raise ShapeError(
            explain(
                f"{op}: lengthscale",
                "not one for each column of x1",
                tuple(lengthscale.shape),
                expected=f"(..., {columns})",
            )
        )
    batch_shape(op, x1, x2, lengthscale)
    if lengthscale.device.type == "cpu" and not _all_positive(lengthscale):
        raise ShapeError(
            explain(
                f"{op}: lengthscale",
                "nan or not positive",
                lengthscale.detach().flatten()[:8].tolist(),
                expected="every lengthscale > 0",
            )
        )


def batch_shape(op: str, x1: Tensor, x2: Tensor | None, lengthscale: Tensor) -> tuple[int, ...]:
    """The batch shape that the three broadcast to.

    Raises   ShapeError  if they do not
    """
    shapes = [x1.shape[:-2], lengthscale.shape[:-1], () if x2 is None else x2.shape[:-2]]
    if not any(shapes):
        return ()
    result: list[int] = []
    for sizes in itertools.zip_longest(*(shape[::-1] for shape in shapes), fillvalue=1):
        repeated = {size for size in sizes if size != 1}
        if len(repeated) > 1:
            raise ShapeError(
                explain(
                    f"{op}: x1, lengthscale, x2",
                    "batch shapes do not broadcast",
                    [tuple(shape) for shape in shapes],
                    expected="equal sizes, or 1, from the right",
                )
            )
        result.append(repeated.pop() if repeated else 1)
    return tuple(result[::-1])


def _all_positive(tensor: Tensor) -> bool:
    """False for nan, too: it is the smallest number of any that it is among."""
    return tensor.numel() == 0 or tensor.detach().amin().item() > 0


def _check_tensor(op: str, name: str, tensor: object, first: Tensor) -> None:
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


def _check_points(op: str, name: str, points: Tensor, first: Tensor) -> None:
    _check_tensor(op, name, points, first)
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
