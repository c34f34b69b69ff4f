"""What candidates promise under a Gaussian belief, and the way uphill, each in one compiled call.

Only the CPU library has it. Where it is missing, and on a GPU, gpbo.acquisition says the same in
torch; the tests hold the two together.

Symbols   n observations, d columns, S samples of what pending trials may turn out to be
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from gpbo.errors import DeviceError, ShapeError, explain
from gpbo.ops import library
from gpbo.ops.compiled import KERNELS, OUT_OF_MEMORY, Library

BELIEF = struct.Struct("2q4P4d")
IMPROVEMENT = struct.Struct("qP4d")
CLIMB = struct.Struct("2q2d5P")
THREADED_FROM = 64  # candidates for each thread, at least


@dataclass(frozen=True, eq=False)
class BeliefTerms:
    """A Gaussian belief in closed form: mean_s = constant + k . weights_s, and a variance.

    Shapes   points (n, d), lengthscale (d,), weights (S, n), inverse (n, n): of the lower Cholesky
             factor, with zeros above its diagonal
    """

    points: Tensor
    lengthscale: Tensor
    inverse: Tensor
    weights: Tensor
    outputscale: float
    constant: float
    least: float  # below this a variance is rounding
    known: float  # what such a variance counts as

    def packed(self) -> bytes:
        """struct gpbo_belief."""
        n, samples = self.points.shape[0], self.weights.shape[0]
        arrays = (self.points, self.lengthscale, self.inverse, self.weights)
        addresses = [tensor.data_ptr() for tensor in arrays]
        numbers = (self.outputscale, self.constant, self.least, self.known)
        return BELIEF.pack(n, samples, *addresses, *numbers)


@dataclass(frozen=True, eq=False)
class Promise:
    """Log expected improvement, and the terms that go with it; struct gpbo_improvement.

    The sum of: log of the mean over samples of the expected improvement over best_s; where noise
    is not 0, log(1 - sqrt(noise / (variance + noise))); where there is `success`, its log
    probability l that a label with variance + slack is above 1/2, plus
    steep * min(l - log least, 0).

    Shapes   best (S,)
    Source   Ament et al. 2023, arXiv:2310.20708, eq. 9; Huang et al. 2006 (augmented expected
             improvement); Gardner et al. 2014, eq. 4
    """

    kernel: str
    objective: BeliefTerms
    best: Tensor
    noise: float = 0.0
    success: BeliefTerms | None = None
    slack: float = 0.0
    least: float = 0.0
    steep: float = 0.0

    def packed(self) -> bytes:
        head = IMPROVEMENT.pack(
            self.objective.points.shape[1],
            self.best.data_ptr(),
            *(self.noise, self.slack, self.least, self.steep),
        )
        success = bytes(BELIEF.size) if self.success is None else self.success.packed()
        return head + self.objective.packed() + success


def available(device: torch.device) -> bool:
    """Whether compiled code does this on a device."""
    return device.type == "cpu" and library.on(device) is not None


def evaluate(
    promise: Promise, x: Tensor, *, gradient: bool = False
) -> tuple[Tensor, Tensor | None]:
    """The value of each point, and its gradient where asked for.

    Shapes   x (N, d) -> (N,), (N, d) or None
    Needs    float64 on the CPU, all tensors dense
    Raises   ShapeError   if x does not fit
             DeviceError  if the compiled library fails
    """
    x = _dense(promise, x)
    value = x.new_empty(x.shape[0])
    slope = torch.empty_like(x) if gradient else None
    call = _function("improvement", "qppp")
    address = 0 if slope is None else slope.data_ptr()
    threads = min(torch.get_num_threads(), 1 + x.shape[0] // THREADED_FROM)
    _check(
        call(
            *(KERNELS[promise.kernel], promise.packed(), x.shape[0]),
            *(x.data_ptr(), value.data_ptr(), address, threads),
        )
    )
    return value, slope


def climb(
    promise: Promise, x: Tensor, box: tuple[Tensor, Tensor], scale: Tensor, stop: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Where a local search uphill from each point ends, and the value there; -inf for none.

    Shapes   x (N, d), box two of (N, d), scale (d,) -> (N, d), (N,)
    Needs    as evaluate; stop: iterations, gradient tolerance (in coordinates divided by scale),
             relative gain
    Raises   as evaluate
    """
    x = _dense(promise, x).clone()
    lower, upper = (_dense(promise, wall) for wall in box)
    scale = _dense(promise, scale.unsqueeze(0))
    value = x.new_empty(x.shape[0])
    iterations, tolerance, gain = stop
    addresses = (tensor.data_ptr() for tensor in (lower, upper, scale, x, value))
    asked = CLIMB.pack(x.shape[0], int(iterations), tolerance, gain, *addresses)
    threads = min(torch.get_num_threads(), 1 + x.shape[0] // THREADED_FROM)
    call = _function("climb", "c")
    _check(call(KERNELS[promise.kernel], promise.packed(), asked, threads))
    return x, value


TYPES = {"q": ctypes.c_int64, "p": ctypes.c_void_p, "c": ctypes.c_char_p}


def _function(name: str, arguments: str) -> Any:
    compiled = library.on(torch.device("cpu"))
    if compiled is None:
        raise DeviceError(explain(name, "the compiled CPU library is not in use"))
    return _entry(compiled, name, arguments)


@lru_cache
def _entry(compiled: Library, name: str, arguments: str) -> Any:
    types = [TYPES[argument] for argument in arguments]
    return compiled.entry(name, [ctypes.c_int, ctypes.c_char_p, *types, ctypes.c_int])


def _dense(promise: Promise, x: Tensor) -> Tensor:
    d = promise.objective.points.shape[1]
    if x.ndim != 2 or x.shape[1] != d or x.dtype != torch.float64:
        got = (tuple(x.shape), x.dtype)
        expected = f"(N, {d}), float64"
        raise ShapeError(explain("improvement", "points do not fit", got, expected=expected))
    return x.detach().contiguous().resolve_neg()


def _check(status: int) -> None:
    if status == OUT_OF_MEMORY:
        raise MemoryError("gpbo: no memory for the scratch of an acquisition")
    if status:
        raise DeviceError(explain("cpu", "a compiled acquisition failed", status))
