"""Numbers with bounds: Float and Int, on a linear or a logarithmic scale, with or without steps."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from gpbo.check import flag
from gpbo.errors import GpboWarning, SpaceError, explain, hint_keywords, warn
from gpbo.space.parameter import (
    LATTICE,
    Kind,
    Parameter,
    Value,
    center,
    finite_number,
    interval,
    number_for,
    outside,
    snap,
    whole_number,
)

SMALLEST = sys.float_info.min  # below it floats are subnormal and lose digits
ROUNDING = 1e-6  # of a step; a value that far from it, such as a float32, is meant to be on it


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
        log = flag("Float log", log)
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

    @cached_property
    def size(self) -> int | None:
        if self.step is None:
            return None
        return int((_exact(self.high) - _exact(self.low)) / _exact(self.step)) + 1

    def from_unit(self, u: float) -> float:
        if self.size is not None:
            return self._level(interval(u, self.size))
        u = snap(u)
        if u in (0.0, 1.0):
            return self.high if u else self.low
        if not self.log:
            value = self.low + u * self._width
        elif self._width < 1:
            value = self.low + self.low * math.expm1(u * self._width)
        else:
            value = math.exp(math.log(self.low) + u * self._width)
        return min(max(value, self.low), self.high)

    def to_unit(self, value: Value) -> float:
        x = float(value)  # type: ignore[arg-type]  # canonical() made it a float
        if self.size is not None:
            return center(self._index(x), self.size)
        if not self.log:
            u = (x - self.low) / self._width
        elif self._width < 1:
            u = math.log1p((x - self.low) / self.low) / self._width
        else:
            u = (math.log(x) - math.log(self.low)) / self._width
        return snap(u)

    def canonical(self, value: Any, clip: bool = False) -> float:
        x: float = _inside(float(number_for(value)), self.low, self.high, clip)
        if self.step is None:
            return x
        level = self._level(self._index(x))
        if not clip and abs(level - x) > ROUNDING * self.step:
            raise ValueError(f"not on a step of {self.step}, got {value!r}; the nearest is {level}")
        return level

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"type": "float", "low": self.low, "high": self.high}
        if self.log:
            out["log"] = True
        if self.step is not None:
            out["step"] = self.step
        return out

    @cached_property
    def _width(self) -> float:
        """The length of the range on its scale; below 1, an error of exp(log(low)) would count."""
        if not self.log:
            return self.high - self.low
        if self.high / math.e < self.low:
            return math.log1p((self.high - self.low) / self.low)
        return math.log(self.high) - math.log(self.low)

    @cached_property
    def _grid(self) -> tuple[int, int, int]:
        """Numerators of low and step, as a person wrote them in decimals, and the denominator."""
        low, step = _exact(self.low), _exact(self.step or 0)
        scale = math.lcm(low.denominator, step.denominator)
        return int(low * scale), int(step * scale), scale

    def _level(self, index: int) -> float:
        """low + index * step, rounded once, so that 3 * 0.05 is 0.15 and not 0.15...02."""
        low, step, scale = self._grid
        return (low + index * step) / scale

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
        log, step = flag("Int log", log), whole_number("Int", "step", step)
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

    @cached_property
    def _log_range(self) -> tuple[float, float]:
        """Where the scale begins and its length in logs; an int owns half a unit on either side."""
        first = self.low - 0.5
        return first, math.log1p((self.high - self.low + 1) / first)

    def from_unit(self, u: float) -> int:
        if not self.log:
            return self.low + self.step * interval(u, self.size)
        first, width = self._log_range
        if self.high > LATTICE:
            u = snap(u)
        offset = round(first * math.expm1(u * width) - 0.5)
        return self.low + min(max(offset, 0), self.high - self.low)

    def to_unit(self, value: Value) -> float:
        x = int(value)  # type: ignore[arg-type]  # canonical() made it an int
        if not self.log:
            return center((x - self.low) // self.step, self.size)
        first, width = self._log_range
        u = math.log1p((x - self.low + 0.5) / first) / width
        return snap(u) if self.high > LATTICE else u

    def canonical(self, value: Any, clip: bool = False) -> int:
        x = number_for(value)
        if x != int(x) and not clip:
            raise ValueError(f"not a whole number, got {x!r}")
        x = round(_inside(x, self.low, self.high, clip))
        level = self.low + self.step * round(Fraction(x - self.low, self.step))
        if level != x and not clip:
            raise ValueError(f"not on a step of {self.step}, got {x!r}; the nearest is {level}")
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


def _exact(x: float) -> Fraction:
    """x as the decimal that a person would read."""
    return Fraction(repr(x))


def _inside(x: Any, low: float, high: float, clip: bool) -> Any:
    if low <= x <= high:
        return x
    if clip:
        return min(max(x, low), high)
    raise ValueError(outside(x, _show(low), _show(high)))


def _show(x: float) -> str:
    """A bound as its author wrote it: 2, not 2.0."""
    return str(int(x)) if x == int(x) and abs(x) < 1e15 else repr(x)


def _check_order(owner: str, low: float, high: float) -> None:
    got = f"got low={_show(low)} high={_show(high)}"
    if low == high:
        raise SpaceError(f"{owner}: low equals high, {got}; use a constant: {{'name': {low!r}}}")
    if low > high:
        raise SpaceError(f"{owner}: low must be < high, {got}; swap them?")


def _check_log(owner: str, low: float, high: float, step: float | None) -> float:
    """The lower bound of a logarithmic scale, moved up to the smallest normal float if below it."""
    if step is not None:
        raise SpaceError(
            explain(owner, "step does not go with log", step, fix="Leave one of them out.")
        )
    if low <= 0:
        hint = _how_to_log(owner, low, high)
        if owner == "Float":
            hint += _if_exponents(low, high)
        raise SpaceError(f"{owner}: log needs low > 0, got low={_show(low)}. {hint}")
    if low < SMALLEST:
        if high <= SMALLEST:
            raise SpaceError(explain(owner, "the range is subnormal", high, expected="> 2.3e-308"))
        message = f"{owner}: low={low!r} is subnormal; using low={SMALLEST!r}"
        warn(message, GpboWarning)
        return SMALLEST
    return low


def _how_to_log(owner: str, low: float, high: float) -> str:
    if high <= (1 if owner == "Int" else 0):
        return "Drop log=True."
    first = "1" if owner == "Int" else "1e-6" if high > 1e-6 else f"{high / 1e3:.1g}"
    return f"Try low={first}, or drop log=True."


def _if_exponents(low: float, high: float) -> str:
    """What to write where the bounds of a logarithmic range are its exponents, as in hyperopt."""
    if not -300 < low < 0 or high > 50:
        return ""
    of_e = f"gpbo.Float({math.exp(low):.3g}, {math.exp(high):.3g}, log=True)"
    of_ten = f"gpbo.Float({10**low:.3g}, {10**high:.3g}, log=True)"
    return f" If they are exponents: of e, as in hyperopt, write {of_e}; of 10, {of_ten}."


def _check_step(owner: str, low: float, high: float, step: float) -> None:
    if step <= 0:
        raise SpaceError(explain(owner, "step must be > 0", step))
    start, span, width = _exact(low), _exact(high) - _exact(low), _exact(step)
    kind = int if owner == "Int" else float
    got = f"got step={_show(step)} for {_show(low)} .. {_show(high)}"
    if width > span:
        nearest = _show(kind(start + width))
        raise SpaceError(
            f"{owner}: step is larger than the range, {got}; the nearest valid high is {nearest}"
        )
    if span % width:
        count = span // width
        below, above = kind(start + count * width), kind(start + (count + 1) * width)
        first, second = (below, above) if high - below <= above - high else (above, below)
        raise SpaceError(
            f"{owner}: the range is not a whole number of steps, {got}; "
            f"the nearest valid high is {_show(first)}, the next {_show(second)}"
        )
    coarse = span / width <= LATTICE and width >= 4 * math.ulp(max(abs(low), abs(high)))
    if owner == "Float" and not coarse:
        fix = "Leave step out, or make it larger."
        raise SpaceError(explain(owner, "step is too small for float64", step, fix=fix))
