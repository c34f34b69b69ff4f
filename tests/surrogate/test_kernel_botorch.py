"""Kernels in BoTorch's models: fits, predictions and acquisitions, against GPyTorch's kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from botorch.acquisition import LogExpectedImprovement, qLogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import MultiTaskGP, SingleTaskGP, SingleTaskVariationalGP
from botorch.models.transforms import Normalize, Standardize
from botorch.optim import optimize_acqf
from botorch.optim.closures import get_loss_closure_with_grads
from botorch.optim.closures.core import NdarrayOptimizationClosure
from botorch.optim.utils import get_parameters
from botorch.sampling import SobolQMCNormalSampler
from botorch.sampling.pathwise import draw_matheron_paths
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.models import GP
from gpytorch.priors import GammaPrior, LogNormalPrior
from torch import Tensor

from tests.surrogate.data import problem
from tests.surrogate.kernels import KINDS, ours, theirs

# Of linear_operator, which indexes with sparse tensors; torch gives it once in a process.
pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks")
kinds = pytest.mark.parametrize("kind", KINDS)
Build = Callable[..., Kernel]  # ours or theirs
Parts = Sequence[Tensor]
NEW = problem(20, 3, seed=9)[0]


def with_priors(build: Build, kind: str, d: int = 3, batch: tuple[int, ...] = ()) -> Kernel:
    """A kernel with BoTorch's default prior and bound; without them some of its hyperparameters
    would hardly matter, and where a fit of them stops would be chance."""
    prior = LogNormalPrior(math.sqrt(2.0) + 0.5 * math.log(d), math.sqrt(3.0))
    kernel = build(
        kind,
        ard_num_dims=d,
        batch_shape=torch.Size(batch),
        lengthscale_prior=prior,
        lengthscale_constraint=GreaterThan(2.5e-2, transform=None, initial_value=prior.mode),
    )
    if kind == "rq":
        kernel.register_prior("alpha_prior", GammaPrior(3.0, 3.0), "alpha")
    return kernel


def single_task(kernel: Kernel, n: int = 60, d: int = 3) -> SingleTaskGP:
    x, y = problem(n, d)
    return SingleTaskGP(x, y.unsqueeze(-1), covar_module=kernel)


def fitted(model: SingleTaskGP) -> SingleTaskGP:
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model


def belief(model: GP, x: Tensor = NEW) -> list[Tensor]:
    with torch.no_grad():
        posterior = model.posterior(x)
        return [posterior.mean, posterior.variance]


def evidence(model: GP) -> list[Tensor]:
    """The log marginal likelihood and its gradient."""
    mll = ExactMarginalLogLikelihood(model.likelihood, model).train()
    inputs = model.train_inputs
    value = mll(model(*inputs), model.train_targets, *inputs).sum()
    leaves = [p for p in model.parameters() if p.requires_grad]
    return [value.detach(), *torch.autograd.grad(value, leaves)]


def assert_same(found: Parts, expected: Parts, tolerance: float) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@kinds
def test_a_fit_and_its_predictions_equal_those_with_gpytorchs_kernel(kind: str) -> None:
    models = [fitted(single_task(with_priors(build, kind))) for build in (ours, theirs)]
    assert_same(*(list(m.state_dict().values()) for m in models), tolerance=1e-6)
    assert_same(*(belief(m) for m in models), tolerance=1e-8)
    start = evidence(single_task(with_priors(ours, kind)))[0]
    assert evidence(models[0])[0] > start + 0.1


@kinds
@pytest.mark.parametrize("n", [20, 150])
def test_likelihood_and_gradient_equal_at_equal_hyperparameters(kind: str, n: int) -> None:
    models = [single_task(ScaleKernel(build(kind, ard_num_dims=3)), n) for build in (ours, theirs)]
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        for pair in zip(*(m.parameters() for m in models), strict=True):
            values = torch.rand(pair[0].shape, generator=generator, dtype=torch.float64)
            for parameter in pair:
                parameter.data = values + 0.01
        assert_same(*(evidence(m) for m in models), tolerance=1e-9)
        assert_same(*(belief(m.eval()) for m in models), tolerance=1e-9)


@kinds
def test_a_batch_of_outputs_fits_and_predicts_the_same(kind: str) -> None:
    x, y = problem(60, 3)
    other = problem(60, 3, seed=4)[1]
    targets = torch.stack([y, 0.7 * y.square() - 0.7, other], -1)
    targets = (targets - targets.mean(0)) / targets.std(0)
    models = [
        fitted(SingleTaskGP(x, targets, covar_module=with_priors(build, kind, batch=(3,))))
        for build in (ours, theirs)
    ]
    assert models[0].covar_module.lengthscale.shape == (3, 1, 3)
    assert_same(*(belief(m) for m in models), tolerance=1e-8)


def test_transformed_inputs_and_outcomes_fit_and_predict_the_same() -> None:
    x, y = problem(60, 3)
    models = []
    for build in (ours, theirs):
        kernel = with_priors(build, "matern52")
        transforms = {"input_transform": Normalize(3), "outcome_transform": Standardize(1)}
        model = SingleTaskGP(3 * x - 7, 9 * y[:, None] + 4, covar_module=kernel, **transforms)
        models.append(fitted(model))
    assert_same(*(belief(m, 3 * NEW - 7) for m in models), tolerance=1e-7)


def several_tasks(kernel: Kernel) -> MultiTaskGP:
    torch.manual_seed(0)  # of the task covariance
    x, y = problem(20, 3)
    with_task = torch.cat([torch.cat([x, torch.full((20, 1), t)], 1) for t in (0.0, 1.0)])
    return MultiTaskGP(with_task, torch.cat([y, -y])[:, None], -1, covar_module=kernel)


@pytest.mark.parametrize("active", [None, (0, 1, 2)])
def test_tasks_have_the_same_likelihood_and_beliefs(active: tuple[int, ...] | None) -> None:
    models = [
        several_tasks(build("rbf", ard_num_dims=3, active_dims=active)) for build in (ours, theirs)
    ]
    assert_same(*(evidence(m) for m in models), tolerance=1e-9)
    assert_same(*(belief(m.eval()) for m in models), tolerance=1e-9)


def test_inducing_points_learn_the_same() -> None:
    x, y = problem(30, 3)
    results = []
    for build in (ours, theirs):
        kernel = ScaleKernel(build("matern52", ard_num_dims=3))
        points = {"inducing_points": x[:10].clone()}
        torch.manual_seed(0)  # of the variational distribution
        model = SingleTaskVariationalGP(x, y[:, None], covar_module=kernel, **points)
        prior = model.train()(x)
        kernel_grads = torch.autograd.grad(
            prior.covariance_matrix.sum(), list(kernel.parameters()), allow_unused=True
        )
        grads = [g for g in kernel_grads if g is not None]
        results.append([prior.mean.detach(), *grads, *belief(model.eval())])
    assert_same(*results, tolerance=1e-9)


@pytest.mark.parametrize("kind", ["matern52", "rbf"])
@pytest.mark.parametrize("q", [1, 3])
def test_an_acquisition_is_maximized_to_the_same_candidates(kind: str, q: int) -> None:
    results, unit = [], torch.stack([torch.zeros(3), torch.ones(3)]).double()
    for build in (ours, theirs):
        model = fitted(single_task(with_priors(build, kind), n=30))
        best = model.train_targets.max()
        acquisition = (
            LogExpectedImprovement(model, best)
            if q == 1
            else qLogExpectedImprovement(model, best, SobolQMCNormalSampler(torch.Size([64]), 1))
        )
        x = NEW[: 2 * q].reshape(2, q, 3).clone().requires_grad_()
        value = acquisition(x)
        (slope,) = torch.autograd.grad(value.sum(), x)
        assert torch.isfinite(slope).all()
        torch.manual_seed(0)  # of the choice of starting points
        candidates, peak = optimize_acqf(
            acquisition, unit, q=q, num_restarts=2, raw_samples=32, options={"seed": 1}
        )
        results.append([[value.detach(), slope], [candidates, peak]])
    assert_same(*(r[0] for r in results), tolerance=1e-7)
    assert_same(*(r[1] for r in results), tolerance=1e-4)


def test_beliefs_after_more_observations_and_fantasies_are_the_same() -> None:
    x = problem(8, 3, seed=3)[0]
    results = []
    for build in (ours, theirs):
        model = single_task(with_priors(build, "matern52"), n=30).eval()
        parts = belief(model)
        more = model.condition_on_observations(x[:2], x[:2, :1])
        batch = model.condition_on_observations(x.reshape(4, 2, 3), x.reshape(4, 2, 3)[..., :1])
        dreamt = model.fantasize(x[:2], SobolQMCNormalSampler(torch.Size([5]), seed=1))
        for changed in (more, batch, dreamt):
            parts += belief(changed)
        results.append(parts)
    assert_same(*results, tolerance=1e-9)


@pytest.mark.parametrize("kind", ["matern12", "matern32", "matern52", "rbf"])  # all it knows
@pytest.mark.parametrize("wrapped", [False, True])
def test_paths_of_the_posterior_are_drawn_alike(kind: str, wrapped: bool) -> None:
    paths = []
    for build in (ours, theirs):
        kernel = build(kind, ard_num_dims=3)
        model = single_task(ScaleKernel(kernel) if wrapped else kernel, n=20).eval()
        torch.manual_seed(0)  # of the random features
        paths.append([draw_matheron_paths(model, torch.Size([4]))(NEW).detach()])
    assert_same(*paths, tolerance=1e-8)


@kinds
def test_a_fit_goes_on_after_a_step_to_nan(kind: str) -> None:
    model = single_task(ScaleKernel(ours(kind, ard_num_dims=3)), n=10)
    mll = ExactMarginalLogLikelihood(model.likelihood, model).train()
    parameters = get_parameters(mll, requires_grad=True)
    closure = NdarrayOptimizationClosure(get_loss_closure_with_grads(mll, parameters), parameters)
    start = closure.state
    value, gradient = closure(start * math.nan)
    assert math.isnan(value)
    value, gradient = closure(start)
    assert math.isfinite(value)
    assert all(map(math.isfinite, gradient))
