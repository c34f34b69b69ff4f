"""What stands for a strategy that only its object can make, where a study is opened without it."""

from __future__ import annotations

from dataclasses import dataclass

from gpbo.errors import StudyError
from gpbo.history import History
from gpbo.space import Params
from gpbo.strategy.base import Proposal, Strategy


@dataclass(frozen=True)
class Unmade(Strategy):
    """Lets a study be looked at and told; whoever asks hears that the object is needed."""

    known_as: str
    why: str

    @property
    def name(self) -> str:
        return self.known_as

    def propose(self, history: History, n: int, seed: int) -> list[Proposal]:
        raise self._needed()

    def exhausted(self, history: History) -> bool:
        return False

    def recommend(self, history: History) -> Params:
        raise self._needed()

    def _needed(self) -> StudyError:
        how = "To ask, open the study with it: Optimizer.load(..., strategy=...)."
        return StudyError(f"{self.why} {how}")
