"""Whether the same call gives the same bits again, and with any number of threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.kernels import with_gpbo
from benchmarks.kernels.cases import OPS, Case, Problem
from benchmarks.kernels.contestant import GPBO

THREADS = (1, 2, 8)


def same_bits(case: Case, device: str) -> dict[str, Any]:
    """The check as a row: `again` for a second call, `threads` for 1, 2 and 8 of them."""
    problem = Problem(case, torch.device(device))
    contestant = with_gpbo.compete(case.op, problem, GPBO)

    def answer(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        return [tensor.clone() for tensor in contestant.answer(contestant.call())]

    before = torch.get_num_threads()
    try:
        first = answer(1)
        again = _equal(first, answer(1))
        threads = None  # a GPU does not ask how many there are
        if device == "cpu":
            threads = all(_equal(first, answer(number)) for number in THREADS)
    finally:
        torch.set_num_threads(before)
    return {"check": "bits", **case.as_dict(), "again": again, "threads": threads}


def cases(n: int) -> list[Case]:
    """Every op once; from 512 points on a matrix is given to several threads."""
    second = {"cross": n + 1, "candidates": n // 2, "posterior": n // 2}
    return [Case(op, n, 7, m=second.get(op, 0)) for op in OPS]


def _equal(ones: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return all(
        torch.equal(_bytes(one), _bytes(other)) for one, other in zip(ones, others, strict=True)
    )


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1).contiguous().view(torch.uint8)
