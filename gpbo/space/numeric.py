"""Numbers with bounds: Float and Int, on a linear or a logarithmic scale, with or without steps."""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from gpbo.errors import GpboWarning, SpaceError, explain, hint_keywords
from gpbo.space.parameter import (
    Kind,
    Parameter,
    Value,
    center,
    finite_number,
    flag,
    interval,
    number_for,
    snap,
    whole_number,
)

SMALLEST = sys.float_info.min  # below it floats are subnormal and lose digits


@dataclass(frozen=True, init=False)
class Float(Parameter):
    """A float in [low, high].

    With `log`, a proposal is uniform in log(value); with `step`, values are low, low + step, ...

    Raises   SpaceError  if the bounds, the step or their combination make no sense
             TypeError   if a bound is not a number
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @hint_keywords
    def __init__(
        self, low: float, high: float, *, log: bool = False, step: float | None = None
    ) -> None:
        low, high = finite_number("Float", "low", low), finite_number("Float", "high", high)
        log = flag("Float", "log", log)
        _check_order("Float", low, high)
        if not math.isfinite(high - low):
            raise SpaceError(
                explain("Float", "range too wide for float64", (low, high), fix="Narrow it.")
            )
        if log:
            low = _check_log("Float", low, high, step)
        if step is not None:
            step = finite_number("Float", "step", step)
            _check_step("Float", low, high, step)
        for name, value in (("low", low), ("high", high), ("log", log), ("step", step)):
            object.__setattr__(self, name, value)

    @property
    def kind(self) -> Kind:
        return "continuous" if self.step is None else "levels"

    @property
    def size(self) -> int | None:
        if self.step is None:
            return None
        return round(_exact(self.high - self.low, self.high, self.low) / _exact(self.step)) + 1

    def from_unit(self, u: float) -> float:
        if self.size is not None:
            return self._level(interval(u, self.size))
        u = snap(u)
        if u in (0.0, 1.0):
            return self.high if u else self.low
        if self.log:
            low = math.log(self.low)
            value = math.exp(low + u * (math.log(self.high) - low))
        else:
            value = self.low + u * (self.high - self.low)
        return min(max(value, self.low), self.high)

    def to_unit(self, value: Value) -> float:
        x = float(value)  # type: ignore[arg-type]  # canonical() made it a float
        if self.size is not None:
            return center(self._index(x), self.size)
        if self.log:
            low = math.log(self.low)
            return snap((math.log(x) - low) / (math.log(self.high) - low))
        return snap((x - self.low) / (self.high - self.low))

    def canonical(self, value: Any, clip: bool = False) -> float:
        x: float = _inside(float(number_for(value)), self.low, self.high, clip)
        if self.step is None:
            return x
        level = self._level(self._index(x))
        if not clip and abs(level - x) > 1e-9 * self.step:
            raise ValueError(f"not on a step of {self.step}, got {value!r}; the nearest is {level}")
        return level

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"type": "float", "low": self.low, "high": self.high}
        if self.log:
            out["log"] = True
        if self.step is not None:
            out["step"] = self.step
        return out

    def _level(self, index: int) -> float:
        """low + index * step in decimal arithmetic, so that 3 * 0.05 is 0.15 and not 0.15...02."""
        assert self.step is not None
        return min(float(_decimal(self.low) + index * _decimal(self.step)), self.high)

    def _index(self, x: float) -> int:
        assert self.step is not None
        assert self.size is not None
        return min(max(round((x - self.low) / self.step), 0), self.size - 1)


@dataclass(frozen=True, init=False)
class Int(Parameter):
    """A whole number in [low, high], both included.

    With `log`, small values are as likely as large ones on a logarithmic scale; with `step`, values
    are low, low + step, ... A value is always a plain int.

    Raises   SpaceError  if the bounds, the step or their combination make no sense
             TypeError   if a bound is not a whole number
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    @hint_keywords
    def __init__(self, low: int, high: int, *, log: bool = False, step: int = 1) -> None:
        low, high = whole_number("Int", "low", low), whole_number("Int", "high", high)
        log, step = flag("Int", "log", log), whole_number("Int", "step", step)
        _check_order("Int", low, high)
        if log:
            _check_log("Int", low, high, None if step == 1 else step)
        _check_step("Int", low, high, step)
        for name, value in (("low", low), ("high", high), ("log", log), ("step", step)):
            object.__setattr__(self, name, value)

    @property
    def kind(self) -> Kind:
        return "levels"

    @property
    def size(self) -> int:
        return (self.high - self.low) // self.step + 1

    def from_unit(self, u: float) -> int:
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(max(round(math.exp(low + u * (high - low))), self.low), self.high)
        return self.low + self.step * interval(u, self.size)

    def to_unit(self, value: Value) -> float:
        x = int(value)  # type: ignore[arg-type]  # canonical() made it an int
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return (math.log(x) - low) / (high - low)
        return center((x - self.low) // self.step, self.size)

    def canonical(self, value: Any, clip: bool = False) -> int:
        x = number_for(value)
        if x != int(x) and not clip:
            raise ValueError(f"not a whole number, got {value!r}")
        x = round(_inside(x, self.low, self.high, clip))
        steps = round(Fraction(x - self.low, self.step))
        level = min(self.low + self.step * steps, self.high)
        if level != x and not clip:
            raise ValueError(f"not on a step of {self.step}, got {value!r}; the nearest is {level}")
        return level

    def value_at(self, index: int) -> int:
        return self.low + self.step * index

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"type": "int", "low": self.low, "high": self.high}
        if self.log:
            out["log"] = True
        if self.step != 1:
            out["step"] = self.step
        return out


