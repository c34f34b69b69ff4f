"""Bayesian optimization in a trust region: for long studies and many dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gpbo.check import whole
from gpbo.history import History
from gpbo.maximizer import Box, Settings, Situation, propose
from gpbo.maximizer.landscape import CELLS
from gpbo.seeding import generator
from gpbo.space import Params, Space
from gpbo.strategy.base import Proposal, Strategy
from gpbo.strategy.belief import Belief, believe, domain_of
from gpbo.strategy.device import check_device, devices, most_rows
from gpbo.strategy.draws import draw
from gpbo.strategy.fallback import best_mean_on, proposed_on
from gpbo.strategy.goal import acquisition_for
from gpbo.strategy.own_torch import own_torch
from gpbo.strategy.proposals import asks, flat, new_proposals
from gpbo.strategy.region import NAME, Region, region_of, run_at, since
from gpbo.strategy.sobol import start_design, start_size

MOST, EACH = 5000, 100  # candidates to draw for: EACH for a dimension, MOST at most; TuRBO's
# Points that are chosen one after the other; those after them in a batch are drawn. To draw all
# loses: docs/decisions/13-trust-region.md.
FEW = 32
ROWS = 2000  # observations of which the model of a run is exact, at most


@dataclass(frozen=True)
class TrustRegion(Strategy):
    """Proposals near the best point of the present run, as near as earlier ones proved useful.

    The first 32 of a batch have the highest log expected improvement in the region, one after the
    other. The rest are each the best candidate of one function drawn from the belief (Thompson
    sampling), so that a thousand cost seconds.

    device  "auto", "cpu", "cuda" or "cuda:N"; where a model fails on one, the CPU takes over, then
            Sobol points, with a warning and a note in the provenance
    budget  how many trials the study will have, if known: a small one starts on fewer points
    start   how many trials begin a run, before its first model; None: a number that suits the space

    Raises   DeviceError            if the device does not exist
             TypeError, ValueError  if start or budget is no whole number
    Source   TuRBO-1, Eriksson et al. 2019, arXiv:1910.01739
    """

    device: str = "auto"
    budget: int | None = None
    start: int | None = None

    def __post_init__(self) -> None:
        check_device(self.device)
        if self.start is not None:
            whole("TrustRegion start", self.start, 1)
        if self.budget is not None:
            whole("TrustRegion budget", self.budget, 0)

    @property
    def name(self) -> str:
        return NAME

    def starts(self, space: Space) -> int:
        """How many trials begin a run, before its first model."""
        return start_size(space, self.start, self.budget)

    def propose(self, history: History, n: int, seed: int) -> list[Proposal]:
        region = region_of(history)
        local = since(history, region.began)
        begin = n if flat(local) else max(0, min(n, self.starts(history.space) - len(local)))
        proposals = self._start(history, region, begin, seed)
        if len(proposals) == n or len(proposals) < begin:
            return proposals
        with own_torch():
            task = _Task(history, local, region, proposals, n - begin, seed)
            return proposals + self._by_model(task)

    def recommend(self, history: History) -> Params:
        """The complete trial with the best posterior mean, of the run with the best value."""
        local = since(history, *run_at(history, history.best.number))
        if local.count("complete") < 2:
            return history.best.params
        with own_torch():
            devices = self._devices(len(local), history.space)
            found = best_mean_on(devices, lambda device: _believe(local, 0, device, None), local)
        return history.best.params if found is None else found

    def _start(self, history: History, region: Region, n: int, seed: int) -> list[Proposal]:
        """The start of a run: points of the sequence that no run has had."""
        about = {"strategy": self.name, "phase": "start", "region": region.began}
        return start_design(history, n, seed, about)

    def _by_model(self, task: _Task) -> list[Proposal]:
        """Proposals of a model, on the first device where it works; else Sobol points."""

        def by_model(device: torch.device, about: dict[str, Any]) -> list[Proposal]:
            belief = _believe(task.local, task.seed, device, task.memory())
            return _Search(task, belief).proposals(about)

        def instead() -> list[Proposal]:
            known = len(task.before)
            return self._start(task.history, task.region, known + task.n, task.seed)[known:]

        size = max(len(task.local), task.candidates)
        return proposed_on(self._devices(size, task.history.space), by_model, instead)

    def _devices(self, size: int, space: Space) -> Iterator[tuple[torch.device, dict[str, Any]]]:
        return devices(self.device, size, domain_of(space, torch.device("cpu")).d)


@dataclass(frozen=True, eq=False)
class _Task:
    """What is to be proposed: n more points for a run, after those `before` in the same ask."""

    history: History
    local: History  # the run's trials
    region: Region
    before: list[Proposal]
    n: int
    seed: int

    @property
    def candidates(self) -> int:
        """How many points the drawn ones are chosen from; 0 where none are drawn."""
        if self.n <= FEW:
            return 0
        d = len(self.history.space.leaves)
        return max(min(EACH * d, MOST, CELLS // d), 2 * self.n)

    @property
    def first(self) -> int:
        """The number that the first point will have."""
        return len(self.history) + len(self.before)

    def rows(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The coordinates of the points before: (b, leaves)."""
        space = self.history.space
        rows = np.array([space.to_row(proposal.params) for proposal in self.before])
        return rows.reshape(len(self.before), len(space.leaves))

    def memory(self) -> Mapping[str, Any] | None:
        """What the run's newest model remembered."""
        for trial in reversed(self.history.trials[self.region.began :]):
            memory = trial.provenance.get("memory")
            if isinstance(memory, Mapping):
                return dict(memory)
        return None


