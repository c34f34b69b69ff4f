"""Log probability of feasibility against arbitrary precision."""

from __future__ import annotations

import mpmath
import pytest
import torch
from torch import Tensor

from gpbo.acquisition import LogFeasibility
from gpbo.errors import ShapeError
from gpbo.surrogate.base import Posterior


class Given(Posterior):
    """A belief that reads mean and variance off the two columns of x."""

    def mean_variance(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[..., 0], x[..., 1]

    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def condition(self, x: Tensor, y: Tensor | None) -> Given:
        raise NotImplementedError


@pytest.mark.parametrize("mean", [-100.0, -40.0, -1.0, 0.0, 0.3, 0.5, 0.9, 1.0, 5.0])
@pytest.mark.parametrize("variance", [1e-6, 0.01, 1.0])
def test_value_and_gradient_match_arbitrary_precision(mean, variance):
    x = torch.tensor([[[mean, variance]]], dtype=torch.float64, requires_grad=True)
    value = LogFeasibility(Given(), slack=1e-3)(x)
    value.sum().backward()
    with mpmath.workdps(50):
        std = mpmath.sqrt(mpmath.mpf(variance) + mpmath.mpf(1e-3))
        z = (mpmath.mpf(mean) - 0.5) / std
        cdf = mpmath.erfc(-z / mpmath.sqrt(2)) / 2
        slope = mpmath.npdf(z) / cdf / std
        assert abs(value.item() - mpmath.log(cdf)) <= 1e-12 * max(1, abs(mpmath.log(cdf)))
        assert abs(x.grad[0, 0, 0].item() - slope) <= 1e-8 * slope + 1e-300


def test_the_points_of_a_set_multiply(belief, points):
    x = points(4, 3, 2)
    together = LogFeasibility(belief)(x)
    one_by_one = LogFeasibility(belief)(x.reshape(12, 1, 2)).view(4, 3).sum(1)
    torch.testing.assert_close(together, one_by_one)


def test_it_is_differentiable_in_the_points(belief, points):
    assert torch.autograd.gradcheck(LogFeasibility(belief), points(3, 2, 2).requires_grad_())


def test_a_failure_beside_does_not_rule_a_point_out_for_ever():
    x = torch.tensor([[[0.0, 1e-12]], [[1.0, 1e-12]], [[0.5, 1.0]]], dtype=torch.float64)
    failed, succeeded, unknown = LogFeasibility(Given())(x).tolist()
    assert -20 < failed < -10
    assert succeeded == pytest.approx(0, abs=1e-5)
    assert unknown == pytest.approx(-0.6931, abs=1e-4)


def test_below_the_least_probability_only_the_probability_counts():
    x = torch.tensor([[[0.5, 0.1]], [[0.45, 0.1]], [[0.3, 0.1]]], dtype=torch.float64)
    free, bound = LogFeasibility(Given())(x), LogFeasibility(Given(), least=0.5)(x)
    assert bound[0] == pytest.approx(free[0])
    assert bound[0] > bound[1] + 500 > bound[2] + 1000


def test_labels_are_compared_with_even_odds():
    x = torch.tensor([[[0.4, 0.1]], [[0.3, 0.1]]], dtype=torch.float64)
    odds = LogFeasibility(Given(), least=0.5, even=0.3)(x)
    assert odds[1] == pytest.approx(-0.6931, abs=1e-4)
    assert odds[0] > odds[1]


def test_a_matrix_is_refused():
    with pytest.raises(ShapeError, match=r"LogFeasibility: .*expected \(b, q, d\)"):
        LogFeasibility(Given())(torch.zeros(3, 2))
