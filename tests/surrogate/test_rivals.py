"""Two Gaussian processes with different priors: the data decide which is believed."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from gpbo.seeding import generator
from gpbo.surrogate.gp import GaussianProcess
from gpbo.surrogate.prior import default_priors, expecting_noise, lengthscales
from gpbo.surrogate.rivals import LEAD, Rivals
from tests.surrogate.data import problem

BITS = 12


def rivals(d: int, most: int | None = None) -> Rivals:
    priors = expecting_noise(default_priors(d))
    long = replace(priors, own=lengthscales([True] * d))
    return Rivals(
        GaussianProcess(priors=priors, most=most), GaussianProcess(priors=long, most=most)
    )


def noisy_bits(n: int) -> tuple[Tensor, Tensor]:
    """Half of the variance is a sum over the bits, the other half is noise."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 2, (n, BITS)).astype(float)
    signal = x @ rng.standard_normal(BITS)
    y = signal / signal.std() + rng.standard_normal(n)
    return torch.from_numpy(x), torch.from_numpy((y - y.mean()) / y.std())


def rugged(n: int) -> tuple[Tensor, Tensor]:
    """Exact values with a correlation of a tenth between neighbours."""
    rng = np.random.default_rng(4)
    x = np.unique(rng.random((n, 1)), axis=0)
    covariance = np.exp(-(((x - x.T) / 0.03) ** 2)) + 1e-10 * np.eye(len(x))
    y = np.linalg.cholesky(covariance) @ rng.standard_normal(len(x))
    return torch.from_numpy(x), torch.from_numpy((y - y.mean()) / y.std())


def test_what_is_mostly_noise_is_not_explained_by_short_lengthscales():
    x, y = noisy_bits(80)
    model = rivals(BITS)
    alone = model.usual.fit(x, y, generator(0, "fit"))
    fitted = model.fit(x, y, generator(0, "fit"))
    assert alone.memory["noise"] < 0.05
    assert fitted.report["lead"] < LEAD
    assert fitted.memory["noise"] > 0.1
    assert fitted.memory["rivals"][0] == alone.memory


def test_the_usual_one_is_believed_where_it_explains_the_data_better():
    x, y = rugged(60)
    model = rivals(1)
    alone = model.usual.fit(x, y, generator(0, "fit"))
    wrong = replace(model, other=replace(model.other, priors=impossible()))
    fitted = wrong.fit(x, y, generator(0, "fit"))
    assert fitted.report["lead"] > LEAD
    assert {key: fitted.memory[key] for key in alone.memory} == alone.memory
    a, b = alone.posterior.joint(x[:5]), fitted.posterior.joint(x[:5])
    assert all(torch.equal(*pair) for pair in zip(a, b, strict=True))


def impossible():
    """Priors that allow no lengthscale shorter than the whole range."""
    return replace(default_priors(1), shortest=(1.0,))


def test_each_goes_on_from_what_it_remembers():
    x, y = noisy_bits(41)
    model = rivals(BITS)
    first = model.fit(x[:40], y[:40], generator(0, "fit"))
    memory = json.loads(json.dumps(first.memory, allow_nan=False))
    json.dumps(first.report, allow_nan=False)
    second = model.fit(x, y, generator(1, "fit"), warm=memory)
    assert second.report["starts"] == 1
    for k, one in enumerate((model.usual, model.other)):
        alone = one.fit(x, y, generator(1, "fit"), warm=first.memory["rivals"][k])
        assert second.memory["rivals"][k] == alone.memory


def test_memory_gives_back_the_same_belief_bit_for_bit():
    x, y = noisy_bits(30)
    model = rivals(BITS)
    fitted = model.fit(x, y, generator(0, "fit"))
    again = model.posterior(x, y, json.loads(json.dumps(fitted.memory)))
    for a, b in zip(again.joint(x[:5]), fitted.posterior.joint(x[:5]), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("warm", [{}, {"rivals": 3}, {"rivals": [None]}])
def test_a_memory_that_makes_no_sense_is_no_warm_start(warm: dict[str, object]):
    x, y = noisy_bits(20)
    plain = rivals(BITS).fit(x, y, generator(0, "fit"))
    assert rivals(BITS).fit(x, y, generator(0, "fit"), warm=warm).memory == plain.memory


def test_through_inducing_points_the_usual_one_is_believed_alone():
    x, y = problem(40, 2)
    fitted = rivals(2, most=20).fit(x, y, generator(0, "fit"))
    assert fitted.report["inducing"] == 10
    assert "rivals" not in fitted.memory


def test_without_data_there_is_a_belief():
    fitted = rivals(2).fit(*problem(0, 2), generator(0, "fit"))
    assert fitted.report["lead"] == 0.0
    assert math.isfinite(float(fitted.posterior.mean(torch.zeros(1, 2, dtype=torch.float64))))
