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
            models = self._models(history, n, seed, device)
            about["fallback"] = about["fallback"] or _left_out(models[0][0], history)
            about |= {"strategy": self.name, "phase": "model"}
            return _Ask(history, before, n, seed).proposals(models, about)

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

    def _models(
        self, history: History, n: int, seed: int, device: torch.device
    ) -> list[tuple[Belief, int]]:
        """What is believed, and how many of n points it proposes: the usual model, and one that
        looks past a crowd.
        """
        past = looking_past(asks(history), n)
        apart = overview(history, domain_of(history.space, device)) if past else None
        if apart is None:
            past = 0
        return [
            (self._believe(history, seed, device, scale), count)
            for count, scale in ((n - past, None), (past, apart))
            if count
        ]


@dataclass(frozen=True, eq=False)
class _Ask:
    """What is asked for: n more points of a model, after those `before` in the same ask."""

    history: History
    before: list[Proposal]
    n: int
    seed: int

    def proposals(self, models: list[tuple[Belief, int]], about: dict[str, Any]) -> list[Proposal]:
        """The points of each model in turn: those that are chosen, then those that are drawn.

        They are found the other way round, all that are chosen first: to choose points one by one
        beside many takes long.
        """
        found: list[tuple[Tensor, Tensor]] = []
        for belief, count in models:
            most = min(count, max(1, GREEDY * count // self.n))
            found.append(self._choose(belief, most, [z for z, _ in found]))
        chosen = [z for z, _ in found]
        made: list[Proposal] = []
        for k, (belief, count) in enumerate(models):
            z, values = found[k]
            if count > len(z):
                earlier = [points for points, _ in found[:k]]
                more = self._draw(belief, count - len(z), chosen, earlier)
                found[k] = torch.cat([z, more[0]]), torch.cat([values, more[1]])
            made += new_proposals(
                *(self.history, belief, self.before + made, found[k]),
                *(count, self.seed, about, len(z)),
            )
            about = {**about, BESIDE: True}
        return made

    def _choose(self, belief: Belief, n: int, beside: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Up to n points, each with the highest acquisition beside those before it.

        Shapes   beside [(m, p)] -> (k, p), (k,)
        """
        pending = self._pending(belief, beside)
        situation = Situation(belief.tried, belief.quality, pending, belief.lengthscale)
        rng = self._random("maximize", beside)
        acquisition = acquisition_for(belief, asks(self.history), len(pending) + n - 1, rng)
        return propose(acquisition, belief.domain, n, situation, rng)

    def _draw(
        self, belief: Belief, n: int, beside: list[Tensor], known: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Up to n more points, for which choosing them one by one would take too long: with what
        the points `beside` will tell, and none of the `known`.

        Shapes   beside and known [(m, p)] -> (k, p), (k,)
        """
        domain, rng = belief.domain, self._random("draw", known)
        tried = domain.snap(torch.cat([belief.tried, *known]))
        count = max(CANDIDATES, 3 * n)
        settings = Settings(sobol=count // 2, local=count - count // 2)
        if domain.size is not None and domain.size <= settings.exhaustive:
            pool = domain.enumerate()
        else:
            good = best_known(tried[: len(belief.tried)], belief.quality, settings)
            pool = candidates(domain, good, rng, settings)
        pending = domain.snap(self._pending(belief, beside))
        return draw(belief, pool, n, tried, pending, rng)

    def _pending(self, belief: Belief, beside: list[Tensor]) -> Tensor:
        """What will be known by then: what is pending, what this ask has already, and more."""
        rows = np.array([self.history.space.to_row(one.params) for one in self.before])
        rows = rows.reshape(len(self.before), len(self.history.space.leaves))
        return torch.cat([belief.pending, belief.pending.new_tensor(rows), *beside])

    def _random(self, purpose: str, others: list[Tensor]) -> np.random.Generator:
        number = len(self.history) + len(self.before) + sum(map(len, others))
        return generator(self.seed, purpose, number)


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
