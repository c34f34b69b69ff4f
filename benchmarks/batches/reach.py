"""One study: an optimizer on a problem, its trials asked for in one of the ways."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.batches.clock import Study
from benchmarks.batches.contestant import CONTESTANTS, Asked, Contestant
from benchmarks.batches.plan import AGAIN, LONGEST, SEQUENTIAL
from benchmarks.suite import catalog
from benchmarks.suite.problem import Params, typical
from benchmarks.suite.regret import FLOOR
from gpbo import Space

OTHER = 1000  # added to the seed of a study that is made again
Row = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One study.

    enough  a value after which, with n evaluations, more of them say nothing
    cap     seconds that the optimizer may think
    """

    problem: str
    name: str
    seed: int
    way: str
    enough: float
    cap: float

    @property
    def key(self) -> tuple[str, str, int, str]:
        """As `key_of`."""
        return self.problem, self.name, self.seed, self.way


def key_of(row: Row) -> tuple[str, str, int, str]:
    """What makes a study the only one of its kind."""
    return row["problem"], row["name"], row["seed"], row["way"]


def run(wanted: Run) -> Row:
    """The record of a study: what it reached after how many evaluations and how much time.

    n        the sequential number of evaluations
    optimum  the lowest value
    typical  the median value of random params
    steps    [evaluations, value, time] each time the best changed
    told     evaluations in all
    seconds  spent in ask and tell
    """
    problem, kind = catalog.make(wanted.problem, wanted.seed), CONTESTANTS[wanted.name]
    kind.load()
    n, seed = problem.trials, wanted.seed + OTHER * (wanted.way == AGAIN)
    most = n if wanted.way == SEQUENTIAL else LONGEST * n
    one = _Timed(kind(Space(dict(problem.space)), seed))

    def evaluate(params: Params) -> float | None:
        value = problem.true(params)
        return None if math.isnan(value) else value

    def over() -> bool:
        reached = study.told >= n and study.best <= wanted.enough
        return reached or study.told >= most or one.seconds >= wanted.cap

    study = Study(one, evaluate, wanted.seed)
    study.run(wanted.way, over)
    row = dict(zip(("problem", "name", "seed", "way"), wanted.key, strict=True))
    row |= {"n": n, "optimum": problem.optimum, "typical": typical(problem)}
    row |= {"steps": study.steps, "told": study.told, "time": round(study.time, 4)}
    return row | {"seconds": round(one.seconds, 3), "version": kind.version()}


def best_after(row: Row, evaluations: float) -> float:
    """The lowest value of a study's first evaluations, not lower than what counts as the optimum.

    Below a share of FLOOR of what random params lose, differences say how a float is rounded.
    """
    values: list[float] = [value for number, value, _ in row["steps"] if number <= evaluations]
    least: float = row["optimum"] + FLOOR * (row["typical"] - row["optimum"])
    return max(min(values, default=math.inf), least)


class _Timed:
    """A contestant with a stopwatch."""

    def __init__(self, one: Contestant) -> None:
        self._one = one
        self.seconds = 0.0

    def ask_for(self, count: int) -> list[Asked]:
        return self._clocked(lambda: self._one.ask_for(count))

    def tell_of(self, asked: Asked, value: float | None) -> None:
        self._clocked(lambda: self._one.tell_of(asked, value))

    def _clocked(self, call: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return call()
        finally:
            self.seconds += time.perf_counter() - began
