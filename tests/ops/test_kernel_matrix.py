"""The public kernel matrices, computed in both ways: values, properties, gradients, odd inputs."""

from __future__ import annotations

import math
import warnings

import gpytorch
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process.kernels import Matern

from gpbo.ops import reference
from gpbo.ops.kernel_matrix import matern52

pytestmark = pytest.mark.usefixtures("way")

F32, F64 = torch.float32, torch.float64
# Relative to the value; exp(-s) carries the rounding of s, here at most 60.
RTOL = {F64: 3e-14, F32: 2e-5}
PER_EXAMPLE = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)


# ---- values


@pytest.mark.parametrize("dtype", [F64, F32])
@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("low", [0.0, -5.0, 1000.0])
def test_values_are_those_of_forty_digits(points, exact_matern52, dtype, d, low):
    x1 = points(6, d, seed=1, low=low, high=low + 1, dtype=dtype)
    x2 = points(5, d, seed=2, low=low, high=low + 1, dtype=dtype)
    lengthscale = points(d, seed=3, low=0.05, high=3.0, dtype=dtype)
    got = matern52(x1, x2, lengthscale)
    assert got.dtype == dtype
    exact = exact_matern52(x1, x2, lengthscale)
    torch.testing.assert_close(got.double(), exact, rtol=RTOL[dtype], atol=1e-300)


def test_values_are_those_of_scikit_learn_and_gpytorch(points):
    x1, x2 = points(40, 3, seed=1), points(33, 3, seed=2)
    lengthscale = points(3, seed=3, low=0.1, high=2.0)
    got = matern52(x1, x2, lengthscale)
    sklearn = Matern(length_scale=lengthscale.numpy(), nu=2.5)(x1.numpy(), x2.numpy())
    torch.testing.assert_close(got, torch.as_tensor(sklearn), rtol=1e-12, atol=1e-14)
    kernel = gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=3).double()
    kernel.lengthscale = lengthscale
    with torch.no_grad():
        torch.testing.assert_close(got, kernel(x1, x2).to_dense(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [F64, F32])
@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 65])
@pytest.mark.parametrize("m", [1, 5, 32, 70])
def test_values_do_not_depend_on_how_the_matrix_is_cut(points, dtype, n, m):
    x1, x2 = points(n, 3, seed=1, dtype=dtype), points(m, 3, seed=2, dtype=dtype)
    lengthscale = points(3, seed=3, low=0.2, dtype=dtype)
    got = matern52(x1, x2, lengthscale)
    one_by_one = torch.cat([matern52(x1[i : i + 1], x2, lengthscale) for i in range(n)])
    torch.testing.assert_close(got, one_by_one, rtol=RTOL[dtype], atol=0)
    wide = reference.matern52(x1.double(), x2.double(), lengthscale.double())
    torch.testing.assert_close(got.double(), wide, rtol=RTOL[dtype], atol=0)


# Written past the caches from 3 MB on, unless rows are a multiple of 2 KB apart (those from 24 MB
# on, which would take long here); by way of squares of tiles where rows are no whole lines.
@pytest.mark.parametrize(
    ("n", "dtype"),
    [(640, F64), (641, F64), (768, F64), (900, F64), (1000, F64), (1040, F32), (1037, F32)],
)
def test_a_large_matrix_has_the_values_of_its_parts(points, n, dtype):
    x, lengthscale = points(n, 2, seed=1, dtype=dtype), points(2, seed=3, low=0.2, dtype=dtype)
    wide = reference.matern52(x.double(), x.double(), lengthscale.double())
    whole = matern52(x, None, lengthscale)
    torch.testing.assert_close(whole.double(), wide, rtol=RTOL[dtype], atol=1e-300)
    assert torch.equal(whole, whole.mT)
    cross = matern52(x[:-40], x, lengthscale)
    torch.testing.assert_close(cross.double(), wide[:-40], rtol=RTOL[dtype], atol=1e-300)


