"""Kernels for GPyTorch: values, gradients and errors, against GPyTorch's own kernels."""

from __future__ import annotations

from typing import Any

import gpytorch
import pytest
import torch
from linear_operator.utils.errors import NanError
from torch import Tensor

from gpbo.errors import DeviceError, GpboError, ShapeError
from gpbo.surrogate import kernel as module
from gpbo.surrogate.kernel import HyperparameterError, MaternKernel, RBFKernel, RQKernel
from tests.surrogate.data import problem
from tests.surrogate.kernels import KINDS, ours, pair, weighted

kinds = pytest.mark.parametrize("kind", KINDS)

# ard_num_dims, batch_shape of the kernel, batch shape of the points
SHAPES = [
    (None, (), ()),
    (3, (), ()),
    (1, (), (2,)),
    (3, (2,), ()),
    (3, (2,), (2,)),
    (None, (4, 2), (4, 1)),
    (3, (4, 2), (2,)),
    (3, (4, 1), (1, 2)),
]


def points(*shape: int, seed: int = 0) -> Tensor:
    """Random points that do not lie around 0."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64) - 4.0


def everything(kernel: Any, x1: Tensor, x2: Tensor | None, **how: bool) -> list[Tensor]:
    """The matrix and the gradients of x1, x2 and each parameter; no gradient counts as 0."""
    kernel.zero_grad()
    given = [x.clone().requires_grad_() for x in (x1, x2) if x is not None]
    lazy = kernel(*given, **how)
    matrix = lazy if isinstance(lazy, Tensor) else lazy.to_dense()
    if matrix.requires_grad:
        weighted(matrix).backward()
    leaves = [*given, *kernel.parameters()]
    grads = [torch.zeros_like(x) if x.grad is None else x.grad for x in leaves]
    return [matrix.detach(), *grads]


@kinds
@pytest.mark.parametrize(("ard", "batch", "points_batch"), SHAPES)
@pytest.mark.parametrize("diag", [False, True])
@pytest.mark.parametrize("single", [False, True], ids=["columns", "last_dim_is_batch"])
@pytest.mark.filterwarnings("ignore:The last_dim_is_batch argument is deprecated")
def test_matrix_and_every_gradient_equal_gpytorchs(
    kind: str,
    ard: int | None,
    batch: tuple[int, ...],
    points_batch: tuple[int, ...],
    diag: bool,
    single: bool,
) -> None:
    d, m = ard or 3, 6 if diag else 5
    x = points(*points_batch, 6, d)
    how = {"diag": diag, "last_dim_is_batch": single}
    kernels = pair(kind, ard_num_dims=ard, batch_shape=torch.Size(batch))
    for other in (None, points(m, d, seed=1)):
        found, expected = (everything(kernel, x, other, **how) for kernel in kernels)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@kinds
def test_a_diagonal_is_that_of_the_matrix(kind: str) -> None:
    kernel = ours(kind, ard_num_dims=3)
    x1, x2 = points(6, 3), points(6, 3, seed=1)
    assert (kernel(x1, diag=True) == 1).all()
    matrix = kernel(x1, x2).to_dense()
    torch.testing.assert_close(kernel(x1, x2, diag=True), matrix.diagonal(), rtol=1e-13, atol=0)
    torch.testing.assert_close(kernel(x1, x2).diagonal(), matrix.diagonal(), rtol=1e-13, atol=0)


@kinds
def test_float32_gives_float32_within_its_rounding(kind: str) -> None:
    kernel, single = ours(kind, ard_num_dims=3), ours(kind, ard_num_dims=3).float()
    x1, x2 = points(6, 3), points(5, 3, seed=1)
    found = everything(single, x1.float(), x2.float())
    exact = everything(kernel, x1.float().double(), x2.float().double())
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5)


@kinds
def test_float64_points_meet_float32_parameters_in_float64(kind: str) -> None:
    kernels = [kernel.float() for kernel in pair(kind)]
    matrices = [kernel(points(6, 3), points(5, 3, seed=1)).to_dense() for kernel in kernels]
    assert matrices[0].dtype == torch.float64
    torch.testing.assert_close(*matrices, rtol=1e-6, atol=1e-6)


@kinds
def test_active_dims_choose_columns(kind: str) -> None:
    x = points(5, 4)
    chosen, whole = ours(kind, ard_num_dims=2, active_dims=(1, 3)), ours(kind, ard_num_dims=2)
    torch.testing.assert_close(chosen(x).to_dense(), whole(x[:, [1, 3]]).to_dense())
    torch.testing.assert_close(
        chosen(x, x[:2]).to_dense(), whole(x[:, [1, 3]], x[:2, [1, 3]]).to_dense()
    )


@pytest.mark.parametrize("kind", ["matern52", "matern32", "rbf", "rq"])  # matern12 has a kink
def test_first_and_second_derivatives_are_right_where_points_coincide(kind: str) -> None:
    kernel = ours(kind, ard_num_dims=2)
    x = torch.tensor([[0.2, 0.3], [0.2, 0.3], [0.7, 0.1]], dtype=torch.float64)
    raw = {name: p.detach().clone() for name, p in kernel.named_parameters()}

    def matrix(x: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(raw, values, strict=True))
        return torch.func.functional_call(kernel, given, (x,)).to_dense()

    inputs = [t.requires_grad_() for t in (x, *raw.values())]
    assert torch.autograd.gradcheck(matrix, inputs)
    if kind != "matern32":  # whose second derivative jumps there
        assert torch.autograd.gradgradcheck(matrix, inputs)


class Seen:
    """Stands in for kernel_matrix and remembers its x2."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.others: list[Tensor | None] = []
        self._matrix = module.kernel_matrix
        monkeypatch.setattr(module, "kernel_matrix", self)

    def __call__(self, kernel: str, x1: Tensor, x2: Tensor | None, *args: Any, **kw: Any) -> Tensor:
        self.others.append(x2)
        return self._matrix(kernel, x1, x2, *args, **kw)


