"""The belief of the Gaussian process, against GPyTorch, scikit-learn and dense formulas."""

from __future__ import annotations

from dataclasses import replace

import gpytorch
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from torch import Tensor

from gpbo.errors import ShapeError
from gpbo.surrogate import posterior as module
from gpbo.surrogate.evidence import Data
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.model import ExactGaussianProcess
from gpbo.surrogate.posterior import KEPT, GaussianPosterior
from gpbo.surrogate.prior import default_priors
from tests.surrogate.data import problem, values


def posterior(n: int, d: int, seed: int = 0, noise: Tensor | None = None) -> GaussianPosterior:
    x, y = problem(n, d, seed)
    return GaussianPosterior.build(Data.build(x, y, noise), values(d, seed))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("groups", [None, [0, 1, 0]])
def test_mean_and_covariance_equal_gpytorchs(groups: list[int] | None, known: bool) -> None:
    x, y = problem(18, 3)
    new = problem(6, 3, seed=4)[0]
    noise = torch.full((18,), torch.nan, dtype=torch.float64)
    noise[:7] = 0.02
    where = None if groups is None else torch.tensor(groups)
    data = Data.build(x, y, noise if known else None, where)
    v = values(data.n_groups)
    ours = GaussianPosterior.build(data, v)
    model = ExactGaussianProcess(data, default_priors(data.n_groups), v).eval()
    with torch.no_grad(), gpytorch.settings.fast_computations(False, False, False):
        theirs = model(new)
        mean, covariance = theirs.mean, theirs.covariance_matrix
    for ours_mean, ours_second, second in (
        (*ours.joint(new), covariance),
        (*ours.mean_variance(new), covariance.diagonal()),
    ):
        torch.testing.assert_close(ours_mean, mean, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(ours_second, second, rtol=1e-7, atol=1e-8)


def test_belief_equals_scikit_learns() -> None:
    x, y = problem(12, 2)
    new = problem(5, 2, seed=3)[0]
    v = Hyperparameters((0.4, 0.7), 1.3, 1e-3)
    ours = GaussianPosterior.build(Data.build(x, y), v)
    kernel = ConstantKernel(1.3) * Matern(length_scale=[0.4, 0.7], nu=2.5)
    theirs = GaussianProcessRegressor(kernel, alpha=1e-3, optimizer=None)
    theirs.fit(x.numpy(), y.numpy() - ours.constant)
    mean, sd = theirs.predict(new.numpy(), return_std=True)
    found = ours.mean_variance(new)
    np.testing.assert_allclose(found[0].numpy(), mean + ours.constant, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[1].sqrt().numpy(), sd, rtol=1e-7)


def test_the_constant_mean_is_the_generalized_least_squares_one() -> None:
    x, y = problem(9, 2)
    v = values(2)
    data = Data.build(x, y + 5)
    found = GaussianPosterior.build(data, v)
    k = found.lower @ found.lower.mT
    weight = torch.linalg.solve(k, torch.ones(9, dtype=torch.float64))
    assert found.constant == pytest.approx(float(weight @ (y + 5) / weight.sum()), rel=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 10), st.integers(1, 4), st.integers(0, 10**6), st.floats(-50, 50))
def test_order_and_offset_of_the_observations_do_not_matter(
    n: int, d: int, seed: int, offset: float
) -> None:
    x, y = problem(n, d, seed)
    new = problem(4, d, seed + 1)[0]
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n))
    v = values(d, seed)
    mean, variance = GaussianPosterior.build(Data.build(x, y), v).mean_variance(new)
    moved = GaussianPosterior.build(Data.build(x[order] - 7, y[order] + offset), v)
    again = moved.mean_variance(new - 7)
    torch.testing.assert_close(again[0], mean + offset, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(again[1], variance, rtol=1e-6, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 8), st.integers(1, 4), st.integers(1, 5), st.integers(0, 10**6))