def test_a_thousand_columns(points, exact_matern52):
    x1, x2 = points(3, 1000, seed=1), points(4, 1000, seed=2)
    lengthscale = points(1000, seed=3, low=5.0, high=30.0)
    got = matern52(x1, x2, lengthscale)
    torch.testing.assert_close(got, exact_matern52(x1, x2, lengthscale), rtol=1e-13, atol=0)


# ---- properties


@pytest.mark.parametrize("dtype", [F64, F32])
@pytest.mark.parametrize("n", [1, 2, 32, 33, 100])
def test_the_matrix_of_points_with_themselves_is_symmetric_with_unit_diagonal(points, dtype, n):
    x = points(n, 4, seed=5, low=-3.0, high=7.0, dtype=dtype)
    lengthscale = points(4, seed=6, low=0.5, high=2.0, dtype=dtype)
    k = matern52(x, None, lengthscale)
    assert torch.equal(k, k.mT)
    assert torch.equal(k.diagonal(), torch.ones(n, dtype=dtype))
    assert torch.equal(k, matern52(x, x, lengthscale))
    torch.testing.assert_close(k, matern52(x, x.clone(), lengthscale), rtol=RTOL[dtype], atol=0)


def test_the_matrix_is_positive_definite(points):
    x = points(80, 3, seed=1, low=2.0, high=4.0)
    k = matern52(x, None, torch.full((3,), 0.7, dtype=F64))
    assert torch.linalg.eigvalsh(k).min() > 0


def test_a_shift_of_all_points_changes_nothing(points):
    x1, x2 = points(9, 3, seed=1), points(8, 3, seed=2)
    lengthscale = points(3, seed=3, low=0.2)
    shift = torch.tensor([1024.0, -4096.0, 0.5], dtype=F64)
    moved1, moved2 = x1 + shift, x2 + shift
    got = matern52(moved1, moved2, lengthscale)
    # x + shift is rounded: taking the shift off again gives the points that were really compared.
    still = matern52(moved1 - shift, moved2 - shift, lengthscale)
    torch.testing.assert_close(got, still, rtol=1e-12, atol=0)


def test_a_permutation_of_columns_changes_nothing_but_the_rounding(points):
    x1, x2 = points(9, 5, seed=1), points(8, 5, seed=2)
    lengthscale = points(5, seed=3, low=0.2)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(
        matern52(x1[:, order], x2[:, order], lengthscale[order]),
        matern52(x1, x2, lengthscale),
        rtol=1e-13,
        atol=0,
    )


def test_a_permutation_of_points_permutes_the_matrix(points):
    x = points(50, 3, seed=1)
    lengthscale = points(3, seed=3, low=0.2)
    order = torch.arange(49, -1, -1)
    k = matern52(x, None, lengthscale)
    torch.testing.assert_close(
        matern52(x[order], None, lengthscale), k[order][:, order], rtol=1e-13, atol=0
    )


def test_points_and_lengthscales_scale_together(points):
    x1, x2 = points(9, 3, seed=1), points(8, 3, seed=2)
    lengthscale = points(3, seed=3, low=0.2)
    torch.testing.assert_close(
        matern52(7 * x1, 7 * x2, 7 * lengthscale),
        matern52(x1, x2, lengthscale),
        rtol=1e-13,
        atol=0,
    )


def test_the_same_call_gives_the_same_bits(points):
    x, lengthscale = points(70, 5), points(5, low=0.3)
    assert torch.equal(matern52(x, None, lengthscale), matern52(x, None, lengthscale))


# ---- shapes, batches, strides


@st.composite
def batched_calls(draw):
    """Shapes of three tensors whose batch shapes broadcast."""
    batch = draw(st.lists(st.integers(1, 3), max_size=3))

    def part():
        kept = batch[draw(st.integers(0, len(batch))) :]
        return tuple(size if draw(st.booleans()) else 1 for size in kept)

    n, m, d = (draw(st.integers(0, 5)) for _ in range(3))
    return (*part(), n, d), (*part(), m, d), (*part(), d)


