"""What the runs say: regrets on one scale for all problems, ranks, wins, and how sure that is.

The regret of a run after n trials is (best - optimum) / (typical - optimum), where `typical` is the
median value of the random peer's params with the same seed; its logarithm to base 10 is what is
averaged. Where nobody knows the optimum, the best value that any run has found stands for it.

Symbols   a curve is (points,): log regret at POINTS, in shares of the planned trials
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, wilcoxon

from benchmarks.suite.problem import KINDS
from benchmarks.suite.record import Row

Array: TypeAlias = NDArray[np.float64]
Pair: TypeAlias = tuple[str, int]  # problem, seed

POINTS = tuple(k / 20 for k in range(1, 21))
BUDGETS = (0.25, 0.5, 1.0)
# Below these a regret counts as none: differences would say nothing but how a float is rounded, or,
# where the optimum is the best value found, how lucky the luckiest run was.
FLOOR, FLOOR_UNKNOWN = 1e-7, 1e-3
CEILING = 10.0  # nothing found yet, or worse than that
TIE = 0.01  # log regrets closer than that are equal
TINY = 1e-300
DRAWS = 1000  # of the bootstrap


@dataclass(frozen=True)
class Duel:
    """How one peer does against another, in the end.

    pairs  problems and seeds that both have
    seeds  how many seeds of a problem these are: the fewest and the most
    wins   the share of them that the first wins, ties counted half
    p      of Wilcoxon's signed-rank test over problems, of their mean difference in log regret
    gap    that mean difference: below 0 the first is better
    """

    pairs: int
    seeds: tuple[int, int]
    wins: float
    p: float
    gap: float


class Scores:
    """The log regrets of all runs, by problem and seed, then by peer.

    curves  {(problem, seed): {peer: curve}}
    kinds   of the problems
    cannot  {peer: {reason: problems}}
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        self.rows = [row for row in rows if "steps" in row]
        self.errors = [row for row in rows if "error" in row]
        self.kinds = {row["problem"]: row["kind"] for row in rows if "kind" in row}
        self.cannot: dict[str, dict[str, set[str]]] = {}
        for row in rows:
            if "cannot" in row:
                reasons = self.cannot.setdefault(row["peer"], {})
                reasons.setdefault(row["cannot"], set()).add(row["problem"])
        optima, scale = _optima(self.rows), _typical(self.rows)
        self.curves: dict[Pair, dict[str, Array]] = {}
        for row in self.rows:
            pair = row["problem"], row["seed"]
            if pair in scale and row["problem"] in optima:
                curve = _curve(row, optima[row["problem"]], scale[pair])
                self.curves.setdefault(pair, {})[row["peer"]] = curve

    @cached_property
    def peers(self) -> list[str]:
        """Who has a curve, the best mean rank first."""
        names = {peer for found in self.curves.values() for peer in found}
        ranks = {name: mean(self.ranks(1.0).get(name, {"": math.inf}).values()) for name in names}
        return sorted(names, key=lambda name: (ranks[name], name))

    def present(self) -> list[str]:
        """The kinds of problems that have a curve."""
        found = {self.kinds[problem] for problem, _ in self.curves}
        return [kind for kind in KINDS if kind in found]

    def ranks(self, budget: float, kind: str | None = None) -> dict[str, dict[str, float]]:
        """{peer: {problem: mean rank over seeds}} after a share of the trials, ties shared.

        Ranked are those who have a run of the problem and seed; of a problem that not everybody
        can do, the others share the ranks.
        """
        sums: dict[str, dict[str, list[float]]] = {}
        for (problem, _), found in self.curves.items():
            if kind in (None, self.kinds[problem]):
                names = sorted(found)
                values = [_rounded(found[name][_at(budget)]) for name in names]
                for name, rank in zip(names, rankdata(values), strict=True):
                    sums.setdefault(name, {}).setdefault(problem, []).append(float(rank))
        return {
            name: {problem: mean(ranks) for problem, ranks in found.items()}
            for name, found in sums.items()
        }

    def common(self) -> Scores:
        """These scores, of the peers with at least half as many runs as one of them, and of the
        problems and seeds only that all these have a run of.
        """
        runs = Counter(peer for found in self.curves.values() for peer in found)
        most = max(runs.values(), default=0)
        many = {peer for peer, count in runs.items() if 2 * count >= most}
        return self._of(
            {
                pair: {peer: found[peer] for peer in found if peer in many}
                for pair, found in self.curves.items()
                if found.keys() >= many
            }
        )

    def level(self) -> Scores:
        """These scores, of the peers with the most seeds of two thirds of their problems only,
        without the kinds of problems that they have only some or fewer seeds of, and of each
        problem only the seeds that all of these have who can do it: so ranks and means are among
        equals.
        """
        seeds: dict[str, Counter[str]] = {}
        able: dict[str, set[str]] = {}
        for (problem, _), found in self.curves.items():
            for peer in found:
                seeds.setdefault(peer, Counter())[problem] += 1
                able.setdefault(problem, set()).add(peer)
        usual = {peer: _usual(list(its.values())) for peer, its in seeds.items()}
        most = max(usual.values(), default=0)
        full = {peer for peer, count in usual.items() if count == most}
        partly = self._partly(full)
        equals = {
            problem: {peer for peer in able[problem] & full if (peer, kind) not in partly}
            for problem, kind in self.kinds.items()
            if problem in able
        }
        return self._of(
            {
                (problem, seed): {peer: found[peer] for peer in found if peer in equals[problem]}
                for (problem, seed), found in self.curves.items()
                if equals[problem] <= found.keys()
            }
        )

    def _partly(self, peers: set[str]) -> set[tuple[str, str]]:
        """Which peers were not run on all of a kind's problems that they can do, or with fewer
        seeds of two thirds of these than one of them: (peer, kind).
        """
        runs = Counter((row["peer"], row["problem"]) for row in [*self.rows, *self.errors])
        most = {name: max(runs[peer, name] for peer in peers) for name in self.kinds}
        found = set()
        for peer in peers:
            reasons = self.cannot.get(peer, {})
            cannot = {name for names in reasons.values() for name in names}
            for kind in self.present():
                names = [n for n in most if self.kinds[n] == kind and most[n] and n not in cannot]
                counts = [runs[peer, name] for name in names]
                if names and (not all(counts) or _usual(counts) < _usual([most[n] for n in names])):
                    found.add((peer, kind))
        return found

    def _of(self, curves: dict[Pair, dict[str, Array]]) -> Scores:
        """The same rows, with fewer curves."""
        other = object.__new__(Scores)
        other.__dict__.update(self.__dict__)
        other.__dict__.pop("peers", None)
        other.curves = {pair: found for pair, found in curves.items() if found}
        return other

    def means(self, peer: str, budget: float = 1.0) -> dict[str, float]:
        """{problem: mean log regret over seeds} after a share of the trials."""
        return {name: float(curve[_at(budget)]) for name, curve in self.averaged(peer).items()}

    def averaged(self, peer: str, kind: str | None = None) -> dict[str, Array]:
        """{problem: mean curve over seeds}."""
        found: dict[str, list[Array]] = {}
        for (problem, _), curves in self.curves.items():
            if peer in curves and kind in (None, self.kinds[problem]):
                found.setdefault(problem, []).append(curves[peer])
        return {problem: np.mean(curves, axis=0) for problem, curves in found.items()}

    def duel(self, first: str, second: str, budget: float = 1.0) -> Duel | None:
        """How two peers compare where both have runs; None where they never meet."""
        gaps: dict[str, list[float]] = {}
        for (problem, _), found in self.curves.items():
            if first in found and second in found:
                gap = float(found[first][_at(budget)] - found[second][_at(budget)])
                gaps.setdefault(problem, []).append(gap)
        if not gaps:
            return None
        every = np.array([gap for some in gaps.values() for gap in some])
        wins = float((every < -TIE).mean() + (np.abs(every) <= TIE).mean() / 2)
        by_problem = np.array([mean(some) for some in gaps.values()])
        p = float(wilcoxon(by_problem).pvalue) if np.any(by_problem) else 1.0
        counts = sorted(map(len, gaps.values()))
        return Duel(len(every), (counts[0], counts[-1]), wins, p, float(by_problem.mean()))


