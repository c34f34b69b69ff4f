"""Log expected improvement against arbitrary precision, and what must hold of it."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpbo.acquisition import LogExpectedImprovement, log_expected_improvement
from gpbo.acquisition.analytic import FAR, NEAR, log_h
from gpbo.errors import ShapeError

BORDERS = [border + step for border in (NEAR, FAR) for step in (-1e-9, 0.0, 1e-9)]
Z = [-1e6, -1e5, -3e3, -200.0, -60.0, -30.0, -20.0, -12.0, -7.0, -4.0, -2.0, -1.0, -0.1, 0.0]
Z += [0.1, 0.7, 1.0, 3.0, 8.0, 25.0, 40.0, 1e6, *BORDERS]


def exactly(z: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """log h and its derivative, with enough digits that nothing cancels.

    For far z the continued fraction of the Mills ratio (Abramowitz & Stegun 26.2.14) stands in for
    a cdf of some 10^11 digits; the code under test uses neither it nor this many digits.
    """
    with mpmath.workdps(60 + int(2 * z * z) if -40 < z < 0 else 120):
        z = mpmath.mpf(z)
        if z < -40:
            ratio = mpmath.mpf(0)
            for k in range(400, 0, -1):
                ratio = k / (-z + ratio)
            ratio = 1 / (-z + ratio)
            log_pdf = -z * z / 2 - mpmath.log(2 * mpmath.pi) / 2
            return log_pdf + mpmath.log(1 + z * ratio), ratio / (1 + z * ratio)
        cdf = mpmath.erfc(-z / mpmath.sqrt(2)) / 2
        h = mpmath.npdf(z) + z * cdf
        return mpmath.log(h), cdf / h


@pytest.mark.parametrize("z", Z)
def test_log_h_and_its_slope_match_arbitrary_precision(z):
    tensor = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    value = log_h(tensor)
    value.backward()
    expected, slope = exactly(z)
    assert abs(value.item() - expected) <= 1e-13 * max(1, abs(expected))
    assert abs(tensor.grad.item() - slope) <= 1e-12 * abs(slope)


def test_log_h_is_finite_wherever_its_square_is():
    z = torch.tensor([-1e150, -1e100, 1e100, 1e300], dtype=torch.float64, requires_grad=True)
    value = log_h(z)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(z.grad).all()


def test_log_h_gives_the_same_with_and_without_a_gradient():
    z = torch.tensor(Z, dtype=torch.float64)
    assert torch.equal(log_h(z), log_h(z.clone().requires_grad_()).detach())


def test_gradients_of_mean_std_and_best_match_finite_differences():
    rng = np.random.default_rng(0)
    mean = torch.from_numpy(rng.normal(-3, 4, 12)).requires_grad_()
    std = torch.from_numpy(rng.uniform(0.5, 2, 12)).requires_grad_()
    best = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(log_expected_improvement, (mean, std, best))


@given(
    mean=st.floats(-50, 50),
    std=st.floats(0.01, 50),
    best=st.floats(-50, 50),
    shift=st.floats(-9, 9),
    scale=st.floats(0.1, 10),
)
def test_units_do_not_matter(mean, std, best, shift, scale):
    def of(mean, std, best):
        pair = torch.tensor([mean, std], dtype=torch.float64)
        return log_expected_improvement(pair[0], pair[1], best).item()

    z = (mean - best) / std
    rounding = 1e-12 * (1 + z * z) * (1 + abs(shift / std) + abs(mean / std) + abs(best / std))
    plain = of(mean, std, best)
    assert abs(of(mean + shift, std, best + shift) - plain) <= rounding
    assert abs(of(scale * mean, scale * std, scale * best) - plain - np.log(scale)) <= rounding


def test_more_mean_and_more_doubt_are_worth_more():
    mean = torch.linspace(-60, 45, 2000, dtype=torch.float64)
    one = torch.ones_like(mean)
    assert (log_expected_improvement(mean, one, 0.0).diff() > 0).all()
    std = torch.linspace(0.01, 5, 2000, dtype=torch.float64)
    assert (log_expected_improvement(-torch.ones_like(std), std, 0.0).diff() > 0).all()


def test_mean_and_std_must_have_one_shape():
    with pytest.raises(ShapeError, match=r"log EI: mean and std differ in shape"):
        log_expected_improvement(torch.zeros(3), torch.ones(2), 0.0)


def test_the_acquisition_is_the_improvement_of_the_belief_averaged_over_it(belief, points):
    x = points(5, 1, 2)
    mean, variance = belief.mean_variance(x.squeeze(1))
    nodes, weights = np.polynomial.hermite_e.hermegauss(180)
    f = mean.unsqueeze(-1) + variance.sqrt().unsqueeze(-1) * torch.from_numpy(nodes)
    weights = torch.from_numpy(weights / weights.sum())
    expected = ((f - 0.5).clamp_min(0) * weights).sum(-1)
    value = LogExpectedImprovement(belief, best=0.5)(x)
    torch.testing.assert_close(value.exp(), expected, rtol=0, atol=3e-3)


def test_the_acquisition_is_differentiable_in_the_points(belief, points):
    acquisition = LogExpectedImprovement(belief, best=1.0)
    assert torch.autograd.gradcheck(acquisition, points(3, 1, 2).requires_grad_())


def test_the_acquisition_takes_no_sets_and_refuses_pairs(belief, points):
    acquisition = LogExpectedImprovement(belief, best=1.0)
    assert acquisition(points(0, 1, 2)).shape == (0,)
    with pytest.raises(ShapeError, match="LogExpectedImprovement: takes one point a set"):
        acquisition(points(3, 2, 2))
