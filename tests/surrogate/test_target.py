"""Targets from objective values: tamed where they are bad, exact where they are good."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpbo.errors import ObservationError
from gpbo.surrogate.target import GOOD, Target, standardize

finite = st.floats(allow_nan=False, allow_infinity=False)
usual = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


def tensor(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def normal(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(n).clip(-2, 2))


def test_without_a_bad_tail_targets_are_standardized_values() -> None:
    y = 30 + 4 * normal(50)
    z, target = standardize(y)
    expected = scipy.stats.zscore(y.numpy())
    np.testing.assert_allclose(z.numpy(), expected, rtol=1e-12, atol=1e-12)
    assert target.steps == ()
    assert target.exact_above == -math.inf
    assert target.center == pytest.approx(float(y.mean()), rel=1e-12)
    assert target.scale == pytest.approx(float(y.numpy().std()), rel=1e-12)


def test_the_low_tail_is_clipped_at_the_whisker_and_the_high_one_never() -> None:
    y = torch.cat([normal(40), tensor([-9.0, -50.0, 9.0])])
    z, target = standardize(y)
    q1, q3 = np.quantile(y.numpy(), [0.25, 0.75])
    low = q1 - 1.5 * (q3 - q1)
    clipped = np.maximum(y.numpy(), low)
    np.testing.assert_allclose(z.numpy(), scipy.stats.zscore(clipped), rtol=1e-10, atol=1e-12)
    assert target.steps == ("winsorize",)
    assert target.exact_above == pytest.approx(low)
    assert z[-3] == z[-2] == z.min()
    assert z[-1] == z.max()


def test_a_lower_half_far_from_the_upper_one_becomes_normal_quantiles() -> None:
    good, bad = normal(21).abs(), torch.linspace(-30, -20, 20, dtype=torch.float64)
    y = torch.cat([bad, good])
    z, target = standardize(y)
    assert target.steps == ("half-rank",)
    median = good.min()
    assert target.exact_above == float(median)
    spread = (good - median).square().mean().sqrt()
    ranks = scipy.stats.rankdata(y.numpy())[:20]
    expected = float(median) + float(spread) * scipy.stats.norm.ppf((ranks - 0.5) / 41)
    back, _ = target.to_values(z, torch.ones_like(z))
    np.testing.assert_allclose(back[:20].numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(back[20:].numpy(), good.numpy(), rtol=1e-9, atol=1e-12)


def test_of_many_values_the_best_forty_are_the_good_ones() -> None:
    """However many bad ones there are, what lies above keeps its distances."""
    rng = np.random.default_rng(0)
    y = -(10.0 ** torch.from_numpy(rng.uniform(0, 6, 400)))
    z, target = standardize(y)
    ordered = y.sort(descending=True).values
    assert target.steps[-1] == "half-rank"
    assert target.exact_above == float(ordered[GOOD - 1])
    assert z[y.argsort()].diff().min() >= 0
    best = z[y.argsort(descending=True)][:GOOD]
    back, _ = target.to_values(best, torch.ones_like(best))
    torch.testing.assert_close(back, ordered[:GOOD], rtol=1e-9, atol=1e-9)
    knee = z[y.argsort(descending=True)][GOOD]
    assert knee < best[-1]  # the first of the others lies below, and not far
    assert best[-1] - knee < 0.1
    few = -(10.0 ** torch.from_numpy(rng.uniform(0, 6, 80)))
    assert standardize(few)[1].exact_above == float(few.sort().values[40])


def test_values_of_one_place_count_as_one() -> None:
    """Targets of what is apart are those that it would have alone; the crowd keeps its order."""
    lone = torch.cat([torch.linspace(-300, -20, 20, dtype=torch.float64), normal(21).abs()])
    crowd = lone.max() - 1e-6 * torch.arange(60).double()
    apart = torch.arange(101) < 41
    z, target = standardize(torch.cat([lone, crowd]), apart)
    expected, same = standardize(lone)
    assert target == same
    torch.testing.assert_close(z[:41], expected, rtol=0, atol=0)
    assert (z[41:].diff() < 0).all()
    assert z[41] == z.max()
    assert z[41] - z[-1] < 1e-3
    squashed, _ = standardize(torch.cat([lone, crowd]))
    assert float(squashed[41] - squashed[-1]) > 1


def test_between_the_ranks_of_what_is_apart_the_others_are_placed_in_proportion() -> None:
    y = tensor([-40.0, -30.0, -25.0, -20.0, 0.0, 0.1, 0.2, 0.3])
    apart = torch.tensor([True, True, False, True, True, True, True, True])
    z, target = standardize(y, apart)
    assert "half-rank" in target.steps
    assert z[1] < z[2] < z[3]


def test_equal_values_apart_leave_the_scale_to_all() -> None:
    y = tensor([1.0, 1.0, 0.0, 2.0])
    apart = torch.tensor([True, True, False, False])
    torch.testing.assert_close(standardize(y, apart)[0], standardize(y)[0])


def test_losses_over_ten_decades_leave_the_good_ones_apart() -> None:
    z, target = standardize(-torch.logspace(-3, 7, 40, dtype=torch.float64))
    assert target.steps == ("winsorize", "half-rank")
    assert z.abs().max() < 4
    assert float(z[:20].max() - z[:20].min()) > 0.5


@given(usual)
def test_order_and_ties_are_kept(values: list[float]) -> None:
    y = tensor(values)
    z, target = standardize(y)
    order = y.argsort(stable=True)
    steps = z[order].diff()
    assert (steps >= 0).all()
    equal = y[order].diff() == 0
    assert (steps[equal] == 0).all()
    above = y >= target.exact_above
    size = y.abs().max()
    back = target.to_values(z, torch.ones_like(z))[0]
    torch.testing.assert_close(back[above], y[above], rtol=1e-9, atol=float(size) * 1e-12)


@given(usual, st.data())
def test_order_is_kept_whatever_sets_the_scale(values: list[float], data: st.DataObject) -> None:
    y = tensor(values)
    chosen = data.draw(st.lists(st.booleans(), min_size=len(y), max_size=len(y)))
    apart = torch.tensor(chosen)
    apart[y.argmax()] = True
    z, target = standardize(y, apart)
    assert torch.isfinite(z).all()
    assert (z[y.argsort(stable=True)].diff() >= 0).all()
    above = y >= target.exact_above
    back = target.to_values(z, torch.ones_like(z))[0]
    torch.testing.assert_close(back[above], y[above], rtol=1e-9, atol=float(y.abs().max()) * 1e-12)


@given(usual, st.integers(-20, 20), st.integers(-(10**6), 10**6))
def test_shift_and_scale_do_not_matter(values: list[float], power: int, shift: int) -> None:
    y = tensor([round(v) for v in values])
    z, target = standardize(y)
    moved, other = standardize((y + shift) * 2.0**power)
    assert other.steps == target.steps
    torch.testing.assert_close(moved, z, rtol=1e-9, atol=1e-9)


@given(st.lists(finite, max_size=30))
def test_any_finite_doubles_give_finite_targets_of_unit_spread(values: list[float]) -> None:
    z, target = standardize(tensor(values))
    assert torch.isfinite(z).all()
    assert math.isfinite(target.center)
    assert 0 < target.scale < math.inf
    value, sd = target.to_values(z, torch.ones_like(z))
    assert torch.isfinite(value).all()
    assert torch.isfinite(sd).all()
    if z.any():
        assert float(z.mean()) == pytest.approx(0.0, abs=1e-9)
        assert float(z.square().mean()) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize(("values", "center"), [([], 0.0), ([3.0], 3.0), ([-2e300] * 5, -2e300)])
def test_nothing_to_compare_gives_targets_of_zero(values: list[float], center: float) -> None:
    z, target = standardize(tensor(values))
    assert z.tolist() == [0.0] * len(values)
    assert target == Target(center, 1.0, (), -math.inf)


def test_one_hopeless_value_leaves_the_others_as_they_were() -> None:
    y = normal(30)
    z, _ = standardize(torch.cat([y, tensor([-1e300])]))
    mild, _ = standardize(torch.cat([y, tensor([-1e3])]))
    torch.testing.assert_close(z, mild)


def test_tiny_scales_and_large_offsets_keep_their_differences() -> None:
    y = normal(30)
    z = standardize(y)[0]
    torch.testing.assert_close(standardize(y * 1e-300)[0], z, rtol=1e-6, atol=1e-6)
    whole = (100 * y).round() * 2
    torch.testing.assert_close(
        standardize(whole + 1e16)[0], standardize(whole)[0], rtol=1e-9, atol=1e-9
    )


def test_a_majority_of_equal_values_is_not_clipped_away() -> None:
    z, target = standardize(tensor([0.0] * 9 + [-1.0, 1.0]))
    assert target.steps == ()
    assert z[-2] < z[0] < z[-1]


def test_known_noise_is_scaled_like_the_targets() -> None:
    _, target = standardize(10 * normal(20))
    sd = tensor([target.scale, torch.nan, 1e300])
    variance = target.noise_variance(sd)
    assert float(variance[0]) == pytest.approx(1.0)
    assert torch.isnan(variance[1])
    assert float(variance[2]) == 1e6


def test_values_that_are_not_finite_are_refused() -> None:
    for bad in (torch.nan, torch.inf):
        with pytest.raises(ObservationError, match="targets: a value is not finite"):
            standardize(tensor([1.0, bad]))


def test_the_values_are_not_changed() -> None:
    y = torch.cat([normal(20), tensor([-1e9])])
    before = y.clone()
    standardize(y)
    assert torch.equal(y, before)