@dataclass
class _Search:
    """Points of a trust region that are worth most by a belief."""

    task: _Task
    belief: Belief
    box: Box = field(init=False)
    known: Tensor = field(init=False)  # (n, p): every point that ended, of earlier runs too
    pending: Tensor = field(init=False)

    def __post_init__(self) -> None:
        task, belief = self.task, self.belief
        complete = belief.tried[~torch.isnan(belief.quality)]
        center = complete[belief.means().argmax()]
        self.box = Box.around(belief.domain, center, task.region.length, belief.lengthscale)
        earlier = belief.tried.new_tensor(task.history.rows[: task.region.began])
        self.known = torch.cat([belief.tried, belief.domain.snap(earlier)])
        self.pending = torch.cat([belief.pending, belief.pending.new_tensor(task.rows())])

    def proposals(self, about: dict[str, Any]) -> list[Proposal]:
        """The n points, each with its provenance; fewer where no more are left."""
        task, belief = self.task, self.belief
        z, values = self._greedy(min(task.n, FEW))
        greedy = len(z)
        if task.n > greedy == FEW:
            drawn = self._drawn(task.n - greedy, torch.cat([self.pending, z]))
            z, values = torch.cat([z, drawn[0]]), torch.cat([values, drawn[1]])
        about = {
            "strategy": NAME,
            "phase": "model",
            **about,
            "region": task.region.began,
            "batch": task.first,
            "length": task.region.length,
        }
        history, before = task.history, task.before
        return new_proposals(history, belief, before, (z, values), task.n, task.seed, about, greedy)

    def _greedy(self, n: int) -> tuple[Tensor, Tensor]:
        """The n points with the highest log expected improvement, beside those before them."""
        task, belief, pending = self.task, self.belief, self.pending
        rng = generator(task.seed, "region", task.first)
        beside = len(pending) + n - 1  # points that others are chosen beside
        acquisition = acquisition_for(belief, asks(task.history), beside, rng)
        quality = belief.quality.new_full((len(self.known),), torch.nan)
        quality[: len(belief.quality)] = belief.quality
        situation = Situation(self.known, quality, pending, belief.lengthscale, self.box)
        return propose(acquisition, belief.domain, n, situation, rng)

    def _drawn(self, n: int, pending: Tensor) -> tuple[Tensor, Tensor]:
        """Up to n points that are best by one draw of the belief each, pending ones counted in."""
        task, belief, domain = self.task, self.belief, self.belief.domain
        rng = generator(task.seed, "draws", task.first)
        if domain.size is not None and domain.size <= Settings().exhaustive:
            pool = domain.enumerate()
        else:
            pool = self.box.candidates(domain, task.candidates, rng)
        known = domain.snap(self.known)
        return draw(belief, pool, n, known, domain.snap(pending), rng)


def _believe(
    local: History, seed: int, device: torch.device, memory: Mapping[str, Any] | None
) -> Belief:
    most = min(most_rows(device, len(local)), ROWS)
    return believe(local, seed, device, memory, most=most)
