"""The Gaussian process as a surrogate: what goes in and what comes out."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import gpytorch
import pytest
import torch

from gpbo.errors import ObservationError, ShapeError, StudyError
from gpbo.seeding import generator
from gpbo.surrogate.base import Surrogate
from gpbo.surrogate.gp import GaussianProcess
from gpbo.surrogate.prior import default_priors, lengthscales
from tests.surrogate.data import problem


def test_a_fit_explains_what_it_saw() -> None:
    x, y = problem(40, 3)
    surrogate: Surrogate = GaussianProcess()
    fitted = surrogate.fit(x[:30], y[:30], generator(0, "fit"))
    mean, variance = fitted.posterior.mean_variance(x[30:])
    error = mean - y[30:]
    assert error.square().mean() < 0.2 * y.var()
    assert (error.square() < 16 * (variance + fitted.memory["noise"])).all()


def test_memory_gives_back_the_same_belief_bit_for_bit() -> None:
    x, y = problem(12, 3)
    noise = torch.full((12,), torch.nan)
    noise[0] = 0.1
    surrogate = GaussianProcess(groups=torch.tensor([0, 1, 1]))
    fitted = surrogate.fit(x, y, generator(0, "fit"), noise=noise)
    memory = json.loads(json.dumps(fitted.memory, allow_nan=False))
    again = surrogate.posterior(x, y, memory, noise=noise)
    new = problem(5, 3, seed=2)[0]
    for a, b in zip(again.joint(new), fitted.posterior.joint(new), strict=True):
        assert torch.equal(a, b)
    json.dumps(fitted.report, allow_nan=False)


@pytest.mark.parametrize("warm", [{}, {"lengthscale": None}, {"lengthscale": [1.0] * 9}])
def test_a_memory_that_makes_no_sense_is_no_warm_start(warm: dict[str, object]) -> None:
    x, y = problem(8, 2)
    surrogate = GaussianProcess()
    plain = surrogate.fit(x, y, generator(0, "fit"))
    assert surrogate.fit(x, y, generator(0, "fit"), warm=warm).memory == plain.memory
    assert plain.report["starts"] > 2


def test_the_memory_of_a_fit_spares_the_next_one_most_starts() -> None:
    x, y = problem(31, 3)
    surrogate = GaussianProcess()
    first = surrogate.fit(x[:30], y[:30], generator(0, "fit"))
    memory = json.loads(json.dumps(first.memory, allow_nan=False))
    second = surrogate.fit(x, y, generator(1, "fit"), warm=memory)
    assert second.report["starts"] == 1
    assert (second.memory["searched"], second.memory["fitted"]) == (30, 31)
    again = surrogate.fit(x, y, generator(2, "fit"), warm=memory)  # nothing left to chance
    assert again.memory == second.memory


def test_a_belief_cannot_be_built_from_a_memory_that_makes_no_sense() -> None:
    x, y = problem(8, 2)
    with pytest.raises(StudyError, match="not what a fit wrote"):
        GaussianProcess().posterior(x, y, {})
    memory = {"lengthscale": [1.0], "outputscale": 1.0, "noise": 0.1}
    with pytest.raises(StudyError, match="not a lengthscale for each of 2"):
        GaussianProcess().posterior(x, y, memory)


def test_wrong_data_are_refused() -> None:
    x, y = problem(8, 2)
    with pytest.raises(ShapeError, match="do not match"):
        GaussianProcess().fit(x, y[1:], generator(0, "fit"))
    with pytest.raises(ObservationError, match="not finite"):
        GaussianProcess().fit(x, y / 0, generator(0, "fit"))


def test_known_noise_is_believed() -> None:
    x, y = problem(10, 1)
    surrogate = GaussianProcess()
    memory = surrogate.fit(x, y, generator(0, "fit")).memory
    sure = surrogate.posterior(x, y, memory, noise=torch.full((10,), 1e-6))
    unsure = surrogate.posterior(x, y, memory, noise=torch.full((10,), 1.0))
    assert (sure.mean_variance(x)[0] - y).abs().max() < 1e-2
    assert (unsure.mean_variance(x)[1] > sure.mean_variance(x)[1]).all()


def test_the_gpytorch_model_believes_the_same() -> None:
    x, y = problem(15, 3)
    new = problem(4, 3, seed=5)[0]
    surrogate = GaussianProcess(groups=torch.tensor([0, 0, 1]))
    fitted = surrogate.fit(x, y, generator(0, "fit"))
    model = surrogate.gpytorch_model(x, y, fitted.memory)
    assert isinstance(model, gpytorch.models.ExactGP)
    model.eval()
    with torch.no_grad():
        belief = model(new)
    mean, variance = fitted.posterior.mean_variance(new)
    torch.testing.assert_close(belief.mean, mean, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(belief.variance, variance, rtol=1e-6, atol=1e-7)


def test_the_gpytorch_model_has_the_prior_of_each_lengthscale() -> None:
    x, y = problem(15, 2)
    priors = replace(default_priors(2), own=lengthscales([True, False]))
    surrogate = GaussianProcess(priors=priors)
    fitted = surrogate.fit(x, y, generator(0, "fit"))
    model = surrogate.gpytorch_model(x, y, fitted.memory)
    mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    total = mll(model(x), y).item() * len(y)
    assert total == pytest.approx(fitted.report["log_posterior"], abs=1e-7)
    likelihood = fitted.posterior.log_likelihood()
    assert likelihood == pytest.approx(model.likelihood(model(x)).log_prob(y).item(), abs=1e-7)


def test_known_noise_is_that_of_the_observed_points_and_of_no_others() -> None:
    x, y = problem(10, 2)
    surrogate, noise = GaussianProcess(), torch.full((10,), 4.0, dtype=torch.float64)
    memory = surrogate.fit(x, y, generator(0, "fit"), noise=noise).memory
    model = surrogate.gpytorch_model(x, y, memory, noise=noise)
    mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    torch.testing.assert_close(mll(model(x), y), mll(model(x), y, x))
    added = model.likelihood(model(x)).variance - model(x).variance
    torch.testing.assert_close(added.detach(), noise)
    model.eval()
    belief = surrogate.posterior(x, y, memory, noise=noise)
    for n in (9, 10, 11):
        new = problem(n, 2, seed=5)[0]
        with torch.no_grad():
            found = model(new)
        torch.testing.assert_close(found.mean, belief.mean(new), rtol=1e-7, atol=1e-7)
        for added in (model.likelihood(found), model.likelihood(found, new)):
            learned = added.variance - found.variance
            torch.testing.assert_close(learned, torch.full_like(learned, memory["noise"]))


def test_the_gpytorch_model_can_be_trained_further_within_its_ranges() -> None:
    x, y = problem(10, 2)
    surrogate = GaussianProcess()
    memory = {"lengthscale": [0.3, 0.4], "outputscale": 1.0, "noise": 1e-6}  # on the floor
    model = surrogate.gpytorch_model(x, y, memory)
    assert model.likelihood.noise.item() == pytest.approx(1e-6, rel=1e-12)
    mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = -mll(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert model.likelihood.noise.item() >= 1e-6


def test_a_fit_needs_no_gpytorch_and_changes_no_global_state() -> None:
    program = """
import sys, warnings
warnings.simplefilter("error")
import numpy, torch
from gpbo.seeding import generator
from gpbo.surrogate.gp import GaussianProcess
before = torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads()
x = torch.linspace(0, 1, 8).unsqueeze(-1)
GaussianProcess().fit(x, x.squeeze(-1).sin(), generator(0, "fit"))
assert "gpytorch" not in sys.modules
after = torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads()
assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
