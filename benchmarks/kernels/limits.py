"""What no code can beat: writing the result to memory, and an exponential for every pair.

Memory that a call allocates is often new to the process, and the system clears every page of it;
so writing is timed into fresh memory, as a call meets it, with pages of the usual size and with
large ones, and into memory in use. The limit of a call is the quicker of the first two.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch
from torch import Tensor

from benchmarks.kernels.cases import Problem
from benchmarks.kernels.contestant import EXP, FRESH, HUGE, WARM, Contestant
from benchmarks.kernels.race import Rules, race
from gpbo.ops import library

FEW, MANY = 256, 1536  # of float64: the larger array and its exponentials fit 32 KB
EXP_ROUNDS = 21  # they are short
LARGE_PAGE = 2 << 20


def writers(problem: Problem) -> list[Contestant]:
    """They race with the others, and answer nothing."""
    case, dtype, device = problem.case, problem.dtype, problem.device
    size = (*problem.batch, case.n, case.m or case.n)
    held = torch.zeros(size, dtype=dtype, device=device)

    def fresh() -> Tensor:
        return torch.empty(size, dtype=dtype, device=device)

    made = [
        Contestant(FRESH, lambda: fresh().fill_(1.0)),
        Contestant(WARM, lambda: held.fill_(1.0)),
    ]
    advise = getattr(ctypes.CDLL(None), "madvise", None) if device.type == "cpu" else None
    if advise is not None and hasattr(mmap, "MADV_HUGEPAGE"):
        made.append(Contestant(HUGE, lambda: _on_large_pages(fresh(), advise).fill_(1.0)))
    return made


def _on_large_pages(tensor: Tensor, advise: Callable[..., int]) -> Tensor:
    """The tensor, after a hint to the system; what is small stays as it is."""
    start, end = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
    first, last = -(-start // LARGE_PAGE) * LARGE_PAGE, end // LARGE_PAGE * LARGE_PAGE
    if last > first + LARGE_PAGE:
        length = ctypes.c_size_t(last - first)
        advise(ctypes.c_void_p(first), length, ctypes.c_int(mmap.MADV_HUGEPAGE))
    return tensor


def exp_of_every_pair(
    problem: Problem, now: Callable[[], float], rules: Rules, threads: int
) -> list[float]:
    """Seconds that the exponentials of a matrix take, by the vector exp of the CPU library.

    The difference of two lengths leaves out what a call costs. A symmetric matrix needs half of
    them. Empty where no compiled code is at hand to ask.
    """
    compiled = library.on(problem.device)
    if compiled is None or compiled.kind != "cpu":
        return []
    per_byte = 8 // problem.dtype.itemsize
    few, many = (
        torch.linspace(-20.0, 0.0, count * per_byte, dtype=problem.dtype) for count in (FEW, MANY)
    )
    pair = [
        Contestant("few", lambda: compiled.exp(few)),
        Contestant("many", lambda: compiled.exp(many)),
    ]
    seconds = race(pair, now, replace(rules, fewest=EXP_ROUNDS, most=EXP_ROUNDS))
    case = problem.case
    count = case.pairs / (1 if case.m else 2) / threads
    each = 1.0 / (many.numel() - few.numel())
    return [
        max(b - a, 0.0) * each * count for a, b in zip(seconds["few"], seconds["many"], strict=True)
    ]


def slower(seconds: dict[str, list[float]]) -> list[float]:
    """The slower of the two limits, for every round of writing; empty where none was timed."""
    exp = median(seconds[EXP]) if seconds.get(EXP) else 0.0
    ways = [seconds[name] for name in (FRESH, HUGE) if name in seconds]
    return [max(min(write), exp) for write in zip(*ways, strict=True)]
