"""A trial: params that were proposed, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Value: TypeAlias = int | float | str | bool | None
State: TypeAlias = Literal["pending", "complete", "failed", "lost"]


@dataclass(frozen=True)
class Trial:
    """One evaluation of the objective, as it stands when you look; a new look gives a new Trial."""

    number: int
    params: dict[str, Value]
    state: State = "pending"
    value: float | None = None
    noise: float | None = None  # standard deviation of the value, where it was told
    error: str | None = None  # why it failed: "nan", "inf", a message or a traceback
    started: float | None = None  # Unix seconds
    finished: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict, repr=False)
    study: str = field(default="", repr=False)
    study_id: str = field(default="", repr=False, compare=False)

    def __getitem__(self, name: str) -> Value:
        return self.params[name]
