"""The share of uncertainty that an observation removes, against arbitrary precision."""

from __future__ import annotations

import mpmath
import pytest
import torch
from torch import Tensor

from gpbo.acquisition.news import LogNews
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


@pytest.mark.parametrize("variance", [1e-12, 1e-4, 1.0, 100.0])
def test_news_matches_arbitrary_precision(variance):
    x = torch.tensor([[[0.0, variance]]], dtype=torch.float64)
    with mpmath.workdps(50):
        noise = mpmath.mpf(1e-2)
        share = mpmath.log(1 - mpmath.sqrt(noise / (mpmath.mpf(variance) + noise)))
    assert LogNews(Given(), 1e-2)(x).item() == pytest.approx(float(share), rel=1e-12)


def test_new_ground_says_all_and_known_ground_nothing() -> None:
    x = torch.tensor([[[0.0, 1e9]], [[0.0, 1.0]], [[0.0, 1e-9]]], dtype=torch.float64)
    news = LogNews(Given(), 1e-2)(x)
    assert abs(news[0]) < 1e-4
    assert (news[:-1] > news[1:]).all()
    assert news[2] < -10


def test_its_gradient_is_right() -> None:
    x = torch.tensor([[[0.3, 0.02]], [[0.1, 3.0]]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(LogNews(Given(), 1e-2), (x,))


def test_sets_of_several_points_are_refused() -> None:
    with pytest.raises(ShapeError, match="LogNews"):
        LogNews(Given(), 1e-2)(torch.zeros(3, 2, 2, dtype=torch.float64))
