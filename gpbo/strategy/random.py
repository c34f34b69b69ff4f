"""Random search: every trial drawn from the parameters' own scales, no point twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpbo.history import History
from gpbo.seeding import generator
from gpbo.space import Params
from gpbo.strategy.base import Proposal, Strategy

DRAWS = 200  # unlucky draws before the points that are left are looked through one by one


@dataclass(frozen=True)
class Random(Strategy):
    """Independent draws (Bergstra & Bengio 2012); trial k depends on the seed and on k alone."""

    @property
    def name(self) -> str:
        return "random"

    def propose(self, history: History, n: int, seed: int) -> list[Proposal]:
        fresh = Fresh(history)
        first = len(history)
        for number in range(first, first + n):
            if not fresh.add_random(generator(seed, "random", number)):
                break  # nothing is left
        return [Proposal(params, {"strategy": self.name}) for params in fresh.params]


class Fresh:
    """Points that are neither in the history nor in this collection yet."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._taken: set[bytes] = set()
        self.params: list[Params] = []

    def add(self, row: npt.NDArray[np.float64]) -> bool:
        """Take the point at a row of coordinates, unless it is known already."""
        space = self._history.space
        params = space.from_row(row)
        exact = space.to_row(params)
        if exact.tobytes() in self._taken or self._history.trials_at(exact):
            return False
        self._taken.add(exact.tobytes())
        self.params.append(params)
        return True

    def add_random(self, rng: np.random.Generator) -> bool:
        """Take a random point that is not known; False where none is left."""
        space = self._history.space
        for _ in range(DRAWS):
            if self.add(rng.random(len(space.leaves))):
                return True
        return any(self.add(space.to_row(params)) for params in self._rest(rng))

    def _rest(self, rng: np.random.Generator) -> Iterator[Params]:
        """Every point of a countable space once, from a random one on."""
        lattice = self._history.lattice
        if lattice is not None:
            start = int(rng.integers(min(lattice.size, 2**62)))
            for k in range(lattice.size):
                yield lattice[(start + k) % lattice.size]
