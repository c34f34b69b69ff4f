"""Where the compiled libraries are, what they can do on which device, and how they are called.

Two shared libraries lie in `gpbo/ops/lib`: one for the CPU, and one for CUDA that is opened only
where torch sees a GPU. Nothing is loaded at import; the first op loads what its device needs. A
handle is plain code without state, so it stays good in a forked child.

A library that is missing is a supported way to live (no compiler, a pure wheel): torch computes
the same numbers, `describe` says so, and nobody is warned. One that is there and cannot be used is
a defect that its owner can mend: that gives one FallbackWarning. GPBO_REFERENCE=1 in the
environment leaves everything to torch.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
import sys
import warnings
from ctypes import c_int, c_int64, c_void_p
from typing import Any

import torch
from torch import Tensor

from gpbo.errors import DeviceError, FallbackWarning, explain
from gpbo.ops.check import batch_shape

ABI = 1  # GPBO_ABI in csrc/include/gpbo.h
DTYPES = {torch.float32: 0, torch.float64: 1}  # enum gpbo_dtype
KERNELS = {"matern52": 0}  # enum gpbo_kernel
OUT_OF_MEMORY = 2  # enum gpbo_status
THREADS = 1  # the cores are the caller's
REFERENCE = "GPBO_REFERENCE"
FOLDER = "lib"


class Pairs(ctypes.Structure):
    """struct gpbo_pairs of csrc/include/gpbo.h."""

    _fields_ = (
        *((name, c_int64) for name in ("dtype", "symmetric", "batch", "n", "m", "d")),
        *(("x1", c_void_p), ("x1_batch", c_int64), ("x1_row", c_int64), ("x1_column", c_int64)),
        *(("x2", c_void_p), ("x2_batch", c_int64), ("x2_row", c_int64), ("x2_column", c_int64)),
        ("lengthscale", c_void_p),
        *(("lengthscale_batch", c_int64), ("lengthscale_column", c_int64)),
    )


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
            self._kernel_matrix = getattr(handle, f"gpbo_{kind}_kernel_matrix")
            self._status_text = getattr(handle, f"gpbo_{kind}_status_text")
        except AttributeError as error:
            raise OSError(f"not a gpbo library ({error})") from None
        if abi != ABI:
            raise OSError(f"interface version {abi} where {ABI} is needed; reinstall gpbo")
        # What a device adds at the end: threads on a CPU; device number and stream on a GPU.
        place = [c_int] if kind == "cpu" else [c_int, c_void_p]
        common = [c_int, ctypes.POINTER(Pairs), c_void_p, c_void_p]
        self._kernel_matrix.argtypes = [*common, *place]
        self._kernel_matrix.restype = c_int
        self._status_text.argtypes = [c_int]
        self._status_text.restype = ctypes.c_char_p
        self._handle = handle

    def supports(self, index: int) -> str:
        """Why the code in the CUDA library cannot run on GPU `index`; empty where it can."""
        status = int(self._handle.gpbo_cuda_supports(index))
        return self._text(status) if status else ""

    def kernel_matrix(
        self, kernel: str, x1: Tensor, x2: Tensor | None, lengthscale: Tensor, *, slope: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The same as reference.kernel_matrix, for tensors that passed check_pairs."""
        batch = batch_shape(kernel, x1, x2, lengthscale)
        n, d = x1.shape[-2:]
        m = n if x2 is None else x2.shape[-2]
        value = x1.new_empty((*batch, n, m))
        slopes = torch.empty_like(value) if slope else None
        first, first_layout = _flatten(x1, batch, 2)
        second, second_layout = (None, NO_POINTS) if x2 is None else _flatten(x2, batch, 2)
        scale, scale_layout = _flatten(lengthscale, batch, 1)
        sizes = (DTYPES[x1.dtype], x2 is None, math.prod(batch), n, m, d)
        pairs = Pairs(*sizes, *first_layout, *second_layout, *scale_layout)
        results = (value.data_ptr(), None if slopes is None else slopes.data_ptr())
        self._call(self._kernel_matrix, x1.device, KERNELS[kernel], pairs, *results)
        del first, second, scale  # a copy among them had to live until the call
        return value, slopes

    def _call(self, function: Any, device: torch.device, *args: Any) -> None:
        if self.kind == "cpu":
            status = function(*args, THREADS)
        else:
            status = function(*args, device.index, torch.cuda.current_stream(device).cuda_stream)
        if status == OUT_OF_MEMORY:
            raise MemoryError("gpbo: no memory for the scratch of a kernel matrix")
        if status != 0:
            raise DeviceError(explain(str(device), f"a compiled op failed: {self._text(status)}"))

    def _text(self, status: int) -> str:
        return bytes(self._status_text(status)).decode(errors="replace")


