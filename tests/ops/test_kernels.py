"""Every kernel in both ways: values, gradients of every argument, the odd ends of its formula."""

from __future__ import annotations

import math

import gpytorch
import mpmath
import pytest
import torch

from gpbo.ops import library, reference
from gpbo.ops.kernel_matrix import NAMES, kernel_matrix

pytestmark = pytest.mark.usefixtures("way")

F32, F64 = torch.float32, torch.float64


def exact(kernel: str, r2: float, alpha: float) -> float:
    """The textbook form with 40 digits; Matern by its Bessel function."""
    with mpmath.workdps(40):
        r2 = mpmath.mpf(r2)
        if kernel == "rbf":
            return float(mpmath.exp(-r2 / 2))
        if kernel == "rational_quadratic":
            a = mpmath.mpf(alpha)
            return float((1 + r2 / (2 * a)) ** -a)
        if r2 == 0:
            return 1.0
        nu = {"matern12": mpmath.mpf(1) / 2, "matern32": mpmath.mpf(3) / 2}.get(
            kernel, mpmath.mpf(5) / 2
        )
        z = mpmath.sqrt(2 * nu * r2)
        return float(2 ** (1 - nu) / mpmath.gamma(nu) * z**nu * mpmath.besselk(nu, z))


def alpha_of(kernel: str, value: float = 0.7, dtype: torch.dtype = F64):
    return torch.tensor(value, dtype=dtype) if kernel == "rational_quadratic" else None


@pytest.mark.parametrize("dtype", [F64, F32])
@pytest.mark.parametrize("kernel", NAMES)
def test_values_are_those_of_forty_digits(kernel, dtype):
    x = torch.tensor([0.0, 1e-9, 1e-4, 0.03, 0.5, 1.0, 2.5, 7.0, 12.0], dtype=dtype).unsqueeze(-1)
    for alpha in (0.3, 1.0, 40.0):
        got = kernel_matrix(
            kernel, x[:1], x, torch.ones(1, dtype=dtype), shape=alpha_of(kernel, alpha, dtype)
        )
        given = 0.0 if dtype is F64 else None
        wide = float(torch.tensor(alpha, dtype=dtype)) if given is None else alpha
        want = [exact(kernel, float(v) ** 2, wide) for v in x.flatten().double()]
        rtol = 3e-14 if dtype is F64 else 3e-5
        torch.testing.assert_close(
            got[0].double(), torch.tensor(want, dtype=F64), rtol=rtol, atol=0
        )


