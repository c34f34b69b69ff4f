"""A trial: params that were proposed, and what became of them."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

State: TypeAlias = Literal["pending", "complete", "failed"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Trial:
    """One evaluation of the objective, as it stands when you look; a new look gives a new Trial."""

    number: int
    params: dict[str, Any]  # int, float, str, bool or None
    state: State = "pending"
    value: float | None = None
    noise: float | None = None  # standard deviation of the value, where it was told
    error: str | None = None  # why it failed: "nan", "inf", "-inf", a message or a traceback
    started: float | None = None  # Unix seconds
    finished: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict, repr=False)
    study: str = field(default="", repr=False)
    study_id: str = field(default="", repr=False, compare=False)

    def __getitem__(self, name: str) -> Any:
        return self.params[name]

    def __contains__(self, name: object) -> bool:
        return name in self.params

    def __iter__(self) -> Iterator[str]:
        return iter(self.params)

    def keys(self) -> KeysView[str]:
        """The names of the params; with it, `dict(trial)` and `**trial` are the params."""
        return self.params.keys()

    def values(self) -> ValuesView[Any]:
        """The values of the params."""
        return self.params.values()

    def items(self) -> ItemsView[str, Any]:
        """The params by name."""
        return self.params.items()

    def __len__(self) -> int:
        return len(self.params)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a param, or the default where the trial does not have it."""
        return self.params.get(name, default)

    def __hash__(self) -> int:
        return hash((self.study_id, self.number))

    def copy(self) -> Trial:
        """The same trial with dicts and lists of its own, which a caller may change."""
        return replace(self, params=dict(self.params), provenance=deepcopy(self.provenance))
