"""A stand-in for a GPU: tensors on the CPU that say they are on one, and refuse what a GPU would.

    python -m pytest -p tests.gpu.pretend tests/gpu

runs the tests of the GPU without one, and finds what goes wrong between devices in Python: tensors
of two devices in one operation, a GPU's tensor given to NumPy, a device that is forgotten. With
GPBO_PRETEND in the environment, the path of csrc/cuda built by the target `pretended_cuda` of
csrc/CMakeLists.txt, the CUDA kernels run too, as C++. It says nothing about time, memory, streams
and graphs.

A tensor here is a CPU's with the class `OnGpu`, and every function of torch is looked at before it
runs (torch.overrides).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from gpbo.ops import library

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
MOVES = {torch.Tensor.to, torch.Tensor.cpu, torch.Tensor.cuda}
# What takes tensors of both devices, or one of the GPU to a Python number.
FREE = {torch.Tensor.copy_, torch.autograd.grad}
BACKWARD = {torch.autograd.grad, torch.Tensor.backward}
MEMORY = 80 << 30

_backward = 0  # how deep: gradients come from the engine as plain tensors


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return run(func, args, kwargs or {})


class Pretended(TorchFunctionMode):
    """As long as this is entered, there is a GPU, for the thread that entered it."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return run(func, args, kwargs or {})


def run(func: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> Any:
    """A function of torch, as it is where some of its tensors are on a GPU."""
    global _backward
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = any(isinstance(tensor, OnGpu) for tensor in tensors)
    if there and getattr(func, "__name__", "") == "__get__":
        asked = getattr(getattr(func, "__self__", None), "__name__", "")
        if asked in ("device", "is_cuda", "is_cpu"):
            return {"device": GPU, "is_cuda": True, "is_cpu": False}[asked]
    if func in MOVES:
        return _move(func, args[0], args[1:], kwargs)
    if there:
        _refuse(func, args, tensors)
    device = device_of(kwargs.get("device")) or (GPU if there else CPU)
    kwargs = {**kwargs, "device": CPU} if kwargs.get("device") is not None else kwargs
    _backward += func in BACKWARD
    try:
        with torch._C.DisableTorchFunction():
            result = func(*args, **kwargs)
    finally:
        _backward -= func in BACKWARD
    if device.type == "cpu":
        return result
    return tree_map(lambda x: x.as_subclass(OnGpu) if type(x) is torch.Tensor else x, result)


def device_of(thing: Any) -> torch.device | None:
    """Where a tensor is, or which device is named; None of anything else."""
    if isinstance(thing, torch.Tensor):
        return GPU if isinstance(thing, OnGpu) else CPU
    if isinstance(thing, str):
        thing = torch.device(thing)
    return thing if isinstance(thing, torch.device) else None


def _move(
    func: Callable[..., Any], x: torch.Tensor, rest: Iterable[Any], kwargs: Mapping[str, Any]
) -> torch.Tensor:
    """x.to(...), x.cpu() and x.cuda(): what moves is copied."""
    source = device_of(x)
    rest = list(rest)
    named = [found for found in map(device_of, [*rest, *kwargs.values()]) if found is not None]
    fixed = {torch.Tensor.cpu: CPU, torch.Tensor.cuda: GPU}
    target = fixed.get(func) or (named[0] if named else source)
    assert source is not None
    assert target is not None
    with torch._C.DisableTorchFunction():
        held = x.as_subclass(torch.Tensor)
        moved = held
        if func is torch.Tensor.to:
            rest = [CPU if isinstance(a, (str, torch.device)) else a for a in rest]
            rest = [a.as_subclass(torch.Tensor) if isinstance(a, OnGpu) else a for a in rest]
            kwargs = {name: CPU if name == "device" else a for name, a in kwargs.items()}
            moved = held.to(*rest, **kwargs)
        if target.type == source.type and moved is held:
            return x
        if moved is held:
            moved = held.clone()
        return moved.as_subclass(OnGpu) if target.type == "cuda" else moved


def _refuse(func: Callable[..., Any], args: Any, tensors: list[torch.Tensor]) -> None:
    """As CUDA does: tensors of both devices, but for numbers, indices and copies."""
    if func in (torch.Tensor.numpy, torch.Tensor.__array__):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")
    if func in FREE or _backward:
        return
    if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
        if not isinstance(args[0], OnGpu):
            raise RuntimeError("indices should be on the CPU, as the indexed tensor is")
        return
    here = [tuple(t.shape) for t in tensors if not isinstance(t, OnGpu) and t.ndim]
    if here:
        name = getattr(func, "__name__", func)
        raise RuntimeError(f"{name}: tensors are expected on one device, {here} are on the CPU")


class _Stream:
    cuda_stream = 0


def pretend() -> None:
    """Let torch.cuda say that there is a GPU, and gpbo find the library to pretend with."""
    said: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_stream": lambda device=None: _Stream,
        "mem_get_info": lambda device=None: (MEMORY, MEMORY),
        "memory_reserved": lambda device=None: 0,
        "memory_allocated": lambda device=None: 0,
    }
    for name, function in said.items():
        setattr(torch.cuda, name, function)
    find, path = library._find, os.environ.get("GPBO_PRETEND")
    library._find = lambda kind: path if kind == "cuda" else find(kind)


def pytest_configure() -> None:
    if not torch.cuda.is_available():
        pretend()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    with Pretended():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    with Pretended():
        return (yield)
