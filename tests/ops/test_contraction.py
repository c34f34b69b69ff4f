"""Contractions with a weight for every pair, and the product without a matrix, in both ways."""

from __future__ import annotations

import pytest
import torch

from gpbo.ops import library
from gpbo.ops.check import check_pairs
from gpbo.ops.contraction import RESULTS, by_definition, contract
from gpbo.ops.kernel_matrix import NAMES, kernel_matrix
from gpbo.ops.posterior import mean_variance
from gpbo.ops.product import product

pytestmark = pytest.mark.usefixtures("way")

F64 = torch.float64


def alpha_of(kernel, *size):
    return torch.full(size, 0.7, dtype=F64) if kernel == "rational_quadratic" else None


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 2), (33, 70, 3), (64, 31, 17)])
def test_sums_are_those_of_autograd_through_the_matrix(points, kernel, shape):
    n, m, d = shape
    tensors = {
        "by_x1": points(n, d, seed=1, low=3.0, high=4.0),
        "by_x2": points(m, d, seed=2, low=3.0, high=4.0),
        "by_lengthscale": points(d, seed=3, low=0.4),
        "by_shape": alpha_of(kernel),
    }
    weight = points(n, m, seed=4, low=-1.0)
    got = contract(
        kernel,
        weight,
        tensors["by_x1"],
        tensors["by_x2"],
        tensors["by_lengthscale"],
        shape=tensors["by_shape"],
        wanted=RESULTS,
    )
    leaves = [t.requires_grad_() for t in tensors.values() if t is not None]
    k = by_definition(
        check_pairs(kernel, *leaves[:3], leaves[3] if len(leaves) > 3 else None),
        weight,
        None,
        ("total",),
    ).total
    torch.testing.assert_close(got.total, k.detach(), rtol=1e-11, atol=1e-12)
    for (name, tensor), by in zip(
        [(i, t) for i, t in tensors.items() if t is not None],
        torch.autograd.grad(k, leaves),
        strict=True,
    ):
        assert getattr(got, name).shape == tensor.shape
        torch.testing.assert_close(getattr(got, name), by, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", [F64, torch.float32])
@pytest.mark.parametrize("n", [1, 20, 33, 100])
def test_of_a_weight_that_is_said_to_be_symmetric_half_counts_twice(points, dtype, n):
    x, scale = points(2, n, 4, dtype=dtype), points(3, 1, 4, seed=2, low=0.3, dtype=dtype)
    weight = points(n, n, seed=3, low=-1.0, dtype=dtype)
    weight = weight + weight.mT
    wanted = ("by_lengthscale", "total", "by_x1")
    whole = contract("matern52", weight, x, None, scale, wanted=wanted)
    half_read = contract("matern52", weight, x, None, scale, wanted=wanted, mirrored=True)
    assert whole.total.shape == (3, 2)
    for name in wanted:
        tolerance = 1e-11 if dtype is F64 else 1e-3
        torch.testing.assert_close(
            getattr(whole, name), getattr(half_read, name), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_weight_may_come_as_factors(points, symmetric):
    x1, x2 = points(40, 3, seed=1), None if symmetric else points(35, 3, seed=2)
    m = 40 if symmetric else 35
    left, right, weight = points(40, 2, seed=3), points(m, 2, seed=4), points(40, m, seed=5)
    scale = points(3, seed=6, low=0.3)
    got = contract(
        "rbf", weight, x1, x2, scale, factors=(left, right), wanted=("by_lengthscale", "by_x1")
    )
    want = contract(
        "rbf", weight + left @ right.mT, x1, x2, scale, wanted=("by_lengthscale", "by_x1")
    )
    for name in ("by_lengthscale", "by_x1"):
        torch.testing.assert_close(getattr(got, name), getattr(want, name), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("n", "m", "d"), [(0, 3, 2), (3, 0, 2), (3, 4, 0)])
def test_nothing_to_sum_is_zero(points, n, m, d):
    got = contract(
        "rbf",
        points(n, m),
        points(n, d),
        points(m, d),
        points(d, low=0.5),
        wanted=("by_lengthscale", "by_x1", "by_x2"),
    )
    assert not got.by_lengthscale.any()
    assert torch.equal(got.by_x1, torch.zeros(n, d, dtype=F64))
    assert torch.equal(got.by_x2, torch.zeros(m, d, dtype=F64))


def test_strides_of_a_weight_do_not_matter(points):
    x, scale = points(2, 37, 3), points(3, low=0.3)
    weight = points(37, 37, 2, seed=3).movedim(-1, 0)
    got = contract("matern32", weight, x, None, scale)
    want = contract("matern32", weight.contiguous(), x, None, scale)
    assert torch.equal(got.by_lengthscale, want.by_lengthscale)
    assert torch.equal(got.total, want.total)


def test_a_weight_that_does_not_fit_is_named(points):
    with pytest.raises(ValueError, match=r"rbf: weight: does not fit, got \(3, 2\); expected"):
        contract("rbf", points(3, 2), points(3, 2), None, points(2, low=0.3))


def test_threads_do_not_change_a_bit(points):
    x, scale, weight = points(700, 5), points(5, low=0.3), points(700, 700, seed=2)
    if library.on(x.device) is None:
        pytest.skip("torch's own sums")
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 8, 1):
            torch.set_num_threads(threads)
            sums = contract("matern52", weight, x, None, scale, wanted=RESULTS)
            made = product("rbf", x, None, scale, weight[:, :3])
            results.append((sums.by_lengthscale, sums.total, sums.by_x1, made))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


# ---- products


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_product_is_that_with_the_matrix(points, kernel, symmetric):
    x1 = points(2, 45, 3, seed=1)
    x2 = None if symmetric else points(33, 3, seed=2)
    scale, shape = points(3, seed=3, low=0.3), alpha_of(kernel)
    v = points(45 if symmetric else 33, 4, seed=4, low=-1.0)
    want = kernel_matrix(kernel, x1, x2, scale, shape=shape) @ v
    got = product(kernel, x1, x2, scale, v, shape=shape)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("symmetric", [True, False])
def test_gradients_of_a_product_are_those_of_finite_differences(points, kernel, symmetric):
    x2 = [] if symmetric else [points(4, 2, seed=2)]
    shape = [] if alpha_of(kernel) is None else [alpha_of(kernel)]
    tensors = [points(5, 2, seed=1), *x2, points(2, seed=3, low=0.4)]
    tensors += [points(5 if symmetric else 4, 2, seed=4), *shape]

    def call(x1, *rest):
        second, rest = (None, rest) if symmetric else (rest[0], rest[1:])
        return product(kernel, x1, second, *rest[:2], shape=rest[2] if rest[2:] else None)

    assert torch.autograd.gradcheck(call, [t.requires_grad_() for t in tensors])


@pytest.mark.parametrize(("n", "m", "c"), [(0, 3, 2), (3, 0, 2), (3, 4, 0)])
def test_empty_products(points, n, m, c):
    got = product("rbf", points(n, 2), points(m, 2), points(2, low=0.3), points(m, c))
    assert torch.equal(got[:, :c], torch.zeros(n, c, dtype=F64)) or m > 0
    assert got.shape == (n, c)


# ---- posterior


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("given", ["lower", "inverse"])
def test_mean_and_variance_are_those_of_the_closed_form(points, kernel, given):
    observed, scale, shape = points(30, 3, seed=1), points(3, low=0.3), alpha_of(kernel)
    s = 1.7
    k = kernel_matrix(
        kernel, observed, None, scale, shape=shape, outputscale=torch.tensor(s, dtype=F64),
        diagonal=torch.full((30,), 0.1, dtype=F64),
    )  # fmt: skip
    lower = torch.linalg.cholesky(k)
    inverse = torch.cholesky_inverse(lower)
    weights = inverse @ points(30, seed=4)
    factor = {"lower": lower} if given == "lower" else {"inverse": inverse}

    def call(x):
        return mean_variance(
            kernel, x, observed, scale, weights, outputscale=s, shape=shape, **factor
        )

    x = points(6, 3, seed=5)
    cross = s * kernel_matrix(kernel, x, observed, scale, shape=shape)
    mean, variance = call(x)
    torch.testing.assert_close(mean, cross @ weights, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(variance, s - ((cross @ inverse) * cross).sum(-1), rtol=1e-9, atol=0)
    assert torch.autograd.gradcheck(call, x.requires_grad_())


def test_one_of_factor_and_inverse_is_needed(points):
    with pytest.raises(TypeError, match="give one of lower and inverse"):
        mean_variance("rbf", points(2, 2), points(3, 2), points(2, low=0.3), points(3))
