"""The fit by autograd: GPyTorch's value and gradient, starts, warm starts and bad ground."""

from __future__ import annotations

import math
from typing import Any

import gpytorch
import numpy as np
import pytest
import torch
from gpytorch.kernels import Kernel, MaternKernel, PeriodicKernel, RBFKernel, RQKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.priors import (
    GammaPrior,
    HalfCauchyPrior,
    LogNormalPrior,
    MultivariateNormalPrior,
    NormalPrior,
    Prior,
    SmoothedBoxPrior,
    UniformPrior,
)
from scipy import stats
from torch import Tensor

from gpbo.seeding import generator
from gpbo.surrogate.custom import CustomSurrogate
from gpbo.surrogate.custom_fit import ModelLogPosterior, Row, _draw
from gpbo.surrogate.evidence import Data
from tests.surrogate.data import problem
from tests.surrogate.models import SURROGATES, as_made, matern

Model = gpytorch.models.ExactGP


def made(name: str, data: Data) -> tuple[Model, Row]:
    memory = as_made(name, data.x, data.y)
    model = SURROGATES[name].posterior(data.x, data.y, memory).model
    model.requires_grad_(True).train()
    return model, Row.of(model, data.x)


@pytest.mark.parametrize("name", SURROGATES)
@pytest.mark.parametrize("n", [1, 2, 25])
def test_value_and_gradient_equal_gpytorchs(name: str, n: int) -> None:
    data = Data.build(*problem(n, 2))
    model, row = made(name, data)
    rows = row.read() + 0.1 * torch.from_numpy(
        np.random.default_rng(0).standard_normal((2, len(row.lower)))
    )
    rows = rows.clamp(row.lower, row.upper)
    ours = ModelLogPosterior(model, data, row)(rows)
    mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    for k in range(2):
        row.write(rows[k])
        model.zero_grad()
        total = mll(model.forward(data.x), data.y) * n
        total.backward()
        gradient = torch.cat([parameter.grad.reshape(-1) for parameter in row.parameters])
        torch.testing.assert_close(ours.value[k], total.detach(), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(ours.gradient[k], gradient, rtol=1e-9, atol=1e-9)


def test_gpytorchs_settings_for_many_observations_change_nothing() -> None:
    """From 800 observations on, unless told otherwise, its own value is an estimate."""
    data = Data.build(*problem(25, 2))
    model, row = made("matern", data)
    rows, target = row.read().unsqueeze(0), ModelLogPosterior(model, data, row)
    with gpytorch.settings.max_cholesky_size(5):
        found = target(rows)
    assert torch.equal(found.value, target(rows).value)
    assert torch.equal(found.gradient, target(rows).gradient)


def test_a_row_out_of_reach_is_nan_and_its_neighbors_are_not() -> None:
    data = Data.build(*problem(8, 2))
    model, row = made("exact gp", data)
    theta = row.read().repeat(3, 1)
    theta[1] = torch.nan
    found = ModelLogPosterior(model, data, row)(theta)
    assert torch.isnan(found.value).tolist() == [False, True, False]
    assert torch.equal(found.gradient[0], found.gradient[2])


def test_bounds_without_a_transform_are_kept() -> None:
    """As BoTorch writes its constraints."""
    x, y = problem(6, 1)
    x, y = torch.cat([x, x]), torch.cat([y, -y])  # noise that the bound forbids

    def bounded(d: int) -> GaussianLikelihood:
        constraint = gpytorch.constraints.Interval(1e-6, 1e-4, transform=None, initial_value=5e-5)
        return GaussianLikelihood(noise_constraint=constraint)

    surrogate = CustomSurrogate.from_kernel(lambda d: ScaleKernel(RBFKernel()), likelihood=bounded)
    fitted = surrogate.fit(x, y, generator(0, "fit"))
    assert fitted.memory["noise"] == pytest.approx(1e-4, rel=1e-6)
    assert fitted.report["fallback"] is None


def test_a_fit_finds_the_higher_of_two_maxima() -> None:
    """A fast wave: with long lengthscales it is noise."""
    x = torch.linspace(0, 1, 40, dtype=torch.float64).unsqueeze(-1)
    y = (30 * x.squeeze(-1)).sin()

    def prior(d: int) -> Kernel:
        kernel = ScaleKernel(RBFKernel(lengthscale_prior=LogNormalPrior(-1.0, 1.5)))
        kernel.base_kernel.lengthscale = 5.0
        return kernel

    fitted = CustomSurrogate.from_kernel(prior).fit(x, y, generator(0, "fit"))
    assert fitted.memory["noise"] < 1e-2
    assert fitted.report["log_posterior"] > 0


def test_a_memory_spares_the_next_fit_most_starts() -> None:
    x, y = problem(31, 2)
    surrogate = CustomSurrogate.from_kernel(matern)
    first = surrogate.fit(x[:30], y[:30], generator(0, "fit"))
    second = surrogate.fit(x, y, generator(1, "fit"), warm=first.memory)
    assert (first.report["starts"], second.report["starts"]) == (5, 1)
    assert second.memory["searched"] == 30
    assert surrogate.fit(x, y, generator(2, "fit"), warm=first.memory).memory == second.memory
    third = surrogate.fit(x, y, generator(1, "fit"), warm={**first.memory, "searched": 20})
    assert third.report["starts"] == 3
    assert third.memory["searched"] == 31


@pytest.mark.parametrize(
    "warm",
    [
        {},
        {"parameters": None},
        {"lengthscale": [1.0], "outputscale": 1.0, "noise": 0.1},
        {"parameters": {"covar_module.raw_outputscale": 1.0}},
        {"parameters": "all"},
    ],
)
def test_a_memory_that_makes_no_sense_is_no_warm_start(warm: dict[str, Any]) -> None:
    x, y = problem(4, 1)
    surrogate = CustomSurrogate.from_kernel(matern)
    plain = surrogate.fit(x, y, generator(0, "fit"))
    assert surrogate.fit(x, y, generator(0, "fit"), warm=warm).memory == plain.memory


@pytest.mark.parametrize("value", [math.nan, [1.0, 2.0], "one", None])
def test_a_parameter_that_makes_no_sense_is_no_warm_start(value: Any) -> None:
    x, y = problem(4, 1)
    surrogate = CustomSurrogate.from_kernel(matern)
    plain = surrogate.fit(x, y, generator(0, "fit"))
    parameters = {**plain.memory["parameters"], "covar_module.raw_outputscale": value}
    warm = {**plain.memory, "parameters": parameters}
    assert surrogate.fit(x, y, generator(0, "fit"), warm=warm).memory == plain.memory


def test_the_generator_is_drawn_from_equally_with_and_without_a_warm_start() -> None:
    x, y = problem(4, 1)
    surrogate = CustomSurrogate.from_kernel(matern)
    memory = surrogate.fit(x, y, generator(0, "fit")).memory
    rngs = generator(1, "fit"), generator(1, "fit")
    surrogate.fit(x, y, rngs[0])
    surrogate.fit(x, y, rngs[1], warm=memory)
    assert rngs[0].random() == rngs[1].random()


def test_torchs_own_random_numbers_are_left_alone() -> None:
    x, y = problem(6, 2)
    before = torch.get_rng_state()
    CustomSurrogate.from_kernel(matern).fit(x, y, generator(0, "fit"))
    assert torch.equal(before, torch.get_rng_state())


class Nowhere(RBFKernel):
    """A kernel without a value anywhere, once it is asked for more than two points."""

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        covariance: Tensor = super().forward(x1, x2, diag=diag, **params)
        return covariance + torch.nan if len(x1) > 2 and self.training else covariance


def test_without_a_finite_value_the_last_parameters_stay_and_the_report_says_so() -> None:
    x, y = problem(8, 2)
    broken = CustomSurrogate.from_kernel(lambda d: ScaleKernel(Nowhere()))
    sound = CustomSurrogate.from_kernel(lambda d: ScaleKernel(RBFKernel()))
    first = broken.fit(x, y, generator(0, "fit"))
    assert "the model as it was made" in first.report["fallback"]
    assert first.report["log_posterior"] is None
    memory = sound.fit(x, y, generator(0, "fit")).memory
    second = broken.fit(x, y, generator(0, "fit"), warm=memory)
    assert "the last good parameters" in second.report["fallback"]
    assert second.memory["parameters"] == memory["parameters"]
    assert second.memory["searched"] == 0


@pytest.mark.parametrize(
    ("prior", "same"),
    [
        (LogNormalPrior(-4.0, 1.0), stats.lognorm(1.0, scale=math.exp(-4))),
        (GammaPrior(2.0, 0.5), stats.gamma(2.0, scale=2.0)),
        (NormalPrior(-3.0, 0.5), stats.norm(-3.0, 0.5)),
        (UniformPrior(0.2, 0.9), stats.uniform(0.2, 0.7)),
        (HalfCauchyPrior(0.3), stats.halfcauchy(scale=0.3)),
    ],
)
def test_draws_follow_the_prior(prior: Prior, same: Any) -> None:
    values = _draw(prior, torch.zeros(400, dtype=torch.float64), generator(0, "draws"))
    assert values is not None
    shares = same.cdf(values.numpy())
    np.testing.assert_allclose(np.quantile(shares, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.12)
    assert prior.support.check(values).all()


def test_a_prior_of_whole_vectors_gives_no_draw() -> None:
    prior = MultivariateNormalPrior(torch.zeros(2), torch.eye(2))
    like = torch.zeros(2, dtype=torch.float64)
    assert _draw(prior, like, generator(0, "draws")) is None


@pytest.mark.parametrize(
    "kernel",
    [
        lambda d: ScaleKernel(RBFKernel(lengthscale_prior=SmoothedBoxPrior(0.1, 2.0))),
        lambda d: RQKernel(lengthscale_constraint=gpytorch.constraints.LessThan(3.0)),
        lambda d: ScaleKernel(
            PeriodicKernel(period_length_prior=UniformPrior(0.5, 3.0)),
            outputscale_constraint=gpytorch.constraints.Interval(0.1, 10.0),
        ),
        # a prior mostly outside of what the constraint allows
        lambda d: MaternKernel(
            ard_num_dims=d,
            lengthscale_prior=NormalPrior(-5.0, 1.0),
            lengthscale_constraint=gpytorch.constraints.GreaterThan(0.1),
        ),
    ],
)
def test_priors_and_constraints_of_all_kinds_are_survived(kernel: Any) -> None:
    x, y = problem(10, 2)
    fitted = CustomSurrogate.from_kernel(kernel).fit(x, y, generator(0, "fit"))
    assert fitted.report["fallback"] is None
    assert math.isfinite(fitted.report["log_posterior"])