@PER_EXAMPLE
@given(shapes=batched_calls(), dtype=st.sampled_from([F32, F64]), symmetric=st.booleans())
def test_any_batch_is_the_stack_of_its_matrices(points, shapes, dtype, symmetric):
    x1 = points(*shapes[0], seed=1, dtype=dtype)
    x2 = None if symmetric else points(*shapes[1], seed=2, dtype=dtype)
    lengthscale = points(*shapes[2], seed=3, low=0.3, dtype=dtype)
    got = matern52(x1, x2, lengthscale)
    second = x1 if x2 is None else x2
    batch = torch.broadcast_shapes(x1.shape[:-2], second.shape[:-2], lengthscale.shape[:-1])
    assert got.shape == (*batch, x1.shape[-2], second.shape[-2])
    wide = [t.double() for t in (x1, second, lengthscale)]
    torch.testing.assert_close(
        got.double(), reference.matern52(*wide).expand(got.shape), rtol=RTOL[dtype], atol=0
    )


def lay_out(x, how):
    """Equal numbers with other strides, for a matrix or a batch of them."""
    if how == "transposed":
        return x.mT.contiguous().mT
    if how == "stepped":
        roomy = torch.full((*x.shape[:-1], 3 * x.shape[-1]), math.nan, dtype=x.dtype)
        roomy[..., ::3] = x
        return roomy[..., ::3]
    if how == "batch inside":
        return x.movedim(0, -1).contiguous().movedim(-1, 0)
    roomy = torch.full((x.shape[0] + 2, *x.shape[1:]), math.nan, dtype=x.dtype)
    roomy[1:-1] = x
    return roomy[1:-1]


