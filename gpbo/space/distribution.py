"""A parameter whose prior is a frozen SciPy distribution, such as scipy.stats.expon(scale=100)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpbo.errors import SpaceError, explain
from gpbo.space.parameter import Kind, Parameter, Value, number_for, plain

TAIL = 1e-6  # an unbounded side is cut where this much probability lies beyond
LATTICE = 2**28  # coarser than for a Float: SciPy's cdf(ppf(u)) is good to 1e-9 or so


@dataclass(frozen=True, init=False, eq=False)
class Distribution(Parameter):
    """A value drawn from a frozen distribution of scipy.stats, continuous or discrete.

    The coordinate is u = (cdf(x) - cdf(low)) / (cdf(high) - cdf(low)): uniform in probability.
    A side without a bound is cut at the quantile `TAIL`.

    Raises   TypeError   if it is not a frozen distribution of scipy.stats
             SpaceError  if its arguments give no proper distribution
    """

    frozen: Any
    low: float
    high: float

    def __init__(self, frozen: Any) -> None:
        check_frozen(frozen)
        object.__setattr__(self, "frozen", frozen)
        low, high = (float(bound) for bound in frozen.support())
        low = low if math.isfinite(low) else float(frozen.ppf(TAIL))
        high = high if math.isfinite(high) else float(frozen.ppf(1 - TAIL))
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise SpaceError(
                explain(self._title(), "no proper range", (low, high), fix="Check its arguments.")
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def discrete(self) -> bool:
        return hasattr(self.frozen, "pmf")

    @property
    def kind(self) -> Kind:
        return "levels" if self.discrete else "continuous"

    @property
    def size(self) -> int | None:
        return int(self.high) - int(self.low) + 1 if self.discrete else None

    def from_unit(self, u: float) -> Value:
        below, above = self._mass()
        u = min(max(round(u * LATTICE) / LATTICE, 0.0), 1.0) if not self.discrete else u
        x = float(self.frozen.ppf(below + u * (above - below)))
        x = min(max(x, self.low), self.high)
        return int(x) if self.discrete else x

    def to_unit(self, value: Value) -> float:
        x = min(max(float(value), self.low), self.high)  # type: ignore[arg-type]
        below, above = self._mass()
        if self.discrete:
            mass = (self.frozen.cdf(x - 1) + self.frozen.cdf(x)) / 2
            return float(min(max((mass - below) / (above - below), 0.0), 1.0))
        u = float((self.frozen.cdf(x) - below) / (above - below))
        return min(max(round(u * LATTICE) / LATTICE, 0.0), 1.0)

    def canonical(self, value: Any, clip: bool = False) -> Value:
        x = number_for(value)
        low, high = (float(bound) for bound in self.frozen.support())
        if not low <= x <= high and not clip:
            raise ValueError(f"out of bounds, got {value!r}; expected {low} .. {high}")
        x = min(max(x, low), high)
        if self.discrete:
            if x != int(x) and not clip:
                raise ValueError(f"not a whole number, got {value!r}")
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

    def _mass(self) -> tuple[float, float]:
        """How much probability lies below the range, and below its upper end."""
        below = self.low - 1 if self.discrete else self.low
        return float(self.frozen.cdf(below)), float(self.frozen.cdf(self.high))


def looks_like_distribution(value: object) -> bool:
    """Whether a value in a space is meant as a distribution: it can be drawn from."""
    return hasattr(value, "rvs")


def check_frozen(value: Any) -> None:
    """Refuse what is not a frozen distribution that scipy.stats can build again from its name."""
    import scipy.stats

    if not hasattr(value, "rvs") or not hasattr(value, "dist"):
        fix = "Freeze it first, for example scipy.stats.expon(scale=100)."
        raise TypeError(
            explain("Distribution", "not a frozen scipy.stats distribution", value, fix=fix)
        )
    name = getattr(value.dist, "name", None)
    if not hasattr(scipy.stats, str(name)) or not all(
        np.ndim(plain(v)) == 0 for v in (*value.args, *value.kwds.values())
    ):
        fix = "A study file must be able to name it: use one of scipy.stats with scalar arguments."
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