@pytest.mark.parametrize("kernel", NAMES)
def test_values_and_gradients_are_those_of_gpytorch(points, kernel):
    x, scale = points(9, 3, seed=1), points(3, seed=2, low=0.3)
    kinds = {"matern12": 0.5, "matern32": 1.5, "matern52": 2.5}
    if kernel in kinds:
        theirs = gpytorch.kernels.MaternKernel(nu=kinds[kernel], ard_num_dims=3)
    elif kernel == "rbf":
        theirs = gpytorch.kernels.RBFKernel(ard_num_dims=3)
    else:
        theirs = gpytorch.kernels.RQKernel(ard_num_dims=3)
    theirs = theirs.double()
    theirs.lengthscale = scale
    if kernel == "rational_quadratic":
        theirs.alpha = torch.tensor(0.7, dtype=F64)
    upstream = points(9, 9, seed=4)
    upstream.fill_diagonal_(0.0)  # Matern 1/2 has no gradient where points coincide
    (theirs(x, x).to_dense() * upstream).sum().backward()
    leaf = scale.clone().requires_grad_()
    k = kernel_matrix(kernel, x, None, leaf, shape=alpha_of(kernel))
    # Their distances of a point to itself are 1e-8 rather than 0 before Matern 1/2 sees them.
    close = 2e-8 if kernel == "matern12" else 1e-12
    torch.testing.assert_close(k, theirs(x, x).to_dense(), rtol=1e-10, atol=close)
    (by,) = torch.autograd.grad((k * upstream).sum(), leaf)
    raw = theirs.raw_lengthscale.grad / theirs.raw_lengthscale.detach().sigmoid()  # of softplus
    torch.testing.assert_close(by, raw.squeeze(0), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("symmetric", [True, False])
def test_gradients_of_every_argument_are_those_of_finite_differences(points, kernel, symmetric):
    shape = [alpha_of(kernel)] if alpha_of(kernel) is not None else []
    x2 = [] if symmetric else [points(4, 2, seed=2, low=2.0, high=3.0)]
    tensors = [points(5, 2, seed=1, low=2.0, high=3.0), *x2, points(2, 2, seed=3, low=0.4)]
    tensors += [points(2, seed=4, low=0.5), points(5 if symmetric else 4, seed=5), *shape]
    for tensor in tensors:
        tensor.requires_grad_()

    def call(x1, *rest):
        second, rest = (None, rest) if symmetric else (rest[0], rest[1:])
        scale, outputscale, diagonal, *alpha = rest
        parts = {"outputscale": outputscale, "diagonal": diagonal}
        return kernel_matrix(kernel, x1, second, scale, shape=alpha[0] if alpha else None, **parts)

    assert torch.autograd.gradcheck(call, tensors)
    assert torch.autograd.gradgradcheck(call, tensors)


@pytest.mark.parametrize("kernel", [k for k in NAMES if k != "matern12"])
def test_gradients_are_right_where_points_coincide(points, kernel):
    base = points(3, 2, seed=1)
    x1, x2 = torch.cat([base, base[:1]]).requires_grad_(), base.clone().requires_grad_()
    scale = points(2, low=0.4).requires_grad_()

    def call(x1, x2, scale):
        return kernel_matrix(kernel, x1, x2, scale, shape=alpha_of(kernel))

    assert torch.autograd.gradcheck(call, (x1, x2, scale))


def test_the_kink_of_matern12_has_gradient_zero(points):
    x = points(4, 2).requires_grad_()
    scale = torch.ones(2, dtype=F64).requires_grad_()
    kernel_matrix("matern12", x, x.detach().clone(), scale).diagonal().sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))
    assert torch.equal(scale.grad, torch.zeros_like(scale))


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("n", [1, 7, 33, 64])
def test_outputscale_and_diagonal_come_in_the_same_pass(points, kernel, n):
    x, scale = points(n, 3), points(3, low=0.3)
    noise, s = points(2, n, seed=4), points(2, seed=5, low=0.5)
    got = kernel_matrix(
        kernel, x, None, scale, shape=alpha_of(kernel), outputscale=s, diagonal=noise
    )
    unit = kernel_matrix(kernel, x, None, scale, shape=alpha_of(kernel))
    want = s[:, None, None] * unit + torch.diag_embed(noise)
    torch.testing.assert_close(got, want, rtol=1e-15, atol=0)
    assert torch.equal(got, got.mT)


def test_a_diagonal_is_added_where_row_and_column_are_equal(points):
    x1, x2, scale = points(40, 2, seed=1), points(35, 2, seed=2), points(2, low=0.3)
    diagonal = points(35, seed=3)
    got = kernel_matrix("rbf", x1, x2, scale, diagonal=diagonal)
    got -= kernel_matrix("rbf", x1, x2, scale)
    torch.testing.assert_close(got.diagonal(), diagonal, rtol=0, atol=1e-15)
    got.diagonal().zero_()
    assert not got.any()


def test_a_rational_quadratic_of_huge_alpha_is_the_squared_exponential(points):
    x, scale = points(20, 3), points(3, low=0.3)
    got = kernel_matrix("rational_quadratic", x, None, scale, shape=torch.tensor(1e12, dtype=F64))
    torch.testing.assert_close(got, kernel_matrix("rbf", x, None, scale), rtol=1e-10, atol=0)


def test_far_points_have_finite_gradients_in_a_heavy_tail():
    x = torch.tensor([[0.0], [1e150], [1e300]], dtype=F64).requires_grad_()
    scale, alpha = torch.ones(1, dtype=F64).requires_grad_(), alpha_of("rational_quadratic")
    k = kernel_matrix("rational_quadratic", x, None, scale, shape=alpha.requires_grad_())
    assert k.isfinite().all()
    k.sum().backward()
    for tensor in (scale, alpha):
        assert tensor.grad.isfinite().all()


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_an_alpha_that_is_none_is_refused(points, bad):
    with pytest.raises(ValueError, match="rational_quadratic: shape: nan or not positive"):
        kernel_matrix(
            *("rational_quadratic", points(3, 2), None, points(2, low=0.3)),
            shape=torch.tensor(bad, dtype=F64),
        )


