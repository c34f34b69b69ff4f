"""What every acquisition function is, and the sum of several.

b sets of points side by side, q points in a set, d columns of an encoded point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gpbo.errors import ShapeError, explain

Box = tuple[Tensor, Tensor]


class Stop(NamedTuple):
    """When a climb ends."""

    iterations: int
    gradient: float  # largest slope, in coordinates divided by the scale
    gain: float  # of one step, relative to max(|value|, 1)


class Acquisition(ABC):
    """How much it is worth to try a set of points together."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """The value of each set, whatever the other sets are.

        Shapes   x (b, q, d) -> (b,); b may be 0
        Units    log scale, larger is better; -inf for what is worth nothing
        Needs    x in float64 on the device of the posterior; differentiable in x
        """

    def climb(self, x: Tensor, box: Box, scale: Tensor, stop: Stop) -> tuple[Tensor, Tensor] | None:
        """Where a search uphill from each point ends, and its value, where that has a short cut.

        None, the default, leaves the search to gradients of calls.

        Shapes   x (b, d), box: two of (b, d), scale (d,) by which coordinates are divided
                 -> (b, d), (b,); -inf for a start without a value
        """
        return None


class SumOfLogs(Acquisition):
    """Several values at once: a product, such as improvement times feasibility.

    Raises   ValueError  if there is no term
    """

    def __init__(self, terms: Sequence[Acquisition]) -> None:
        if not terms:
            raise ValueError(explain("SumOfLogs", "no terms", expected="one or more"))
        self.terms = tuple(terms)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.stack([term(x) for term in self.terms]).sum(0)


def single(owner: str, x: Tensor) -> Tensor:
    """The points of sets of one.

    Shapes   x (b, 1, d) -> (b, d)
    Raises   ShapeError  if x is of another shape
    """
    if x.ndim != 3 or x.shape[1] != 1:
        raise ShapeError(
            explain(owner, "takes one point a set", tuple(x.shape), expected="(b, 1, d)")
        )
    return x.squeeze(1)
