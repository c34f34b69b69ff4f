"""The log marginal likelihood in one call, in both ways: values, gradients, failures, bits."""

from __future__ import annotations

import gpytorch
import pytest
import torch

from gpbo.ops import library
from gpbo.ops.check import check_pairs
from gpbo.ops.kernel_matrix import NAMES as KERNELS
from gpbo.ops.likelihood import NAMES, by_torch, likelihood, log_marginal_likelihood

pytestmark = pytest.mark.usefixtures("way")

F64 = torch.float64


def alpha_of(kernel, *size):
    return torch.full(size, 0.7, dtype=F64) if kernel == "rational_quadratic" else None


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("n", [1, 15, 16, 17, 40, 100])
@pytest.mark.parametrize("profile", [True, False])
def test_everything_is_that_of_the_definition(points, kernel, n, profile):
    x, scale = points(2, 1, n, 3, seed=1), points(3, 3, seed=2, low=0.3)
    y, noise = points(n, seed=3, low=5.0, high=6.0), points(n, seed=4, low=0.01, high=0.1)
    s, shape = points(2, 1, seed=5, low=0.5), alpha_of(kernel, 3)
    mean = None if profile else points(3, seed=6)
    got = likelihood(kernel, x, y, scale, noise, shape=shape, outputscale=s, mean=mean)
    call = check_pairs(kernel, x, None, scale, shape)._replace(batch=(2, 3))
    want = by_torch(call, y, s, noise, mean, (0.0,))
    for name in NAMES:
        one, other = getattr(got, name), getattr(want, name)
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10, msg=lambda m, n=name: n + m)


