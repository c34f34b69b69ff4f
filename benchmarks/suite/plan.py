"""Which runs are wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.suite import catalog
from benchmarks.suite.peers.lineup import PEERS
from benchmarks.suite.problem import KINDS
from benchmarks.suite.record import RESULTS

QUICK_PROBLEMS = (
    "branin",
    "hartmann6",
    "ackley-d5",
    "rosenbrock-d4",
    "levy-d10",
    "michalewicz-d5",
    "goldsteinprice",
    "hartmann6-d6-noise",
    "levy-d4-in-d100",
    "levy-d6-int",
    "ackley-d5-cat",
    "branches3",
    "training",
    "camel6-ball",
    "hartmann6-shell",
    "svr-diabetes",
)
QUICK_TRIALS = 40
SLOW = ("ax", "hebo", "turbo")  # up to seconds an ask: only where they are named


@dataclass(frozen=True)
class Plan:
    """What to run.

    patterns  of problem names, as in a shell; none: all
    kinds     of problems; none: all
    half      "tune", "report" or "all"
    trials    of a study; None: as many as the problem says
    cap       seconds that an optimizer may think in one study
    label     under which gpbo's runs are kept, to compare versions of it
    """

    peers: tuple[str, ...] = tuple(name for name in PEERS if name not in SLOW)
    patterns: tuple[str, ...] = ()
    kinds: tuple[str, ...] = KINDS
    half: str = "all"
    seeds: tuple[int, ...] = tuple(range(10))
    trials: int | None = None
    cap: float = 900.0
    jobs: int = 1
    label: str | None = None
    out: Path = field(default=RESULTS)

    def problems(self) -> list[str]:
        """The names of the problems, in the order of the catalog."""
        return [name for name in catalog.makers() if self._wants(name)]

    def runs(self) -> list[Run]:
        """All runs; every peer has a seed before the next begins, so that pairs are complete."""
        names = self.problems()
        return [
            Run(name, peer, seed, self._label(peer), self.trials, self.cap)
            for seed in self.seeds
            for name in names
            for peer in self.peers
        ]

    def _label(self, peer: str) -> str:
        return self.label if self.label and peer == "gpbo" else peer

    def _wants(self, name: str) -> bool:
        if self.patterns and not any(fnmatch(name, pattern) for pattern in self.patterns):
            return False
        problem = catalog.summary(name)
        return problem.kind in self.kinds and self.half in ("all", problem.half)


@dataclass(frozen=True)
class Run:
    """One study: `peer` is who runs, `label` the name under which it is kept."""

    problem: str
    peer: str
    seed: int
    label: str
    trials: int | None
    cap: float

    @property
    def key(self) -> tuple[str, str, int]:
        """As `record.key_of`."""
        return self.problem, self.label, self.seed

    @property
    def planned(self) -> int:
        """How many trials it shall have."""
        return self.trials or catalog.summary(self.problem).trials
