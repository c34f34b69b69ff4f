"""Frozen SciPy distributions as parameters: the mapping is their own cdf and ppf."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from gpbo.errors import SpaceError
from gpbo.seeding import generator
from gpbo.space import Distribution, Space
from gpbo.space.distribution import LATTICE, TAIL, from_name
from tests.space.generated import FROZEN, checked

SURE = 1e-4  # a p-value below it is a bug, not bad luck; the seeds are fixed
CONTINUOUS = [
    scipy.stats.expon(scale=100),
    scipy.stats.norm(),
    scipy.stats.lognorm(s=2, scale=1e-3),
    scipy.stats.loguniform(1e-6, 1e-1),
    scipy.stats.uniform(2, 3),
    scipy.stats.beta(0.5, 0.5),
    scipy.stats.cauchy(),
    scipy.stats.norm(1e10, 1),
]
DISCRETE = [
    scipy.stats.randint(1, 40),
    scipy.stats.poisson(4),
    scipy.stats.poisson(1000),
    scipy.stats.binom(1000, 0.5),
    scipy.stats.geom(0.01),
    scipy.stats.skellam(15, 8),
    scipy.stats.nbinom(5, 0.5),
    scipy.stats.randint(0, 10**7),
    scipy.stats.bernoulli(0.3),
]


def title(frozen: Any) -> str:
    return f"{frozen.dist.name}{frozen.args}"


def ends(frozen: Any) -> tuple[float, float]:
    """The two probabilities between which an unbounded continuous distribution is cut."""
    low, high = frozen.support()
    return (0.0 if math.isfinite(low) else TAIL), (1.0 if math.isfinite(high) else 1 - TAIL)


@pytest.mark.parametrize("frozen", CONTINUOUS, ids=title)
def test_a_coordinate_is_the_cdf_between_the_ends(frozen: Any) -> None:
    below, above = ends(frozen)
    units = np.round(generator(0, "test").random(200) * LATTICE) / LATTICE
    parameter = Distribution(frozen)
    values = np.array([parameter.from_unit(u) for u in units])
    np.testing.assert_allclose(values, frozen.ppf(below + units * (above - below)), rtol=1e-9)
    back = [parameter.to_unit(value) for value in values]
    expected = (frozen.cdf(values) - below) / (above - below)
    np.testing.assert_allclose(back, expected, atol=1 / LATTICE)


@pytest.mark.parametrize("frozen", CONTINUOUS, ids=title)
def test_values_follow_a_continuous_distribution(frozen: Any) -> None:
    parameter = Distribution(frozen)
    values = [parameter.from_unit(u) for u in generator(1, "test").random(1000)]
    assert scipy.stats.kstest(values, frozen.cdf).pvalue > SURE


@pytest.mark.parametrize("frozen", [f for f in DISCRETE if f.var() < 1000], ids=title)
def test_values_follow_a_distribution_of_integers(frozen: Any) -> None:
    parameter = Distribution(frozen)
    values = [parameter.from_unit(u) for u in generator(2, "test").random(3000)]
    edges = np.unique(frozen.ppf(np.linspace(0.1, 0.9, 9)))  # nine quantiles make up to ten bins
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    expected = np.diff(frozen.cdf(edges), prepend=0, append=1) * len(values)
    kept = expected > 0
    assert scipy.stats.chisquare(counts[kept], expected[kept]).pvalue > SURE


@pytest.mark.parametrize("frozen", CONTINUOUS + DISCRETE, ids=title)
def test_what_a_distribution_gives_it_gives_back_exactly(frozen: Any) -> None:
    parameter = Distribution(frozen)
    for u in generator(3, "test").random(50):
        value = parameter.from_unit(float(u))
        assert type(value) is (int if frozen in DISCRETE else float)
        assert parameter.low <= value <= parameter.high
        assert parameter.from_unit(parameter.to_unit(value)) == value
        assert parameter.canonical(value) == value


@pytest.mark.parametrize("frozen", [f for f in DISCRETE if f.var() < 1e6], ids=title)
def test_every_integer_that_has_a_coordinate_has_its_own(frozen: Any) -> None:
    parameter = Distribution(frozen)
    assert parameter.size is not None
    values = [parameter.value_at(k) for k in range(parameter.size)]
    coordinates = [parameter.to_unit(value) for value in values]
    assert all(a < b for a, b in pairwise(coordinates))
    assert [parameter.from_unit(u) for u in coordinates] == values


def test_a_side_without_a_bound_is_cut_and_a_bound_is_kept() -> None:
    expon, randint = Distribution(scipy.stats.expon(scale=100)), Distribution(FROZEN[4])
    assert expon.low == 0.0
    assert expon.high == pytest.approx(-100 * math.log(TAIL))
    assert (randint.low, randint.high, randint.size) == (1, 39, 39)


def test_a_value_beyond_the_cut_is_allowed_and_lies_at_its_end() -> None:
    parameter = Distribution(scipy.stats.expon(scale=100))
    assert parameter.canonical(1e5) == 1e5
    assert parameter.to_unit(1e5) == 1.0
    with pytest.raises(ValueError, match=r"out of bounds, got -1; expected 0\.0 \.\. inf"):
        parameter.canonical(-1)
    assert parameter.canonical(-1, clip=True) == 0.0


def test_integers_are_native_and_must_be_whole() -> None:
    parameter = Distribution(scipy.stats.randint(1, 40))
    assert type(parameter.canonical(np.float64(3.0))) is int
    with pytest.raises(ValueError, match=r"not a whole number, got 2\.5"):
        parameter.canonical(2.5)
    assert parameter.canonical(2.6, clip=True) == 3


@checked
@given(st.sampled_from(FROZEN))
def test_a_distribution_is_written_by_name_and_read_back_equal(frozen: Any) -> None:
    parameter = Distribution(frozen)
    written = parameter.to_dict()
    again = from_name(written["name"], written["args"], written["kwargs"])
    assert again == parameter
    assert hash(again) == hash(parameter)
    assert pickle.loads(pickle.dumps(parameter)) == parameter


def test_equal_numbers_in_numpy_make_equal_distributions() -> None:
    numpy_made = scipy.stats.norm(np.float64(1), scale=np.float32(2))
    assert Distribution(numpy_made) == Distribution(scipy.stats.norm(1.0, scale=2.0))
    assert Space({"x": numpy_made}).to_json() == Space({"x": Distribution(numpy_made)}).to_json()


@pytest.mark.parametrize(
    ("frozen", "match"),
    [
        (scipy.stats.norm(scale=-1), r"norm\(scale=-1\): no proper range, got \(nan, nan\)"),
        (scipy.stats.pareto(0.01), r"pareto\(0\.01\): no proper range, got \(1\.0, inf\)"),
        (scipy.stats.randint(3, 4), r"no proper range, got \(3\.0, 3\.0\)"),
        (scipy.stats.poisson(3, loc=0.5), r"values are not whole numbers, got 0\.5. Give it a who"),
        (scipy.stats.zipf(1.5), r"zipf\(1\.5\): its variance is infinite. Use gpbo\.Int"),
    ],
)
def test_a_distribution_without_a_usable_range_is_refused(frozen: Any, match: str) -> None:
    with pytest.raises(SpaceError, match=match):
        Distribution(frozen)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (scipy.stats.norm, "not a frozen scipy.stats distribution, .* Freeze it first"),
        (5, "not a frozen scipy.stats distribution, got 5"),
        (scipy.stats.multivariate_normal([0, 0]), "not a frozen scipy.stats distribution"),
        (scipy.stats.norm([0, 1], 1), "not one of scipy.stats by name, .* plain numbers"),
        (scipy.stats.rv_discrete(name="die", values=([1, 2], [0.5, 0.5]))(), "by name"),
    ],
)
def test_what_a_study_file_could_not_name_is_refused(value: Any, match: str) -> None:
    with pytest.raises(TypeError, match=match):
        Distribution(value)


def test_where_scipy_finds_no_quantile_it_is_found_by_halves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for frozen in (scipy.stats.poisson(30), scipy.stats.norm(1, 2)):
        parameter = Distribution(frozen)
        masses = [0.0, 1e-9, 0.1, 0.5, 0.77, 1 - 1e-9]
        expected = [parameter.from_unit(u) for u in masses]

        def lost(mass: float) -> float:
            raise RuntimeError("updating stopped, endless loop")

        monkeypatch.setattr(parameter.frozen, "ppf", lost)
        assert [parameter.from_unit(u) for u in masses] == pytest.approx(expected, rel=1e-9)
