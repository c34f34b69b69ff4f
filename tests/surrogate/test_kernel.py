"""The kernel in GPyTorch models, against GPyTorch's own Matern kernel."""

from __future__ import annotations

import gpytorch
import pytest
import torch
from torch import Tensor

from gpbo.errors import ShapeError
from gpbo.surrogate.kernel import Matern52Kernel
from tests.surrogate.data import problem


def pair(ard: int | None, batch: tuple[int, ...] = ()) -> list[gpytorch.kernels.Kernel]:
    """Our kernel and GPyTorch's with the same lengthscales."""
    shape = torch.Size(batch)
    ours = Matern52Kernel(ard_num_dims=ard, batch_shape=shape).double()
    theirs = gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=ard, batch_shape=shape).double()
    g = torch.Generator().manual_seed(1)
    raw = torch.rand(*batch, 1, ard or 1, generator=g, dtype=torch.float64)
    for kernel in (ours, theirs):
        kernel.lengthscale = 0.3 + raw
    return [ours, theirs]


@pytest.mark.parametrize("ard", [None, 3])
@pytest.mark.parametrize("batch", [(), (2,), (4, 2)])
def test_matrix_and_gradients_equal_gpytorchs(ard: int | None, batch: tuple[int, ...]) -> None:
    x1, x2 = problem(6, 3)[0] - 4, problem(5, 3, seed=1)[0] - 4
    weight = torch.randn(*batch, 6, 5, generator=torch.Generator().manual_seed(0)).double()
    results = []
    for kernel in pair(ard, batch):
        a, b = x1.clone().requires_grad_(), x2.clone().requires_grad_()
        matrix = kernel(a, b).to_dense()
        (matrix * weight).sum().backward()
        results.append((matrix.detach(), a.grad, b.grad, kernel.raw_lengthscale.grad))
    assert results[0][0].shape == (*batch, 6, 5)
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_batched_points_diagonals_and_single_columns_equal_gpytorchs() -> None:
    x = torch.stack([problem(5, 3, seed=s)[0] for s in range(2)])
    for ours, theirs in (pair(3), pair(3, (2,))):
        a, b = ours(x).to_dense(), theirs(x).to_dense()
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(ours(x, x + 0.1, diag=True), theirs(x, x + 0.1, diag=True))
        assert (ours(x, diag=True) == 1).all()
    single = pair(None)
    each = [k.forward(x, x + 0.1, last_dim_is_batch=True) for k in single]
    assert each[0].shape == (2, 3, 5, 5)
    torch.testing.assert_close(*each)
    each = [k.forward(x, x + 0.1, last_dim_is_batch=True, diag=True) for k in single]
    torch.testing.assert_close(*each)


def test_active_dimensions_choose_columns() -> None:
    x = problem(5, 4)[0]
    ours = Matern52Kernel(ard_num_dims=2, active_dims=(1, 3)).double()
    whole = Matern52Kernel(ard_num_dims=2).double()
    torch.testing.assert_close(ours(x).to_dense(), whole(x[:, [1, 3]]).to_dense())


def test_columns_of_a_group_share_a_lengthscale() -> None:
    x = problem(6, 4)[0]
    grouped = Matern52Kernel(ard_num_dims=3, groups=torch.tensor([0, 2, 2, 1])).double()
    grouped.lengthscale = torch.tensor([0.3, 0.5, 0.8], dtype=torch.float64)
    plain = Matern52Kernel(ard_num_dims=4).double()
    plain.lengthscale = torch.tensor([0.3, 0.8, 0.8, 0.5], dtype=torch.float64)
    torch.testing.assert_close(grouped(x).to_dense(), plain(x).to_dense())
    for kernel in (grouped, plain):
        kernel(x).to_dense().sum().backward()
    # softplus is the same for equal lengthscales, so raw gradients add up
    assert grouped.raw_lengthscale.grad is not None
    assert plain.raw_lengthscale.grad is not None
    a, (b, c, d, e) = grouped.raw_lengthscale.grad[0], plain.raw_lengthscale.grad[0]
    torch.testing.assert_close(a, torch.stack([b, e, c + d]))


@pytest.mark.parametrize(
    ("groups", "number"), [([0, 1], 1), ([0, 1], None), ([[0, 1]], 2), ([0, 3], 2)]
)
def test_groups_that_do_not_fit_are_refused(groups: list[int], number: int | None) -> None:
    with pytest.raises(ShapeError, match="groups do not fit ard_num_dims"):
        Matern52Kernel(ard_num_dims=number, groups=torch.tensor(groups))


class Model(gpytorch.models.ExactGP):
    def __init__(self, x: Tensor, y: Tensor, kernel: gpytorch.kernels.Kernel) -> None:
        super().__init__(x, y, gpytorch.likelihoods.GaussianLikelihood())
        self.mean_module = gpytorch.means.ConstantMean()
        self.covar_module = gpytorch.kernels.ScaleKernel(kernel)

    def forward(self, x: Tensor) -> gpytorch.distributions.MultivariateNormal:
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


def test_a_gpytorch_model_trains_and_predicts_the_same_with_either_kernel() -> None:
    x, y = problem(15, 3)
    new = problem(4, 3, seed=9)[0]
    means, losses = [], []
    for kernel in pair(3):
        model = Model(x, y, kernel).double()
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        before = -mll(model(x), y).item()
        for _ in range(15):
            optimizer.zero_grad()
            loss = -mll(model(x), y)
            loss.backward()
            optimizer.step()
        losses.append(loss.detach())
        assert loss.item() < before - 0.05
        model.eval()
        with torch.no_grad():
            belief = model.likelihood(model(new))
        means.append(torch.cat([belief.mean, belief.variance]))
    torch.testing.assert_close(*losses, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(*means, rtol=1e-7, atol=1e-7)


def test_gradients_are_right_where_points_coincide() -> None:
    kernel = Matern52Kernel(ard_num_dims=2).double()
    x = torch.tensor([[0.2, 0.3], [0.2, 0.3], [0.7, 0.1]], dtype=torch.float64)
    raw = kernel.raw_lengthscale.detach().clone().requires_grad_()

    def matrix(x: Tensor, raw: Tensor) -> Tensor:
        return torch.func.functional_call(kernel, {"raw_lengthscale": raw}, (x,)).to_dense()

    assert torch.autograd.gradcheck(matrix, (x.requires_grad_(), raw))
