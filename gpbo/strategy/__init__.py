"""Who proposes: strategies by name, each a pure function of the history."""

from __future__ import annotations

from typing import Any

from gpbo.errors import did_you_mean, explain
from gpbo.strategy.base import Proposal, Strategy

NAMES = ("bayes", "random", "grid", "sobol", "tpe", "trust_region")


def make(spec: Any, *, device: str = "auto", budget: int | None = None) -> Strategy:
    """The strategy that a name means; a Strategy object stands for itself.

    `device` and `budget` (how many trials the study will have, where that is known) are for the
    strategies that care.

    Raises   ValueError   if there is no strategy of this name
             TypeError    if it is neither a name nor a Strategy
             DeviceError  if the device does not exist
    """
    if isinstance(spec, Strategy):
        if device != "auto":
            fix = f"Give it to the strategy, as in gpbo.Bayes(device={device!r})."
            raise ValueError(explain("device", "not for a Strategy object", device, fix=fix))
        return spec
    if not isinstance(spec, str):
        raise TypeError(
            explain("strategy", "not a strategy", spec, expected=f"one of {NAMES} or a Strategy")
        )
    if spec == "bayes":  # imported here: most others need no torch
        from gpbo.strategy.bayes import Bayes

        return Bayes(device=device, budget=budget)
    if spec == "random":
        from gpbo.strategy.random import Random

        return Random()
    if spec == "grid":
        from gpbo.strategy.grid import Grid

        return Grid()
    if spec == "sobol":
        from gpbo.strategy.sobol import Sobol

        return Sobol()
    if spec == "tpe":
        from gpbo.strategy.tpe import TPE

        return TPE()
    if spec == "trust_region":
        from gpbo.strategy.trust_region import TrustRegion

        return TrustRegion(device=device, budget=budget)
    raise ValueError(f"strategy: unknown name {spec!r}. {did_you_mean(spec, NAMES)}")


__all__ = ["NAMES", "Proposal", "Strategy", "make"]
