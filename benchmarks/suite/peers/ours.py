"""gpbo's strategies, through its public interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import gpbo
from benchmarks.suite.peers.base import Params, Peer
from gpbo import Space


class Gpbo(Peer):
    """gpbo.Optimizer with one strategy."""

    strategy: ClassVar[str]
    modules: ClassVar[Sequence[str]] = ("gpbo.optimizer", "gpbo.storage")

    def __init__(self, space: Space, seed: int) -> None:
        self._opt = gpbo.Optimizer(space, strategy=self.strategy, seed=seed, device="cpu")

    def ask(self) -> Params | None:
        self._trial = self._opt.ask()
        return None if self._trial is None else dict(self._trial.params)

    def tell(self, params: Params, value: float | None) -> None:
        assert self._trial is not None
        if value is None:
            self._opt.tell(self._trial, failed=True)
        else:
            self._opt.tell(self._trial, value)


class GpboBayes(Gpbo):
    """The default strategy."""

    name, strategy = "gpbo", "bayes"
    modules = (*Gpbo.modules, "torch", "gpbo.strategy.bayes")

    def recommend(self) -> Params | None:
        return self._opt.recommend()


class GpboTrustRegion(Gpbo):
    """The strategy for long studies and many dimensions."""

    name, strategy = "gpbo-trust-region", "trust_region"
    modules = (*Gpbo.modules, "torch", "gpbo.strategy.trust_region")

    def recommend(self) -> Params | None:
        return self._opt.recommend()


class Random(Gpbo):
    """Independent draws."""

    name, strategy = "random", "random"


class Sobol(Gpbo):
    """A scrambled Sobol sequence."""

    name, strategy = "sobol", "sobol"


class Grid(Gpbo):
    """Every combination in turn, where they can be counted."""

    name, strategy = "grid", "grid"

    @classmethod
    def cannot(cls, space: Space) -> str | None:
        endless = [leaf.name for leaf in space.leaves if leaf.parameter.size is None]
        return f"{endless[0]} has no end of values" if endless else None
