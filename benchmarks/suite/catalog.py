"""Every problem of the suite, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from benchmarks.suite import conditional, embedded, failing, learning, mixed, synthetic, tables
from benchmarks.suite.problem import Problem

Maker = Callable[[int], Problem]
PARTS = (synthetic, embedded, mixed, conditional, failing, learning, tables)


@dataclass(frozen=True)
class Summary:
    """What does not depend on the seed."""

    name: str
    kind: str
    half: str
    trials: int
    noisy: bool
    known: bool  # whether the optimum is


@cache
def makers() -> dict[str, Maker]:
    """By name, what makes a problem from a seed."""
    return {name: maker for part in PARTS for name, maker in part.makers().items()}


def make(name: str, seed: int) -> Problem:
    """The problem as the seed places it."""
    return makers()[name](seed)


@cache
def summary(name: str) -> Summary:
    """A problem's name, kind, half and number of trials."""
    one = make(name, 0)
    return Summary(one.name, one.kind, one.half, one.trials, one.noise > 0, one.optimum is not None)