@pytest.mark.parametrize("n", [400, 527, 528, 656])  # eliminated in groups, the last one cut short
@pytest.mark.parametrize("profile", [True, False])
def test_many_observations_are_like_few(points, n, profile):
    x, scale = points(n, 3, seed=1), points(3, seed=2, low=0.3)
    y, noise = points(n, seed=3, low=5.0, high=6.0), points(n, seed=4, low=0.01, high=0.1)
    mean = None if profile else points(seed=6)
    got = likelihood("matern52", x, y, scale, noise, mean=mean)
    want = by_torch(check_pairs("matern52", x, None, scale, None), y, None, noise, mean, (0.0,))
    for name in ("value", "by_lengthscale", "by_diagonal", "mean"):
        torch.testing.assert_close(getattr(got, name), getattr(want, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [3, 30])
def test_value_and_gradient_are_those_of_gpytorch(points, n):
    x, y, scale = points(n, 3, seed=1), points(n, seed=2), points(3, seed=3, low=0.3)
    noise, s, mean = 0.05, torch.tensor(1.3, dtype=F64), torch.tensor(0.2, dtype=F64)
    kernel = gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=3).double()
    leaf = scale.clone().requires_grad_()
    kernel.lengthscale = scale
    covariance = s * kernel(x).to_dense() + noise * torch.eye(n, dtype=F64)
    theirs = torch.distributions.MultivariateNormal(mean.expand(n), covariance)
    got = log_marginal_likelihood(
        *("matern52", x, y, leaf, torch.full((n,), noise, dtype=F64)), outputscale=s, mean=mean
    )
    torch.testing.assert_close(got, theirs.log_prob(y), rtol=1e-11, atol=1e-11)
    theirs.log_prob(y).backward()
    raw = kernel.raw_lengthscale.grad / kernel.raw_lengthscale.detach().sigmoid()
    (by,) = torch.autograd.grad(got, leaf)
    torch.testing.assert_close(by, raw.squeeze(0), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("profile", [True, False])
def test_gradients_are_those_of_finite_differences(points, kernel, profile):
    x = points(7, 2, seed=1)
    tensors = [points(7, seed=2), points(2, 2, seed=3, low=0.3), points(7, seed=4, low=0.1)]
    tensors += [points(2, 1, seed=5, low=0.5)]
    tensors += [] if profile else [points(2, seed=6)]
    tensors += [] if alpha_of(kernel) is None else [alpha_of(kernel)]

    def call(y, scale, noise, s, *rest):
        mean, *alpha = (None, *rest) if profile else rest
        shape = alpha[0] if alpha else None
        return log_marginal_likelihood(
            kernel, x, y, scale, noise, outputscale=s, mean=mean, shape=shape
        )

    assert torch.autograd.gradcheck(call, [t.requires_grad_() for t in tensors])


def test_a_large_mean_costs_no_digits(points):
    x, y, scale = points(25, 2), points(25, seed=2), points(2, low=0.3)
    noise = torch.full((25,), 0.1, dtype=F64)
    near, far = (likelihood("rbf", x, y + c, scale, noise) for c in (0.0, 1e6))
    torch.testing.assert_close(near.value, far.value, rtol=1e-7, atol=0)
    torch.testing.assert_close(near.mean + 1e6, far.mean, rtol=1e-14, atol=0)


def test_jitter_is_taken_as_little_as_needed_and_failure_is_nan(points):
    x = points(1, 3).expand(6, 3)  # six times the same point
    scale, y = torch.ones(2, 3, dtype=F64), points(6, seed=2)
    noise = torch.stack([torch.zeros(6, dtype=F64), torch.ones(6, dtype=F64)])
    bare = likelihood("rbf", x, y, scale, noise)
    assert bare.value.isnan().tolist() == [True, False]
    assert bare.jitter.isnan().tolist() == [True, False]
    assert bare.by_lengthscale[0].isnan().all()
    helped = likelihood("rbf", x, y, scale, noise, jitters=(0.0, 1e-6, 1e-2))
    assert helped.jitter.tolist() == [1e-6, 0.0]
    assert helped.value.isfinite().all()
    assert torch.equal(helped.value[1], bare.value[1])


@pytest.mark.parametrize("profile", [True, False])
def test_no_observations_have_likelihood_one(points, profile):
    mean = None if profile else torch.zeros((), dtype=F64)
    got = likelihood("rbf", points(0, 2), points(0), points(2, low=0.3), points(0), mean=mean)
    assert got.value.item() == 0.0
    assert torch.equal(got.by_lengthscale, torch.zeros(2, dtype=F64))


def test_float32_is_near(points):
    given = [points(40, 3, seed=1), points(40, seed=2), points(3, seed=3, low=0.3)]
    given.append(torch.full((40,), 0.1, dtype=F64))
    wide, narrow = likelihood("rbf", *given), likelihood("rbf", *(t.float() for t in given))
    assert narrow.value.dtype == torch.float32
    torch.testing.assert_close(narrow.value.double(), wide.value, rtol=1e-3, atol=1e-3)


def test_threads_do_not_change_a_bit(points):
    x, y = points(6, 250, 3), points(250, seed=2)
    scale, noise = points(6, 3, seed=3, low=0.3), torch.full((250,), 0.1, dtype=F64)
    if library.on(x.device) is None:
        pytest.skip("torch's own sums")
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 8, 1):
            torch.set_num_threads(threads)
            results.append(likelihood("matern52", x, y, scale, noise))
    finally:
        torch.set_num_threads(before)
    alone = likelihood("matern52", x[3], y, scale[3], noise)
    for name in NAMES:
        assert all(torch.equal(getattr(r, name), getattr(results[0], name)) for r in results)
        assert torch.equal(getattr(alone, name), getattr(results[0], name)[3])


def test_what_does_not_fit_is_named(points):
    x, scale = points(4, 2), points(2, low=0.3)
    with pytest.raises(ValueError, match=r"rbf: y: does not fit, got \(3,\); expected \(..., 4\)"):
        likelihood("rbf", x, points(3), scale, points(4))
    with pytest.raises(ValueError, match="rbf: lengthscale: nan or not positive"):
        likelihood("rbf", x, points(4), -scale, points(4))
