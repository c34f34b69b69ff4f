"""Draws of a belief have its mean and covariance, and no two of them choose the same point."""

from __future__ import annotations

import pytest
import torch

from gpbo.acquisition.thompson import distinct_best, sample
from gpbo.seeding import generator


def test_draws_have_the_mean_and_covariance_of_the_belief(belief, points) -> None:
    x = points(5, 2, seed=1)
    mean, covariance = belief.joint(x)
    draws = sample(belief, x, 200_000, generator(0, "test"))
    assert draws.shape == (200_000, 5)
    scale = covariance.diagonal().sqrt()
    error = (draws.mean(0) - mean) / scale
    assert error.abs().max() < 5 / 200_000**0.5
    assert (torch.cov(draws.T) - covariance).abs().max() < 0.02 * scale.max() ** 2


def test_points_that_coincide_or_are_known_get_the_same_value(belief, points) -> None:
    x = points(3, 2)
    draws = sample(belief, torch.cat([x, x]), 50, generator(0, "test"))
    spread = belief.mean_variance(x)[1].mean().sqrt()
    assert (draws[:, :3] - draws[:, 3:]).abs().max() < 0.01 * spread  # the nugget's 1e-3, 7 sigma
    known = sample(belief, belief.x, 50, generator(0, "test"))
    assert (known - belief.mean(belief.x)).abs().max() < 0.1


def test_the_same_generator_gives_the_same_draws_and_no_global_one_is_touched(
    belief, points
) -> None:
    before = torch.get_rng_state()
    first, again, other = (
        sample(belief, points(4, 2), 3, generator(seed, "test")) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_row_takes_its_best_point_that_is_left() -> None:
    values = torch.tensor([[1.0, 5.0, 3.0], [2.0, 9.0, 1.0], [7.0, 8.0, 9.0], [0.0, 0.0, 0.0]])
    assert distinct_best(values).tolist() == [1, 0, 2]
    assert distinct_best(values[:2]).tolist() == [1, 0]
    assert values[1, 1] == 9.0  # the argument stays as it was


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_without_rows_or_points_nothing_is_chosen(shape: tuple[int, int]) -> None:
    assert distinct_best(torch.zeros(shape)).shape == (0,)