def test_what_does_not_belong_to_a_kernel_is_named(points):
    x, scale = points(3, 2), points(2, low=0.3)
    with pytest.raises(TypeError, match="rational_quadratic: shape: missing"):
        kernel_matrix("rational_quadratic", x, None, scale)
    with pytest.raises(TypeError, match="rbf: shape: not taken by this kernel"):
        kernel_matrix("rbf", x, None, scale, shape=torch.ones((), dtype=F64))
    with pytest.raises(ValueError, match=r"kernel: unknown, got 'matern25'.*Did you mean"):
        kernel_matrix("matern25", x, None, scale)
    with pytest.raises(ValueError, match=r"rbf: diagonal: does not fit, got \(2,\); expected"):
        kernel_matrix("rbf", x, None, scale, diagonal=scale)


@pytest.mark.parametrize("dtype", [F64, F32])
def test_the_exponential_is_exact_to_two_units_in_the_last_place(way, dtype):
    if way == "reference":
        pytest.skip("torch's own exponential")
    compiled = library.on(torch.device("cpu"))
    lowest = -708.0 if dtype is F64 else -87.0
    generator = torch.Generator().manual_seed(0)
    x = torch.cat(
        [
            -torch.rand(1500, generator=generator, dtype=F64) * -lowest,
            -torch.logspace(-20, 1, 500, dtype=F64),
            torch.tensor([0.0, lowest], dtype=F64),
        ]
    ).to(dtype)
    x = x.clamp(min=lowest)
    got = compiled.exp(x)
    with mpmath.workdps(40):
        for value, result in zip(x.tolist(), got, strict=True):
            want = mpmath.exp(mpmath.mpf(value))
            unit = abs(float(torch.nextafter(result, torch.tensor(math.inf, dtype=dtype)) - result))
            assert abs(mpmath.mpf(result.item()) - want) <= 2 * unit
    ends = torch.tensor([lowest - 1, -math.inf, math.nan], dtype=dtype)
    assert compiled.exp(ends)[:2].tolist() == [0.0, 0.0]
    assert compiled.exp(ends)[2].isnan()


@pytest.mark.parametrize("n", [700, 704])  # written past the caches in two ways
@pytest.mark.parametrize("kernel", NAMES)
def test_threads_do_not_change_a_bit(points, kernel, n):
    x, scale = points(n, 5), points(5, low=0.3)
    shape, before = alpha_of(kernel), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 8):
            torch.set_num_threads(threads)
            results.append(kernel_matrix(kernel, x, None, scale, shape=shape))
    finally:
        torch.set_num_threads(before)
    if library.on(x.device) is None:
        torch.testing.assert_close(results[0], results[2], rtol=1e-14, atol=0)
        return
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("n", [440, 443])
def test_a_diagonal_is_added_to_large_matrices(points, n):
    x, scale = points(2, n, 3, seed=1), points(3, seed=3, low=0.2)
    diagonal, outputscale = points(2, n, seed=5), points(2, seed=4)
    bare = kernel_matrix("matern52", x, None, scale, outputscale=outputscale)
    whole = kernel_matrix("matern52", x, None, scale, outputscale=outputscale, diagonal=diagonal)
    torch.testing.assert_close(whole, bare + torch.diag_embed(diagonal), rtol=1e-15, atol=0)


@pytest.mark.parametrize("kernel", NAMES)
def test_the_reference_is_what_is_computed(points, kernel):
    x1, x2, scale = points(2, 50, 4, seed=1), points(37, 4, seed=2), points(4, seed=3, low=0.3)
    shape = None if alpha_of(kernel) is None else points(2, seed=4, low=0.3)
    got = kernel_matrix(kernel, x1, x2, scale, shape=shape)
    r2 = reference.squared_distance(x1, x2, scale)
    torch.testing.assert_close(got, reference.VALUES[kernel](r2, shape), rtol=1e-13, atol=0)