def on(device: torch.device) -> Library | None:
    """The library that works on a device, or None where torch does."""
    if _reference_forced():
        return None
    if device.type == "cpu":
        return _load("cpu")[0]
    if device.type == "cuda" and not _unsupported(device.index):
        return _load("cuda")[0]
    return None


def describe() -> dict[str, Any]:
    """For `gpbo doctor`: per device whether compiled code runs there, from which file, or why not.

    {"forced_reference": bool, "cpu": {"compiled": bool, "path": str | None, "note": str},
     "cuda": {...}}
    """
    found: dict[str, Any] = {"forced_reference": _reference_forced()}
    for kind in ("cpu", "cuda"):
        if kind == "cuda" and not torch.cuda.is_available():
            path = _find(kind)
            note = "torch sees no GPU" + ("" if path else "; not built")
            found[kind] = {"compiled": False, "path": path, "note": note}
            continue
        library, note = _load(kind)
        if library is not None and kind == "cuda":
            count = torch.cuda.device_count()
            reasons = {i: _unsupported(i) for i in range(count)}
            note = "; ".join(f"cuda:{i}: {why}" for i, why in reasons.items() if why)
            if all(reasons.values()):
                library = None
        found[kind] = {"compiled": library is not None, "path": _find(kind), "note": note}
    return found


@functools.cache
def _load(kind: str) -> tuple[Library | None, str]:
    """The library of a kind and what there is to say about it, found out once per process."""
    path = _find(kind)
    if path is None:
        return None, "not built (no compiler at install time); torch does the work"
    try:
        return Library(kind, path), ""
    except OSError as error:
        _warn(f"the compiled {kind} library", str(error))
        return None, f"cannot be used: {error}"


@functools.cache
def _unsupported(index: int) -> str:
    """Why compiled code cannot run on a GPU, with a warning the first time; empty where it can."""
    library, note = _load("cuda")
    if library is None:
        return note
    why = library.supports(index)
    if why:
        _warn(f"the compiled cuda library on cuda:{index}", why)
    return why


def _warn(what: str, why: str) -> None:
    text = explain(what, "cannot be used", why, fix="torch does the work, with the same results.")
    warnings.warn(text, FallbackWarning, stacklevel=2)


def _reference_forced() -> bool:
    return os.environ.get(REFERENCE, "0") not in ("", "0")


def _find(kind: str) -> str | None:
    names = {"win32": f"gpbo_{kind}.dll", "darwin": f"libgpbo_{kind}.dylib"}
    name = names.get(sys.platform, f"libgpbo_{kind}.so")
    # An editable install spreads the package over two folders: sources here, built files there.
    for folder in sys.modules[__package__ or "gpbo.ops"].__path__:
        path = os.path.join(folder, FOLDER, name)
        if os.path.isfile(path):
            return path
    return None


Layout = tuple[int | None, ...]  # address, then the strides of a batch, a row, a column
NO_POINTS: Layout = (None, 0, 0, 0)


def _flatten(tensor: Tensor, batch: tuple[int, ...], core: int) -> tuple[Tensor, Layout]:
    """The tensor with one batch dimension before its last `core` ones, and its layout.

    What is repeated over the batch keeps stride 0; only where no single stride can tell the
    batch is it copied.
    """
    if batch:
        shape = tensor.shape[-core:]
        tensor = tensor.expand(*batch, *shape).reshape(math.prod(batch), *shape)
    tensor = tensor.resolve_neg()
    strides = tensor.stride() if batch else (0, *tensor.stride())
    return tensor, (tensor.data_ptr(), *strides)
