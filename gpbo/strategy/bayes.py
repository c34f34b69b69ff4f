"""Bayesian optimization: a Gaussian process and expected improvement, in any space and batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gpbo.check import whole
from gpbo.history import History
from gpbo.maximizer import Settings, Situation, best_known, candidates, propose
from gpbo.seeding import generator
from gpbo.space import Params, Space
from gpbo.strategy.base import Proposal, Strategy
from gpbo.strategy.belief import Belief, believe, domain_of
from gpbo.strategy.crowd import looking_past, overview
from gpbo.strategy.device import check_device, devices, exact_rows, most_rows
from gpbo.strategy.draws import draw
from gpbo.strategy.fallback import best_mean_on, proposed_on, warn_fallback
from gpbo.strategy.goal import acquisition_for
from gpbo.strategy.own_torch import own_torch
from gpbo.strategy.proposals import BESIDE, asks, flat, new_proposals
from gpbo.strategy.sobol import start_design, start_size
from gpbo.surrogate.base import Surrogate

GREEDY = 64  # points of a batch that are chosen one after the other; those after them are drawn
CANDIDATES = 3072  # of which the drawn ones are chosen, or 3 for each


@dataclass(frozen=True)
class Bayes(Strategy):
    """Expected improvement of a Gaussian process, maximized (Jones, Schonlau & Welch 1998).

    Up to 64 points of a batch are chosen one after the other, of a larger one the rest are each the
    best candidate of one function drawn from the belief (Thompson sampling).

    device  "auto", "cpu", "cuda" or "cuda:N"; where a model fails on one, the CPU takes over, then
            Sobol points, with a warning and a note in the provenance
    budget  how many trials the study will have, if known: a small one starts on fewer points
    start   how many trials come before the first model; None: a number that suits the space
    surrogate  what models the objective: a Surrogate, a GPyTorch kernel, or a function that makes
            one for d, the number of encoded columns; None: a Gaussian process

    Raises   DeviceError  if the device does not exist
             TypeError, ValueError  if the surrogate is none, or start or budget no whole number
    """

    device: str = "auto"
    budget: int | None = None
    start: int | None = None
    surrogate: Any = None

    def __post_init__(self) -> None:
        check_device(self.device)
        if self.start is not None:
            whole("Bayes start", self.start, 1)
        if self.budget is not None:
            whole("Bayes budget", self.budget, 0)
        object.__setattr__(self, "surrogate", _surrogate(self.surrogate))

    @property
    def name(self) -> str:
        return "bayes"

    def starts(self, space: Space) -> int:
        """How many trials come before the first model."""
        return start_size(space, self.start, self.budget)

    def propose(self, history: History, n: int, seed: int) -> list[Proposal]:
        first, starts = len(history), self.starts(history.space)
        begin = n if flat(history) else max(0, min(n, starts - first))
        proposals = self._start(history, begin, seed)
        if len(proposals) == n or len(proposals) < begin:
            return proposals
        with own_torch():
            return proposals + self._by_model(history, proposals, n - begin, seed)

    def recommend(self, history: History) -> Params:
        """The complete trial with the best posterior mean."""
        if history.count("complete") < 2:
            return history.best.params
        with own_torch():
            found = best_mean_on(
                self._devices(history), lambda device: self._believe(history, 0, device), history
            )
        return history.best.params if found is None else found

    def _start(self, history: History, n: int, seed: int) -> list[Proposal]:
        return start_design(history, n, seed, {"strategy": self.name, "phase": "start"})

    def _by_model(
        self, history: History, before: list[Proposal], n: int, seed: int
    ) -> list[Proposal]:
        """n proposals of a model, on the first device where it works; else Sobol points."""

        def by_model(device: torch.device, about: dict[str, Any]) -> list[Proposal]:
            about |= {"strategy": self.name, "phase": "model"}
            past = looking_past(asks(history), n)
            apart = overview(history, domain_of(history.space, device)) if past else None
            past = 0 if apart is None else past
            found: list[Proposal] = []
            for count, scale in ((n - past, None), (past, apart)):
                if count:
                    belief = self._believe(history, seed, device, scale)
                    about["fallback"] = about["fallback"] or _left_out(belief, history)
                    greedy = count if n <= GREEDY else max(1, GREEDY * count // n)
                    done = before + found
                    found += self._maximize(history, belief, done, count, greedy, seed, about)
                    about[BESIDE] = True
            return found

        def instead() -> list[Proposal]:
            return self._start(history, len(before) + n, seed)[len(before) :]

        return proposed_on(self._devices(history), by_model, instead)

    def _believe(
        self, history: History, seed: int, device: torch.device, apart: Tensor | None = None
    ) -> Belief:
        rows = exact_rows if self.surrogate is None else most_rows
        most, memory = rows(device, len(history)), _memory(history, apart is not None)
        return believe(history, seed, device, memory, self.surrogate, most, apart)

    def _devices(self, history: History) -> Iterator[tuple[torch.device, dict[str, Any]]]:
        columns = domain_of(history.space, torch.device("cpu")).d
        return devices(self.device, len(history), columns)

    def _maximize(
        self,
        history: History,
        belief: Belief,
        before: list[Proposal],
        n: int,
        greedy: int,
        seed: int,
        about: dict[str, Any],
    ) -> list[Proposal]:
        """The n points where the acquisition is highest, those `before` in this ask counted in; the
        first `greedy` ones are chosen one after the other, the rest drawn.
        """
        rows = np.array([history.space.to_row(p.params) for p in before])
        rows = rows.reshape(len(before), len(history.space.leaves))
        pending = torch.cat([belief.pending, belief.pending.new_tensor(rows)])
        situation = Situation(belief.tried, belief.quality, pending, belief.lengthscale)
        rng = generator(seed, "maximize", len(history) + len(before))
        beside = len(pending) + greedy - 1  # points that others are chosen beside
        acquisition = acquisition_for(belief, asks(history), beside, rng)
        z, values = propose(acquisition, belief.domain, greedy, situation, rng)
        chosen = len(z)
        if n > chosen == greedy:
            more = _drawn(belief, n - greedy, torch.cat([pending, z]), rng)
            z, values = torch.cat([z, more[0]]), torch.cat([values, more[1]])
        return new_proposals(history, belief, before, (z, values), n, seed, about, chosen)


def _drawn(
    belief: Belief, n: int, pending: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Up to n more points of a batch, for which choosing them one by one would take too long."""
    domain, known = belief.domain, belief.domain.snap(belief.tried)
    count = max(CANDIDATES, 3 * n)
    settings = Settings(sobol=count // 2, local=count - count // 2)
    if domain.size is not None and domain.size <= settings.exhaustive:
        pool = domain.enumerate()
    else:
        good = best_known(known, belief.quality, settings)
        pool = candidates(domain, good, rng, settings)
    return draw(belief, pool, n, known, domain.snap(pending), rng)


def _memory(history: History, overview: bool) -> Mapping[str, Any] | None:
    """What the newest model in the history remembered, of those with targets scaled that way."""
    for trial in reversed(history.trials):
        memory = trial.provenance.get("memory")
        if isinstance(memory, Mapping) and memory.get("overview", False) == overview:
            return dict(memory)
    return None


def _left_out(belief: Belief, history: History) -> str | None:
    """What to say where the memory was too small for a model of every trial."""
    if belief.observations == len(history.complete):
        return None
    said = f"the model is of {belief.observations} of {len(history.complete)} trials: memory"
    warn_fallback(f"ask: {said}")
    return said


def _surrogate(spec: Any) -> Surrogate | None:
    """The surrogate that a setting means; None: the default.

    Raises   TypeError  if it means none
    """
    if spec is None or isinstance(spec, Surrogate):
        return spec
    from gpbo.surrogate.custom import CustomSurrogate  # imported here: it needs GPyTorch

    return CustomSurrogate.from_kernel(spec)
