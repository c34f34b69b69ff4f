"""Hyperpriors against GPyTorch, SciPy and mpmath."""

from __future__ import annotations

import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch

from gpbo.surrogate.prior import (
    Gamma,
    Hyperprior,
    LogNormal,
    Range,
    default_priors,
    label_priors,
    lengthscales,
)

PRIORS = [LogNormal(-4.0, 1.0), LogNormal(2.3, math.sqrt(3)), Gamma(2.0, 1.0), Gamma(1.1, 30.0)]
SCIPY = [
    scipy.stats.lognorm(1.0, scale=math.exp(-4.0)),
    scipy.stats.lognorm(math.sqrt(3), scale=math.exp(2.3)),
    scipy.stats.gamma(2.0, scale=1.0),
    scipy.stats.gamma(1.1, scale=1 / 30.0),
]
PAIRS = list(zip(PRIORS, SCIPY, strict=True))


def log_density(prior: Hyperprior, v: float) -> float:
    c0, c1, c2, c3 = prior.coefficients
    t = math.log(v)
    return c0 + c1 * t + c2 * t * t + c3 * v


@pytest.mark.parametrize(("prior", "reference"), PAIRS)
def test_density_equals_scipys_and_the_gpytorch_modules(
    prior: Hyperprior, reference: scipy.stats.rv_continuous
) -> None:
    for v in [1e-6, 1e-3, 0.2, 1.0, 7.0]:
        expected = float(reference.logpdf(v))
        assert log_density(prior, v) == pytest.approx(expected, rel=1e-11, abs=1e-11)
        module = float(prior.module().log_prob(torch.tensor(v, dtype=torch.float64)))
        assert module == pytest.approx(expected, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_mode_is_where_the_density_is_flat(prior: Hyperprior) -> None:
    slope = mpmath.diff(lambda v: log_density(prior, float(v)), prior.mode, h=1e-4 * prior.mode)
    assert abs(float(slope)) * prior.mode < 1e-5
    assert log_density(prior, prior.mode) > log_density(prior, 1.1 * prior.mode)
    assert log_density(prior, prior.mode) > log_density(prior, 0.9 * prior.mode)


@pytest.mark.parametrize(("prior", "reference"), PAIRS)
def test_draws_follow_the_density_and_the_generator(
    prior: Hyperprior, reference: scipy.stats.rv_continuous
) -> None:
    drawn = prior.draw(np.random.default_rng(5), 2000)
    assert scipy.stats.kstest(drawn, reference.cdf).pvalue > 0.01
    np.testing.assert_array_equal(drawn, prior.draw(np.random.default_rng(5), 2000))


@pytest.mark.parametrize("d", [1, 6, 500])
def test_the_default_lengthscale_grows_with_the_square_root_of_their_number(d: int) -> None:
    priors = default_priors(d)
    assert priors.lengthscale.mode == pytest.approx(0.205 * math.sqrt(d), rel=2e-3)
    assert priors.outputscale.mode == 1.0
    assert priors.noise_range.low == 1e-9
    table = priors.table(d)
    assert table.shape == (4, d + 2)
    assert tuple(table[:, 0].tolist()) == priors.lengthscale.coefficients
    assert tuple(table[:, -2].tolist()) == priors.outputscale.coefficients
    assert tuple(table[:, -1].tolist()) == priors.noise.coefficients


def test_a_range_clips_to_its_ends() -> None:
    assert [Range(1.0, 2.0).clip(v) for v in (0.5, 1.5, 3.0)] == [1.0, 1.5, 2.0]


@pytest.mark.parametrize("d", [1, 6, 100])
def test_labels_keep_a_lengthscale_of_half_the_prior_mode(d: int) -> None:
    usual, labels = default_priors(d), label_priors(d)
    low = labels.lengthscale_range.low
    assert low == pytest.approx(0.1 * math.sqrt(d))
    assert 0.4 < low / usual.lengthscale.mode < 0.6
    assert labels.outputscale == usual.outputscale


def test_the_noise_prior_says_little_about_how_small_it_is() -> None:
    noise = default_priors(3).noise
    assert noise.mode == pytest.approx(0.01)
    assert log_density(noise, 1e-8) > log_density(noise, noise.mode) - 2.0
    assert log_density(noise, 0.5) < log_density(noise, noise.mode) - 4.0


def test_labels_are_expected_to_be_noisy() -> None:
    labels = label_priors(3)
    assert labels.noise_range.low == 1e-6
    assert log_density(labels.noise, 1e-6) < log_density(labels.noise, labels.noise.mode) - 30.0


def test_each_lengthscale_has_its_own_least_value_within_the_range():
    priors = default_priors(3)
    usual = priors.lengthscale_range
    assert priors.ranges(3) == [usual] * 3 + [priors.outputscale_range, priors.noise_range]
    some = replace(priors, shortest=(0.0, 0.2, 1e9)).ranges(3)
    assert [box.low for box in some[:3]] == [usual.low, 0.2, usual.high]
    assert some[3:] == priors.ranges(3)[3:]


def test_a_long_lengthscale_has_the_usual_median_and_another_mode():
    usual = default_priors(4)
    long, short = lengthscales([True, False, False, False])[:2]
    assert short == usual.lengthscale
    assert long.mode == pytest.approx(1.51 * math.sqrt(4), rel=1e-2)
    for prior in (long, short):
        middle = scipy.stats.lognorm(prior.scale, scale=math.exp(prior.loc)).median()
        assert middle == pytest.approx(4.11 * math.sqrt(4), rel=1e-2)


def test_each_lengthscale_may_have_its_own_prior():
    usual = default_priors(3)
    mixed = replace(usual, own=lengthscales([False, True, False]))
    table, same = mixed.table(3), usual.table(3)
    assert tuple(table[:, 1].tolist()) == mixed.own[1].coefficients
    assert torch.equal(table[:, [0, 2, 3, 4]], same[:, [0, 2, 3, 4]])
    at = torch.tensor([[0.3, 2.0, 7.0]], dtype=torch.float64)
    density = mixed.lengthscale_module().log_prob(at)
    each = [log_density(prior, v) for prior, v in zip(mixed.own, at[0].tolist(), strict=True)]
    np.testing.assert_allclose(density[0], each, rtol=1e-12)
