"""Who proposes: strategies by name, each a pure function of the history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpbo.errors import StudyError, did_you_mean, explain
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


def kept_name(header: Mapping[str, Any]) -> str:
    """The name of the strategy that a study was made with; "bayes" where there is none yet.

    Raises   StudyError  if it is none that a name alone can make
    """
    name: str = header.get("strategy", "bayes")
    if name not in NAMES:
        rule, fix = f"one of {NAMES}", "Give the Strategy object, or another strategy."
        wrong = "the study was made with an object that a name cannot make"
        raise StudyError(explain("strategy", wrong, name, expected=rule, fix=fix))
    return name


__all__ = ["NAMES", "Proposal", "Strategy", "kept_name", "make"]
