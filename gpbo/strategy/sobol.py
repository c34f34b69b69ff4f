"""Quasi-random search: a scrambled Sobol sequence, more even than random draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpbo.errors import SpaceError, explain
from gpbo.history import History
from gpbo.seeding import generator
from gpbo.space import Space
from gpbo.strategy.base import Proposal, Strategy
from gpbo.strategy.random import Fresh

MAX_DIMENSION = 21_201  # of the direction numbers that SciPy carries (Joe & Kuo 2008)


@dataclass(frozen=True)
class Sobol(Strategy):
    """Trial k is point k of one scrambled sequence (Owen 1998), whatever came before it."""

    @property
    def name(self) -> str:
        return "sobol"

    def check(self, space: Space) -> None:
        if len(space.leaves) > MAX_DIMENSION:
            raise SpaceError(
                explain("sobol", "too many parameters", len(space.leaves), fix="Use 'random'.")
            )

    def propose(self, history: History, n: int, seed: int) -> list[Proposal]:
        fresh = Fresh(history)
        first = len(history)
        points = sobol_points(len(history.space.leaves), first, n, seed)
        for number, point in enumerate(points, first):
            # A discrete space meets its points again.
            if not fresh.add(point) and not fresh.add_random(generator(seed, "sobol", number)):
                break  # nothing is left
        return [Proposal(params, {"strategy": self.name}) for params in fresh.params]


def start_size(space: Space, start: int | None, budget: int | None) -> int:
    """How many points come before the first model: `start`, or what suits the space, and a quarter
    of the `budget` at most.
    """
    if start is not None:
        return start
    count = min(max(5, len(space.leaves) + 1), 20)
    return count if budget is None else max(1, min(count, budget // 4))


def start_design(history: History, n: int, seed: int, provenance: dict[str, Any]) -> list[Proposal]:
    """What a strategy with a model begins with: the centre of the space, then Sobol points, or
    random ones where there are too many parameters; fewer than n where no more are left.
    """
    fresh = Fresh(history)
    first, dimension = len(history), len(history.space.leaves)
    if dimension <= MAX_DIMENSION:
        points = sobol_points(dimension, first, n, seed) if n else np.empty((0, dimension))
    else:
        draws = (generator(seed, "sobol", number) for number in range(first, first + n))
        points = np.array([draw.random(dimension) for draw in draws]).reshape(n, dimension)
    for number, point in enumerate(points, first):
        known = not (number == 0 and fresh.add(np.full(dimension, 0.5))) and not fresh.add(point)
        if known and not fresh.add_random(generator(seed, "start", number)):
            break  # nothing is left
    return [Proposal(params, provenance) for params in fresh.params]


def sobol_points(dimension: int, first: int, n: int, seed: int) -> npt.NDArray[np.float64]:
    """Points first .. first + n - 1 of the scrambled sequence that belongs to the seed.

    Shapes   -> (n, dimension)
    """
    from scipy.stats import qmc

    sequence = qmc.Sobol(dimension, rng=generator(seed, "sobol"))
    if first == 0:  # drawn alone: SciPy warns of a first draw that is not a power of two
        return np.concatenate([sequence.random(1), sequence.random(n - 1)])[:n]
    return np.asarray(sequence.fast_forward(first).random(n))
