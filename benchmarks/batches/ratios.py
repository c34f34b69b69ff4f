"""What the studies say: how many times the sequential number of evaluations another way needs.

The sequential study of n trials has some regret after n / 2 and after n of them. `needed` is after
how many evaluations another study has no more, 2 n where it never has; the ratio is to n / 2 and to
n. A ratio of two studies that differ in luck alone is about 1 in the median, and spread around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from benchmarks.batches.clock import duration
from benchmarks.batches.plan import LONGEST, SEQUENTIAL
from benchmarks.batches.reach import best_after, key_of
from benchmarks.suite.regret import CEILING

Row = dict[str, Any]
SHARES = (0.5, 1.0)  # of n
LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # shares of what random params lose


@dataclass(frozen=True)
class Score:
    """How the studies of an optimizer and way compare with sequential ones, at a share of n.

    studies  that have a sequential one beside them
    ratio    median and 75th percentile of the evaluations needed
    never    the share of studies that did not reach the regret within 2 n
    gap      mean difference in log10 regret after as many evaluations: below 0 is better
    error    standard error of that mean over problems
    faster   how many times sooner on the simulated clock, in the median
    """

    studies: int
    ratio: tuple[float, float]
    never: float
    gap: float
    error: float
    faster: float


@dataclass(frozen=True)
class Level:
    """How soon a regret is reached that is the same for all studies of a problem.

    studies  whose sequential one reaches it within n
    ratio    median of the evaluations needed, in shares of its
    late     how many do not reach it within n
    """

    studies: int
    ratio: float
    late: int


class Studies:
    """All studies, to be compared."""

    def __init__(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        self.rows = {key_of(row): row for row in rows if "steps" in row}
        self.skipped = [row for row in rows if "skipped" in row]

    @property
    def names(self) -> list[str]:
        """The optimizers, in order of their first study."""
        return list(dict.fromkeys(row["name"] for row in self.rows.values()))

    def ways(self, name: str) -> list[str]:
        """How an optimizer was asked, besides sequentially."""
        found = dict.fromkeys(row["way"] for row in self.rows.values() if row["name"] == name)
        return [way for way in found if way != SEQUENTIAL]

    def score(
        self,
        name: str,
        way: str,
        share: float,
        against: str | None = None,
        problem: str | None = None,
    ) -> Score | None:
        """Against the sequential studies of `against`, by default the optimizer's own."""
        ratios: list[float] = []
        never: list[bool] = []
        faster: list[float] = []
        gaps: dict[str, list[float]] = {}
        for row, beside in self._pairs(name, way, against or name):
            if problem not in (None, row["problem"]):
                continue
            number, time = needed(row, beside, share)
            never.append(number >= LONGEST * row["n"])
            ratios.append(number / budget(row, share))
            faster.append(elapsed(beside, share) / time)
            gap = log_regret(row, share) - log_regret(beside, share)
            gaps.setdefault(row["problem"], []).append(gap)
        if not ratios:
            return None
        means = np.array([np.mean(some) for some in gaps.values()])
        return Score(
            studies=len(ratios),
            ratio=(median(ratios), float(np.quantile(ratios, 0.75))),
            never=sum(never) / len(never),
            gap=float(means.mean()),
            error=float(means.std(ddof=1) / math.sqrt(len(means))) if len(means) > 1 else math.nan,
            faster=median(faster),
        )

    def level(self, name: str, way: str, left: float) -> Level | None:
        """How soon a regret is reached that the optimizer's own sequential study reaches too."""
        ratios, late = [], 0
        for row, beside in self._pairs(name, way, name):
            first = until(beside, left)
            if first <= row["n"]:
                number = until(row, left)
                late += number > row["n"]
                ratios.append(number / first)
        return Level(len(ratios), median(ratios), late) if ratios else None

    def _pairs(self, name: str, way: str, against: str) -> Iterator[tuple[Row, Row]]:
        """Studies, each with the sequential one of the same problem and seed."""
        for row in self.rows.values():
            beside = self.rows.get((row["problem"], against, row["seed"], SEQUENTIAL))
            if (row["name"], row["way"]) == (name, way) and beside is not None:
                yield row, beside


def until(row: Row, left: float) -> float:
    """After how many evaluations a share of what random params lose is left; inf if never."""
    most = row["optimum"] + left * (row["typical"] - row["optimum"])
    numbers = (number for number, value, _ in row["steps"] if value <= most)
    return next(numbers, math.inf)


def needed(row: Row, beside: Row, share: float) -> tuple[int, float]:
    """Evaluations and time until a study is as good as a sequential one after a share of n."""
    goal, most = best_after(beside, budget(beside, share)), LONGEST * row["n"]
    for number, value, time in row["steps"]:
        if value <= goal and number <= most:
            return number, time
    return most, row["time"]


def budget(row: Row, share: float) -> int:
    """A share of the sequential number of evaluations."""
    return int(share * row["n"])


def elapsed(row: Row, share: float) -> float:
    """The time that one evaluation after the other takes."""
    return sum(duration(row["seed"], number) for number in range(budget(row, share)))


def log_regret(row: Row, share: float) -> float:
    """log10 of (best - optimum) / (typical - optimum) after a share of n."""
    regret = best_after(row, budget(row, share)) - row["optimum"]
    return math.log10(min(regret / (row["typical"] - row["optimum"]), CEILING))
