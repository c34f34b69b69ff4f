"""Float and Int: bounds, steps, scales, and the frequencies that they promise."""

from __future__ import annotations

import decimal
import math
import pickle
from decimal import Decimal

import mpmath
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from gpbo.errors import GpboWarning
from gpbo.seeding import generator
from gpbo.space import Float, Int
from tests.space.generated import checked, ints, linear_floats, log_floats, log_ints, stepped_floats

SURE = 1e-4  # a p-value below it is a bug, not bad luck; the seeds are fixed


def draws(parameter: Float | Int, n: int) -> list[float]:
    rng = generator(0, "test")
    return [float(parameter.from_unit(u)) for u in rng.random(n)]


@checked
@given(linear_floats() | log_floats() | stepped_floats(), st.floats(0, 1))
def test_a_float_is_a_float_within_its_bounds(parameter: Float, u: float) -> None:
    value = parameter.from_unit(u)
    assert type(value) is float
    assert parameter.low <= value <= parameter.high
    assert parameter.from_unit(0.0) == parameter.low
    assert parameter.from_unit(1.0) == parameter.high


@checked
@given(ints() | log_ints(), st.floats(0, 1))
def test_an_int_is_an_int_within_its_bounds_and_on_its_step(parameter: Int, u: float) -> None:
    value = parameter.from_unit(u)
    assert type(value) is int
    assert parameter.low <= value <= parameter.high
    assert (value - parameter.low) % parameter.step == 0


@checked
@given(stepped_floats())
def test_every_step_is_the_decimal_that_a_person_would_write(parameter: Float) -> None:
    low, step = Decimal(repr(parameter.low)), Decimal(repr(parameter.step))
    assert parameter.size is not None
    expected = [float(low + k * step) for k in range(parameter.size)]
    assert [parameter.value_at(k) for k in range(parameter.size)] == expected
    assert expected[-1] == parameter.high


def test_a_step_does_not_depend_on_the_callers_decimal_context() -> None:
    with decimal.localcontext() as context:
        context.prec = 2
        parameter = Float(0, 1, step=0.001)
        assert parameter.size == 1001
        assert parameter.value_at(123) == 0.123


@pytest.mark.parametrize(
    "parameter",
    [
        Float(1000, 1001, log=True),
        Float(1e300, 1.0001e300, log=True),
        Float(1e-300, 1e300, log=True),
        Float(3932.16, 3933.16),
        Float(1e16, 1e16 + 400),
        Float(-1e308, 7e307),
        Float(0, 1e-320),
        Float(1e9, 1e9 + 1, step=1e-3),
        Int(-(2**53), 2**53),
        Int(1, 2**53, log=True),
        Int(2**52, 2**53, log=True),
        Int(1, 2**41, log=True),
        Int(2**52 - 26, 2**52 - 25, log=True),
        Int(10**12, 10**12 + 5, log=True),
    ],
)
def test_extreme_ranges_give_their_values_back_exactly(parameter: Float | Int) -> None:
    for u in generator(0, "test").random(300):
        value = parameter.from_unit(float(u))
        assert parameter.low <= value <= parameter.high
        assert parameter.from_unit(parameter.to_unit(value)) == value


@pytest.mark.parametrize(("low", "high"), [(1e-5, 1e-1), (1.0, 1.5), (1e-300, 1e300), (7.0, 7.01)])
@pytest.mark.parametrize("u", [0.125, 0.5, 0.875])
def test_a_log_scale_is_the_geometric_mean_of_its_ends(low: float, high: float, u: float) -> None:
    with mpmath.workdps(40):
        exact = mpmath.mpf(low) ** (1 - mpmath.mpf(u)) * mpmath.mpf(high) ** mpmath.mpf(u)
        # exp(log(low) + ...) loses what the largest exponent costs: 700 * 2**-53
        assert Float(low, high, log=True).from_unit(u) == pytest.approx(float(exact), rel=2e-13)