def test_the_joint_belief_is_symmetric_positive_and_agrees_with_the_marginals(
    n: int, d: int, q: int, seed: int
) -> None:
    belief = posterior(n, d, seed)
    x = torch.stack([problem(q, d, seed + s)[0] for s in range(3)])
    x[0, -1] = x[0, 0]
    mean, covariance = belief.joint(x)
    one, variance = belief.mean_variance(x)
    torch.testing.assert_close(mean, one, rtol=1e-10, atol=1e-10)
    diagonal = covariance.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(diagonal, variance, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(covariance, covariance.mT, rtol=0, atol=1e-13)
    assert (torch.linalg.eigvalsh(covariance) > -1e-9 * belief.outputscale).all()
    assert (variance > 0).all()


@pytest.mark.parametrize(
    "shape", [(2,), (1, 2), (3, 2), (2, 3, 2), (0, 2), (2, 0, 2), (4, 1, 3, 2)]
)
def test_leading_shapes_are_kept(shape: tuple[int, ...]) -> None:
    belief = posterior(7, 2)
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, variance = belief.mean_variance(x)
    assert mean.shape == variance.shape == shape[:-1]
    flat = belief.mean_variance(x.reshape(-1, 2))
    torch.testing.assert_close(mean.reshape(-1), flat[0])
    if len(shape) > 1:
        mean, covariance = belief.joint(x)
        assert mean.shape == shape[:-1]
        assert covariance.shape == (*shape[:-1], shape[-2])


def test_gradients_are_right_at_observed_points_too() -> None:
    belief = posterior(6, 2)
    x = torch.cat([problem(2, 2, seed=8)[0], belief.x[:2]]).requires_grad_()
    assert torch.autograd.gradcheck(belief.mean_variance, (x,), atol=1e-6)
    pairs = x.detach().reshape(2, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(belief.joint, (pairs,), atol=1e-6)


def test_nothing_but_x_gets_a_gradient() -> None:
    belief = posterior(6, 2)
    mean, variance = belief.mean_variance(belief.x + 0.1)
    assert not mean.requires_grad
    assert not variance.requires_grad
    assert not belief.lower.requires_grad


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 8), st.integers(1, 4), st.integers(0, 10**6))
def test_conditioning_equals_observing_with_the_same_mean(n: int, m: int, seed: int) -> None:
    belief = posterior(n, 2, seed)
    x, y = problem(m, 2, seed + 1)
    new = problem(5, 2, seed + 2)[0]
    told = belief.condition(x, y)
    whole = torch.cat([belief.x, x])
    cross, prior = (belief.outputscale * _matern(a, whole, belief) for a in (new, whole))
    k = prior + belief.noise * torch.eye(n + m, dtype=torch.float64)
    rest = torch.cat([belief.residual, y - belief.constant])
    mean = belief.constant + cross @ torch.linalg.solve(k, rest)
    inner = belief.outputscale * _matern(new, new, belief)
    covariance = inner - cross @ torch.linalg.solve(k, cross.mT)
    found = told.joint(new)
    torch.testing.assert_close(found[0], mean, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(found[1], covariance, rtol=1e-7, atol=1e-7)


def _matern(a: Tensor, b: Tensor, belief: GaussianPosterior) -> Tensor:
    s = 5**0.5 * torch.cdist(a / belief.lengthscale, b / belief.lengthscale)
    return (1 + s + s * s / 3) * torch.exp(-s)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 8), st.integers(1, 4), st.integers(0, 10**6))
def test_believing_the_mean_keeps_it_and_shrinks_the_variance(n: int, m: int, seed: int) -> None:
    belief = posterior(n, 2, seed)
    x, new = problem(m, 2, seed + 1)[0], problem(6, 2, seed + 2)[0]
    believed = belief.condition(x, None)
    before, after = belief.mean_variance(new), believed.mean_variance(new)
    torch.testing.assert_close(after[0], before[0], rtol=1e-8, atol=1e-8)
    assert (after[1] <= before[1] + 1e-9).all()
    at = believed.mean_variance(x)[1]
    assert (at <= belief.noise + 1e-9).all()
    assert belief.x.shape[0] == n


