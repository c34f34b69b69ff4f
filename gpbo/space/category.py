"""Values from a list: Categorical, Ordinal, Bool, and Constant, which has just one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from gpbo.errors import GpboWarning, SpaceError, explain, shorten
from gpbo.space.parameter import MANY_CHOICES, Kind, Parameter, Value, center, interval, plain


@dataclass(frozen=True, init=False)
class Categorical(Parameter):
    """One of several values without an order; each comes back with its own type, None included.

    Raises   SpaceError  if there are none, two are equal, or one is not a JSON scalar
             TypeError   if the choices are one string instead of a list
    """

    choices: tuple[Value, ...]

    def __init__(self, choices: Iterable[Value]) -> None:
        object.__setattr__(self, "choices", check_choices("Categorical", choices))

    @property
    def kind(self) -> Kind:
        return "category"

    @property
    def size(self) -> int:
        return len(self.choices)

    def from_unit(self, u: float) -> Value:
        return self.choices[interval(u, len(self.choices))]

    def to_unit(self, value: Value) -> float:
        return center(position(value, self.choices), len(self.choices))

    def canonical(self, value: Any, clip: bool = False) -> Value:
        return self.choices[position(value, self.choices)]

    def to_dict(self) -> dict[str, Any]:
        return {"type": "categorical", "choices": list(self.choices)}


@dataclass(frozen=True, init=False)
class Ordinal(Parameter):
    """One of several values in a meaningful order; neighbours are expected to behave alike.

    Raises   as Categorical
    """

    choices: tuple[Value, ...]

    def __init__(self, choices: Iterable[Value]) -> None:
        object.__setattr__(self, "choices", check_choices("Ordinal", choices))

    @property
    def kind(self) -> Kind:
        return "levels"

    @property
    def size(self) -> int:
        return len(self.choices)

    def from_unit(self, u: float) -> Value:
        return self.choices[interval(u, len(self.choices))]

    def to_unit(self, value: Value) -> float:
        return center(position(value, self.choices), len(self.choices))

    def canonical(self, value: Any, clip: bool = False) -> Value:
        return self.choices[position(value, self.choices)]

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
            raise ValueError(f"not a bool, got {value!r}; expected True or False")
        return value

    def to_dict(self) -> dict[str, Any]:
        return {"type": "bool"}


@dataclass(frozen=True, init=False)
class Constant(Parameter):
    """A value that never changes and takes no coordinate; a JSON scalar in a space becomes one."""

    value: Value

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
            raise ValueError(f"a constant, got {value!r}; expected {self.value!r}")
        return self.value

    def to_dict(self) -> dict[str, Any]:
        return {"type": "constant", "value": self.value}


def same(a: Any, b: Any) -> bool:
    """Equal, and both or neither of them a bool (in Python True == 1)."""
    return isinstance(a, bool) == isinstance(b, bool) and type(a) is not complex and bool(a == b)


def position(value: Any, choices: tuple[Value, ...]) -> int:
    """Where a value stands among the choices.

    Raises   ValueError  if it does not
    """
    value = plain(value)
    if isinstance(value, (str, int, float, bool)) or value is None:
        for index, choice in enumerate(choices):
            if same(value, choice):
                return index
    raise ValueError(f"not one of the choices, got {shorten(value)}; expected {shorten(choices)}")


def scalar(owner: str, value: Any) -> Value:
    """A JSON scalar as a plain value.

    Raises   SpaceError  if it is anything else, or a float that is not finite
    """
    value = plain(value)
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise SpaceError(
            explain(
                owner,
                "JSON scalars only (str, int, float, bool, None)",
                value,
                fix="Use names and map them to objects in your code.",
            )
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(explain(owner, "not finite", value))
    return cast(Value, value)


def check_choices(owner: str, choices: Iterable[Value]) -> tuple[Value, ...]:
    """The choices of a parameter as plain values, or the reason why not."""
    if isinstance(choices, (str, bytes)):
        raise TypeError(
            explain(owner, "one string", choices, expected="a list of choices")
            + f". Did you mean [{choices!r}]?"
        )
    if isinstance(choices, Mapping) or not isinstance(choices, Iterable):
        fix = "For branches with parameters of their own use gpbo.Choice."
        raise TypeError(
            explain(owner, "not a list", choices, expected="a list of choices", fix=fix)
        )
    values = tuple(scalar(owner, choice) for choice in choices)
    if not values:
        raise SpaceError(explain(owner, "no choices", list(values), expected="at least one"))
    seen: dict[Value, Value] = {}
    for value in values:
        if value in seen:  # 1, 1.0 and True are one key, as in JSON readers of other languages
            raise SpaceError(explain(owner, "choices are equal", [seen[value], value]))
        seen[value] = value
    if len(values) > MANY_CHOICES:
        message = f"{owner}: {len(values)} choices make every proposal slow; is it a number?"
        warnings.warn(message, GpboWarning, stacklevel=4)
    return values
