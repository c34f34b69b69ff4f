"""Every op on a GPU: the same numbers as on the CPU, equal bits from run to run, no waiting."""

from __future__ import annotations

import pytest
import torch

from gpbo.ops import library
from gpbo.ops.contraction import RESULTS, contract
from gpbo.ops.kernel_matrix import NAMES, kernel_matrix
from gpbo.ops.likelihood import NAMES as PARTS
from gpbo.ops.likelihood import likelihood
from gpbo.ops.posterior import mean_variance
from gpbo.ops.product import product

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
]

# What no stand-in has (pretend.py).
real = pytest.mark.skipif(torch.version.cuda is None, reason="a pretended GPU has no graphs")

F64 = torch.float64


@pytest.fixture(autouse=True)
def fresh():
    """The environment is read again."""
    library._on.cache_clear()
    yield
    library._on.cache_clear()


@pytest.fixture(params=["compiled", "reference"], autouse=True)
def way(request, monkeypatch, fresh):
    """The test runs once with the compiled library and once with torch's own GPU code."""
    if request.param == "reference":
        monkeypatch.setenv(library.REFERENCE, "1")
    elif not library.describe()["cuda"]["compiled"]:
        pytest.skip("the compiled CUDA library is not installed")


def draw(*shape, seed=0, low=0.0, high=1.0):
    generator = torch.Generator().manual_seed(seed)
    return (low + (high - low) * torch.rand(shape, generator=generator, dtype=F64)).cuda()


def alpha_of(kernel):
    return draw(seed=9, low=0.3) if kernel == "rational_quadratic" else None


def cpu(tensor):
    return None if tensor is None else tensor.cpu()


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("symmetric", [True, False])
def test_matrix_and_sums_are_those_of_the_cpu(kernel, symmetric):
    x1, x2 = draw(2, 70, 5, seed=1), None if symmetric else draw(45, 5, seed=2)
    scale, shape, m = draw(5, seed=3, low=0.3), alpha_of(kernel), 70 if symmetric else 45
    s, diagonal, weight = draw(2, seed=4), draw(45 if m == 45 else 70, seed=5), draw(70, m, seed=6)
    got = kernel_matrix(kernel, x1, x2, scale, shape=shape, outputscale=s, diagonal=diagonal)
    want = kernel_matrix(
        *(kernel, cpu(x1), cpu(x2), cpu(scale)),
        shape=cpu(shape),
        outputscale=cpu(s),
        diagonal=cpu(diagonal),
    )
    torch.testing.assert_close(got.cpu(), want, rtol=1e-12, atol=1e-14)
    factors = draw(70, 2, seed=7), draw(m, 2, seed=8)
    sums = contract(kernel, weight, x1, x2, scale, shape=shape, factors=factors, wanted=RESULTS)
    right = contract(
        *(kernel, cpu(weight), cpu(x1), cpu(x2), cpu(scale)),
        shape=cpu(shape),
        factors=(cpu(factors[0]), cpu(factors[1])),
        wanted=RESULTS,
    )
    for name in RESULTS:
        one, other = getattr(sums, name), getattr(right, name)
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one.cpu(), other, rtol=1e-9, atol=1e-10)


# In depths beyond 16 a tile of columns is read in several rounds.
@pytest.mark.parametrize("dtype", [F64, torch.float32])
@pytest.mark.parametrize(("n", "m", "d"), [(33, 70, 17), (40, 40, 40), (1, 130, 33), (65, 2, 16)])
@pytest.mark.parametrize("symmetric", [True, False])
def test_sums_and_products_are_those_of_the_cpu_in_any_depth(symmetric, n, m, d, dtype):
    x1, x2 = draw(n, d, seed=1).to(dtype), None if symmetric else draw(m, d, seed=2).to(dtype)
    m = n if symmetric else m
    scale, weight = draw(d, seed=3, low=1.0, high=4.0).to(dtype), draw(n, m, seed=4).to(dtype)
    v = draw(m, 3, seed=5).to(dtype)
    tolerance = {"rtol": 1e-9, "atol": 1e-10} if dtype is F64 else {"rtol": 2e-3, "atol": 2e-3}
    sums = contract("matern52", weight, x1, x2, scale, wanted=RESULTS)
    given = (cpu(weight).double(), cpu(x1).double(), None if x2 is None else cpu(x2).double())
    right = contract("matern52", *given, cpu(scale).double(), wanted=RESULTS)
    for name in RESULTS:
        one, other = getattr(sums, name), getattr(right, name)
        if one is not None:
            torch.testing.assert_close(one.cpu().double(), other, **tolerance)
    got = product("matern52", x1, x2, scale, v)
    want = product("matern52", *given[1:], cpu(scale).double(), cpu(v).double())
    torch.testing.assert_close(got.cpu().double(), want, **tolerance)


