"""A parameter whose prior is a frozen SciPy distribution, such as scipy.stats.expon(scale=100)."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gpbo.errors import SpaceError, explain, hint_keywords
from gpbo.space.parameter import Kind, Parameter, Value, number_for, outside, plain, snap

TAIL = 1e-6  # an unbounded side is cut where this much probability lies beyond
NEVER = 1e-9  # integers on a bounded side that are rarer have no coordinate of their own
TABLE = 4096  # so many integers are looked up in a table, more are left to SciPy
LATTICE = 2**28  # coarser than for a Float: SciPy's cdf(ppf(u)) is good to 1e-9 or so


@dataclass(frozen=True, init=False, eq=False)
class Distribution(Parameter):
    """A value drawn from a frozen distribution of scipy.stats, continuous or discrete.

    The coordinate is u = (cdf(x) - cdf(low)) / (cdf(high) - cdf(low)): uniform in probability.
    A side without a bound is cut at the quantile `TAIL`; an integer has the middle of its mass.

    Raises   TypeError   if it is not a frozen distribution of scipy.stats
             SpaceError  if its arguments give no proper distribution, or if it is one of integers
                         whose variance is infinite: such a tail cannot be cut
    """

    frozen: Any
    low: float
    high: float

    @hint_keywords
    def __init__(self, frozen: Any) -> None:
        check_frozen(frozen)
        object.__setattr__(self, "frozen", frozen)
        with np.errstate(all="ignore"):  # an overflow is reported below, in our own words
            low, high = self._cut()
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            fix = "Check its arguments."
            raise SpaceError(explain(self._title(), "no proper range", (low, high), fix=fix))
        if self.discrete and not low.is_integer():
            fix = "Give it a whole loc."
            raise SpaceError(explain(self._title(), "values are not whole numbers", low, fix=fix))
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    def _cut(self) -> tuple[float, float]:
        """The ends of the range that has coordinates."""
        quantile = self.frozen.ppf
        if self.discrete and self.frozen.var() == math.inf:  # finding a quantile may take for ever
            fix = "Use gpbo.Int(low, high, log=True)."
            raise SpaceError(explain(self._title(), "its variance is infinite", fix=fix))
        low, high = (float(bound) for bound in self.frozen.support())
        try:
            if math.isinf(low):
                low = float(quantile(TAIL))
            elif self.discrete:
                low = max(low, float(quantile(NEVER)))
            if math.isinf(high):
                high = float(quantile(1 - TAIL))
            elif self.discrete:
                high = min(high, float(quantile(1 - NEVER)))
        except (ValueError, RuntimeError) as error:
            raise SpaceError(explain(self._title(), f"SciPy finds no quantile: {error}")) from None
        return low, high

    @property
    def discrete(self) -> bool:
        """Whether its values are whole numbers."""
        return hasattr(self.frozen, "pmf")

    @property
    def kind(self) -> Kind:
        return "levels" if self.discrete else "continuous"

    @property
    def size(self) -> int | None:
        return int(self.high) - int(self.low) + 1 if self.discrete else None

    def from_unit(self, u: float) -> Value:
        if self._ends is not None:
            return int(self.low) + min(bisect.bisect_left(self._ends, u), len(self._ends) - 1)
        below, above = self._mass
        if not self.discrete:
            u = snap(u, LATTICE)
        x = self._quantile(below + u * (above - below))
        x = min(max(x, self.low), self.high)
        return int(x) if self.discrete else x

    def _quantile(self, mass: float) -> float:
        try:
            return float(self.frozen.ppf(mass))
        except (ValueError, RuntimeError):  # SciPy's search for it got lost
            return self._quantile_by_halves(mass)

    def _quantile_by_halves(self, mass: float) -> float:
        low, high = self.low, self.high
        while True:
            middle = low + (high - low) / 2
            middle = math.floor(middle) if self.discrete else middle
            if not low < middle < high:
                return low if self.frozen.cdf(low) >= mass else high
            low, high = (low, middle) if self.frozen.cdf(middle) >= mass else (middle, high)

    def to_unit(self, value: Value) -> float:
        x = min(max(float(value), self.low), self.high)  # type: ignore[arg-type]
        if self._ends is not None:
            index = int(x - self.low)
            return ((self._ends[index - 1] if index else 0.0) + self._ends[index]) / 2
        below, above = self._mass
        if self.discrete:
            mass = (self.frozen.cdf(x - 1) + self.frozen.cdf(x)) / 2
            return float(min(max((mass - below) / (above - below), 0.0), 1.0))
        return snap(float((self.frozen.cdf(x) - below) / (above - below)), LATTICE)

    def canonical(self, value: Any, clip: bool = False) -> Value:
        x = number_for(value)
        low, high = (float(bound) for bound in self.frozen.support())
        if not low <= x <= high and not clip:
            raise ValueError(outside(x, low, high))
        x = min(max(x, low), high)
        if self.discrete:
            if x != int(x) and not clip:
                raise ValueError(f"not a whole number, got {x!r}")
            return round(x)
        return float(x)

    def value_at(self, index: int) -> Value:
        return int(self.low) + index

    def to_dict(self) -> dict[str, Any]:
        return {
            "type": "distribution",
            "name": self.frozen.dist.name,
            "args": [plain(a) for a in self.frozen.args],
            "kwargs": {k: plain(v) for k, v in self.frozen.kwds.items()},
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Distribution) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(repr(self.to_dict()))

    def __repr__(self) -> str:
        return f"Distribution({self._title()})"

    def _title(self) -> str:
        arguments = [repr(plain(a)) for a in self.frozen.args]
        arguments += [f"{k}={plain(v)!r}" for k, v in self.frozen.kwds.items()]
        return f"{self.frozen.dist.name}({', '.join(arguments)})"

    @cached_property
    def _ends(self) -> list[float] | None:
        """Where the interval of each integer ends, if they are few; the first begins at 0."""
        if self.size is None or self.size > TABLE:
            return None
        below, above = self._mass
        masses = self.frozen.cdf(np.arange(int(self.low), int(self.high) + 1))
        return [float(end) for end in (masses - below) / (above - below)]

    @cached_property
    def _mass(self) -> tuple[float, float]:
        """How much probability lies below the range, and below its upper end."""
        below = self.low - 1 if self.discrete else self.low
        return float(self.frozen.cdf(below)), float(self.frozen.cdf(self.high))


def looks_like_distribution(value: object) -> bool:
    """Whether a value in a space is meant as a distribution, one that gpbo takes or not."""
    return hasattr(value, "rvs") or hasattr(value, "icdf")  # icdf: SciPy's newer ones and torch's


def check_frozen(value: Any) -> None:
    """Refuse what is not a frozen distribution that scipy.stats can build again from its name."""
    import scipy.stats

    if not hasattr(value, "rvs") or not hasattr(value, "dist"):
        fix = "Freeze it first, for example scipy.stats.expon(scale=100)."
        raise TypeError(
            explain("Distribution", "not a frozen scipy.stats distribution", value, fix=fix)
        )
    family = getattr(scipy.stats, str(getattr(value.dist, "name", None)), None)
    arguments = [plain(argument) for argument in (*value.args, *value.kwds.values())]
    scalars = all(isinstance(argument, (int, float)) for argument in arguments)
    if type(family) is not type(value.dist) or not scalars:
        fix = "A study file must be able to name it: use one of scipy.stats with plain numbers."
        raise TypeError(explain("Distribution", "not one of scipy.stats by name", value, fix=fix))


def from_name(name: str, args: list[float], kwargs: dict[str, float]) -> Distribution:
    """The distribution that `Distribution.to_dict` wrote down.

    Raises   SpaceError  if scipy.stats has no distribution of this name
    """
    import scipy.stats

    family = getattr(scipy.stats, name, None)
    if not isinstance(family, (scipy.stats.rv_continuous, scipy.stats.rv_discrete)):
        raise SpaceError(explain("Distribution", "scipy.stats has no such distribution", name))
    return Distribution(family(*args, **kwargs))
