"""What every strategy is: a pure function of (history, how many, seed) to proposals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from gpbo.history import History
from gpbo.space import Lattice, Params, Space


@dataclass(frozen=True)
class Proposal:
    """Params to try next, and who proposes them and why, in JSON terms."""

    params: Params
    provenance: dict[str, Any] = field(default_factory=dict)


class Strategy(ABC):
    """Decides what to try next.

    A strategy keeps no state of its own: what it wants to remember it writes into the provenance of
    its proposals, in JSON terms, and reads back from the history. Randomness comes from
    `seeding.generator(seed, purpose, trial number)`.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The name under which `Optimizer(strategy=...)` knows it, and provenance shows it."""

    @abstractmethod
    def propose(self, history: History, n: int, seed: int) -> list[Proposal]:
        """Up to n distinct points, none of them in the history; they get the next numbers in order.

        Fewer only where no more are left. Whoever asks gets a StrategyError where they are more, or
        do not fit the space, or their provenance is no dict in JSON terms.
        """

    def check(self, space: Space) -> None:
        """Refuse a space that the strategy cannot serve; most serve any.

        Raises   SpaceError
        """
        return None

    def size(self, space: Space) -> int | None:
        """How many points the strategy proposes in all; None where there is no end of them."""
        lattice = Lattice.of(space)
        return None if lattice is None else lattice.size

    def exhausted(self, history: History) -> bool:
        """Whether no point is left to propose."""
        return history.lattice is not None and history.distinct >= history.lattice.size

    def recommend(self, history: History) -> Params:
        """The params to use in the end: those of the best value, unless the strategy knows better.

        Raises   NoResultsError  if nothing is complete
        """
        return history.best.params