@pytest.mark.parametrize(("n", "m", "d"), [(0, 5, 3), (5, 0, 3), (0, 0, 3), (4, 5, 0)])
def test_where_there_is_nothing_sums_are_zero(n, m, d):
    x1, x2, scale = draw(n, d), draw(m, d), draw(d, low=0.3)
    sums = contract("matern52", draw(n, m), x1, x2, scale, wanted=("by_lengthscale", "by_x1"))
    assert not sums.by_lengthscale.any()
    assert not sums.by_x1.any()
    assert product("matern52", x1, x2, scale, draw(m, 2)).shape == (n, 2)
    assert kernel_matrix("matern52", x1, x2, scale).shape == (n, m)


@pytest.mark.parametrize("kernel", NAMES)
def test_products_posteriors_and_likelihoods_are_those_of_the_cpu(kernel):
    x, scale, shape = draw(60, 3, seed=1), draw(3, seed=2, low=0.3), alpha_of(kernel)
    v, y, noise = draw(60, 4, seed=3), draw(60, seed=4), draw(60, seed=5, low=0.1)
    got = product(kernel, x, None, scale, v, shape=shape)
    want = product(kernel, cpu(x), None, cpu(scale), cpu(v), shape=cpu(shape))
    torch.testing.assert_close(got.cpu(), want, rtol=1e-11, atol=1e-12)
    found = likelihood(kernel, x, y, scale, noise, shape=shape)
    right = likelihood(kernel, cpu(x), cpu(y), cpu(scale), cpu(noise), shape=cpu(shape))
    for name in PARTS:
        torch.testing.assert_close(
            getattr(found, name).cpu(), getattr(right, name), rtol=1e-9, atol=1e-9
        )
    k = kernel_matrix(kernel, x, None, scale, shape=shape, diagonal=noise)
    candidates = draw(7, 3, seed=6).requires_grad_()
    made = mean_variance(
        *(kernel, candidates, x, scale, found.weights),
        lower=torch.linalg.cholesky(k),
        shape=shape,
    )
    assert torch.autograd.grad(sum(part.sum() for part in made), candidates)[0].isfinite().all()


def test_two_runs_give_equal_bits():
    x, scale, weight = draw(300, 4), draw(4, low=0.3), draw(300, 300)
    runs = [contract("matern52", weight, x, None, scale, wanted=RESULTS) for _ in range(2)]
    for name in ("by_lengthscale", "total", "by_x1"):
        assert torch.equal(getattr(runs[0], name), getattr(runs[1], name))


def test_many_small_matrices_are_those_of_each():
    x, scale = draw(64, 200, 6), draw(64, 6, seed=2, low=0.3)
    together = kernel_matrix("matern52", x, None, scale)
    torch.testing.assert_close(
        together[17], kernel_matrix("matern52", x[17], None, scale[17]), rtol=1e-14, atol=0
    )


@real
def test_a_cuda_graph_captures_the_ops(request):
    if "reference" in request.node.name:
        pytest.skip("torch's own code is not ours to capture")
    x, scale, weight = draw(100, 4), draw(4, low=0.3), draw(100, 100)
    want = kernel_matrix("rbf", x, None, scale), contract("rbf", weight, x, None, scale)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        got = kernel_matrix("rbf", x, None, scale), contract("rbf", weight, x, None, scale)
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(got[0], want[0])
    assert torch.equal(got[1].by_lengthscale, want[1].by_lengthscale)
