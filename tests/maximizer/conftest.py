"""Acquisition functions whose maximum is known, and domains of every kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from gpbo.acquisition import Acquisition
from gpbo.maximizer import Domain

Formula = Callable[[Tensor], Tensor]


class Synthetic(Acquisition):
    """A formula of encoded points (b, d); it notes how many points each call brought."""

    def __init__(self, formula: Formula) -> None:
        self.formula = formula
        self.calls: list[int] = []

    def __call__(self, x: Tensor) -> Tensor:
        assert x.ndim == 3
        assert x.shape[1] == 1
        self.calls.append(x.shape[0])
        return self.formula(x.squeeze(1))


@pytest.fixture
def synthetic() -> Callable[[Formula], Synthetic]:
    """An acquisition function from a formula of encoded points (b, d) -> (b,)."""
    return Synthetic


@pytest.fixture
def cube() -> Callable[[int], Domain]:
    """The continuous domain of p coordinates."""

    def build(p: int) -> Domain:
        return Domain.build(["continuous"] * p, [None] * p, [-1] * p, [-1] * p)

    return build


@pytest.fixture
def grid() -> Callable[..., Domain]:
    """A finite domain of ordered coordinates with the given numbers of levels."""

    def build(*counts: int, kind: str = "levels") -> Domain:
        p = len(counts)
        return Domain.build([kind] * p, [centers(n) for n in counts], [-1] * p, [-1] * p)

    return build


@pytest.fixture
def nested() -> Domain:
    """Everything at once, conditions two deep.

    0 continuous, 1 category of 3, 2 continuous if 1 is on 0, 3 category of 2 if 1 is on 1,
    4 continuous if 3 is on 1, 5 five levels if 1 is on 2, 6 category of 2 with nothing below.
    """
    return Domain.build(
        ["continuous", "category", "continuous", "category", "continuous", "levels", "category"],
        [None, centers(3), None, centers(2), None, centers(5), centers(2)],
        [-1, -1, 1, 1, 3, 1, -1],
        [-1, -1, 0, 1, 1, 2, -1],
    )


def centers(n: int) -> list[float]:
    return [(i + 0.5) / n for i in range(n)]
