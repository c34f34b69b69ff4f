"""One study: a peer on a problem, from the first trial to the last."""

from __future__ import annotations

import math
import time
from statistics import median
from typing import Any

from benchmarks.suite import catalog
from benchmarks.suite.peers.lineup import PEERS
from benchmarks.suite.plan import Run
from benchmarks.suite.problem import Params, Problem, stream
from gpbo import Space

Row = dict[str, Any]


def run(wanted: Run) -> Row:
    """The record of one study: what it reached after which trial, and what it cost.

    steps    [trial, value] each time the best changed. Which is best is judged by what was told;
             the value is without noise, so with noise it may rise
    median   of all values without noise
    failed   the numbers of the trials that failed
    repeats  how many trials had params that were tried before
    seconds  spent in ask and tell
    """
    problem, kind = catalog.make(wanted.problem, wanted.seed), PEERS[wanted.peer]
    space = Space(dict(problem.space))
    row: Row = {"kind": problem.kind, "optimum": problem.optimum, "version": kind.version()}
    if row["version"] is None:
        raise RuntimeError(f"{kind.package} is not installed")
    reason = kind.cannot(space)
    if reason is not None:
        return row | {"cannot": reason}
    kind.load()
    one, study, seconds = kind(space, wanted.seed), _Study(problem, wanted.seed), 0.0
    while len(study.told) < wanted.planned and seconds < wanted.cap:
        began = time.perf_counter()
        params = one.ask()
        seconds += time.perf_counter() - began
        if params is None:
            break
        value = study.evaluate(params)
        began = time.perf_counter()
        one.tell(params, value)
        seconds += time.perf_counter() - began
    row |= study.record() | {"seconds": round(seconds, 3)}
    if len(study.told) < wanted.planned:
        over = seconds >= wanted.cap
        row["ended"] = f"{wanted.cap:g} s were over" if over else "no more params"
    chosen = one.recommend() if study.steps and problem.noise else None
    if chosen is not None:
        row["recommended"] = _short(problem.true(chosen))
    return row


class _Study:
    """What was tried so far."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self._problem = problem
        self._noise = stream("noise", problem.name, seed)
        self._known: set[str] = set()
        self._repeats = 0
        self._best = math.inf
        self._true: list[float] = []
        self.told: list[float] = []
        self.steps: list[tuple[int, float]] = []

    def evaluate(self, params: Params) -> float | None:
        """What the peer is told: the value with noise, None where it failed."""
        value = self._problem.true(params)
        # Drawn for every trial, so that all peers have the same noise in the same trial.
        told = value + self._problem.noise * float(self._noise.standard_normal())
        self.told.append(told)
        self._true.append(value)
        text = repr(sorted(params.items()))
        self._repeats += text in self._known
        self._known.add(text)
        if math.isnan(told):
            return None
        if told < self._best:
            self._best = told
            self.steps.append((len(self.told), _short(value)))
        return told

    def record(self) -> Row:
        """The part of the row that is known here."""
        failed = [k for k, value in enumerate(self.told, 1) if math.isnan(value)]
        row: Row = {"trials": len(self.told), "steps": self.steps, "repeats": self._repeats}
        values = [value for value in self._true if not math.isnan(value)]
        row["median"] = _short(median(values)) if values else None
        return row | ({"failed": failed} if failed else {})


def _short(value: float) -> float:
    return float(f"{value:.12g}")
