"""The most probable hyperparameters of a Gaussian process, searched for in one call.

Symbols   K = s M + diag(known + v * unknown), M the kernel matrix of X; theta = logs of g
          lengthscales, of the outputscale s and of the noise v

    log posterior = log N(y | m, K) + sum_i (c0 + c1 theta + c2 theta^2 + c3 exp(theta))_i

with the constant mean m that makes it largest. Only compiled code has this op; elsewhere
gpbo.lbfgsb over gpbo.ops.likelihood finds the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gpbo.errors import DeviceError, ShapeError, explain
from gpbo.ops import library
from gpbo.ops.check import check_like
from gpbo.ops.compiled import KERNELS, Call

KERNEL = "matern52"


class Stop(NamedTuple):
    """When a search ends: iterations at most, the largest entry of the projected gradient, the gain
    of an iteration relative to the size of the value, or to 1, and, where there is a metric, the
    gain that the next iteration promises."""

    iterations: int
    gradient: float
    value: float
    decrement: float = 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Model:
    """What is fitted to what.

    Shapes   x (n, d), y, known and unknown (n,), groups (d,) long: column -> lengthscale, or None:
             a lengthscale for each column; prior (4, g + 2): c0 to c3
    Needs    float64 on one device; the diagonal of K is known + noise * unknown
    """

    x: Tensor
    y: Tensor
    known: Tensor
    unknown: Tensor
    groups: Tensor | None
    prior: Tensor
    kernel: str = KERNEL


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """Where each start ended.

    Shapes   theta (b, g + 2); value, gradient_norm, jitter (b,); counts (b, 3) long: iterations,
             evaluations, 1 where the search converged; inverse (b, g + 2, g + 2) or None
    Needs    value is nan where that at the start was not finite, and the start is in theta;
             inverse: of minus the second derivatives, as far as the steps have shown them, zeros
             where there was none
    """

    theta: Tensor
    value: Tensor
    gradient_norm: Tensor
    jitter: Tensor
    counts: Tensor
    inverse: Tensor | None = None


def can_fit(device: torch.device) -> bool:
    """Whether `climb` works on this device."""
    compiled = library.on(device)
    return compiled is not None and compiled.kind == "cpu"


def climb(
    model: Model,
    start: Tensor,
    lower: Tensor,
    upper: Tensor,
    *,
    stop: Stop,
    jitters: Sequence[float] = (0.0,),
    metric: Tensor | None = None,
) -> Found:
    """The local maximum of the log posterior in the box that each start leads to.

    `metric` is an earlier search's `inverse`, to begin with: three steps then do for twenty.

    Shapes   start (b, g + 2), lower and upper (g + 2,), metric (g + 2, g + 2)
    Needs    `can_fit`; jitters: tried in turn, relative to the outputscale, until K has a factor;
             starts do not influence each other, and threads change no bit
    Raises   ValueError   if the kernel is unknown, or has a shape parameter
             ShapeError   if a shape or dtype does not fit, or a group is none
             DeviceError  if there is no compiled code for the device
    """
    compiled = library.on(model.x.device)
    if compiled is None or compiled.kind != "cpu":
        raise DeviceError(explain("climb", "no compiled code", str(model.x.device), expected="cpu"))
    _check(model, start, lower, upper, metric)
    b, p = start.shape
    data = (model.y, model.known, model.unknown, model.groups)
    given = (*data, metric, start, lower, upper, model.prior)
    dense = [None if part is None else part.detach().resolve_neg().contiguous() for part in given]
    numbers = start.new_empty(b * (p + 3))
    inverse = start.new_empty(b, p, p)
    counts = start.new_empty(b, 3, dtype=torch.int64)
    theta = numbers[: b * p].view(b, p)
    value, norm, jitter = numbers[b * p :].view(3, b)
    call = Call(model.kernel, model.x.detach().resolve_neg(), None, lower, None, ())
    compiled.fit(call, dense, jitters, stop, (theta, value, norm, jitter, counts, inverse))
    return Found(theta, value, norm, jitter, counts, inverse)


def _check(
    model: Model, start: Tensor, lower: Tensor, upper: Tensor, metric: Tensor | None
) -> None:
    x = model.x
    if model.kernel not in KERNELS or model.kernel == "rational_quadratic":
        raise ValueError(explain("climb: kernel", "not one that can be fitted", model.kernel))
    if not isinstance(x, Tensor) or x.ndim != 2 or x.dtype != torch.float64:
        wrong = "does not fit", (tuple(x.shape), x.dtype)
        raise ShapeError(explain("climb: x", *wrong, expected="(n, d) of float64"))
    n, d = x.shape
    check_like("climb", "start", start, x)
    if start.ndim != 2 or start.shape[1] < 2:
        got = tuple(start.shape)
        raise ShapeError(explain("climb: start", "does not fit", got, expected="(b, g + 2)"))
    p = start.shape[1]
    rows = {"y": model.y, "known": model.known, "unknown": model.unknown}
    ends = {"lower": lower, "upper": upper}
    square = {} if metric is None else {"metric": metric}
    wanted = ((rows, (n,)), (ends, (p,)), ({"prior": model.prior}, (4, p)), (square, (p, p)))
    for named, shape in wanted:
        for name, tensor in named.items():
            check_like("climb", name, tensor, x)
            if tuple(tensor.shape) != shape:
                got = tuple(tensor.shape)
                text = explain(f"climb: {name}", "does not fit", got, expected=f"{shape}")
                raise ShapeError(text)
    _check_groups(model.groups, d, p - 2)


def _check_groups(groups: Tensor | None, d: int, count: int) -> None:
    if groups is None:
        if count != d:
            raise ShapeError(
                explain("climb: start", "not a lengthscale for each column", count, expected=f"{d}")
            )
        return
    if groups.dtype != torch.int64 or groups.shape != (d,):
        got = tuple(groups.shape), groups.dtype
        raise ShapeError(explain("climb: groups", "do not fit", got, expected=f"({d},) of int64"))
    if d and not 0 <= int(groups.min()) <= int(groups.max()) < count:
        raise ShapeError(
            explain(
                "climb: groups", "a group is none", groups.tolist(), expected=f"0 to {count - 1}"
            )
        )
