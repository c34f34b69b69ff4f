"""Who competes in a case, and how much memory each of them takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from benchmarks.kernels import limits, with_gpbo, with_gpytorch, with_keops, with_torch
from benchmarks.kernels.cases import Case, Problem
from benchmarks.kernels.contestant import (
    AUTOGRAD,
    COMPILED,
    DROP_IN,
    GPBO,
    GPYTORCH,
    ITSELF,
    KEOPS,
    MIRRORED,
    REFERENCE,
    TORCH,
    Contestant,
    TooLargeError,
)

Build = Callable[[Case, Problem], Contestant]
PEERS = (MIRRORED, AUTOGRAD, DROP_IN, REFERENCE, GPYTORCH, TORCH, COMPILED, KEOPS)
MATRICES = ("matrix", "noisy matrix", "cross")
SLOW_PAIRS = 10**9  # the reference goes through a product strip by strip, for minutes
WITH_GRADIENTS = ("contract", "candidates", "likelihood", "product gradient", "posterior")
# Matrices of the size of K that live at once in a forward pass, and in one that goes back, counted
# in the sources; the rest keep at most the result.
COPIES = {DROP_IN: (3, 6), REFERENCE: (5, 7), GPYTORCH: (6, 10), TORCH: (5, 9), COMPILED: (3, 6)}


def names(op: str) -> tuple[str, ...]:
    """Everybody who has a way of doing an op; gpbo is the first, and the measure of the others."""
    only = {MIRRORED: ("contract",), AUTOGRAD: ("likelihood",), KEOPS: with_keops.OPS}
    return (GPBO, *(name for name in PEERS if op in only.get(name, (op,))))


def build(name: str, problem: Problem, most_bytes: float) -> Contestant:
    """The contestant of that name.

    Raises   TooLargeError  if it would need more memory than that, or minutes
    """
    op = problem.case.op
    _check_size(name, problem.case, most_bytes)
    if name == GPBO:
        return with_gpbo.compete(op, problem, name)
    if name == MIRRORED:
        return with_gpbo.contraction(problem, name, mirrored=True)
    if name == AUTOGRAD:
        return with_gpbo.by_autograd(problem, name)
    if name == REFERENCE:
        with with_gpbo.by_reference():
            made = with_gpbo.compete(op, problem, name)
        return dataclasses.replace(made, around=with_gpbo.by_reference)
    compete = {
        DROP_IN: with_gpytorch.compete_drop_in,
        GPYTORCH: with_gpytorch.compete,
        TORCH: with_torch.compete,
        COMPILED: with_torch.compete_compiled,
        KEOPS: with_keops.compete,
    }
    return compete[name](op, problem, name)


def silent(problem: Problem) -> list[Contestant]:
    """Those that answer nothing and race along, for the limits and the bars."""
    op = problem.case.op
    if op in MATRICES:
        return limits.writers(problem)
    if op == "contract":
        return [with_gpbo.compete("matrix", problem, ITSELF)]
    return []


def memory_cap(device: torch.device) -> float:
    """Bytes that one contestant may take; on a CPU several of them keep theirs, 8 GB in all."""
    if device.type == "cuda":
        return 0.5 * torch.cuda.mem_get_info(device)[0]
    return 4e9


def _check_size(name: str, case: Case, most_bytes: float) -> None:
    forward, back = COPIES.get(name, (1, 1))
    copies = back if case.op in WITH_GRADIENTS else forward
    if name in (GPBO, KEOPS, REFERENCE) and case.op.startswith("product"):
        if name == REFERENCE and case.pairs > SLOW_PAIRS:
            raise TooLargeError("needs minutes")
        return  # they keep no matrix
    needed = copies * case.matrix_bytes
    if needed > most_bytes:
        wrong = f"needs about {needed / 1e9:.0f} GB where {most_bytes / 1e9:.0f} GB are allowed"
        raise TooLargeError(wrong)