def _decimal(x: float) -> Decimal:
    return Decimal(repr(x))


def _exact(x: float, *parts: float) -> Fraction:
    """x as the decimal that a person would read; with parts (a, b), the exact a - b instead."""
    if parts:
        return Fraction(_decimal(parts[0])) - Fraction(_decimal(parts[1]))
    return Fraction(_decimal(x))


def _inside(x: Any, low: float, high: float, clip: bool) -> Any:
    if low <= x <= high:
        return x
    if clip:
        return min(max(x, low), high)
    raise ValueError(f"out of bounds, got {x!r}; expected {low} .. {high}")


def _show(x: float) -> str:
    """A bound as its author wrote it: 2, not 2.0."""
    return str(int(x)) if x == int(x) and abs(x) < 1e15 else repr(x)


def _check_order(owner: str, low: float, high: float) -> None:
    if low == high:
        fix = f"For a value that never changes use a constant: {{'name': {low!r}}}."
        raise SpaceError(
            f"{owner}: low equals high, got low={_show(low)} high={_show(high)}. {fix}"
        )
    if low > high:
        got = f"low={_show(low)} high={_show(high)}"
        raise SpaceError(f"{owner}: low must be < high, got {got}; swap them?")


def _check_log(owner: str, low: float, high: float, step: float | None) -> float:
    """The lower bound of a logarithmic scale, moved up to the smallest normal float if below it."""
    if step is not None:
        raise SpaceError(
            explain(owner, "step does not go with log", step, fix="Leave one of them out.")
        )
    if low <= 0:
        try_low = "1" if owner == "Int" else "1e-6"
        hint = f"Try low={try_low}, or drop log=True."
        if low < 0 and high < 50:
            real = f"Float({math.exp(low):.4g}, {math.exp(high):.4g}, log=True)"
            hint += f" If the bounds are logarithms, as hyperopt takes them, that is {real}."
        raise SpaceError(f"{owner}: log needs low > 0, got low={_show(low)}. {hint}")
    if low < SMALLEST:
        message = f"{owner}: low={low!r} is subnormal; using {SMALLEST!r}"
        warnings.warn(message, GpboWarning, stacklevel=4)
        return SMALLEST
    return low


def _check_step(owner: str, low: float, high: float, step: float) -> None:
    if step <= 0:
        raise SpaceError(explain(owner, "step must be > 0", step))
    span, width = _exact(0.0, high, low), _exact(step)
    if width > span:
        raise SpaceError(
            f"{owner}: step is larger than the range, got step={step!r} for {low!r} .. {high!r}; "
            f"the nearest valid high is {float(_exact(low) + width)!r}"
        )
    if span % width:
        below, above = (
            _exact(low) + span // width * width,
            _exact(low) + (span // width + 1) * width,
        )
        kind = int if owner == "Int" else float
        raise SpaceError(
            f"{owner}: the range is not a whole number of steps, got step={step!r} for "
            f"{low!r} .. {high!r}; valid are high={kind(below)!r} and high={kind(above)!r}"
        )