def test_conditioning_on_the_same_point_again_and_again_stays_finite() -> None:
    belief = posterior(5, 2)
    x = belief.x[:1]
    for _ in range(30):
        belief = belief.condition(x, None)
    mean, variance = belief.mean_variance(x)
    assert torch.isfinite(mean).all()
    assert 0 < float(variance) < 1e-2


def test_without_observations_the_belief_is_the_prior() -> None:
    belief = posterior(0, 3)
    x = problem(4, 3)[0]
    mean, variance = belief.mean_variance(x)
    assert not mean.any()
    torch.testing.assert_close(variance, torch.full_like(mean, belief.outputscale))
    assert belief.condition(x, None).mean_variance(x)[0].abs().max() == 0


def test_rows_after_those_of_the_fit_are_appended_to_the_same_belief() -> None:
    x, y = problem(60, 3)
    new = problem(5, 3, seed=2)[0]
    data, v = Data.build(x, y), values(3)
    whole = GaussianPosterior.build(data, v)
    for fitted in (1, 40, 60, 90):
        grown = GaussianPosterior.build(data, replace(v, fitted=fitted))
        torch.testing.assert_close(grown.lower, whole.lower, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(grown.inverse_lower, whole.inverse_lower, rtol=1e-8, atol=1e-8)
        for ours, theirs in zip(grown.joint(new), whole.joint(new), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-9)


def test_a_factor_at_hand_changes_no_bit_and_two_are_kept() -> None:
    x, y = problem(KEPT[0] + 20, 2)
    v = replace(values(2), fitted=KEPT[0])
    grown = [Data.build(x[:n], y[:n]) for n in range(KEPT[0], KEPT[0] + 20, 5)]
    module._recent.clear()
    alone = []
    for data in grown:
        module._recent.clear()
        alone.append(GaussianPosterior.build(data, v))
    module._recent.clear()
    for k, data in enumerate(grown):
        at_hand = GaussianPosterior.build(data, v)
        assert torch.equal(at_hand.weights, alone[k].weights)
        assert torch.equal(at_hand.inverse_lower, alone[k].inverse_lower)
        assert len(module._recent) == 1
    for noise in (0.1, 0.2, 0.3):
        GaussianPosterior.build(grown[0], replace(v, noise=noise))
    assert len(module._recent) == 2
    kept = module._recent._known
    GaussianPosterior.build(Data.build(x[:50], y[:50]), v)
    assert module._recent._known is kept  # few rows push nothing out
    assert [len(first.x) for _, _, first in kept] == [KEPT[0]] * 2


def test_points_that_do_not_fit_are_refused() -> None:
    belief = posterior(4, 2)
    with pytest.raises(ShapeError, match=r"posterior: x does not fit, got \(3, 5\)"):
        belief.mean_variance(torch.zeros(3, 5, dtype=torch.float64))
    with pytest.raises(ShapeError, match="posterior: x does not fit"):
        belief.joint(torch.zeros(2, dtype=torch.float64))
    with pytest.raises(ShapeError, match="condition: x and y do not match"):
        belief.condition(torch.zeros(3, 2).double(), torch.zeros(2).double())


def test_known_values_at_points_that_tell_each_other_need_no_jitter() -> None:
    """With jitter on its diagonal no value would be known, and a batch would go back to the place
    of its first points.
    """
    belief = posterior(12, 2)
    some = problem(4, 2, seed=9)[0]
    x = torch.cat([some, some[:2] + 1e-9, some[2:3]])
    values_at = torch.stack([belief.mean(x), belief.mean(x) + 0.1])
    points, inverse, weights = belief.given(x, values_at)
    assert len(points) == 12 + 4
    assert all(bool((points[12:] - one).abs().amax(1).min() < 2e-9) for one in x)
    k = belief.outputscale * module.matern52(x, points, belief.lengthscale)
    mean = belief.constant + weights @ k.mT
    torch.testing.assert_close(mean, values_at, rtol=0, atol=1e-6)
    variance = belief.outputscale - (inverse @ k.mT).square().sum(0)
    assert float(variance.max()) < 1e-8 * belief.outputscale
