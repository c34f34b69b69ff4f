"""The belief of any GPyTorch model: GPyTorch's own, one answer to all questions, conditioning."""

from __future__ import annotations

import copy

import pytest
import torch
from gpytorch.likelihoods import FixedNoiseGaussianLikelihood

from gpbo.errors import ShapeError
from gpbo.surrogate.custom_posterior import ModelPosterior
from gpbo.surrogate.evidence import Data
from tests.surrogate.data import problem
from tests.surrogate.models import (
    QUICK,
    SURROGATES,
    quick,
)

every_surrogate = pytest.mark.parametrize("name", SURROGATES)


@pytest.mark.parametrize("name", QUICK)
def test_the_belief_is_gpytorchs_own(name: str) -> None:
    """But for inducing points, with which GPyTorch predicts by another approximation."""
    posterior, data = quick(name)
    new = problem(5, 2, seed=2)[0]
    model = copy.deepcopy(posterior.model)
    noise = data.known + posterior.noise * data.unknown
    model.likelihood = FixedNoiseGaussianLikelihood(noise)
    model.set_train_data(data.x, data.y, strict=False)
    model.eval()
    belief = model(new)
    mean, covariance = posterior.joint(new)
    torch.testing.assert_close(mean, belief.mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(covariance, belief.covariance_matrix, rtol=1e-6, atol=1e-6)


@every_surrogate
def test_all_questions_have_one_answer(name: str) -> None:
    posterior, _ = quick(name)
    new = problem(6, 2, seed=2)[0]
    mean, variance = posterior.mean_variance(new)
    whole, covariance = posterior.joint(new)
    sets, blocks = posterior.joint(new.view(3, 2, 2))
    torch.testing.assert_close(whole, mean)
    torch.testing.assert_close(posterior.mean(new.view(2, 3, 2)).flatten(), mean)
    torch.testing.assert_close(covariance.diagonal(), variance, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(sets.flatten(), mean)
    torch.testing.assert_close(blocks[1], covariance[2:4, 2:4], rtol=1e-6, atol=1e-9)
    assert posterior.mean_variance(new[:0])[1].shape == (0,)


@every_surrogate
def test_the_belief_is_differentiable_in_x(name: str) -> None:
    posterior, _ = quick(name)
    new = problem(3, 2, seed=2)[0].requires_grad_()
    torch.autograd.gradcheck(posterior.mean_variance, new)
    torch.autograd.gradcheck(lambda x: posterior.joint(x)[1], new)


@every_surrogate
def test_conditioning_is_building_with_the_new_points(name: str) -> None:
    posterior, data = quick(name)
    new, at = problem(4, 2, seed=2)[0], problem(5, 2, seed=3)[0]
    values = torch.linspace(-1, 1, 4, dtype=torch.float64)
    noise = torch.cat(
        [data.known + posterior.noise * data.unknown, new.new_full((4,), posterior.noise)]
    )
    whole = Data.build(torch.cat([data.x, new]), torch.cat([data.y, values]), noise)
    expected = ModelPosterior.build(copy.deepcopy(posterior.model), whole).joint(at)
    before = posterior.joint(at)
    for a, b in zip(posterior.condition(new, values).joint(at), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
    believed = posterior.condition(new, None).joint(at)
    torch.testing.assert_close(believed[0], before[0], rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(believed[1], expected[1], rtol=1e-6, atol=1e-7)
    for a, b in zip(posterior.joint(at), before, strict=True):
        assert torch.equal(a, b)  # this one stays as it is


def test_points_that_do_not_fit_are_refused() -> None:
    posterior, data = quick("matern")
    with pytest.raises(ShapeError, match="x does not fit"):
        posterior.mean_variance(data.x[:, :1])
    with pytest.raises(ShapeError, match="do not match"):
        posterior.condition(data.x, data.y[1:])
