"""How an optimizer shall work, beside what its study says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpbo.check import flag, one_of, whole
from gpbo.errors import SpaceError, StudyError, shorten
from gpbo.space import Space
from gpbo.strategy import Strategy, kept_name, make
from gpbo.strategy.unmade import Unmade


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

    def strategy_on(self, header: Mapping[str, Any], space: Space) -> Strategy:
        """The same, which suits the space.

        Raises   StudyError  as `strategy_for`, and if only the settings that are left out suit it
                 SpaceError  if the one that was named does not
        """
        strategy, made_with = self.strategy_for(header), header.get("made_with")
        try:
            strategy.check(space)
        except SpaceError as error:
            if self.strategy is not None or made_with is None:
                raise
            rule = f"the study was made with strategy={made_with}: give it again"
            raise StudyError(f"{rule}. Without: {error}") from error
        return strategy

    def strategy_to_look(self, header: Mapping[str, Any], space: Space) -> Strategy:
        """The same; where only an object makes it and none was given, one that proposes nothing."""
        try:
            return self.strategy_on(header, space)
        except (StudyError, SpaceError) as error:
            if self.strategy is not None:
                raise
            return Unmade(str(header.get("strategy")), str(error))

    def other_settings(self, header: Mapping[str, Any], strategy: Strategy) -> str | None:
        """What the study was made with, if that was an object and another one goes on."""
        made_with: str | None = header.get("made_with")
        same = made_with == shorten(strategy) or isinstance(strategy, Unmade)
        if self.strategy is not None or same:
            return None
        return made_with

    def _make(self, strategy: str | Strategy) -> Strategy:
        return make(strategy, device=self.device, budget=self.budget)