def band(curves: Sequence[Array], seed: int = 0) -> tuple[Array, Array, Array]:
    """The mean of the problems' curves, and the 95 % interval of it, problems drawn anew."""
    stacked = np.array(curves)
    draws = np.random.default_rng(seed).integers(len(stacked), size=(DRAWS, len(stacked)))
    low, high = np.quantile(stacked[draws].mean(1), [0.025, 0.975], axis=0)
    return stacked.mean(0), low, high


def _curve(row: Row, optimum: float, scale: float) -> Array:
    """Log regret at POINTS; the last value stands where a run ended early."""
    floor = FLOOR_UNKNOWN
    if row["optimum"] is not None:
        optimum, floor = row["optimum"], FLOOR
    at = np.array([max(1, round(point * row["planned"])) for point in POINTS])
    values = np.full(len(at), math.inf)
    for trial, value in row["steps"]:
        values[at >= trial] = value
    return np.log10(np.clip((values - optimum) / max(scale - optimum, TINY), floor, CEILING))


def _optima(rows: Iterable[Row]) -> dict[str, float]:
    """The lowest value that was found of each problem."""
    found: dict[str, float] = {}
    for row in rows:
        values = [value for _, value in row["steps"]]
        found[row["problem"]] = min([found.get(row["problem"], math.inf), *values])
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _typical(rows: Iterable[Row]) -> dict[Pair, float]:
    """The median value of random params; where the random peer is missing, that of all peers."""
    random: dict[Pair, float] = {}
    others: dict[Pair, list[float]] = {}
    for row in rows:
        pair = row["problem"], row["seed"]
        if row["median"] is None:
            continue
        if row["peer"] == "random":
            random[pair] = row["median"]
        others.setdefault(pair, []).append(row["median"])
    return {pair: max(values) for pair, values in others.items()} | random


def _usual(counts: list[int]) -> int:
    """What two thirds of them reach."""
    return sorted(counts)[len(counts) // 3]


def _at(budget: float) -> int:
    """Where a share of the trials stands among POINTS."""
    return POINTS.index(budget)


def _rounded(value: float) -> float:
    """Log regrets that count as equal made equal."""
    return round(float(value) / TIE) * TIE
