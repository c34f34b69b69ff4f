"""Expected improvement with pending points against brute force and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gpbo.acquisition import (
    ConditionalLogExpectedImprovement,
    LogExpectedImprovement,
    QLogExpectedImprovement,
    montecarlo,
    normal_base_samples,
)
from gpbo.errors import ShapeError
from gpbo.quasirandom import MOST_COLUMNS

BEST = 0.9
BOTH = [ConditionalLogExpectedImprovement, QLogExpectedImprovement]


def samples(count: int, columns: int, seed: int = 0) -> torch.Tensor:
    return normal_base_samples(count, columns, np.random.default_rng(seed))


def brute_force(belief, x: torch.Tensor, best: float, seed: int) -> tuple[float, float]:
    """Expected improvement of the best of x (k, d), by NumPy, and its standard error."""
    mean, covariance = belief.joint(x)
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(covariance.numpy() + 1e-12 * np.eye(len(mean)))
    f = mean.numpy() + rng.standard_normal((400_000, len(mean))) @ root.T
    gain = np.maximum(f.max(1) - best, 0)
    return float(gain.mean()), float(gain.std() / math.sqrt(len(gain)))


def test_base_samples_are_standard_normal_and_repeatable():
    drawn = samples(1024, 5)
    assert drawn.shape == (1024, 5)
    assert drawn.dtype == torch.float64
    torch.testing.assert_close(drawn.mean(0), torch.zeros(5).double(), rtol=0, atol=0.01)
    torch.testing.assert_close(torch.cov(drawn.T), torch.eye(5).double(), rtol=0, atol=0.05)
    assert torch.equal(drawn, samples(1024, 5))
    assert not torch.equal(drawn, samples(1024, 5, seed=1))
    assert torch.isfinite(samples(4096, 300)).all()


def test_base_samples_leave_the_global_generators_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    samples(64, 3)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()


@pytest.mark.parametrize("columns", [0, MOST_COLUMNS + 1])
def test_base_samples_know_no_limits(columns):
    assert samples(2, columns).shape == (2, columns)


@pytest.mark.parametrize("pending", [None, torch.zeros(0, 2, dtype=torch.float64)])
def test_without_pending_points_the_conditional_one_is_exact(belief, points, pending):
    x = points(20, 1, 2)
    value = ConditionalLogExpectedImprovement(belief, BEST, pending, samples(16, 3))(x)
    torch.testing.assert_close(value, LogExpectedImprovement(belief, BEST)(x), rtol=1e-13, atol=0)


def test_for_one_point_the_sampled_one_converges_to_the_closed_form(belief, points):
    x = points(60, 1, 2)
    exact = LogExpectedImprovement(belief, BEST)(x)
    x, exact = x[exact > -5], exact[exact > -5]
    assert len(x) > 5
    errors = [
        (QLogExpectedImprovement(belief, BEST, None, samples(n, 1))(x) - exact).abs().max().item()
        for n in (2**7, 2**11, 2**15)
    ]
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 2e-3


def test_the_sampled_one_matches_brute_force(belief, points):
    pending, x = points(2, 2, seed=1), points(6, 2, 2, seed=2)
    value = QLogExpectedImprovement(belief, BEST, pending, samples(2**13, 4))(x).exp()
    for got, pair in zip(value.tolist(), x, strict=True):
        expected, error = brute_force(belief, torch.cat([pair, pending]), BEST, seed=5)
        # The smoothed maximum of 4 is at most 4^TAU_MAX = 1.4 % too high.
        assert expected - 5 * error - 2e-3 < got < 1.014 * expected + 5 * error + 2e-3


def test_the_conditional_one_is_what_a_point_adds_to_the_pending_ones(belief, points):
    pending, x = points(3, 2, seed=1), points(8, 1, 2, seed=2)
    value = ConditionalLogExpectedImprovement(belief, BEST, pending, samples(2**12, 3))(x).exp()
    before, _ = brute_force(belief, pending, BEST, seed=7)
    for got, point in zip(value.tolist(), x, strict=True):
        after, error = brute_force(belief, torch.cat([pending, point]), BEST, seed=7)
        assert got == pytest.approx(after - before, abs=4 * error + 1e-3)


def test_both_agree_on_which_point_is_best_beside_pending_ones(belief, points):
    pending, x = points(2, 2, seed=1), points(40, 1, 2, seed=2)
    base = samples(2**12, 3)
    tops = [kind(belief, BEST, pending, base)(x).argmax().item() for kind in BOTH]
    assert tops[0] == tops[1]


@pytest.mark.parametrize("kind", BOTH)
def test_a_value_does_not_depend_on_the_other_sets(belief, points, kind):
    acquisition = kind(belief, BEST, points(3, 2, seed=1), samples(64, 4))
    x = points(montecarlo.TOGETHER + 7, 1, 2, seed=2)
    together = acquisition(x)
    torch.testing.assert_close(
        together, torch.cat([acquisition(row) for row in x.split(1)]), rtol=1e-9, atol=1e-9
    )
    assert acquisition(x[:0]).shape == (0,)


def test_the_order_of_a_set_hardly_matters(belief, points):
    x = points(5, 3, 2, seed=2)
    acquisition = QLogExpectedImprovement(belief, BEST, None, samples(2**13, 3))
    torch.testing.assert_close(acquisition(x), acquisition(x.flip(1)), rtol=0, atol=0.02)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("m", [0, 3])
def test_they_are_differentiable_in_the_points(belief, points, kind, m):
    acquisition = kind(belief, 0.3, points(m, 2, seed=1), samples(32, 4))
    x = points(3, 1, 2, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(acquisition, x, eps=1e-7, rtol=1e-3, atol=1e-4)


def test_sets_of_two_are_differentiable_too(belief, points):
    acquisition = QLogExpectedImprovement(belief, 0.3, points(2, 2, seed=1), samples(32, 4))
    x = points(2, 2, 2, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(acquisition, x, eps=1e-7, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", BOTH)
def test_coincident_points_give_finite_values_and_gradients(belief, points, kind):
    pending = points(2, 2, seed=1)
    pending = torch.cat([pending, pending[:1], belief.x[:1]])
    acquisition = kind(belief, BEST, pending, samples(64, 5))
    x = torch.cat([pending, belief.x]).unsqueeze(1).requires_grad_()
    value = acquisition(x)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(x.grad).all()


def test_a_set_of_equal_points_is_worth_one_of_them(belief, points):
    x = points(4, 1, 2, seed=2)
    acquisition = QLogExpectedImprovement(belief, 0.3, None, samples(2**10, 2))
    torch.testing.assert_close(acquisition(x.expand(4, 2, 2)), acquisition(x), rtol=0, atol=0.05)


def test_far_below_the_best_there_still_is_a_gradient(belief, points):
    x = points(6, 1, 2, seed=2).requires_grad_()
    value = QLogExpectedImprovement(belief, 50.0, None, samples(64, 1))(x)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert (x.grad.abs().sum((1, 2)) > 1e-6).all()


@pytest.mark.parametrize("kind", BOTH)
def test_the_pending_block_is_factorized_once(belief, points, kind, monkeypatch):
    sizes = []

    def counted(matrix):
        sizes.append(matrix.shape[-1])
        return original(matrix)

    original = montecarlo.cholesky
    monkeypatch.setattr(montecarlo, "cholesky", counted)
    acquisition = kind(belief, BEST, points(3, 2, seed=1), samples(16, 4))
    for seed in range(4):
        acquisition(points(9, 1, 2, seed=seed))
    assert sizes == [3]


@pytest.mark.parametrize("kind", BOTH)
def test_too_few_base_samples_are_refused(belief, points, kind):
    with pytest.raises(ShapeError, match=r"base_samples: too few columns, got \(16, 2\)"):
        kind(belief, BEST, points(3, 2), samples(16, 2))(points(1, 1, 2))


def test_wrong_shapes_of_points_are_refused(belief, points):
    with pytest.raises(ShapeError, match="ConditionalLogExpectedImprovement: takes one point"):
        ConditionalLogExpectedImprovement(belief, BEST, None, samples(16, 2))(points(3, 2, 2))
    with pytest.raises(ShapeError, match=r"QLogExpectedImprovement: .*expected \(b, q, d\)"):
        QLogExpectedImprovement(belief, BEST, None, samples(16, 2))(points(3, 2))
