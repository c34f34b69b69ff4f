"""One way of doing a case: what is timed, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor

GPBO, GPYTORCH, DROP_IN = "gpbo", "GPyTorch", "gpbo in GPyTorch"
REFERENCE, TORCH, COMPILED, KEOPS = "gpbo reference", "torch", "torch.compile", "KeOps"
MIRRORED, AUTOGRAD = "gpbo, symmetric weight", "gpbo by autograd"
# What only the limits and the bars are computed from; none of them answers a case.
FRESH, HUGE, WARM = "write, fresh memory", "write, fresh large pages", "write, memory in use"
ITSELF = "gpbo, the matrix itself"
EXP = "exp of every pair"


class NotComparableError(Exception):
    """A contestant answered something else than gpbo did."""


class TooLargeError(Exception):
    """A contestant would need more memory than a run may take."""


def as_tuple(result: Any) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


@dataclass(frozen=True)
class Contestant:
    """`call` is what is timed, inside `around`; `answer` makes of its result what all agree on."""

    name: str
    call: Callable[[], Any]
    answer: Callable[[Any], tuple[Tensor, ...]] = as_tuple
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
