"""What every parameter can do: check a value, and map it to a coordinate in [0, 1] and back.

A coordinate u is uniform: drawing u uniformly and decoding it samples the parameter's own scale
(logarithmic, stepped, a distribution). A discrete value owns an interval of u and is encoded as a
fixed point inside it, so encode and decode are inverse to each other, bit for bit. Continuous
coordinates live on the lattice of multiples of 2**-40, which makes that exact for them too.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Literal, TypeAlias

from gpbo.errors import SpaceError, explain, shorten

Value: TypeAlias = int | float | str | bool | None
Params: TypeAlias = dict[str, Any]  # of Values; Any, so that users may say dict[str, float]
Kind: TypeAlias = Literal["continuous", "levels", "category"]

PLAIN = frozenset({str, int, float, bool, type(None)})
LATTICE = 2**40  # continuous coordinates are multiples of 1/LATTICE: about 1e-12 of the range
COUNTABLE = 2**50  # of more values the middles of their intervals are no longer exact in float64
MANY_CHOICES = 10_000


class Parameter(ABC):
    """One thing to tune: which values it takes, and where each lies in [0, 1]."""

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """How the coordinate behaves: continuous, ordered levels, or categories without order."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """How many distinct values there are; None where they are not countable."""

    @abstractmethod
    def from_unit(self, u: float) -> Value:
        """The value at coordinate u in [0, 1]."""

    @abstractmethod
    def to_unit(self, value: Value) -> float:
        """The coordinate of a valid value; `from_unit` of it gives the value back."""

    @abstractmethod
    def canonical(self, value: Any, clip: bool = False) -> Value:
        """The value as the parameter's own type; with `clip`, moved to the nearest valid one.

        Raises   ValueError  that completes the sentence "'lr': ...", if the value is not allowed
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The parameter in JSON terms; `notation.from_dict` reads it back."""

    def value_at(self, index: int) -> Value:
        """The value number `index` of a parameter of known size, in its own order."""
        assert self.size is not None
        return self.from_unit(center(index, self.size))


def center(index: int, size: int) -> float:
    """The middle of interval number `index` of `size` equal ones, on the lattice if too many."""
    u = (index + 0.5) / size
    return u if size <= COUNTABLE else snap(u)


def interval(u: float, size: int) -> int:
    """Which of `size` equal intervals of [0, 1] holds u."""
    if size > COUNTABLE:
        u = snap(u)
    return min(max(int(u * size), 0), size - 1)


def snap(u: float, lattice: int = LATTICE) -> float:
    """The nearest lattice coordinate in [0, 1]."""
    return min(max(round(u * lattice) / lattice, 0.0), 1.0)


def plain(value: Any) -> Any:
    """A NumPy or torch scalar, or a member of an Enum of str or int, as a plain Python value.

    Anything else comes back as it is.
    """
    if type(value) in PLAIN:
        return value
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    for kind in (str, int, float):
        if isinstance(value, kind) and type(value) not in (kind, bool):
            return str.__str__(value) if kind is str else kind(value)
    return value


def whole_number(owner: str, name: str, value: Any) -> int:
    """A bound or a step as an int.

    Raises   TypeError   if it is a bool or not a whole number
             SpaceError  beyond 2**53, where float64 no longer holds every integer
    """
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _not_a_number(f"{owner} {name}", value, "an int")
    if isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(explain(f"{owner} {name}", f"{_plural(name)} be finite", value))
    if value != int(value):
        wrong = f"{owner} {_plural(name)} be whole numbers"
        fix = "Use gpbo.Float, or round it."
        raise TypeError(explain(f"{owner} {name}", wrong, value, expected="an int", fix=fix))
    if abs(value) > 2**53:
        raise SpaceError(
            explain(f"{owner} {name}", "beyond exact range", value, expected="-2**53 .. 2**53")
        )
    return int(value)


def finite_number(owner: str, name: str, value: Any) -> float:
    """A bound or a step as a finite float.

    Raises   TypeError   if it is no number
             SpaceError  if it is nan or infinite
    """
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _not_a_number(f"{owner} {name}", value, "a float")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise SpaceError(
            explain(
                f"{owner} {name}",
                f"{_plural(name)} be finite",
                value,
                expected="a number of at most 1.8e308",
            )
        )
    return number


def _plural(name: str) -> str:
    return "steps must" if name == "step" else "bounds must"


def _not_a_number(where: str, value: Any, expected: str) -> TypeError:
    fix = ""
    if isinstance(value, str):
        try:
            fix = f"It is text: write {float(value)!r}, without quotes (in YAML 1.0e-5, not 1e-5)."
        except ValueError:
            fix = "A parameter's name goes into the dict: {'lr': gpbo.Float(1e-5, 1e-1)}."
    return TypeError(explain(where, "not a number", value, expected=expected, fix=fix))


def number_for(value: Any) -> float | int:
    """A user's value as a number that fits a finite float, for `canonical` of numeric parameters.

    Raises   ValueError  if it is anything else
    """
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"not a number, got {shorten(value)}; expected a number")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        raise ValueError(f"does not fit float64, got {shorten(value)}") from None
    if not finite:
        raise ValueError(f"not finite, got {value!r}")
    return value


def outside(value: Any, low: object, high: object) -> str:
    """What `canonical` says of a value out of bounds."""
    return f"out of bounds, got {shorten(value)}; expected {low} .. {high}. Or pass clip=True."
