"""One loaded library, and its calls: tensors in, the arguments of csrc/include/gpbo.h out.

The structs of the interface are packed into bytes by `struct`, which takes a fifth of the time that
filling a ctypes.Structure takes; for twenty points that is what a call costs.
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Sequence
from ctypes import c_char_p, c_int, c_int64, c_void_p
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gpbo.errors import DeviceError, ShapeError, explain

ABI = 5  # GPBO_ABI in csrc/include/gpbo.h
DTYPES = {torch.float32: 0, torch.float64: 1}  # enum gpbo_dtype
KERNELS = {"matern52": 0, "matern32": 1, "matern12": 2, "rbf": 3, "rational_quadratic": 4}
OUT_OF_MEMORY, BAD_LENGTHSCALE, BAD_SHAPE = 2, 3, 4  # enum gpbo_status
THREADED_FROM = 1 << 18  # pairs; starting a thread costs as much as a thousand of them

PAIRS = struct.Struct("6qP3qP3qP2qPq")
MATRIX = struct.Struct("3PPqP2q")
CONTRACTION = struct.Struct("P3q2P2q5PP")
LIKELIHOOD = struct.Struct("P2qPqP2q2qP8P2P")
FIT = struct.Struct("Pq3P2q4PqPq3d7P")
PRODUCT = struct.Struct("P4qP")

NOTHING = (0, 0, 0, 0)  # no second set of points
FUNCTIONS = ("kernel_matrix", "contract", "product")


class Call(NamedTuple):
    """What every op is about: a kernel, points, lengthscales, a shape, and how they broadcast.

    Shapes   x1 (*batch, n, d), x2 (*batch, m, d) or None for x1, lengthscale (*batch, d),
             shape (*batch) or None; each batch shape broadcasts to `batch`
    """

    kernel: str
    x1: Tensor
    x2: Tensor | None
    lengthscale: Tensor
    shape: Tensor | None
    batch: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """n, m and d."""
        n, d = self.x1.shape[-2:]
        return n, n if self.x2 is None else self.x2.shape[-2], d


class Library:
    """One loaded library, `kind` "cpu" or "cuda".

    Raises   OSError  if the file cannot be loaded or speaks another version of the interface
    """

    def __init__(self, kind: str, path: str) -> None:
        self.kind = kind
        self.path = path
        handle = ctypes.CDLL(path)
        try:
            abi = int(getattr(handle, f"gpbo_{kind}_abi")())
            if abi != ABI:
                raise OSError(f"interface version {abi} where {ABI} is needed; reinstall gpbo")
            self._matrix, self._contract, self._product = (
                self._function(handle, name) for name in FUNCTIONS
            )
            self._likelihood = self._function(handle, "likelihood") if kind == "cpu" else None
            self._fit = self._function(handle, "fit") if kind == "cpu" else None
            self._scratch = getattr(handle, f"gpbo_{kind}_contract_scratch")
            self._status_text = getattr(handle, f"gpbo_{kind}_status_text")
        except AttributeError as error:
            raise OSError(f"not a gpbo library ({error})") from None
        self._scratch.argtypes, self._scratch.restype = [c_char_p, c_char_p], c_int64
        self._status_text.argtypes, self._status_text.restype = [c_int], c_char_p
        self._handle = handle

    def _function(self, handle: ctypes.CDLL, name: str) -> Any:
        function = getattr(handle, f"gpbo_{self.kind}_{name}")
        # A device adds to int, bytes, bytes: threads on a CPU; device number and stream on a GPU.
        # Of ints and bytes ctypes knows what to make, and types would cost 0.3 us a call.
        if self.kind != "cpu":
            function.argtypes = [c_int, c_char_p, c_char_p, c_int, c_void_p]
        function.restype = c_int
        return function

    def entry(self, name: str, types: Sequence[Any]) -> Any:
        """The function gpbo_<kind>_<name>, which takes those ctypes and returns a status."""
        function = getattr(self._handle, f"gpbo_{self.kind}_{name}")
        function.argtypes, function.restype = list(types), c_int
        return function

    def supports(self, index: int) -> str:
        """Why the code in the CUDA library cannot run on GPU `index`; empty where it can."""
        status = int(self._handle.gpbo_cuda_supports(index))
        return self._text(status) if status else ""

    def instruction_set(self) -> str:
        """What the CPU library computes with: "avx512", "avx2" or "baseline"."""
        name = self._handle.gpbo_cpu_isa
        name.restype = c_char_p
        return bytes(name()).decode()

    def exp(self, x: Tensor) -> Tensor:
        """exp of numbers <= 0 as the kernels of the CPU library compute it; x is contiguous."""
        result = torch.empty_like(x)
        function = self._handle.gpbo_cpu_exp
        function.argtypes = [c_int64, c_void_p, c_int64, c_void_p]
        function(DTYPES[x.dtype], x.data_ptr(), x.numel(), result.data_ptr())
        return result

    def kernel_matrix(
        self, call: Call, outputscale: Tensor | None = None, diagonal: Tensor | None = None
    ) -> Tensor:
        """The same as reference.kernel_matrix, for a checked call."""
        if call.batch or not (call.shape is None and outputscale is None and diagonal is None):
            return self._any_matrix(call, outputscale, diagonal)
        return self.plain_matrix(call.kernel, call.x1, call.x2, call.lengthscale)

    def plain_matrix(
        self, kernel: str, x1: Tensor, x2: Tensor | None, lengthscale: Tensor
    ) -> Tensor:
        """One matrix with nothing beside it, the common call, without what it does not need.

        Shapes   x1 (n, d), x2 (m, d) or None for x1, lengthscale (d), checked -> (n, m)
        """
        if x1.is_neg() or lengthscale.is_neg() or (x2 is not None and x2.is_neg()):
            return self._any_matrix(Call(kernel, x1, x2, lengthscale, None, ()), None, None)
        n, d = x1.shape
        row, column = x1.stride()
        if x2 is None:
            m, symmetric = n, 1
            second: tuple[int, ...] = NOTHING
        else:
            m, symmetric = x2.shape[0], 0
            second = (x2.data_ptr(), 0, *x2.stride())
        value = x1.new_empty(n, m)  # a tuple of sizes takes half as long again
        pairs = PAIRS.pack(
            *(DTYPES[x1.dtype], symmetric, 1, n, m, d, x1.data_ptr(), 0, row, column),
            *second,
            *(lengthscale.data_ptr(), 0, lengthscale.stride(0), 0, 0),
        )
        matrix = MATRIX.pack(value.data_ptr(), 0, 0, 0, 0, 0, 0, 0)
        small = self.kind == "cpu" and n * m < THREADED_FROM
        if not small or self._matrix(KERNELS[kernel], pairs, matrix, 1) != 0:
            call = Call(kernel, x1, x2, lengthscale, None, ())
            self._call(self._matrix, call, pairs, matrix, n * m)
        return value

    def _any_matrix(
        self, call: Call, outputscale: Tensor | None, diagonal: Tensor | None
    ) -> Tensor:
        n, m, _ = call.sizes
        value = call.x1.new_empty((*call.batch, n, m))
        with Kept() as kept:
            pairs = kept.pairs(call)
            scale = kept.layout(outputscale, call.batch, 0)
            matrix = MATRIX.pack(
                value.data_ptr(), 0, 0, *scale, *kept.layout(diagonal, call.batch, 1)
            )
            self._call(self._matrix, call, pairs, matrix, value.numel())
        return value

    def contract(
        self,
        call: Call,
        weight: Tensor | None,
        factors: tuple[Tensor, Tensor] | None,
        results: Sequence[Tensor | None],
        *,
        mirrored: bool,
    ) -> None:
        """Writes by_lengthscale, by_shape, total, by_x1 and by_x2 where a result is given."""
        n, m, _ = call.sizes
        batch = call.batch
        with Kept() as kept:
            pairs = kept.pairs(call)
            left, right = (
                (None, None) if factors is None else (kept.dense(f, batch) for f in factors)
            )
            head = (
                *kept.layout(weight, batch, 2),
                *(_address(left), _address(right), 0 if left is None else left.shape[-1]),
                *(mirrored, *map(_address, results)),
            )
            size = self._scratch(pairs, CONTRACTION.pack(*head, 0))
            partial = call.x1.new_empty(size)
            sums = CONTRACTION.pack(*head, partial.data_ptr())
            self._call(self._contract, call, pairs, sums, math.prod(batch) * n * m)

    def product(self, call: Call, v: Tensor, product: Tensor) -> None:
        """Writes K v: v (*batch, m, c), product (*batch, n, c) and dense."""
        n, m, _ = call.sizes
        with Kept() as kept:
            pairs = kept.pairs(call)
            asked = (*kept.layout(v, call.batch, 2), v.shape[-1], product.data_ptr())
            packed = PRODUCT.pack(*asked)
            self._call(self._product, call, pairs, packed, math.prod(call.batch) * n * m)

    def likelihood(
        self,
        call: Call,
        given: Sequence[Tensor | None],
        jitters: Sequence[float],
        results: Sequence[Tensor | None],
        *,
        profile: bool,
    ) -> None:
        """given: y, outputscale, diagonal; results as in struct gpbo_likelihood, mean first."""
        batch, (y, outputscale, diagonal) = call.batch, given
        steps = struct.pack(f"{len(jitters)}d", *jitters)
        address = ctypes.cast(c_char_p(steps), c_void_p).value or 0
        with Kept() as kept:
            pairs = kept.pairs(call)
            asked = LIKELIHOOD.pack(
                *kept.layout(y, batch, 1),
                *kept.layout(outputscale, batch, 0),
                *kept.layout(diagonal, batch, 1),
                *(profile, len(jitters), address, *map(_address, results)),
            )
            work = math.prod(batch) * call.sizes[0] ** 2
            self._call(self._likelihood, call, pairs, asked, work)

    def fit(
        self,
        call: Call,
        given: Sequence[Tensor | None],
        jitters: Sequence[float],
        stop: tuple[int, float, float, float],
        results: Sequence[Tensor],
    ) -> None:
        """given: y, known, unknown, groups, metric, start, lower, upper, prior, each dense; results
        and stop: as in struct gpbo_fit."""
        y, known, unknown, groups, metric, start, *box = given
        assert y is not None
        assert start is not None
        starts, p = start.shape
        (n, d), steps = call.x1.shape, struct.pack(f"{len(jitters)}d", *jitters)
        pairs = PAIRS.pack(
            *(DTYPES[call.x1.dtype], 1, 1, n, n, d, call.x1.data_ptr(), 0, *call.x1.stride()),
            *(*NOTHING, 0, 0, 0, *(0 if call.shape is None else call.shape.data_ptr(), 0)),
        )
        asked = FIT.pack(
            *(y.data_ptr(), 1, *map(_address, (known, unknown, groups)), p - 2, starts),
            *(*map(_address, (start, *box)), len(jitters)),
            *(ctypes.cast(c_char_p(steps), c_void_p).value or 0, *stop),
            *map(_address, (metric, *results[:4], results[5], results[4])),
        )
        self._call(self._fit, call, pairs, asked, starts * n**2)

    def _call(self, function: Any, call: Call, pairs: bytes, rest: bytes, work: int) -> None:
        kernel = KERNELS[call.kernel]
        if self.kind == "cpu":
            threads = torch.get_num_threads() if work >= THREADED_FROM else 1
            status = function(kernel, pairs, rest, threads)
        else:
            device = call.x1.device
            stream = torch.cuda.current_stream(device).cuda_stream
            status = function(kernel, pairs, rest, device.index, stream)
        if status:
            self._complain(status, call)

    def _complain(self, status: int, call: Call) -> None:
        if status == OUT_OF_MEMORY:
            raise MemoryError(f"gpbo: no memory for the scratch of {call.kernel}")
        if status == BAD_LENGTHSCALE:
            raise not_positive(call.kernel, "lengthscale", call.lengthscale)
        if status == BAD_SHAPE and call.shape is not None:
            raise not_positive(call.kernel, "shape", call.shape)
        device = str(call.x1.device)
        raise DeviceError(explain(device, f"a compiled op failed: {self._text(status)}"))

    def _text(self, status: int) -> str:
        return bytes(self._status_text(status)).decode(errors="replace")


def not_positive(op: str, name: str, got: Tensor) -> ShapeError:
    """The error for a lengthscale, or a kernel's shape, that is none."""
    numbers = got.detach().flatten()[:8].tolist()
    wrong, expected = "nan or not positive", f"every {name} > 0"
    return ShapeError(explain(f"{op}: {name}", wrong, numbers, expected=expected))


