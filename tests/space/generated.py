"""Hypothesis strategies: single parameters, and spaces that nest, share names and mix all kinds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import scipy.stats
from hypothesis import settings
from hypothesis import strategies as st

from gpbo.space import (
    Bool,
    Categorical,
    Choice,
    Constant,
    Distribution,
    Float,
    Int,
    Ordinal,
    Parameter,
    Space,
)

# The same examples in every run: a failure shows the code, not the luck of the day.
checked = settings(max_examples=100, deadline=None, derandomize=True, database=None)

STEPS = ("0.1", "0.05", "1e-3", "0.25", "2.5", "3", "1e-9")
FROZEN = (
    scipy.stats.expon(scale=100),
    scipy.stats.norm(loc=-3, scale=0.5),
    scipy.stats.loguniform(1e-6, 1e-1),
    scipy.stats.uniform(loc=2, scale=3),
    scipy.stats.randint(1, 40),
    scipy.stats.poisson(mu=4),
    scipy.stats.binom(1000, 0.5),
)

units = st.floats(0.0, 1.0)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
choices = st.lists(scalars, min_size=1, max_size=6, unique_by=lambda value: value)


@st.composite
def linear_floats(draw: st.DrawFn) -> Float:
    low = draw(st.floats(-1e12, 1e12))
    width = draw(st.floats(1e-12, 1e12))
    return Float(low, low + width if low + width > low else low + 1e-3 * abs(low))


@st.composite
def log_floats(draw: st.DrawFn) -> Float:
    low = 10.0 ** draw(st.floats(-290, 100))
    return Float(low, low * (1 + 10.0 ** draw(st.floats(-12, 100))), log=True)


@st.composite
def stepped_floats(draw: st.DrawFn) -> Float:
    step = draw(st.sampled_from(STEPS))
    first, count = draw(st.integers(-(10**6), 10**6)), draw(st.integers(1, 500))
    low, high = (float(Decimal(step) * k) for k in (first, first + count))
    return Float(low, high, step=float(step))


@st.composite
def ints(draw: st.DrawFn) -> Int:
    step = draw(st.integers(1, 7))
    low = draw(st.integers(-(2**53), 2**52) | st.integers(-100, 100))
    most = (2**53 - low) // step
    return Int(low, low + step * draw(st.integers(1, most) | st.integers(1, 50)), step=step)


@st.composite
def log_ints(draw: st.DrawFn) -> Int:
    low = draw(st.integers(1, 1000) | st.integers(1, 2**52))
    return Int(low, draw(st.integers(low + 1, 2**53) | st.integers(low + 1, low + 50)), log=True)


@st.composite
def small_ints(draw: st.DrawFn) -> Int:
    low, step = draw(st.integers(-10, 10)), draw(st.integers(1, 3))
    return Int(low, low + step * draw(st.integers(1, 4)), step=step)


distributions = st.sampled_from(FROZEN).map(Distribution)
ranges = st.one_of(
    linear_floats(), log_floats(), stepped_floats(), ints(), log_ints(), distributions
)
lists = st.one_of(choices.map(Categorical), choices.map(Ordinal), st.just(Bool()), small_ints())
parameters = st.one_of(ranges, lists)


@st.composite
def _entries(
    draw: st.DrawFn, leaf: st.SearchStrategy[Parameter], prefix: str, least: int, depth: int
) -> dict[str, Any]:
    """A dict of entries; the branches of one Choice all name theirs alike."""
    entries: dict[str, Any] = {}
    for k in range(draw(st.integers(least, 3))):
        name = f"{prefix}{k}"
        kind = draw(st.sampled_from(("leaf", "leaf", "choice", "constant")))
        if kind == "constant" and not (least and k == 0):
            entries[name] = Constant(draw(scalars))
        elif kind == "choice" and depth > 0:
            values = draw(st.lists(scalars, min_size=1, max_size=3, unique_by=lambda v: v))
            entries[name] = Choice(
                {value: draw(_entries(leaf, f"{name}_", 0, depth - 1)) for value in values}
            )
        else:
            entries[name] = draw(leaf)
    return entries


def spaces(leaf: st.SearchStrategy[Parameter] = parameters) -> st.SearchStrategy[Space]:
    """Spaces of up to three entries a level and three levels of Choice."""
    return _entries(leaf, "p", 1, 3).map(Space)


def countable_spaces() -> st.SearchStrategy[Space]:
    """Spaces in which every parameter is a short list."""
    return spaces(lists)
