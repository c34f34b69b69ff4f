"""The operators registered with torch: its own checks, and torch.compile."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from gpbo.ops.kernel_matrix import kernel_matrix, matern52
from gpbo.ops.operator import contract_operator, matrix_operator
from gpbo.ops.product import product

F64 = torch.float64


@pytest.mark.parametrize("kernel", ["matern52", "rational_quadratic"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_torch_finds_nothing_wrong_with_the_matrix(points, kernel, symmetric):
    x1, x2 = points(2, 5, 3, seed=1), None if symmetric else points(4, 3, seed=2)
    scale, shape = points(3, low=0.4), points(2, low=0.5) if kernel != "matern52" else None
    given = [x1, x2, scale, shape, points(2, seed=4), points(5 if symmetric else 4, seed=5)]
    given = [None if t is None else t.requires_grad_() for t in given]
    torch.library.opcheck(matrix_operator, (kernel, *given))


def test_torch_finds_nothing_wrong_with_the_contraction(points):
    given = points(5, 4, seed=1), points(5, 3, seed=2), points(4, 3, seed=3), points(3, low=0.4)
    torch.library.opcheck(contract_operator, ("rbf", *given, None, [True, False, True, True, True]))


def test_the_operator_differentiates_twice(points):
    x, scale = points(4, 2).requires_grad_(), points(2, low=0.4).requires_grad_()

    def call(x, scale):
        return matrix_operator("matern52", x, None, scale, None, None, None)

    assert torch.autograd.gradcheck(call, (x, scale))
    assert torch.autograd.gradgradcheck(call, (x, scale))
    assert torch.equal(call(x, scale), matern52(x, None, scale))


def test_a_compiled_function_is_one_graph_with_the_same_numbers(points):
    x, scale = points(20, 3), points(3, low=0.4).requires_grad_()

    def loss(x, scale):
        return (kernel_matrix("matern52", x, None, 2.0 * scale) * 3.0).sum()

    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    want = loss(x, scale)
    torch.testing.assert_close(compiled(x, scale), want, rtol=1e-14, atol=0)
    (by,) = torch.autograd.grad(compiled(x, scale), scale)
    (right,) = torch.autograd.grad(want, scale)
    torch.testing.assert_close(by, right, rtol=1e-12, atol=0)


# ---- where torch wants to see every operation


def test_fake_tensors_get_a_shape_and_no_memory_is_touched(points):
    with FakeTensorMode():
        x, scale = torch.rand(5, 3), torch.rand(3)
        assert matern52(x, None, scale).shape == (5, 5)
        assert kernel_matrix("rbf", x, torch.rand(2, 4, 3), scale).shape == (2, 5, 4)
        assert product("matern32", x, None, scale, torch.rand(5, 2)).shape == (5, 2)


def test_a_traced_graph_computes_the_matrix(points):
    x, scale = points(6, 3), points(3, low=0.4)
    graph = make_fx(lambda x: matern52(x, None, scale))(x)
    other = points(6, 3, seed=5)
    torch.testing.assert_close(graph(other), matern52(other, None, scale), rtol=1e-13, atol=0)


@pytest.mark.parametrize("kernel", ["matern52", "matern32", "rbf"])
def test_transforms_of_torch_func_and_forward_mode_are_right(points, kernel):
    x, scale, weight = points(6, 3), points(3, low=0.4), points(6, 6, seed=3)

    def total(x, scale):
        return (weight * kernel_matrix(kernel, x, None, scale)).sum()

    x_, scale_ = x.clone().requires_grad_(), scale.clone().requires_grad_()
    want = torch.autograd.grad(total(x_, scale_), (x_, scale_))
    for transform in (torch.func.grad, torch.func.jacrev, torch.func.jacfwd):
        got = transform(total, (0, 1))(x, scale)
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-12)
    many = torch.func.vmap(lambda x: kernel_matrix(kernel, x, None, scale))(points(4, 6, 3))
    one_by_one = kernel_matrix(kernel, points(4, 6, 3), None, scale)
    torch.testing.assert_close(many, one_by_one, rtol=1e-13, atol=0)
