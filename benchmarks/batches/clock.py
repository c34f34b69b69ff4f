"""A simulated clock: trials that last, and workers that try them side by side."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from benchmarks.batches.contestant import Asked
from benchmarks.batches.plan import BATCHES, FREE, WORKERS
from benchmarks.suite.problem import Params, stream

SIGMA = 0.5  # of the logarithm of a trial's time: 95 % of them last from 0.3 to 2.4 means

Evaluate: TypeAlias = Callable[[Params], "float | None"]
Over: TypeAlias = Callable[[], bool]


class Asks(Protocol):
    """What is asked here: a Contestant."""

    def ask_for(self, count: int) -> list[Asked]: ...

    def tell_of(self, asked: Asked, value: float | None) -> None: ...


def duration(seed: int, number: int) -> float:
    """How long a trial lasts, 1 in the mean: the same for all optimizers and ways to ask."""
    rng = stream("duration", str(number), seed)
    return float(rng.lognormal(-(SIGMA**2) / 2, SIGMA))


@dataclass
class Study:
    """A study on the clock: what was told, in this order.

    evaluate  params -> value, None where the trial fails
    best      the lowest value
    steps     [evaluations, value, time] each time the best changed
    """

    one: Asks
    evaluate: Evaluate
    seed: int
    asked: int = 0
    told: int = 0
    time: float = 0.0
    best: float = math.inf
    steps: list[tuple[int, float, float]] = field(default_factory=list)

    def run(self, way: str, over: Over) -> None:
        """Ask and tell until `over` says so, or until there is nothing left to try."""
        if way == FREE:
            self._free(WORKERS, over)
        else:
            self._together(WORKERS if way == BATCHES else 1, over)

    def _together(self, count: int, over: Over) -> None:
        """Batches: all are told, at the time when the last one ends, before the next are asked."""
        while not over():
            batch = self._ask(count)
            if not batch:
                return
            self.time += max(lasting for _, lasting in batch)
            for asked, _ in batch:
                self._tell(asked)

    def _free(self, workers: int, over: Over) -> None:
        """Each worker tells its trial and asks for the next while the others run."""
        running: list[tuple[float, int, Asked]] = []
        for _ in range(workers):
            self._start(running)
        while running and not over():
            self.time, _, asked = heapq.heappop(running)
            self._tell(asked)
            if not over():
                self._start(running)

    def _start(self, running: list[tuple[float, int, Asked]]) -> None:
        for asked, lasting in self._ask(1):
            heapq.heappush(running, (self.time + lasting, self.asked, asked))

    def _ask(self, count: int) -> list[tuple[Asked, float]]:
        """New trials, and how long each lasts."""
        made = []
        for asked in self.one.ask_for(count):
            made.append((asked, duration(self.seed, self.asked)))
            self.asked += 1
        return made

    def _tell(self, asked: Asked) -> None:
        value = self.evaluate(asked.params)
        self.one.tell_of(asked, value)
        self.told += 1
        if value is not None and value < self.best:
            self.best = value
            self.steps.append((self.told, float(f"{value:.12g}"), round(self.time, 4)))
