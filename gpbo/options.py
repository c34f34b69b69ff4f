"""How an optimizer shall work, beside what its study says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpbo.check import flag, one_of, whole
from gpbo.strategy import Strategy, kept_name, make


@dataclass(frozen=True)
class Options:
    """As the arguments of Optimizer.

    Raises   DeviceError, TypeError, ValueError  if one makes no sense
    """

    strategy: str | Strategy | None = None
    device: str = "auto"
    on_nan: str = "fail"
    keep_trials: bool = False
    budget: int | None = None

    def __post_init__(self) -> None:
        one_of("on_nan", self.on_nan, ("fail", "raise"))
        flag("keep_trials", self.keep_trials)
        if self.budget is not None:
            object.__setattr__(self, "budget", whole("budget", self.budget, 0))
        if self.strategy is not None or self.device != "auto":  # else there is nothing to refuse
            self.strategy_for({})

    def strategy_for(self, header: Mapping[str, Any]) -> Strategy:
        """The strategy that was named, else that of the study with this header.

        Raises   StudyError  if that is one which a name cannot make
        """
        return self._make(kept_name(header) if self.strategy is None else self.strategy)

    def _make(self, strategy: str | Strategy) -> Strategy:
        return make(strategy, device=self.device, budget=self.budget)