@pytest.mark.parametrize("how", ["transposed", "stepped", "batch inside", "offset"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_strides_do_not_matter(points, how, symmetric):
    x1, x2 = points(2, 37, 4, seed=1), points(2, 34, 4, seed=2)
    lengthscale = points(2, 1, 4, seed=3, low=0.3)
    want = matern52(x1, None if symmetric else x2, lengthscale.squeeze(1))
    strange = lay_out(x1, how), None if symmetric else lay_out(x2, how)
    assert strange[0].stride() != x1.stride() or how == "offset"
    got = matern52(*strange, lay_out(lengthscale, how).squeeze(1))
    assert torch.equal(got, want)
    assert got.is_contiguous()


def test_a_repeated_batch_is_not_copied_and_gives_the_same(points):
    x1, x2 = points(1, 1, 6, 3, seed=1), points(2, 3, 4, 3, seed=2)
    lengthscale = points(3, 1, 3, seed=3, low=0.3)
    got = matern52(x1.expand(2, 3, 6, 3), x2, lengthscale.squeeze(1).expand(2, 3, 3))
    for i in range(2):
        for j in range(3):
            assert torch.equal(got[i, j], matern52(x1[0, 0], x2[i, j], lengthscale[j, 0]))


def test_a_negated_view_is_read_right(points):
    x = torch.complex(points(4, 2, seed=1), points(4, 2, seed=2)).conj().imag
    assert x.is_neg()
    lengthscale = torch.ones(2, dtype=F64)
    assert torch.equal(matern52(x, None, lengthscale), matern52(x.resolve_neg(), None, lengthscale))


@pytest.mark.parametrize(("n", "m", "d"), [(0, 3, 2), (3, 0, 2), (0, 0, 2), (3, 4, 0), (0, 0, 0)])
def test_empty_inputs_give_empty_or_unit_matrices_and_zero_gradients(points, n, m, d):
    x1 = points(n, d).requires_grad_()
    x2 = points(m, d).requires_grad_()
    lengthscale = points(d, low=0.5).requires_grad_()
    k = matern52(x1, x2, lengthscale)
    assert torch.equal(k, torch.ones(n, m, dtype=F64))
    k.sum().backward()
    for tensor in (x1, x2, lengthscale):
        assert torch.equal(tensor.grad, torch.zeros_like(tensor))


# ---- gradients


@pytest.mark.parametrize(
    "shapes",
    [
        ((4, 3), (5, 3), (3,)),
        ((1, 1), (1, 1), (1,)),
        ((2, 4, 3), (5, 3), (3,)),
        ((4, 3), (2, 1, 5, 3), (3, 3)),
        ((2, 4, 2), (2, 3, 2), (2, 2)),
    ],
)
def test_gradients_are_those_of_finite_differences(points, shapes):
    x1, x2, lengthscale = (
        points(*shape, seed=i, low=0.4, high=1.4).requires_grad_() for i, shape in enumerate(shapes)
    )
    assert torch.autograd.gradcheck(matern52, (x1, x2, lengthscale))
    assert torch.autograd.gradgradcheck(matern52, (x1, x2, lengthscale))


@pytest.mark.parametrize("shapes", [((4, 3), (3,)), ((2, 3, 2), (2, 2)), ((3, 2), (2, 1, 2))])
def test_gradients_of_points_with_themselves_are_those_of_finite_differences(points, shapes):
    x, lengthscale = (points(*s, low=0.4, high=1.4).requires_grad_() for s in shapes)

    def symmetric(x, lengthscale):
        return matern52(x, None, lengthscale)

    assert torch.autograd.gradcheck(symmetric, (x, lengthscale))
    assert torch.autograd.gradgradcheck(symmetric, (x, lengthscale))


def test_gradients_are_right_where_points_coincide(points):
    base = points(4, 3, seed=1)
    x1 = torch.cat([base, base[:2]]).requires_grad_()
    x2 = torch.cat([base[1:3], base[1:2]]).requires_grad_()
    lengthscale = points(3, seed=3, low=0.4).requires_grad_()
    assert torch.autograd.gradcheck(matern52, (x1, x2, lengthscale))
    assert torch.autograd.gradgradcheck(matern52, (x1, x2, lengthscale))


@pytest.mark.parametrize("dtype", [F64, F32])
@pytest.mark.parametrize("low", [0.0, 100.0])
def test_gradients_are_those_of_autograd_through_the_definition(points, dtype, low):
    x1 = points(2, 20, 4, seed=1, low=low, high=low + 1, dtype=dtype)
    x2 = points(15, 4, seed=2, low=low, high=low + 1, dtype=dtype)
    lengthscale = points(2, 4, seed=3, low=0.3, dtype=dtype)
    upstream = points(2, 20, 15, seed=4, low=-1.0, dtype=dtype)
    got = [t.clone().requires_grad_() for t in (x1, x2, lengthscale)]
    want = [t.double().requires_grad_() for t in (x1, x2, lengthscale)]
    matern52(*got).backward(upstream)
    reference.matern52(*want).backward(upstream.double())
    tolerance = {F64: 1e-11, F32: 2e-3}[dtype] if low else {F64: 1e-13, F32: 1e-4}[dtype]
    for g, w in zip(got, want, strict=True):
        assert g.grad.dtype == dtype
        torch.testing.assert_close(g.grad.double(), w.grad, rtol=tolerance, atol=tolerance)


def test_only_the_gradients_that_are_wanted_are_computed(points):
    x1, x2 = points(4, 3, seed=1), points(5, 3, seed=2)
    lengthscale = points(3, seed=3, low=0.4)
    everything = [t.clone().requires_grad_() for t in (x1, x2, lengthscale)]
    matern52(*everything).sum().backward()
    for wanted in range(3):
        tensors = [t.clone() for t in (x1, x2, lengthscale)]
        tensors[wanted].requires_grad_()
        matern52(*tensors).sum().backward()
        assert torch.equal(tensors[wanted].grad, everything[wanted].grad)
        assert all(t.grad is None for i, t in enumerate(tensors) if i != wanted)


def test_no_graph_is_recorded_where_nobody_asks(points):
    x = points(4, 3).requires_grad_()
    lengthscale = torch.ones(3, dtype=F64)
    with torch.no_grad():
        assert not matern52(x, None, lengthscale).requires_grad
    assert not matern52(x.detach(), None, lengthscale).requires_grad
    assert matern52(x, None, lengthscale).requires_grad


def test_arguments_are_left_as_they_were(points):
    x1, x2, lengthscale = points(4, 3, seed=1), points(5, 3, seed=2), points(3, low=0.4)
    copies = [t.clone() for t in (x1, x2, lengthscale)]
    matern52(x1.requires_grad_(), x2, lengthscale).sum().backward()
    for tensor, copy in zip((x1, x2, lengthscale), copies, strict=True):
        assert torch.equal(tensor.detach(), copy)


# ---- extremes


@pytest.mark.parametrize("dtype", [F64, F32])
@pytest.mark.parametrize("symmetric", [True, False])
def test_tiny_lengthscales_give_one_and_zero_and_finite_gradients(points, dtype, symmetric):
    for size in (torch.finfo(dtype).smallest_normal / 8, 1e-30, 1e-9):
        x1 = points(5, 2, seed=1, dtype=dtype).requires_grad_()
        x2 = None if symmetric else x1.detach().clone().requires_grad_()
        lengthscale = torch.full((2,), size, dtype=dtype).requires_grad_()
        k = matern52(x1, x2, lengthscale)
        assert torch.equal(k, torch.eye(5, dtype=dtype))
        k.sum().backward()
        for tensor in (x1, lengthscale) if x2 is None else (x1, x2, lengthscale):
            assert torch.equal(tensor.grad, torch.zeros_like(tensor))


@pytest.mark.parametrize("dtype", [F64, F32])
@pytest.mark.parametrize("size", [1e30, math.inf])
def test_huge_lengthscales_give_ones_and_no_gradient(points, dtype, size):
    x1 = points(5, 2, seed=1, dtype=dtype).requires_grad_()
    x2 = points(4, 2, seed=2, dtype=dtype).requires_grad_()
    lengthscale = torch.full((2,), size, dtype=dtype).requires_grad_()
    k = matern52(x1, x2, lengthscale)
    assert torch.equal(k, torch.ones(5, 4, dtype=dtype))
    k.sum().backward()
    for tensor in (x1, x2, lengthscale):
        assert tensor.grad.abs().max() < 1e-20


@pytest.mark.parametrize("dtype", [F64, F32])
def test_every_distance_from_nearest_to_farthest(exact_matern52, dtype):
    x = torch.logspace(-160, 150, 311, base=10.0, dtype=F64).to(dtype).unsqueeze(-1)
    origin = torch.zeros(1, 1, dtype=dtype)
    lengthscale = torch.ones(1, dtype=dtype)
    finite = x[x.squeeze(-1).isfinite()]
    got = matern52(origin, finite, lengthscale)
    exact = exact_matern52(origin, finite, lengthscale)
    # Where the value leaves the normal numbers it may be rounded to 0.
    tiny = torch.finfo(dtype).smallest_normal
    torch.testing.assert_close(
        got.double(), exact, rtol=1e-4 if dtype == F32 else 1e-12, atol=4 * tiny
    )


def test_a_nan_or_infinite_point_stays_in_its_row(points):
    x1, x2 = points(40, 2, seed=1), points(35, 2, seed=2)
    lengthscale = torch.ones(2, dtype=F64)
    want = matern52(x1, x2, lengthscale)
    for row in (0, 33):
        broken = x1.clone()
        broken[row, 1] = math.nan
        got = matern52(broken, x2, lengthscale)
        assert got[row].isnan().all()
        rest = torch.arange(40) != row
        torch.testing.assert_close(got[rest], want[rest], rtol=1e-13, atol=0)
        broken[row, 1] = math.inf
        got = matern52(broken, x2, lengthscale)
        assert torch.equal(got[row], torch.zeros(35, dtype=F64))
        torch.testing.assert_close(got[rest], want[rest], rtol=1e-13, atol=0)


def test_a_trace_computes_again_for_other_points(points):
    x, lengthscale = points(5, 2), points(2, low=0.3, high=0.9)

    def matrix(x, lengthscale):
        return matern52(x, None, lengthscale)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, and still in use
        traced = torch.jit.trace(matrix, (x, lengthscale))
    other = points(5, 2, seed=1)
    torch.testing.assert_close(traced(other, lengthscale), matrix(other, lengthscale))
