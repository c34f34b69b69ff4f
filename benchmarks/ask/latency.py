"""How long one ask takes in a study under way, for one contestant and one size of study.

Each of DATASETS studies of n - 1 trials is continued: one ask without anything to start from
(cold), then rounds of a tell and an ask (steady). Who does not fit at every tell gets rounds for a
whole cycle of its fits, so that the mean tells what they cost.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, median
from typing import Any

from benchmarks.ask.contestant import CONTESTANTS, Contestant
from benchmarks.ask.problem import Problem, levy, study
from benchmarks.ask.worker import OverTimeError, Worker

DATASETS = 3
ROUNDS = 5  # of one data set
LEAST = 3  # rounds that are made however long they take, where all cost the same


@dataclass(frozen=True)
class Limits:
    """Seconds: those of one contestant and case."""

    case: float = 120.0  # one that takes longer is not run with more observations
    enough: float = 15.0  # past these, only what is needed for a median is measured
    most: float = 600.0  # its process is ended


def measure(name: str, n: int, d: int, enough: float) -> dict[str, Any]:
    """Medians in seconds over the rounds of a case; runs in a process of its own."""
    one = ready(name)
    cold: list[dict[str, float]] = []
    steady: list[dict[str, float]] = []
    began = time.perf_counter()
    cycle = math.ceil(one.cycle * n)
    for seed in range(DATASETS):
        problem = levy(d, seed)
        x, y = study(problem, n - 1, seed)
        one.begin(x, y, seed)
        for number in range(1 + max(ROUNDS, cycle)):
            lap = _round(one, problem, tell=number > 0)
            (steady if number else cold).append(lap)
            if number >= max(LEAST, cycle) and time.perf_counter() - began > enough:
                break
        if time.perf_counter() - began > enough:
            break
    return {
        "ask": _median(steady, "total"),
        "fit": _median(steady, "fit"),
        "maximize": _median(steady, "maximize"),
        "mean": fmean(lap["total"] for lap in steady),
        "slowest": max(lap["total"] for lap in steady),
        "rounds": len(steady),
        "cold_ask": _median(cold, "total"),
        "cold_fit": _median(cold, "fit"),
        "cold_asks": len(cold),
        "seconds": time.perf_counter() - began,
    }


class Race:
    """Contestants measured case by case, each in its process, with what is skipped and why."""

    def __init__(self, names: list[str], limits: Limits) -> None:
        self._limits = limits
        self._workers = {name: Worker() for name in names}
        self._slow: dict[tuple[str, int], str] = {}

    def row(self, name: str, n: int, d: int) -> dict[str, Any]:
        """One contestant on one case: the medians, or under "skipped" why there are none."""
        row: dict[str, Any] = {"contestant": name, "n": n, "d": d}
        if CONTESTANTS[name].missing():
            return row | {"skipped": f"{CONTESTANTS[name].package} is not installed"}
        if (name, d) in self._slow:
            return row | {"skipped": self._slow[name, d]}
        try:
            found = self._workers[name].call(
                measure, name, n, d, self._limits.enough, limit=self._limits.most
            )
        except OverTimeError as error:
            self._slow[name, d] = f"n = {n} took {error}"
            return row | {"skipped": str(error)}
        except RuntimeError as error:
            return row | {"skipped": f"failed: {str(error).strip().splitlines()[-1]}"}
        if found["seconds"] > self._limits.case:
            self._slow[name, d] = f"n = {n} took {found['seconds']:.0f} s"
        return row | found

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.close()


@lru_cache(maxsize=1)
def ready(name: str) -> Contestant:
    """The contestant of this process, after a few asks of a small study: all is loaded."""
    one = CONTESTANTS[name]()
    problem = levy(2, 0)
    one.begin(*study(problem, 10, 0))
    for number in range(3):
        _round(one, problem, tell=number > 0)
    return one


def _round(one: Contestant, problem: Problem, tell: bool) -> dict[str, float]:
    """Seconds of a tell of the last proposal, if wanted, and an ask."""
    if tell:
        value = float(problem(one.proposal)[0])
    one.watch.reset()
    began = time.perf_counter()
    if tell:
        one.tell(one.proposal, value)
    one.proposal = one.ask()
    return {"total": time.perf_counter() - began, "fit": 0.0, "maximize": 0.0} | one.watch.seconds


def _median(laps: list[dict[str, float]], name: str) -> float:
    return median(lap[name] for lap in laps)
