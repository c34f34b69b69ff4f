"""Checks of plain arguments, for every door that takes the same kind."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from numbers import Real
from typing import Any

from gpbo.errors import did_you_mean, explain


def one_of(name: str, value: Any, known: Sequence[str]) -> str:
    """A name out of a list.

    Raises   TypeError   if it is no str
             ValueError  if it is another one, with the name that was probably meant
    """
    if not isinstance(value, str):
        raise TypeError(explain(name, "not a name", value, expected=f"one of {list(known)}"))
    if value not in known:
        raise ValueError(f"{name}: unknown, got {value!r}. {did_you_mean(value, known)}")
    return value


def flag(name: str, value: Any) -> bool:
    """A switch, which must be True or False, NumPy's included, and not something that merely looks
    true.

    Raises   TypeError  if it is anything else
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, bool):
        raise TypeError(explain(name, "not a bool", value, expected="True or False"))
    return value


def seconds(name: str, value: Any, most: float = math.inf) -> float:
    """A length of time as a float; NumPy's numbers are welcome.

    Raises   TypeError   if it is no number
             ValueError  if it is negative, nan, or more than the most
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(explain(name, "not a number", value, expected="seconds"))
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not 0 <= number <= most:
        rule = "seconds >= 0" if most == math.inf else f"seconds from 0 to {most:g}"
        raise ValueError(explain(name, "out of range", value, expected=rule))
    return number


def whole(name: str, value: Any, low: int, high: int | None = None, rule: str = "") -> int:
    """A whole number in low .. high as an int; NumPy's integers are welcome, bools are not.

    `rule` is how an error states the range, where the numbers alone would not be read easily.

    Raises   TypeError   if it is not a whole number
             ValueError  if it is out of range
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(explain(name, "not a whole number", value, expected="an int"))
    if number < low or (high is not None and number > high):
        rule = rule or (f"{name} >= {low}" if high is None else f"{low} <= {name} <= {high}")
        raise ValueError(explain(name, "out of range", value, expected=rule))
    return number