def test_a_log_float_is_log_uniform() -> None:
    test = scipy.stats.kstest(
        draws(Float(1e-5, 1e-1, log=True), 4000), scipy.stats.loguniform(1e-5, 1e-1).cdf
    )
    assert test.pvalue > SURE


def test_a_linear_float_is_uniform() -> None:
    test = scipy.stats.kstest(draws(Float(-2, 3), 4000), scipy.stats.uniform(-2, 5).cdf)
    assert test.pvalue > SURE


@pytest.mark.parametrize("parameter", [Float(0, 0.5, step=0.05), Int(-3, 7), Int(0, 30, step=3)])
def test_steps_are_equally_likely(parameter: Float | Int) -> None:
    assert parameter.size is not None
    _, counts = np.unique(draws(parameter, 5500), return_counts=True)
    assert len(counts) == parameter.size
    assert scipy.stats.chisquare(counts).pvalue > SURE


def test_a_log_int_is_as_likely_as_its_interval_is_long_on_the_log_scale() -> None:
    values, counts = np.unique(draws(Int(1, 20, log=True), 8000), return_counts=True)
    assert list(values) == list(range(1, 21))
    lengths = np.log((values + 0.5) / (values - 0.5))
    expected = counts.sum() * lengths / lengths.sum()
    assert scipy.stats.chisquare(counts, expected).pvalue > SURE


@pytest.mark.parametrize(("low", "high"), [(1, 20), (16, 1024), (1000, 1003)])
def test_a_log_int_owns_half_a_unit_on_either_side(low: int, high: int) -> None:
    parameter = Int(low, high, log=True)
    for k in range(low, high):
        edge = math.log((k + 0.5) / (low - 0.5)) / math.log((high + 0.5) / (low - 0.5))
        assert parameter.from_unit(edge - 1e-9) == k
        assert parameter.from_unit(edge + 1e-9) == k + 1


def test_a_low_below_the_normal_floats_is_moved_up_with_one_warning() -> None:
    with pytest.warns(GpboWarning, match="low=1e-320 is subnormal; using low=2.2") as caught:
        parameter = Float(1e-320, 1.0, log=True)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert math.isfinite(parameter.from_unit(0.5))


def test_canonical_takes_what_means_the_same_number() -> None:
    assert Int(1, 5).canonical(3.0) == 3
    assert type(Int(1, 5).canonical(np.float64(3.0))) is int
    assert type(Float(0, 5).canonical(3)) is float
    assert Float(0, 0.5, step=0.05).canonical(0.15000000000000002) == 0.15
    assert Float(0, 0.5, step=0.05).canonical(np.float32(0.15)) == 0.15


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        (Float(0, 1), 5, 1.0),
        (Float(0, 0.5, step=0.1), 0.26, 0.3),
        (Float(0, 0.5, step=0.1), -7, 0.0),
        (Int(1, 9), 2.6, 3),
        (Int(1, 9, step=4), 6, 5),
        (Int(1, 9, step=4), 100, 9),
    ],
)
def test_clip_moves_a_value_to_the_nearest_valid_one(
    parameter: Float | Int, value: float, expected: float
) -> None:
    clipped = parameter.canonical(value, clip=True)
    assert clipped == expected
    assert type(clipped) is type(expected)


def test_size_counts_values_and_ignores_what_rounding_could_do() -> None:
    assert Float(0, 1).size is None
    assert Float(0, 1, step=0.1).size == 11
    assert Float(0.3, 0.9, step=0.3).size == 3
    assert Int(1, 10, step=3).size == 4
    assert Int(5, 9, log=True).size == 5


def test_parameters_are_equal_by_value_and_survive_pickling() -> None:
    parameter = Float(0, 1, step=0.1)
    assert parameter.size == 11  # what is computed once must not count
    assert parameter == Float(0.0, 1.0, step=0.1)
    assert hash(parameter) == hash(Float(0.0, 1.0, step=0.1))
    assert pickle.loads(pickle.dumps(parameter)) == parameter
    assert parameter != Float(0, 1)
