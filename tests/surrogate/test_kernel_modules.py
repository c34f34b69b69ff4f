"""Kernels as GPyTorch modules: state, copies, indices, and inside GPyTorch's other kernels."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import gpytorch
import pytest
import torch
from gpytorch import kernels as gk
from gpytorch.kernels import Kernel
from torch import Tensor

from tests.surrogate.data import problem
from tests.surrogate.kernels import KINDS, ours, pair, theirs, weighted

# Of linear_operator, which indexes with sparse tensors; torch gives it once in a process.
pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks")
kinds = pytest.mark.parametrize("kind", KINDS)
Build = Callable[..., Kernel]  # ours or theirs


@kinds
@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_state_dict_loads_both_ways(kind: str, batch: tuple[int, ...]) -> None:
    x = problem(6, 3)[0]
    shape = {"ard_num_dims": 2, "batch_shape": torch.Size(batch), "active_dims": (0, 2)}
    for first, second in ((ours, theirs), (theirs, ours)):
        source = pair(kind, seed=3, **shape)[0 if first is ours else 1]
        target = second(kind, **shape)
        target.load_state_dict(source.state_dict())
        torch.testing.assert_close(
            target(x).to_dense(), source(x).to_dense(), rtol=1e-12, atol=1e-12
        )


@kinds
def test_copies_and_pickles_are_independent_kernels_of_equal_numbers(kind: str) -> None:
    x = problem(6, 3)[0]
    prior = gpytorch.priors.GammaPrior(3.0, 6.0)
    kernel = pair(kind, ard_num_dims=3, lengthscale_prior=prior)[0]
    expected = kernel(x).to_dense()
    for twin in (copy.deepcopy(kernel), pickle.loads(pickle.dumps(kernel))):
        assert type(twin) is type(kernel)
        torch.testing.assert_close(twin(x).to_dense(), expected)
        assert [name for name, *_ in twin.named_priors()] == ["lengthscale_prior"]
        twin.lengthscale = 9.0
    torch.testing.assert_close(kernel(x).to_dense(), expected)


@kinds
def test_an_index_takes_kernels_of_a_batch(kind: str) -> None:
    kernel, expected = pair(kind, ard_num_dims=3, batch_shape=torch.Size([3, 2]))
    x = torch.stack([problem(5, 3, seed=s)[0] for s in range(2)])
    pick = torch.tensor([0, 2])
    for index in (0, (2, 1), slice(1, None), (slice(None), 1), pick):
        one, other = kernel[index], expected[index]
        assert one.batch_shape == other.batch_shape
        for points in (x[0], x[:1]):
            torch.testing.assert_close(one(points).to_dense(), other(points).to_dense())
    wide = kernel.expand_batch(4, 3, 2)
    assert wide(x).shape == (4, 3, 2, 5, 5)
    torch.testing.assert_close(wide(x).to_dense()[1], kernel(x).to_dense())


@kinds
@pytest.mark.parametrize("eager", [False, True])
def test_a_lazy_matrix_is_cut_turned_and_multiplied_like_gpytorchs(kind: str, eager: bool) -> None:
    x = torch.stack([problem(6, 3, seed=s)[0] for s in range(3)])
    pick, side = torch.tensor([0, 2]), torch.ones(3, 6, 2, dtype=torch.float64)
    uses: list[Callable[[Any], Any]] = [
        lambda k: k[1],
        lambda k: k[:2, 1:4, ::2],
        lambda k: k[..., 2, :],
        lambda k: k[pick, pick, pick],
        lambda k: k.mT,
        lambda k: k.unsqueeze(0),
        lambda k: k.repeat(2, 1, 1, 1),
        lambda k: k.expand(2, 3, 6, 6),
        lambda k: k @ side,
        lambda k: k.sum(-1),
        lambda k: k.diagonal(dim1=-1, dim2=-2),
        lambda k: k.add_jitter(1e-3).cholesky(),
        lambda k: k.add_jitter(1e-3).solve(side),
    ]
    kernels = pair(kind, ard_num_dims=3, batch_shape=torch.Size([3]))
    with gpytorch.settings.lazily_evaluate_kernels(not eager):
        for use in uses:
            found, expected = (use(kernel(x)) for kernel in kernels)
            if not isinstance(found, Tensor):
                found, expected = found.to_dense(), expected.to_dense()
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


INSIDE: dict[str, Callable[[Build], Kernel]] = {
    "scale": lambda k: gk.ScaleKernel(k("matern52", ard_num_dims=3, active_dims=(0, 1, 3))),
    "sum": lambda k: k("matern32", active_dims=(0, 2), ard_num_dims=2) + k("rbf", active_dims=(1,)),
    "product": lambda k: k("rq", active_dims=(0, 2)) * k("rbf", ard_num_dims=4),
    "nested": lambda k: gk.ScaleKernel(gk.ScaleKernel(k("rq")) * k("rbf") + k("matern52")),
    "tasks": lambda k: gk.MultitaskKernel(k("rbf", ard_num_dims=4), num_tasks=2, rank=1),
    "coregionalized": lambda k: gk.LCMKernel([k("rbf"), k("matern52")], num_tasks=2, rank=1),
    "inducing": lambda k: gk.InducingPointKernel(
        gk.ScaleKernel(k("matern52", ard_num_dims=4)),
        problem(4, 4, seed=5)[0],
        gpytorch.likelihoods.GaussianLikelihood(),
    ),
    "interpolated": lambda k: gk.GridInterpolationKernel(
        k("rbf"), grid_size=12, num_dims=2, active_dims=(0, 3), grid_bounds=[(-0.1, 1.1)] * 2
    ),
}


@pytest.mark.parametrize("inside", INSIDE)
def test_inside_other_kernels_they_are_like_gpytorchs(inside: str) -> None:
    x1, x2 = problem(7, 4)[0], problem(5, 4, seed=1)[0]
    results = []
    for build in (ours, theirs):
        torch.manual_seed(0)  # of the task covariances
        kernel = INSIDE[inside](build).double().eval()
        square = kernel(x1).to_dense()
        parts = [square, kernel(x1, x2).to_dense(), kernel(x1, diag=True)]
        weighted(square).backward()
        grads = [p.grad for p in kernel.parameters() if p.grad is not None]
        assert len(grads) > 0
        results.append([*parts, *grads])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.filterwarnings("ignore:The last_dim_is_batch argument is deprecated")
@pytest.mark.filterwarnings("ignore:.*StructureKernel is deprecated")
@pytest.mark.parametrize("structure", [gk.AdditiveStructureKernel, gk.ProductStructureKernel])
def test_one_kernel_for_every_column(structure: type[Kernel]) -> None:
    x = problem(6, 3)[0]
    found, expected = (
        structure(gk.ScaleKernel(build("matern52")), num_dims=3).double()
        for build in (ours, theirs)
    )
    torch.testing.assert_close(found(x).to_dense(), expected(x).to_dense())
    if structure is gk.AdditiveStructureKernel:  # the other has no diagonal, in GPyTorch itself
        torch.testing.assert_close(found(x, diag=True), expected(x, diag=True))


class Model(gpytorch.models.ExactGP):
    def __init__(self, x: Tensor, y: Tensor, kernel: Kernel) -> None:
        super().__init__(x, y, gpytorch.likelihoods.GaussianLikelihood())
        self.mean_module = gpytorch.means.ConstantMean()
        self.covar_module = gpytorch.kernels.ScaleKernel(kernel)

    def forward(self, x: Tensor) -> gpytorch.distributions.MultivariateNormal:
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


@kinds
def test_a_gpytorch_model_trains_and_predicts_the_same_with_either_kernel(kind: str) -> None:
    x, y = problem(15, 3)
    new = problem(4, 3, seed=9)[0]
    means, losses = [], []
    for kernel in pair(kind, ard_num_dims=3):
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
    torch.testing.assert_close(*means, rtol=1e-8, atol=1e-8)


@pytest.mark.filterwarnings("ignore:The checkpointing feature is deprecated")
def test_conjugate_gradients_with_checkpoints_give_the_same() -> None:
    x, y = problem(30, 3)
    results = []
    for kernel in pair("matern52", ard_num_dims=3):
        model = Model(x, y, kernel).double()
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        torch.manual_seed(0)  # of the probe vectors
        with gpytorch.settings.max_cholesky_size(1), gpytorch.beta_features.checkpoint_kernel(7):
            loss = -mll(model(x), y)
            loss.backward()
        results.append((loss.detach(), kernel.raw_lengthscale.grad))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_samples_of_hyperparameters_are_loaded_as_a_batch() -> None:
    x, y = problem(8, 3)
    samples = 0.2 + torch.rand(5, 1, 3, generator=torch.Generator().manual_seed(0)).double()
    matrices = []
    for build in (ours, theirs):
        prior = gpytorch.priors.GammaPrior(3.0, 6.0)
        model = Model(x, y, build("rbf", ard_num_dims=3, lengthscale_prior=prior)).double()
        model.pyro_load_from_samples({"covar_module.base_kernel.lengthscale_prior": samples})
        matrices.append(model.covar_module.base_kernel(x).to_dense())
    assert matrices[0].shape == (5, 8, 8)
    torch.testing.assert_close(*matrices)


@kinds
@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # of every comparison of sizes
def test_a_traced_kernel_computes_anew_for_new_points(kind: str) -> None:
    kernel = pair(kind, ard_num_dims=3)[0].requires_grad_(False)

    def matrix(x: Tensor) -> Tensor:
        return kernel(x).to_dense()

    with gpytorch.settings.trace_mode():
        traced = torch.jit.trace(matrix, problem(5, 3)[0], check_trace=False)
    new = problem(7, 3, seed=1)[0]
    torch.testing.assert_close(traced(new), kernel(new).to_dense())


def test_a_compiled_kernel_gives_the_same() -> None:
    kernel = pair("matern52", ard_num_dims=3)[0]
    x1, x2 = problem(5, 3)[0], problem(4, 3, seed=1)[0]
    compiled = torch.compile(kernel.forward, backend="eager")
    torch.testing.assert_close(compiled(x1, x2), kernel(x1, x2).to_dense())