def test_points_against_themselves_cost_half(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    x = points(6, 3)
    for kernel in (ours("rbf"), ours("rbf", active_dims=(0, 2)), ours("rbf") + ours("matern52")):
        for lazy in (kernel(x), kernel(x, x), kernel(x.requires_grad_())):
            lazy.to_dense()
        with torch.no_grad():
            joint = kernel(x.detach())
            joint[..., 2:, 2:].to_dense()
    assert seen.others
    assert all(other is None for other in seen.others)


def test_points_that_only_look_alike_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    x = points(6, 3).requires_grad_()
    for other in (x.detach(), x.clone(), x.detach().requires_grad_()):
        ours("rbf")(x, other).to_dense()
    ours("rbf")(x.detach(), x.detach()[:3]).to_dense()
    assert all(other is not None for other in seen.others)
    results = []
    for kernel in pair("matern52"):
        weighted(kernel(x, x.detach()).to_dense()).backward()
        assert x.grad is not None
        results.append(x.grad.clone())
        x.grad = None
    torch.testing.assert_close(*results)


@kinds
def test_without_gradients_nothing_is_recorded(kind: str) -> None:
    with torch.no_grad():
        matrix = ours(kind)(points(6, 3)).to_dense()
    assert not matrix.requires_grad


def test_columns_of_a_group_share_a_lengthscale() -> None:
    x = problem(6, 4)[0]
    grouped = MaternKernel(ard_num_dims=3, groups=torch.tensor([0, 2, 2, 1])).double()
    grouped.lengthscale = torch.tensor([0.3, 0.5, 0.8], dtype=torch.float64)
    plain = MaternKernel(ard_num_dims=4).double()
    plain.lengthscale = torch.tensor([0.3, 0.8, 0.8, 0.5], dtype=torch.float64)
    torch.testing.assert_close(grouped(x).to_dense(), plain(x).to_dense())
    for kernel in (grouped, plain):
        kernel(x).to_dense().sum().backward()
    # softplus is the same for equal lengthscales, so raw gradients add up
    assert grouped.raw_lengthscale.grad is not None
    assert plain.raw_lengthscale.grad is not None
    a, (b, c, d, e) = grouped.raw_lengthscale.grad[0], plain.raw_lengthscale.grad[0]
    torch.testing.assert_close(a, torch.stack([b, e, c + d]))


def test_groups_stand_in_a_batch_of_kernels() -> None:
    kernel = RBFKernel(
        ard_num_dims=2, groups=torch.tensor([1, 0, 1]), batch_shape=torch.Size([3])
    ).double()
    kernel.lengthscale = 0.3 + torch.rand(3, 1, 2, generator=torch.Generator().manual_seed(0))
    x = points(3, 5, 3)
    matrices = kernel(x).to_dense()
    torch.testing.assert_close(kernel[2](x[2]).to_dense(), matrices[2])
    torch.testing.assert_close(kernel(x)[1:].to_dense(), matrices[1:])


@pytest.mark.parametrize(
    ("groups", "number"),
    [([0, 1], 1), ([0, 1], None), ([[0, 1]], 2), ([0, 3], 2), ([-1, 0], 2)],
)
@pytest.mark.parametrize("kernel", [MaternKernel, RBFKernel, RQKernel])
def test_groups_that_do_not_fit_are_refused(
    kernel: type[gpytorch.kernels.Kernel], groups: list[int], number: int | None
) -> None:
    with pytest.raises(ShapeError, match=f"{kernel.__name__}: groups: do not fit ard_num_dims"):
        kernel(ard_num_dims=number, groups=torch.tensor(groups))


def test_an_unknown_nu_is_refused() -> None:
    with pytest.raises(HyperparameterError, match=r"nu: unknown, got 1.0; expected 0.5, 1.5 or"):
        MaternKernel(nu=1.0)
    assert issubclass(HyperparameterError, (GpboError, RuntimeError))  # GPyTorch's is the second


@pytest.mark.parametrize("number", [0.0, -1.0, torch.nan])
@pytest.mark.parametrize("name", ["lengthscale", "alpha"])
def test_hyperparameters_that_are_not_positive_are_refused(name: str, number: float) -> None:
    none = gpytorch.constraints.Interval(-1e9, 1e9, transform=None)
    kernel = RQKernel(ard_num_dims=2, lengthscale_constraint=none, alpha_constraint=none).double()
    kernel.initialize(raw_lengthscale=0.5, raw_alpha=0.5)
    getattr(kernel, f"raw_{name}").data.fill_(number)
    what = "shape" if name == "alpha" else name
    with pytest.raises(HyperparameterError, match=f"rational_quadratic: {what}") as caught:
        kernel(points(4, 2)).to_dense()
    assert isinstance(caught.value, ShapeError)
    assert isinstance(caught.value, NanError)


def test_points_that_do_not_fit_are_refused_at_the_call() -> None:
    kernel = MaternKernel(ard_num_dims=3).double()
    with pytest.raises(ShapeError, match=r"x1: 4 columns where ard_num_dims is 3, got \(5, 4\)"):
        kernel(points(5, 4))
    with pytest.raises(ShapeError, match=r"x2: 1 columns where ard_num_dims is 3, got \(5,\)"):
        kernel(points(5, 3), points(5))
    with pytest.raises(ShapeError, match="with diag not of equal shapes"):
        kernel(points(5, 3), points(4, 3), diag=True)
    with pytest.raises(TypeError, match=r"MaternKernel: x1: not a tensor, got \[\[0.0"):
        kernel([[0.0, 0.0, 0.0]])
    with pytest.raises(DeviceError, match="x2: device is not that of x1, got 'meta'"):
        kernel(points(5, 3), points(5, 3).to("meta")).to_dense()
    chosen = RBFKernel(ard_num_dims=3, active_dims=(0, 1)).double()
    with pytest.raises(ShapeError, match="2 columns where ard_num_dims is 3"):
        chosen(points(5, 4))
    assert chosen.active_dims is not None


def test_points_that_do_not_fit_are_refused_inside_other_kernels_too() -> None:
    scaled = gpytorch.kernels.ScaleKernel(MaternKernel(ard_num_dims=3)).double()
    with pytest.raises(ShapeError, match="lengthscale: not one for each column of x1"):
        scaled(points(5, 4)).to_dense()


@pytest.mark.parametrize("kernel", [MaternKernel, RBFKernel, RQKernel])
def test_a_kernel_takes_what_gpytorchs_takes(kernel: type[gpytorch.kernels.Kernel]) -> None:
    base = getattr(gpytorch.kernels, kernel.__name__)
    keywords: dict[str, Any] = {
        "ard_num_dims": 2,
        "batch_shape": torch.Size([2]),
        "active_dims": (0, 1),
        "lengthscale_prior": gpytorch.priors.GammaPrior(3.0, 6.0),
        "lengthscale_constraint": gpytorch.constraints.GreaterThan(1e-3),
        "eps": 1e-6,
    }
    made, expected = kernel(**keywords), base(**keywords)
    assert isinstance(made, base)
    assert made.lengthscale_prior is keywords["lengthscale_prior"]
    assert made.raw_lengthscale_constraint is keywords["lengthscale_constraint"]
    assert made.batch_shape == expected.batch_shape
    assert made.ard_num_dims == expected.ard_num_dims
    assert str(made.state_dict()) == str(expected.state_dict())


def test_the_first_argument_is_that_of_gpytorchs() -> None:
    least = gpytorch.constraints.GreaterThan(0.1)
    assert MaternKernel(0.5).nu == 0.5
    assert RBFKernel(3).ard_num_dims == 3
    assert RQKernel(least).raw_alpha_constraint is least
