"""The MAP fit, against SciPy from the same starts, and on data that break other libraries."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from gpbo.lbfgsb import Settings
from gpbo.ops.fit import can_fit
from gpbo.seeding import generator
from gpbo.surrogate import fit as module
from gpbo.surrogate.evidence import Data, LogPosterior, decode, encode
from gpbo.surrogate.fit import FitReport, fit
from gpbo.surrogate.hyperparameters import KEYS, Hyperparameters
from gpbo.surrogate.prior import default_priors
from tests.surrogate.data import problem, values


def fitted(
    x: Tensor, y: Tensor, warm: Hyperparameters | None = None, seed: int = 0
) -> tuple[Hyperparameters, FitReport]:
    data = Data.build(x, y)
    return fit(data, default_priors(data.n_groups), generator(seed, "fit"), warm=warm)


@pytest.mark.parametrize(("n", "d"), [(5, 2), (20, 3), (40, 6), (25, 12)])
def test_a_fit_is_never_worse_than_scipys_from_the_same_starts(n: int, d: int) -> None:
    x, y = problem(n, d, seed=n)
    data, priors, warm = Data.build(x, y), default_priors(d), values(d, seed=2)
    target = LogPosterior(data, priors)
    _, report = fit(data, priors, generator(3, "fit"), warm=warm)
    starts = [encode(warm, x), *module._starts(data, priors, generator(3, "fit"))]
    box = torch.stack(module._box(data, priors), -1).tolist()

    def negative(theta: np.ndarray) -> tuple[float, np.ndarray]:
        found = target(torch.from_numpy(theta).unsqueeze(0))
        return -float(found.value), -found.gradient[0].numpy()

    best = max(
        -scipy.optimize.minimize(
            negative, start.numpy(), jac=True, method="L-BFGS-B", bounds=box
        ).fun
        for start in starts
    )
    assert report.log_posterior >= best - 1e-3
    assert report.starts == len(starts)
    assert report.evaluations > report.starts
    assert report.gradient_norm < 0.1
    assert report.fallback is None


def test_the_report_is_about_the_numbers_that_are_returned() -> None:
    x, y = problem(20, 3)
    found, report = fitted(x, y)
    again = LogPosterior(Data.build(x, y), default_priors(3))(encode(found, x).unsqueeze(0))
    assert report.log_posterior == pytest.approx(float(again.value), rel=1e-12)
    assert report.gradient_norm <= 1e-2
    assert report.iterations > 3
    assert report.seconds > 0
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["starts"] == report.starts


def test_hyperparameters_are_recovered_from_plenty_of_data() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.random((150, 2)))
    truth = Hyperparameters((0.3, 1.5), 1.0, 1e-2)
    scaled = x / torch.tensor(truth.lengthscale, dtype=torch.float64)
    s = 5**0.5 * torch.cdist(scaled, scaled)
    k = (1 + s + s * s / 3) * torch.exp(-s) + 1e-2 * torch.eye(150).double()
    y = torch.linalg.cholesky(k) @ torch.from_numpy(rng.standard_normal(150))
    found, _ = fitted(x, y)
    assert found.lengthscale[0] == pytest.approx(0.3, rel=0.5)
    assert found.lengthscale[1] > 2 * found.lengthscale[0]
    assert found.noise == pytest.approx(1e-2, rel=0.5)


def test_equal_data_and_generator_give_equal_bits_also_through_json() -> None:
    x, y = problem(15, 3)
    first, _ = fitted(x, y)
    assert fitted(x.clone(), y.clone())[0] == first
    stored = Hyperparameters.from_dict(json.loads(json.dumps(first.to_dict())))
    x, y = problem(16, 3)
    assert fitted(x, y, warm=stored)[0] == fitted(x, y, warm=first)[0]


def test_the_generator_advances_equally_with_and_without_a_warm_start() -> None:
    x, y = problem(6, 2)
    states = []
    for warm in (None, values(2)):
        rng = generator(0, "fit")
        fit(Data.build(x, y), default_priors(2), rng, warm=warm)
        states.append(rng.bit_generator.state)
    assert states[0] == states[1]


def test_a_warm_start_at_the_optimum_is_kept_or_beaten() -> None:
    x, y = problem(20, 3)
    first, cold = fitted(x, y)
    _, warm = fitted(x, y, warm=first, seed=5)
    assert warm.log_posterior >= cold.log_posterior - 1e-9


def test_a_warm_start_of_another_space_is_ignored() -> None:
    x, y = problem(10, 3)
    found, report = fitted(x, y, warm=replace(values(5), searched=10, fitted=10))
    cold, plain = fitted(x, y)
    assert report.starts == plain.starts
    assert found == cold


def test_columns_of_a_group_get_one_lengthscale() -> None:
    x, y = problem(15, 4)
    data = Data.build(x, y, None, torch.tensor([0, 1, 1, 1]))
    found, _ = fit(data, default_priors(2), generator(0, "fit"))
    assert len(found.lengthscale) == 2


def test_many_observations_are_fitted_by_way_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = problem(90, 3)
    noise = torch.full((90,), torch.nan)
    noise[::2] = 0.01
    data = Data.build(x, y, noise)
    whole, all_starts = fit(data, default_priors(3), generator(0, "fit"))
    monkeypatch.setattr(module, "MANY", 60)
    monkeypatch.setattr(module, "SOME", 50)
    found, report = fit(data, default_priors(3), generator(0, "fit"))
    assert report.starts == 1 < all_starts.starts
    assert report.log_posterior == pytest.approx(all_starts.log_posterior, abs=1e-3)
    assert found.lengthscale == pytest.approx(whole.lengthscale, rel=0.05)
    never = replace(whole, searched=0)
    _, report = fit(data, default_priors(3), generator(0, "fit"), warm=never)
    assert report.starts == 2
    assert report.log_posterior >= all_starts.log_posterior - 1e-9


def test_the_measured_curvature_is_that_of_the_log_posterior() -> None:
    x, y = problem(30, 3)
    data, priors = Data.build(x, y), default_priors(3)
    best, _ = fit(data, priors, generator(0, "fit"))
    theta = encode(best, x)
    target = LogPosterior(data, priors)

    def value(i: int, j: int, di: float, dj: float) -> float:
        moved = theta.clone()
        moved[i] += di
        moved[j] += dj
        return float(target(moved.unsqueeze(0)).value)

    h, p = 1e-3, len(theta)
    curvature = torch.empty(p, p, dtype=torch.float64)
    for i in range(p):
        for j in range(p):
            corners = value(i, j, h, h) - value(i, j, h, -h) - value(i, j, -h, h)
            curvature[i, j] = -(corners + value(i, j, -h, -h)) / (4 * h * h)
    values_, vectors = torch.linalg.eigh(curvature)
    want = vectors / values_.clamp(min=module.LEAST_CURVATURE) @ vectors.mT
    got = module._measured(data, priors, theta, torch.empty(0))
    torch.testing.assert_close(got, want, rtol=1e-2, atol=1e-3)


def test_where_there_is_no_curvature_what_was_known_is_taken() -> None:
    x, y = problem(10, 2)
    data, known = Data.build(x, y), torch.eye(4, dtype=torch.float64)
    too_large = torch.tensor([0.0, 0.0, 800.0, 0.0], dtype=torch.float64)  # of outputscales: inf
    assert module._measured(data, default_priors(2), too_large, known) is known


def test_with_very_many_a_few_steps_follow_a_search_over_a_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = problem(120, 3)
    _, whole = fitted(x, y)
    for name, size in (("MANY", 50), ("SOME", 40), ("LARGE", 80), ("STEPS", 2)):
        monkeypatch.setattr(module, name, size)
    found, report = fitted(x, y)
    assert report.iterations <= 2
    assert report.log_posterior == pytest.approx(whole.log_posterior, abs=0.5)
    assert counts(found) == (120, 120)
    _, next_one = fitted(x[:110], y[:110], warm=replace(found, searched=109, fitted=100))
    assert (next_one.starts, next_one.iterations <= 2) == (1, True)


def counts(values: Hyperparameters) -> tuple[int, int]:
    return values.searched, values.fitted


def test_between_thorough_fits_only_the_last_one_is_followed() -> None:
    x, y = problem(34, 3)
    first, cold = fitted(x[:30], y[:30])
    assert counts(first) == (30, 30)
    second, near = fitted(x[:32], y[:32], warm=first)
    assert (near.starts, counts(second)) == (1, (30, 32))
    assert near.evaluations < cold.evaluations / 3
    third, far = fitted(x, y, warm=second)
    assert 1 < far.starts < cold.starts
    assert counts(third) == (34, 34)
    _, fewer = fitted(x[:29], y[:29], warm=first)  # not a later state of the same study
    assert fewer.starts > 1
    stored = Hyperparameters.from_dict(json.loads(json.dumps(first.to_dict())))
    assert fitted(x[:32], y[:32], warm=stored)[0] == second


def test_a_later_fit_begins_with_the_curvature_of_the_one_before() -> None:
    if not can_fit(torch.device("cpu")):
        pytest.skip("the compiled library is not installed")
    x, y = problem(41, 3)
    first, _ = fitted(x[:40], y[:40])
    assert len(first.metric) == 5 * 6 // 2
    _, quick = fitted(x, y, warm=first)
    _, slow = fitted(x, y, warm=replace(first, metric=()))
    assert quick.evaluations <= slow.evaluations / 2
    assert quick.log_posterior == pytest.approx(slow.log_posterior, abs=1e-3)
    for wrong in ((1.0,) * 7, (-1.0,) * 15, (1e300,) * 15):
        _, report = fitted(x, y, warm=replace(first, metric=wrong))
        assert report.log_posterior == pytest.approx(slow.log_posterior, abs=1e-3)


def test_a_step_that_promises_next_to_nothing_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    if not can_fit(torch.device("cpu")):
        pytest.skip("the compiled library is not installed")
    x, y = problem(60, 4)

    def chain() -> tuple[int, float]:
        found, _ = fitted(x[:40], y[:40])
        evaluations = 0
        for n in range(41, 60):
            found, report = fitted(x[:n], y[:n], warm=replace(found, searched=n))
            evaluations += report.evaluations
        return evaluations, report.log_posterior

    few, reached = chain()
    monkeypatch.setattr(module, "DECREMENT", 0.0)
    many, most = chain()
    assert few < many
    assert reached == pytest.approx(most, abs=1e-2)


def test_of_many_hyperparameters_the_diagonal_of_the_curvature_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not can_fit(torch.device("cpu")):
        pytest.skip("the compiled library is not installed")
    monkeypatch.setattr(module, "WHOLE", 4)
    x, y = problem(41, 3)
    first, _ = fitted(x[:40], y[:40])
    assert len(first.metric) == 5
    _, report = fitted(x, y, warm=first)
    _, slow = fitted(x, y, warm=replace(first, metric=()))
    assert report.log_posterior == pytest.approx(slow.log_posterior, abs=1e-3)


def test_what_was_never_searched_is_searched() -> None:
    x, y = problem(20, 3)
    first, cold = fitted(x, y)
    old = Hyperparameters.from_dict({k: first.to_dict()[k] for k in KEYS})
    assert fitted(x, y, warm=old)[1].starts == cold.starts + 1


def test_with_many_observations_the_numbers_are_kept_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MANY", 99)
    monkeypatch.setattr(module, "SOME", 50)
    x, y = problem(104, 3)
    first, _ = fitted(x[:100], y[:100])
    same, kept = fitted(x[:101], y[:101], warm=first)
    assert same == first
    assert counts(same) == (100, 100)
    assert (kept.starts, kept.iterations, kept.evaluations) == (0, 0, 0)
    assert kept.to_dict()["log_posterior"] is None
    moved, report = fitted(x, y, warm=same)
    assert (report.starts, counts(moved)) == (1, (100, 104))
    assert moved != first


@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("searched", [0, 30])
def test_the_python_search_finds_the_same(
    n: int, searched: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = problem(n, 3)
    noise = torch.full((n,), torch.nan)
    noise[1::3] = 0.02
    data = Data.build(x, y, noise, torch.tensor([0, 1, 1]))
    warm = replace(values(2), searched=searched, fitted=searched)
    exact = Settings(max_iter=500, gradient_tolerance=1e-5, value_tolerance=0.0)
    rows = [generator(0, "fit"), generator(0, "fit")]
    found, report = fit(data, default_priors(2), rows[0], warm=warm, settings=exact)
    monkeypatch.setattr(module, "can_fit", lambda device: False)
    same, plain = fit(data, default_priors(2), rows[1], warm=warm, settings=exact)
    assert report.log_posterior == pytest.approx(plain.log_posterior, abs=1e-6)
    assert found.lengthscale == pytest.approx(same.lengthscale, rel=1e-3)
    assert (report.starts, counts(found)) == (plain.starts, counts(same))
    assert rows[0].bit_generator.state == rows[1].bit_generator.state


def ramp(n: int, d: int) -> Tensor:
    return torch.linspace(0, 1, n, dtype=torch.float64).unsqueeze(-1).expand(n, d).clone()


DEGENERATE = {
    "one": (ramp(1, 3), torch.zeros(1)),
    "two equal": (torch.zeros(2, 2), torch.tensor([1.0, 1.0])),
    "duplicates": (ramp(4, 2).repeat(5, 1), torch.arange(4.0).repeat(5) - 1.5),
    "conflicting duplicates": (torch.zeros(20, 2), torch.linspace(-2, 2, 20)),
    "constant": (ramp(10, 2), torch.zeros(10)),
    "nearly equal points": (0.5 + 1e-12 * ramp(15, 3), torch.linspace(-2, 2, 15)),
    "one far outlier": (ramp(30, 2), torch.eye(30)[4] * 1e6),
    "huge targets": (ramp(12, 2), torch.linspace(-1, 1, 12).double() * 1e100),
    "500 dimensions": (problem(12, 500)[0], problem(12, 500)[1]),
    "no columns": (torch.zeros(5, 0), torch.linspace(-1, 1, 5)),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_data_give_finite_numbers_in_range(name: str) -> None:
    x, y = DEGENERATE[name]
    found, report = fitted(x, y)
    priors = default_priors(max(x.shape[1], 1))
    for value in found.lengthscale:
        assert priors.lengthscale_range.clip(value) == value
    assert priors.outputscale_range.clip(found.outputscale) == found.outputscale
    assert priors.noise_range.clip(found.noise) == found.noise
    assert math.isfinite(report.log_posterior)
    assert report.fallback is None


def test_without_data_the_priors_modes_are_taken() -> None:
    found, report = fitted(torch.zeros(0, 4), torch.zeros(0))
    assert found.lengthscale == (default_priors(4).lengthscale.mode,) * 4
    assert report.fallback == "no data: the priors' modes"


@pytest.mark.parametrize("warm", [None, values(2)])
def test_when_nothing_is_finite_the_last_good_numbers_are_taken(
    warm: Hyperparameters | None,
) -> None:
    x, y = problem(6, 2)
    found, report = fitted(x, y * 1e200, warm=warm)
    priors = default_priors(2)
    modes = Hyperparameters((priors.lengthscale.mode,) * 2, 1.0, priors.noise.mode)
    assert found == (warm or modes)
    assert report.fallback is not None
    name = "the priors' modes" if warm is None else "the last good hyperparameters"
    assert name in report.fallback
    assert counts(found) == (0, 0)  # so that the next fit tries all starts
    assert report.to_dict()["log_posterior"] is None


def test_few_iterations_still_give_an_answer() -> None:
    x, y = problem(20, 3)
    few = Settings(max_iter=1)
    _, report = fit(Data.build(x, y), default_priors(3), generator(0, "fit"), settings=few)
    assert report.iterations <= 1
    assert report.fallback is None


def test_lengthscales_stay_above_their_least_values():
    x = torch.rand(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.sin(40 * x[:, 0]) + torch.sin(40 * x[:, 1])
    data, free = Data.build(x, y), default_priors(2)
    held = replace(free, shortest=(0.3, 0.0))
    short, _ = fit(data, free, generator(0, "fit"))
    found, _ = fit(data, held, generator(0, "fit"), warm=short)
    assert short.lengthscale[0] < 0.3 <= found.lengthscale[0]
    assert decode(torch.full((4,), -9.0), held).lengthscale == (0.3, 1e-2)