Layout = tuple[int, ...]  # address, then the strides of a batch and of the last dimensions


class Kept:
    """Addresses and strides of tensors; copies among them live until the block is left."""

    def __enter__(self) -> Kept:
        self._tensors: list[Tensor] = []
        return self

    def __exit__(self, *_: object) -> None:
        self._tensors.clear()

    def pairs(self, call: Call) -> bytes:
        """struct gpbo_pairs."""
        n, m, d = call.sizes
        batch = call.batch
        return PAIRS.pack(
            *(DTYPES[call.x1.dtype], call.x2 is None, math.prod(batch), n, m, d),
            *self.layout(call.x1, batch, 2),
            *self.layout(call.x2, batch, 2),
            *self.layout(call.lengthscale, batch, 1),
            *self.layout(call.shape, batch, 0),
        )

    def layout(self, tensor: Tensor | None, batch: tuple[int, ...], core: int) -> Layout:
        """Where a tensor with its `core` last dimensions lies, with one batch dimension.

        What is repeated over the batch keeps stride 0; only where no single stride can tell the
        batch is it copied.
        """
        if tensor is None:
            return (0,) * (2 + core)
        if batch:
            shape = tensor.shape[tensor.ndim - core :]
            tensor = tensor.expand(*batch, *shape).reshape(math.prod(batch), *shape)
        tensor = tensor.resolve_neg()
        self._tensors.append(tensor)
        strides = tensor.stride() if batch else (0, *tensor.stride())
        return (tensor.data_ptr(), *strides)

    def dense(self, tensor: Tensor, batch: tuple[int, ...]) -> Tensor:
        """The tensor in memory of its own order, every batch element in its place."""
        tensor = tensor.expand(*batch, *tensor.shape[-2:]).contiguous().resolve_neg()
        self._tensors.append(tensor)
        return tensor


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()
