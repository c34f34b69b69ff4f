"""Values from a list: Categorical, Ordinal, Bool, and Constant, which has just one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, cast

from gpbo.errors import GpboWarning, SpaceError, did_you_mean, explain, hint_keywords, shorten, warn
from gpbo.space.parameter import MANY_CHOICES, Kind, Parameter, Value, center, interval, plain

Positions: TypeAlias = dict[tuple[bool, Value], int]  # (is it a bool, value) -> where it stands


@dataclass(frozen=True, init=False)
class Categorical(Parameter):
    """One of several values without an order; each comes back with its own type, None included.

    Raises   SpaceError  if there are none, two are equal, or one is not a JSON scalar
             TypeError   if the choices are one string instead of a list
    """

    choices: tuple[Value, ...]

    @hint_keywords
    def __init__(self, choices: Iterable[Value]) -> None:
        object.__setattr__(self, "choices", check_choices("Categorical", choices))

    @cached_property
    def positions(self) -> Positions:
        """Where each choice stands."""
        return numbered(self.choices)

    @property
    def kind(self) -> Kind:
        return "category"

    @property
    def size(self) -> int:
        return len(self.choices)

    def from_unit(self, u: float) -> Value:
        return self.choices[interval(u, len(self.choices))]

    def to_unit(self, value: Value) -> float:
        return center(position(value, self.positions), len(self.choices))

    def canonical(self, value: Any, clip: bool = False) -> Value:
        return self.choices[position(value, self.positions)]

    def to_dict(self) -> dict[str, Any]:
        return {"type": "categorical", "choices": list(self.choices)}


@dataclass(frozen=True, init=False)
class Ordinal(Parameter):
    """One of several values in a meaningful order; neighbours are expected to behave alike.

    Raises   as Categorical
    """

    choices: tuple[Value, ...]

    @hint_keywords
    def __init__(self, choices: Iterable[Value]) -> None:
        object.__setattr__(self, "choices", check_choices("Ordinal", choices))

    @cached_property
    def positions(self) -> Positions:
        """Where each choice stands."""
        return numbered(self.choices)

    @property
    def kind(self) -> Kind:
        return "levels"

    @property
    def size(self) -> int:
        return len(self.choices)

    def from_unit(self, u: float) -> Value:
        return self.choices[interval(u, len(self.choices))]

    def to_unit(self, value: Value) -> float:
        return center(position(value, self.positions), len(self.choices))

    def canonical(self, value: Any, clip: bool = False) -> Value:
        return self.choices[position(value, self.positions)]

    def to_dict(self) -> dict[str, Any]:
        return {"type": "ordinal", "choices": list(self.choices)}


@dataclass(frozen=True)
class Bool(Parameter):
    """False or True, in this order."""

    @property
    def kind(self) -> Kind:
        return "category"

    @property
    def size(self) -> int:
        return 2

    def from_unit(self, u: float) -> bool:
        return bool(interval(u, 2))

    def to_unit(self, value: Value) -> float:
        return center(int(bool(value)), 2)

    def canonical(self, value: Any, clip: bool = False) -> bool:
        value = plain(value)
        if not isinstance(value, bool):
            raise ValueError(f"not a bool, got {shorten(value)}; expected True or False")
        return value

    def to_dict(self) -> dict[str, Any]:
        return {"type": "bool"}


@dataclass(frozen=True, init=False)
class Constant(Parameter):
    """A value that never changes and takes no coordinate; a JSON scalar in a space becomes one."""

    value: Value

    @hint_keywords
    def __init__(self, value: Value) -> None:
        object.__setattr__(self, "value", scalar("a constant", value))

    @property
    def kind(self) -> Kind:
        return "category"

    @property
    def size(self) -> int:
        return 1

    def from_unit(self, u: float) -> Value:
        return self.value

    def to_unit(self, value: Value) -> float:
        return 0.5

    def canonical(self, value: Any, clip: bool = False) -> Value:
        if not same(plain(value), self.value):
            raise ValueError(f"a constant, got {shorten(value)}; expected {shorten(self.value)}")
        return self.value

    def to_dict(self) -> dict[str, Any]:
        return {"type": "constant", "value": self.value}


def same(a: Any, b: Any) -> bool:
    """Equal JSON scalars, and both or neither of them a bool (in Python True == 1)."""
    return _is_scalar(a) and isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def numbered(choices: Iterable[Value]) -> Positions:
    """Where each of several different choices stands, for `position`."""
    return {(isinstance(choice, bool), choice): index for index, choice in enumerate(choices)}


def position(value: Any, positions: Positions) -> int:
    """Where a value stands among the choices.

    Raises   ValueError  if it does not
    """
    value = plain(value)
    if _is_scalar(value):
        index = positions.get((isinstance(value, bool), value))
        if index is not None:
            return index
    choices = [choice for _, choice in positions]
    wrong = f"not one of the choices, got {shorten(value)}; expected one of {shorten(choices)}"
    hint = did_you_mean(value, choices) if isinstance(value, str) else ""
    raise ValueError(f"{wrong}. {hint}" if hint.startswith("Did") else wrong)


def scalar(owner: str, value: Any) -> Value:
    """A JSON scalar as a plain value.

    Raises   SpaceError  if it is anything else, a float that is not finite, or half a character
    """
    value = plain(value)
    if not _is_scalar(value):
        expected, fix = "str, int, float, bool or None", "Use names and map in your code."
        raise SpaceError(explain(owner, "JSON scalars only", value, expected=expected, fix=fix))
    if isinstance(value, float) and not math.isfinite(value):
        fix = "JSON has no nan and no inf: use None or a name."
        raise SpaceError(explain(owner, "not finite", value, fix=fix))
    if isinstance(value, str):
        check_text(owner, value)
    return cast(Value, value)


def check_text(owner: str, text: str) -> None:
    """Refuse text that cannot be written to a file.

    Raises   SpaceError  if it holds a surrogate without its other half
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SpaceError(explain(owner, "text that is not valid Unicode", text)) from None


def check_choices(owner: str, choices: Iterable[Value]) -> tuple[Value, ...]:
    """The choices of a parameter as plain values, or the reason why not."""
    expected = "a list of choices"
    if isinstance(choices, (str, bytes)):
        fix = f"Did you mean [{shorten(choices)}]?"
        raise TypeError(explain(owner, "one string", choices, expected=expected, fix=fix))
    if isinstance(choices, (set, frozenset)):
        fix = "Its order changes from run to run: write a list, or sorted(...)."
        raise TypeError(explain(owner, "a set", choices, expected=expected, fix=fix))
    if isinstance(choices, Mapping) or not isinstance(choices, Iterable):
        fix = "For branches with parameters of their own use gpbo.Choice."
        raise TypeError(explain(owner, "not a list", choices, expected=expected, fix=fix))
    values = tuple(scalar(owner, choice) for choice in choices)
    if not values:
        raise SpaceError(explain(owner, "no choices", list(values), expected="at least one"))
    groups: dict[Value, list[Value]] = {}  # 1, 1.0 and True are one key
    for value in values:
        groups.setdefault(value, []).append(value)
    if len(groups) < len(values):
        equal = [group for group in groups.values() if len(group) > 1]
        fix = "Keep one of each (1, 1.0 and True count as one)."
        raise SpaceError(explain(owner, "choices are equal", equal, fix=fix))
    if len(values) > MANY_CHOICES:
        message = f"{owner}: {len(values)} choices make every proposal slow; is it a number?"
        warn(message, GpboWarning)
    return values
