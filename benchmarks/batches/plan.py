"""What is measured: which problems, optimizers, ways to ask, and sizes of a batch."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.suite import catalog
from benchmarks.suite import plan as suite
from benchmarks.suite.problem import Half

OURS = "gpbo"
WORKERS = 8  # of a batch, and of the simulated clock
SEQUENTIAL, AGAIN, BATCHES, FREE = "sequential", "again", "batches", "workers"
# How proposals are asked for. "again" is sequential with another seed of the optimizer: what luck
# alone does to a ratio.
WAYS, OUR_WAYS = (SEQUENTIAL, BATCHES, FREE), (SEQUENTIAL, AGAIN, BATCHES, FREE)
LONGEST = 2  # times the sequential number of evaluations that any other way gets

# Smooth and rugged ones, of 2 to 10 dimensions, six of each in a half.
PROBLEMS: dict[Half, tuple[str, ...]] = {
    "report": (
        "camel6",
        "levy13",
        "hartmann3",
        "salomon-d3",
        "colville",
        "levy-d4",
        "michalewicz-d5",
        "styblinski-d5",
        "dixonprice-d6",
        "griewank-d6",
        "zakharov-d8",
        "trid-d10",
    ),
    "tune": (
        "branin",
        "rastrigin-d2",
        "schwefel-d2",
        "alpine-d3",
        "sharp-d3",
        "cosine-d4",
        "rosenbrock-d4",
        "ackley-d5",
        "hartmann6",
        "alpine-d6",
        "powell-d8",
        "ackley-d10",
    ),
}
SPREAD: dict[Half, tuple[str, ...]] = {
    "report": ("camel6", "levy-d4", "griewank-d6", "trid-d10"),
    "tune": ("branin", "rosenbrock-d4", "hartmann6", "ackley-d10"),
}


@dataclass(frozen=True)
class Plan:
    """What to measure.

    names     of optimizers
    patterns  of problem names, as in a shell; none: those above
    cap       seconds that an optimizer may think in one study
    seen      observations before a batch whose spread or time is taken
    batch     points of the batch whose spread is taken
    timed     the problem on which batches of `sizes` are timed
    """

    names: tuple[str, ...] = (OURS, "optuna-tpe", "random")
    half: Half = "report"
    patterns: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    cap: float = 900.0
    seen: int = 30
    batch: int = 64
    scrambles: int = 16
    sizes: tuple[int, ...] = (1, 8, 64, 256, 1000)
    timed: str = "griewank-d6"

    def problems(self) -> list[str]:
        """The problems on which evaluations are counted."""
        return self._chosen(PROBLEMS[self.half])

    def spread(self) -> list[str]:
        """The problems on which the spread of a batch is taken."""
        return self._chosen(SPREAD[self.half])

    def _chosen(self, usual: tuple[str, ...]) -> list[str]:
        """Those of the patterns whose regret is known after each trial; without any, `usual`."""
        if not self.patterns:
            return list(usual)
        names = suite.Plan(patterns=self.patterns, half=self.half).problems()
        found = [catalog.summary(name) for name in names]
        return [one.name for one in found if one.known and not one.noisy]
