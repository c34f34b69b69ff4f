"""Batched bounded minimization against SciPy's L-BFGS-B."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gpbo.errors import ShapeError
from gpbo.lbfgsb import Minimum, Objective, Settings, minimize, projected_gradient_norm

PRECISE = Settings(max_iter=3000, gradient_tolerance=1e-6, value_tolerance=1e-13)


def with_gradient(value: Callable[[Tensor], Tensor]) -> Objective:
    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        leaf = x.detach().requires_grad_()
        v = value(leaf)
        return v.detach(), torch.autograd.grad(v.sum(), leaf)[0]

    return f


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(-1)


def quadratic(p: int, condition: float, seed: int) -> Callable[[Tensor], Tensor]:
    g = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(p, p, generator=g, dtype=torch.float64))
    a = q @ torch.diag(torch.logspace(0, np.log10(condition), p, dtype=torch.float64)) @ q.T
    center = 1.5 * torch.randn(p, generator=g, dtype=torch.float64)
    return lambda x: 0.5 * (((x - center) @ a) * (x - center)).sum(-1)


def badly_scaled(x: Tensor) -> Tensor:
    w = torch.logspace(-4, 4, x.shape[1], dtype=torch.float64)
    return (w * (x - 0.3) ** 2).sum(-1) + 1e-3 * (w * (x - 0.3)).sum(-1) ** 2


def starts(b: int, p: int, low: float, high: float, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(b, p, generator=g, dtype=torch.float64)


def run(f: Objective, x0: Tensor, low: float, high: float, settings: Settings = PRECISE) -> Minimum:
    box = torch.tensor([low, high], dtype=torch.float64)
    return minimize(f, x0, box[0], box[1], settings)


def scipys(f: Objective, x0: Tensor, low: float, high: float) -> list[float]:
    def single(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, grad = f(torch.as_tensor(x).unsqueeze(0))
        return float(value), grad[0].numpy()

    options = {"maxiter": 3000, "maxfun": 10**5, "ftol": 1e-13, "gtol": 1e-6}
    return [
        scipy.optimize.minimize(
            single, x, jac=True, method="L-BFGS-B", bounds=[(low, high)] * len(x), options=options
        ).fun
        for x in x0.numpy()
    ]


@pytest.mark.parametrize(
    ("value", "p", "low", "high"),
    [
        pytest.param(rosenbrock, 2, -2.0, 2.0, id="rosenbrock-2"),
        pytest.param(rosenbrock, 10, 0.0, 3.0, id="rosenbrock-10"),
        pytest.param(rosenbrock, 10, 0.2, 0.8, id="rosenbrock-10-on-its-bounds"),
        pytest.param(quadratic(5, 1e4, 5), 5, -1.0, 1.0, id="bounded-5"),
        pytest.param(quadratic(20, 1e2, 1), 20, -0.3, 0.3, id="bounded-20"),
        pytest.param(quadratic(60, 1e3, 2), 60, 0.5, 1.5, id="bounded-60"),
        pytest.param(badly_scaled, 8, 0.0, 1.0, id="badly-scaled"),
        pytest.param(badly_scaled, 8, 0.4, 100.0, id="badly-scaled-in-a-corner"),
    ],
)
def test_every_row_reaches_the_optimum_that_scipy_reaches(
    value: Callable[[Tensor], Tensor], p: int, low: float, high: float
) -> None:
    f, x0 = with_gradient(value), starts(12, p, low, high)
    found = run(f, x0, low, high)
    expected = torch.tensor(scipys(f, x0, low, high), dtype=torch.float64)
    worse = found.value - expected.min()
    assert (worse <= 1e-6 * (1 + expected.min().abs())).all()
    assert found.converged.all()
    torch.testing.assert_close(found.value, f(found.x)[0], rtol=1e-12, atol=1e-12)


def test_it_needs_about_as_many_calls_as_scipy() -> None:
    f, x0 = with_gradient(rosenbrock), starts(10, 6, -2, 2)
    calls = []

    def single(x: np.ndarray) -> tuple[float, np.ndarray]:
        calls.append(1)
        value, grad = f(torch.as_tensor(x).unsqueeze(0))
        return float(value), grad[0].numpy()

    for x in x0.numpy():
        scipy.optimize.minimize(single, x, jac=True, method="L-BFGS-B", bounds=[(-2, 2)] * 6)
    found = run(f, x0, -2, 2, Settings())
    assert int(found.evaluations.sum()) < 1.5 * len(calls)


@settings(max_examples=30, deadline=None)
@given(
    p=st.integers(1, 9),
    seed=st.integers(0, 10**6),
    low=st.floats(-3, 2),
    width=st.floats(0.01, 5),
    power=st.floats(0, 5),
)
def test_at_the_end_no_coordinate_can_go_downhill(
    p: int, seed: int, low: float, width: float, power: float
) -> None:
    f, high = with_gradient(quadratic(p, 10**power, seed)), low + width
    settings = Settings(max_iter=2000, gradient_tolerance=1e-6, value_tolerance=0.0)
    found = run(f, starts(3, p, low, high, seed), low, high, settings)
    box = torch.tensor([low, high], dtype=torch.float64)
    value, gradient = f(found.x)
    norm = projected_gradient_norm(found.x, gradient, box[0], box[1])
    # Along a curvature c, a gradient g promises g^2 / 2c: below the rounding of f nothing is seen.
    unseen = (2 * 10**power * 1e-15 * value.abs().clamp(min=1.0)).sqrt()
    assert (norm < 1e-4 + 4 * unseen).all()
    assert ((found.x >= low) & (found.x <= high)).all()
    spread = found.value.max() - found.value.min()
    assert spread <= 1e-6 * (1 + found.value.abs().max())


def test_it_never_looks_outside_the_box() -> None:
    seen = []

    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(x.clone())
        return with_gradient(rosenbrock)(x)

    x0 = starts(6, 3, -5, 5)
    low = torch.tensor([-0.5, 0.1, -torch.inf], dtype=torch.float64)
    high = torch.tensor([0.7, 0.1, 0.9], dtype=torch.float64)
    found = minimize(f, x0, low, high)
    points = torch.cat(seen)
    assert ((points >= low) & (points <= high)).all()
    assert (found.x[:, 1] == 0.1).all()
    assert found.converged.all()


def test_rows_do_not_see_each_other() -> None:
    f, x0 = with_gradient(rosenbrock), starts(7, 4, -2, 2)
    together = run(f, x0, -2, 2)
    order = torch.tensor([3, 0, 6, 5, 1, 2, 4])
    shuffled = run(f, x0[order], -2, 2)
    torch.testing.assert_close(shuffled.value, together.value[order], rtol=1e-9, atol=1e-12)
    alone = run(f, x0[2:3], -2, 2)
    torch.testing.assert_close(alone.x, together.x[2:3], rtol=1e-5, atol=1e-5)


def test_converged_rows_leave_the_batch() -> None:
    sizes = []

    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        sizes.append(x.shape[0])
        return with_gradient(rosenbrock)(x)

    x0 = torch.cat([torch.ones(3, 2).double(), starts(2, 2, -2, 2)])
    found = run(f, x0, -2, 2)
    assert sizes[0] == 5
    assert sizes[1] == 2
    assert sizes == sorted(sizes, reverse=True)
    assert found.iterations[:3].tolist() == [0, 0, 0]
    assert int(found.evaluations.sum()) == sum(sizes)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_row_that_meets_a_value_that_is_not_finite_steps_back(bad: float) -> None:
    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        value, grad = with_gradient(lambda v: ((v - 0.7) ** 2).sum(-1))(x)
        hole = x[:, 0] > 0.8
        return torch.where(hole, bad, value), torch.where(hole.unsqueeze(-1), bad, grad)

    found = run(f, torch.tensor([[0.0, 0.0], [0.75, 0.0]]).double(), -1, 10)
    assert found.converged.all()
    torch.testing.assert_close(found.x, torch.full((2, 2), 0.7).double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
def test_extreme_scales_of_the_function_neither_loop_nor_give_nan(scale: float) -> None:
    f, x0 = with_gradient(lambda v: scale * rosenbrock(v)), starts(4, 3, -2, 2)
    found = run(f, x0, -2, 2, Settings(max_iter=40))
    assert torch.isfinite(found.x).all()
    assert (found.value <= f(x0)[0]).all()
    assert (found.evaluations < 40 * 20).all()


def test_a_start_that_is_not_finite_stops_its_row_and_no_other() -> None:
    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        return with_gradient(lambda v: v.log().sum(-1) ** 2)(x)

    found = run(f, torch.tensor([[-1.0], [3.0]]).double(), -2, 5)
    assert torch.isnan(found.value[0])
    assert found.converged.tolist() == [False, True]
    assert float(found.x[0]) == -1.0
    assert float(found.x[1]) == pytest.approx(1.0, abs=1e-5)


def test_max_iter_ends_a_row_unconverged() -> None:
    f, x0 = with_gradient(rosenbrock), starts(4, 10, -2, 2)
    found = run(f, x0, -2, 2, Settings(max_iter=3))
    assert found.iterations.tolist() == [3] * 4
    assert not found.converged.any()
    assert (found.value < f(x0)[0]).all()
    none = run(f, x0, -2, 2, Settings(max_iter=0))
    assert torch.equal(none.x, x0)
    assert not none.converged.any()


def test_a_function_with_a_wrong_gradient_ends_rather_than_loops() -> None:
    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        value, grad = with_gradient(rosenbrock)(x)
        return value, -grad

    found = run(f, starts(2, 3, -1, 1), -1, 1)
    assert not found.converged.any()
    assert (found.evaluations < 100).all()


def test_a_kink_ends_rather_than_loops() -> None:
    found = run(with_gradient(lambda v: v.abs().sum(-1)), starts(3, 4, -1, 1), -1, 1)
    assert torch.isfinite(found.value).all()
    assert (found.value < 0.5).all()


def test_a_start_outside_is_first_moved_into_the_box() -> None:
    x0 = torch.full((1, 3), 9.0).double()
    found = run(with_gradient(lambda v: (v**2).sum(-1)), x0, 1, 2)
    assert found.x.tolist() == [[1.0, 1.0, 1.0]]
    assert x0.tolist() == [[9.0, 9.0, 9.0]]


@pytest.mark.parametrize(("b", "p"), [(0, 3), (2, 0), (0, 0)])
def test_nothing_to_minimize_is_no_error(b: int, p: int) -> None:
    found = run(with_gradient(lambda v: (v**2).sum(-1)), torch.zeros(b, p).double(), 0, 1)
    assert found.x.shape == (b, p)
    assert found.value.shape == found.iterations.shape == (b,)
    assert found.converged.all()


def test_equal_calls_give_equal_bits() -> None:
    f, x0 = with_gradient(rosenbrock), starts(5, 6, -2, 2)
    first, second = run(f, x0, -2, 2), run(f, x0, -2, 2)
    assert torch.equal(first.x, second.x)
    assert torch.equal(first.evaluations, second.evaluations)


def test_wrong_shapes_and_bounds_are_refused() -> None:
    f, zero = with_gradient(lambda v: (v**2).sum(-1)), torch.zeros(2, 3).double()
    with pytest.raises(ShapeError, match=r"x0 has no rows, got \(3,\)"):
        minimize(f, zero[0], zero[0], zero[0])
    with pytest.raises(ShapeError, match="bounds do not fit x0"):
        minimize(f, zero, torch.zeros(4), torch.ones(4))
    with pytest.raises(ShapeError, match="above its upper bound"):
        minimize(f, zero, zero + 1, zero)
