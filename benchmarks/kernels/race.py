"""Rounds in which every contestant takes a turn, so that all of them meet the same machine.

A machine that slows down for a second slows down everybody in that round: ratios within a round
are what to trust. Who ran before leaves its traces in caches and, more, in the pages that the
system has at hand; so a turn starts with a call that is not timed, and turns change places.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter

import torch

from benchmarks.kernels.contestant import Contestant


@dataclass(frozen=True)
class Rules:
    """How long is raced: at least `fewest` rounds, more while all of them take `seconds`."""

    sample: float = 2e-3  # a clock's resolution and a timer interrupt are far below this
    seconds: float = 4.0
    fewest: int = 3
    most: int = 15
    untimed: float = 0.5  # a call that takes longer than this makes its own traces


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    median: float
    q1: float
    q3: float


def spread(values: Sequence[float]) -> Spread:
    """Of one value or more."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    q1, _, q3 = quantiles(values, n=4, method="inclusive")
    return Spread(median(values), q1, q3)


def ratio(times: Sequence[float], others: Sequence[float]) -> Spread:
    """How many times slower `times` are than `others`, round by round."""
    return spread([time / other for time, other in zip(times, others, strict=True)])


def clock(device: torch.device) -> Callable[[], float]:
    """The time in seconds when everything that was queued on the device is done."""
    if device.type != "cuda":
        return perf_counter

    def now() -> float:
        torch.cuda.synchronize(device)
        return perf_counter()

    return now


def race(
    contestants: Sequence[Contestant], now: Callable[[], float], rules: Rules
) -> dict[str, list[float]]:
    """Seconds a call, one number for every round; each contestant has been called before."""
    turns = [_Turn(contestant, now, rules) for contestant in contestants]
    lap = sum(turn.lasts for turn in turns)
    rounds = min(rules.most, max(rules.fewest, int(rules.seconds / max(lap, 1e-9))))
    seconds: dict[str, list[float]] = {c.name: [] for c in contestants}
    gc.collect()
    with ExitStack() as stack:
        stack.callback(gc.enable)
        gc.disable()
        for number in range(rounds):
            first = number % len(turns)
            for turn in (*turns[first:], *turns[:first]):
                seconds[turn.contestant.name].append(turn.take())
    return seconds


class _Turn:
    """A contestant and how often it is called when its turn comes."""

    def __init__(self, contestant: Contestant, now: Callable[[], float], rules: Rules) -> None:
        self.contestant, self._now = contestant, now
        self.untimed, self.count = False, 1
        while (took := self.take() * self.count) < rules.sample:
            wanted = int(1.2 * self.count * rules.sample / max(took, 1e-9))
            self.count = max(self.count + 1, min(10 * self.count, wanted))
        self.untimed = took / self.count <= rules.untimed
        self.lasts = took * (1 + self.untimed / self.count)

    def take(self) -> float:
        """Seconds a call."""
        call = self.contestant.call
        with self.contestant.around():
            if self.untimed:
                call()
            start = self._now()
            for _ in range(self.count):
                call()
            return (self._now() - start) / self.count
