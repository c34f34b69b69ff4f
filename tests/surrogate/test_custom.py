"""Models of the user's own: the same belief as the closed forms, whatever GPyTorch can express."""

from __future__ import annotations

import copy
import json
from typing import Any

import gpytorch
import pytest
import torch
from botorch.models import SingleTaskGP
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import (
    Kernel,
    RBFKernel,
    ScaleKernel,
)
from gpytorch.likelihoods import GaussianLikelihood
from torch import Tensor

from gpbo.errors import ObservationError, ShapeError, StudyError
from gpbo.lbfgsb import Settings
from gpbo.seeding import generator
from gpbo.surrogate import custom_fit, fit
from gpbo.surrogate.base import Surrogate
from gpbo.surrogate.custom import CustomSurrogate
from gpbo.surrogate.custom_posterior import ModelPosterior
from gpbo.surrogate.evidence import Data
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.posterior import GaussianPosterior
from gpbo.surrogate.prior import default_priors
from tests.surrogate.data import problem
from tests.surrogate.models import (
    QUICK,
    SURROGATES,
    Warped,
    as_made,
    matern,
    sparse,
)

TIGHT = Settings(max_iter=500, gradient_tolerance=1e-9, value_tolerance=0.0)


@pytest.mark.parametrize("known", [False, True])
def test_the_same_kernel_gives_the_belief_of_the_closed_forms(known: bool) -> None:
    x, y = problem(30, 3)
    new, noise = problem(8, 3, seed=5)[0], torch.full((30,), torch.nan, dtype=torch.float64)
    noise[::3] = 0.02 if known else torch.nan
    data, priors = Data.build(x, y, noise), default_priors(3)
    start = Hyperparameters((0.5, 0.6, 0.7), 1.0, 0.01, searched=30)
    values, closed = fit.fit(data, priors, generator(0, "fit"), warm=start, settings=TIGHT)
    surrogate = CustomSurrogate.from_kernel(matern)
    names = {
        "likelihood.noise_covar.raw_noise": [start.noise],
        "mean_module.raw_constant": 0.0,
        "covar_module.raw_outputscale": start.outputscale,
        "covar_module.base_kernel.raw_lengthscale": [list(start.lengthscale)],
    }
    raw = {k: torch.tensor(v).double().log().tolist() for k, v in names.items()}
    raw["mean_module.raw_constant"] = 0.0
    model = surrogate.posterior(x, y, {"parameters": raw}, noise=noise).model
    model.requires_grad_(True)
    warm = {"parameters": raw, "searched": 30}
    _, report = custom_fit.fit(model, data, generator(0, "fit"), warm=warm, settings=TIGHT)
    assert (closed.starts, report.starts) == (1, 1)
    assert report.log_posterior == pytest.approx(closed.log_posterior, abs=1e-9)
    ours, theirs = ModelPosterior.build(model, data), GaussianPosterior.build(data, values)
    for a, b in zip(ours.joint(new), theirs.joint(new), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    assert ours.noise == pytest.approx(theirs.noise, rel=1e-5)
    for y_new in (None, torch.zeros(2, dtype=torch.float64)):
        ours, theirs = ours.condition(new[:2], y_new), theirs.condition(new[:2], y_new)
        for a, b in zip(ours.mean_variance(new), theirs.mean_variance(new), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_whole_fits_reach_the_same_optimum_as_the_closed_forms() -> None:
    from gpbo.surrogate.gp import GaussianProcess

    for seed in range(2):
        x, y = problem(20, 2, seed)
        surrogates = (CustomSurrogate.from_kernel(matern), GaussianProcess())
        ours, theirs = (s.fit(x, y, generator(0, "fit")) for s in surrogates)
        gap = ours.report["log_posterior"] - theirs.report["log_posterior"]
        assert abs(gap) < 1e-3


@pytest.mark.parametrize("name", QUICK)
def test_memory_gives_back_the_same_belief_bit_for_bit(name: str) -> None:
    x, y = problem(12, 2)
    surrogate: Surrogate = SURROGATES[name]
    fitted = surrogate.fit(x, y, generator(0, "fit"))
    memory = json.loads(json.dumps(fitted.memory, allow_nan=False))
    json.dumps(fitted.report, allow_nan=False)
    new = problem(5, 2, seed=2)[0]
    again = surrogate.posterior(x, y, memory)
    for a, b in zip(again.joint(new), fitted.posterior.joint(new), strict=True):
        assert torch.equal(a, b)
    assert surrogate.fit(x, y, generator(0, "fit")).memory == fitted.memory
    assert fitted.report["fallback"] is None


def test_what_a_model_keeps_of_its_parameters_does_not_outlive_them() -> None:
    """An InducingPointKernel keeps a factor, in evaluation mode."""
    x, y = problem(12, 2)
    new = problem(5, 2, seed=2)[0]
    memory = as_made("inducing points", x, y)
    memory["parameters"]["covar_module.base_kernel.raw_outputscale"] = 3.0
    changed = SURROGATES["inducing points"].posterior(x, y, memory)

    def other(d: int) -> Kernel:
        kernel = sparse(d).double()
        kernel.base_kernel.raw_outputscale.data.fill_(3.0)
        return kernel

    same = CustomSurrogate.from_kernel(other)
    model = same.model(x, y).double()
    expected = ModelPosterior.build(model, Data.build(x, y))
    torch.testing.assert_close(changed.mean(new), expected.mean(new))


@pytest.mark.parametrize("name", QUICK)
def test_one_observation_and_none_are_survived(name: str) -> None:
    x, y = problem(1, 2)
    new = problem(5, 2, seed=2)[0]
    for n in (0, 1)[name == "botorch" :]:  # which takes no empty data
        fitted = SURROGATES[name].fit(x[:n], y[:n], generator(0, "fit"))
        mean, variance = fitted.posterior.mean_variance(new)
        assert torch.isfinite(mean).all()
        assert (variance > 0).all()


def test_equal_and_coincident_points_are_survived() -> None:
    x, y = torch.full((9, 2), 0.5, dtype=torch.float64), problem(9, 2)[1]
    fitted = CustomSurrogate.from_kernel(lambda d: ScaleKernel(RBFKernel())).fit(
        x, y, generator(0, "fit")
    )
    assert fitted.report["fallback"] is None
    assert torch.isfinite(fitted.posterior.mean_variance(problem(3, 2)[0])[1]).all()


def test_modules_in_float32_are_cast_and_left_alone() -> None:
    x, y = problem(5, 2)
    kernel, mean = ScaleKernel(RBFKernel(ard_num_dims=2)), gpytorch.means.LinearMean(2)
    likelihood = GaussianLikelihood()
    before = copy.deepcopy(kernel.state_dict())
    surrogate = CustomSurrogate.from_kernel(kernel, mean=mean, likelihood=likelihood)
    fitted = surrogate.fit(x, y, generator(0, "fit"))
    assert fitted.posterior.mean(x).dtype == torch.float64
    assert kernel.raw_outputscale.dtype == torch.float32
    assert all(torch.equal(kernel.state_dict()[key], before[key]) for key in before)
    again = surrogate.fit(x, y, generator(0, "fit"))
    assert again.memory == fitted.memory


def test_a_function_that_gives_the_same_model_each_time_finds_it_untouched() -> None:
    x, y = problem(4, 1)
    mine = SURROGATES["matern"].model(x, y)
    surrogate = CustomSurrogate(lambda x, y: mine)
    memories = [surrogate.fit(x, y, generator(0, "fit")).memory for _ in range(2)]
    assert memories[0] == memories[1]
    assert all(parameter.requires_grad for parameter in mine.parameters())
    assert (
        mine.covar_module.raw_outputscale.item()
        == as_made("matern", x, y)["parameters"]["covar_module.raw_outputscale"]
    )


def test_what_is_frozen_is_not_learned() -> None:
    x, y = problem(10, 2)

    def frozen(d: int) -> Kernel:
        kernel = RBFKernel()
        kernel.lengthscale = 0.25
        return kernel.requires_grad_(False)

    likelihood = GaussianLikelihood().requires_grad_(False)
    zero = gpytorch.means.ZeroMean()
    surrogate = CustomSurrogate.from_kernel(frozen, mean=zero, likelihood=likelihood)
    fitted = surrogate.fit(x, y, generator(0, "fit"))
    assert fitted.memory["parameters"] == {}
    assert surrogate.posterior(x, y, fitted.memory).mean(x).equal(fitted.posterior.mean(x))


def test_known_noise_is_believed() -> None:
    x, y = problem(10, 1)
    surrogate = SURROGATES["rbf and periodic"]
    memory = as_made("rbf and periodic", x, y)
    sure = surrogate.posterior(x, y, memory, noise=torch.full((10,), 1e-6))
    unsure = surrogate.posterior(x, y, memory, noise=torch.full((10,), 1.0))
    assert (sure.mean_variance(x)[0] - y).abs().max() < 1e-2
    assert (unsure.mean_variance(x)[1] > sure.mean_variance(x)[1]).all()


def test_a_belief_cannot_be_built_from_a_memory_of_another_model() -> None:
    x, y = problem(8, 2)
    memory = SURROGATES["additive"].fit(x, y, generator(0, "fit")).memory
    for wrong in ({}, {"parameters": 3}, memory):
        with pytest.raises(StudyError, match="of another model"):
            SURROGATES["matern"].posterior(x, y, wrong)


def test_wrong_data_are_refused() -> None:
    x, y = problem(8, 2)
    with pytest.raises(ShapeError, match="do not match"):
        SURROGATES["matern"].fit(x, y[1:], generator(0, "fit"))
    with pytest.raises(ObservationError, match="not finite"):
        SURROGATES["matern"].fit(x, y / 0, generator(0, "fit"))


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (3, "kernel: unknown, got 3; expected a kernel, or a function of the number of columns"),
        (None, "kernel: unknown"),
        (RBFKernel, "kernel: unknown"),  # a class would take d for its first argument
        (gpytorch.means.ConstantMean(), "kernel: unknown"),
        (Warped, r"For a model use gpbo.surrogate.custom.CustomSurrogate\(lambda x, y"),
        (lambda x, y: RBFKernel(), "kernel: unknown"),
    ],
)
def test_what_is_no_kernel_is_refused_at_the_door(kernel: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        CustomSurrogate.from_kernel(kernel)


def test_what_is_no_other_part_of_a_model_is_refused_at_the_door() -> None:
    with pytest.raises(TypeError, match=r"mean: unknown, got 0\.0; expected a mean"):
        CustomSurrogate.from_kernel(RBFKernel(), mean=0.0)
    with pytest.raises(TypeError, match="likelihood: unknown"):
        CustomSurrogate.from_kernel(
            RBFKernel(), likelihood=gpytorch.likelihoods.BernoulliLikelihood()
        )
    for model in (RBFKernel(), lambda d: RBFKernel(), "rbf"):
        with pytest.raises(TypeError, match="no function that makes a model"):
            CustomSurrogate(model)


class TwoOutputs(gpytorch.models.ExactGP):
    def __init__(self, x: Tensor, y: Tensor) -> None:
        super().__init__(x, y, GaussianLikelihood())
        self.kernel = RBFKernel(batch_shape=torch.Size([2]))

    def forward(self, x: Tensor) -> MultivariateNormal:
        return MultivariateNormal(x.new_zeros(2, len(x)), self.kernel(x))


class NoBelief(Warped):
    def forward(self, x: Tensor) -> Tensor:
        return x


def normalized(x: Tensor, y: Tensor) -> SingleTaskGP:
    from botorch.models.transforms import Normalize

    return SingleTaskGP(x, y.unsqueeze(-1), input_transform=Normalize(x.shape[-1]))


@pytest.mark.parametrize(
    ("surrogate", "message"),
    [
        (CustomSurrogate.from_kernel(lambda d: 3), "the function made something else, got 3"),
        (CustomSurrogate(lambda x, y: RBFKernel()), "the function made no model"),
        (CustomSurrogate(TwoOutputs), r"one output, got 'MultivariateNormal of \(2, 2\)'"),
        (CustomSurrogate(NoBelief), "no belief about one output, got 'Tensor'"),
        (CustomSurrogate(normalized), "the model transforms its inputs"),
        (CustomSurrogate.from_kernel(RBFKernel(ard_num_dims=3)), "takes no x of 2 columns"),
    ],
)
def test_a_model_that_cannot_work_says_what_is_wrong(
    surrogate: CustomSurrogate, message: str
) -> None:
    """As a TypeError, which no fallback hides."""
    x, y = problem(6, 2)
    with pytest.raises(TypeError, match=message):
        surrogate.fit(x, y, generator(0, "fit"))
