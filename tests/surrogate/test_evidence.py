"""The log posterior of hyperparameters and its gradient, against GPyTorch's autograd and mpmath."""

from __future__ import annotations

import math

import gpytorch
import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gpbo.errors import ObservationError, ShapeError
from gpbo.surrogate.evidence import Data, LogPosterior, decode, encode
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.model import ExactGaussianProcess
from gpbo.surrogate.prior import default_priors
from tests.surrogate.data import problem, values


def some_known(n: int) -> Tensor:
    noise = torch.full((n,), torch.nan, dtype=torch.float64)
    noise[1::3] = torch.linspace(1e-3, 0.3, len(noise[1::3]), dtype=torch.float64)
    return noise


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("groups", [None, [0, 1, 1, 2]])
@pytest.mark.parametrize("n", [1, 2, 25])
def test_value_and_gradient_equal_gpytorchs(n: int, groups: list[int] | None, known: bool) -> None:
    x, y = problem(n, 4)
    where = None if groups is None else torch.tensor(groups)
    data = Data.build(x, y, some_known(n) if known else None, where)
    priors = default_priors(data.n_groups)
    settings = [values(data.n_groups, seed) for seed in range(3)]
    theta = torch.stack([encode(v, x) for v in settings])
    ours = LogPosterior(data, priors)(theta)
    for row, v in enumerate(settings):
        model = ExactGaussianProcess(data, priors, v)
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        total = mll(model(x), y) * n
        total.backward()
        raws = [model.covar_module.base_kernel.raw_lengthscale, model.covar_module.raw_outputscale]
        raws += [model.likelihood.noise_covar.raw_noise]
        gradient = torch.cat([raw.grad.reshape(-1) for raw in raws])
        torch.testing.assert_close(ours.value[row], total.detach(), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(ours.gradient[row], gradient, rtol=1e-9, atol=1e-9)
        assert abs(float(model.mean_module.raw_constant.grad)) < 1e-9  # the mean is at its best
    assert not ours.jitter.any()


def test_value_equals_the_definition_in_many_digits() -> None:
    x, y = problem(5, 2)
    v = Hyperparameters((0.6, 0.9), 1.7, 1e-3)
    data, priors = Data.build(x, y), default_priors(2)
    ours = float(LogPosterior(data, priors)(encode(v, x).unsqueeze(0)).value)
    z = [list(map(mpmath.mpf, point)) for point in x.tolist()]
    with mpmath.workdps(40):
        scaled = [(a / mpmath.mpf(0.6), b / mpmath.mpf(0.9)) for a, b in z]
        r2 = [[(p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 for q in scaled] for p in scaled]
        s = [[mpmath.sqrt(5 * r) for r in row] for row in r2]
        k = mpmath.matrix([[1.7 * (1 + t + t * t / 3) * mpmath.exp(-t) for t in row] for row in s])
        k += mpmath.mpf(1e-3) * mpmath.eye(5)
        one, target = mpmath.ones(5, 1), mpmath.matrix(y.tolist())
        inverse = k**-1
        mean = (one.T * inverse * target)[0] / (one.T * inverse * one)[0]
        rest = target - mean * one
        exact = -(rest.T * inverse * rest)[0] / 2 - mpmath.log(mpmath.det(k)) / 2
        exact -= mpmath.mpf(5) / 2 * mpmath.log(2 * mpmath.pi)
    modules = (priors.lengthscale.module(), priors.outputscale.module(), priors.noise.module())
    parts = (v.lengthscale, (v.outputscale,), (v.noise,))
    for prior, numbers in zip(modules, parts, strict=True):
        exact += float(prior.log_prob(torch.tensor(numbers, dtype=torch.float64)).sum())
    assert ours == pytest.approx(float(exact), rel=1e-12, abs=1e-11)


@pytest.mark.parametrize("known", [False, True])
def test_gradient_equals_central_differences_where_points_coincide(known: bool) -> None:
    x, y = problem(8, 3)
    x[3], x[4] = x[2], x[2]
    target = LogPosterior(Data.build(x, y, some_known(8) if known else None), default_priors(3))
    theta = encode(values(3), x)
    step = 1e-5 * torch.eye(5, dtype=torch.float64)
    numeric = (target(theta + step).value - target(theta - step).value) / 2e-5
    gradient = target(theta.unsqueeze(0)).gradient[0]
    torch.testing.assert_close(gradient, numeric, rtol=1e-6, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.floats(-1e3, 1e3), st.integers(0, 10**6))
def test_order_and_offsets_do_not_matter(n: int, d: int, offset: float, seed: int) -> None:
    x, y = problem(n, d, seed)
    theta = encode(values(d, seed), x).unsqueeze(0)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n))
    plain = LogPosterior(Data.build(x, y), default_priors(d))(theta)
    moved = LogPosterior(Data.build(x[order] + 3, y[order] + offset), default_priors(d))(theta)
    torch.testing.assert_close(moved.value, plain.value, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(moved.gradient, plain.gradient, rtol=1e-6, atol=1e-6)


def test_settings_in_a_batch_do_not_see_each_other() -> None:
    x, y = problem(10, 3)
    target = LogPosterior(Data.build(x, y), default_priors(3))
    theta = torch.stack([encode(values(3, s), x) for s in range(4)])
    theta[1] = 11.0  # a hopeless neighbor
    whole = target(theta)
    for row in (0, 2, 3):
        alone = target(theta[row : row + 1])
        torch.testing.assert_close(whole.value[row : row + 1], alone.value, rtol=1e-12, atol=0)
        torch.testing.assert_close(
            whole.gradient[row : row + 1], alone.gradient, rtol=1e-9, atol=1e-9
        )


def test_a_jittered_setting_says_so_and_stays_finite() -> None:
    x, y = torch.zeros(6, 2, dtype=torch.float64), problem(6, 2)[1]
    theta = torch.tensor([[0.0, 0.0, 0.0, math.log(1e-18)]], dtype=torch.float64)
    found = LogPosterior(Data.build(x, y), default_priors(2))(theta)
    assert float(found.jitter) > 0
    assert torch.isfinite(found.gradient).all()


def test_encode_and_decode_are_inverse_within_the_ranges() -> None:
    like, priors = torch.zeros(1), default_priors(3)
    v = values(3)
    again = decode(encode(v, like), priors)
    assert again.lengthscale == pytest.approx(v.lengthscale, rel=1e-14)
    assert again.noise == pytest.approx(v.noise, rel=1e-14)
    edge = Hyperparameters((1e-2, 1e5, 1.0), 1e3, 1e-6)
    assert decode(encode(edge, like), priors).noise >= 1e-6
    assert decode(encode(edge, like), priors).lengthscale[1] <= 1e5


def test_wrong_data_are_refused_at_the_door() -> None:
    x, y = problem(4, 2)
    with pytest.raises(ShapeError, match="x, y and noise do not match"):
        Data.build(x, y[:3])
    with pytest.raises(ShapeError, match="x, y and noise do not match"):
        Data.build(x, y, torch.zeros(2))
    with pytest.raises(ShapeError, match=r"not one group a column, got \(3,\)"):
        Data.build(x, y, None, torch.tensor([0, 1, 2]))
    with pytest.raises(ObservationError, match="not finite"):
        Data.build(x, y * torch.nan)
    with pytest.raises(ObservationError, match=r"noise variance is negative, got -1\.0"):
        Data.build(x, y, torch.tensor([1.0, -1.0, 1.0, 1.0]))


def test_known_noise_is_kept_where_the_matrix_stays_well_conditioned() -> None:
    x, y = problem(3, 1)
    data = Data.build(x, y, torch.tensor([0.0, torch.inf, torch.nan]))
    assert data.known.tolist() == [1e-9, 1e6, 0.0]
    assert data.unknown.tolist() == [0.0, 0.0, 1.0]
