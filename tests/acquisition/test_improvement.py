"""The compiled promise of a point: against its terms in torch, its gradient, its climb."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

from gpbo.acquisition import improvement as module
from gpbo.acquisition.base import Stop
from gpbo.acquisition.improvement import Goal, improvement
from gpbo.acquisition.montecarlo import normal_base_samples
from gpbo.errors import ShapeError
from gpbo.ops import improvement as ops
from gpbo.surrogate.evidence import Data
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.posterior import GaussianPosterior

F64 = torch.float64
STOP = Stop(200, 1e-6, 1e-12)

pytestmark = pytest.mark.skipif(
    not ops.available(torch.device("cpu")), reason="the compiled library is not in use"
)


def uniform(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def posterior(n, d, *, labels=False, seed=0, noise=1e-3):
    x = uniform(n, d, seed=seed)
    y = (6 * x).sin().sum(-1) - (x - 0.3).square().sum(-1)
    y = (y > y.median()).to(F64) if labels else (y - y.mean()) / y.std(correction=0).clamp_min(1)
    lengthscale = tuple((0.3 + 0.1 * (np.arange(d) % 3)).tolist())
    data = Data.build(x, y)
    return GaussianPosterior.build(data, Hyperparameters(lengthscale, 1.3, noise))


def goal(success=None, *, best=1.0, noise=1e-2, least=0.5, even=0.5, m=0, samples=32):
    base = normal_base_samples(samples, m, np.random.default_rng(0))
    return Goal(best, noise, success, least, even, base)


def in_torch(model, asked, pending, monkeypatch):
    monkeypatch.setattr(ops, "available", lambda device: False)
    made = improvement(model, asked, pending)
    monkeypatch.undo()
    return made


CASES = [
    pytest.param({"n": n, "d": d, "m": m, "even": even, "noise": noise, "best": best}, id=name)
    for name, n, d, m, even, noise, best in [
        ("plain", 20, 3, 0, None, 0.0, 1.0),
        ("news", 33, 6, 0, None, 1e-2, 1.0),
        ("far below the best", 40, 2, 0, None, 1e-2, 30.0),
        ("success", 70, 4, 0, 0.5, 1e-2, 1.0),
        ("pending", 25, 3, 4, None, 1e-2, 1.0),
        ("pending and success", 64, 5, 3, 0.5, 1e-3, 1.5),
        ("pending and luck", 64, 5, 3, 0.2, 1e-3, 1.5),
        ("one observation", 1, 1, 0, None, 1e-2, 0.0),
        ("many columns", 30, 50, 2, None, 1e-2, 0.5),
    ]
]


def build(case):
    model = posterior(case["n"], case["d"])
    even, success = case["even"], None
    if even is not None:
        success = posterior(case["n"] + 5, case["d"], labels=True, seed=1)
    asked = goal(success, best=case["best"], noise=case["noise"], even=even or 0.5, m=case["m"])
    return model, asked, uniform(case["m"], case["d"], seed=2)


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_the_terms(case, monkeypatch):
    model, asked, pending = build(case)
    ours = improvement(model, asked, pending)
    theirs = in_torch(model, asked, pending, monkeypatch)
    assert type(ours).__name__ == "CompiledImprovement"
    assert type(theirs).__name__ == "SumOfLogs"
    x = uniform(45, case["d"], seed=3).unsqueeze(1)
    got, want = (v.clone().requires_grad_() for v in (x, x))
    value, expected = ours(got), theirs(want)
    torch.testing.assert_close(value, expected, rtol=1e-7, atol=1e-7)
    value.sum().backward()
    expected.sum().backward()
    scale = want.grad.abs().amax()
    torch.testing.assert_close(got.grad / scale, want.grad / scale, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_the_values(case):
    model, asked, pending = build(case)
    ours = improvement(model, asked, pending)
    x = (0.05 + 0.9 * uniform(3, case["d"], seed=4)).unsqueeze(1).requires_grad_()
    torch.autograd.gradcheck(ours, (x,), eps=1e-6, atol=1e-4, rtol=1e-4)


def test_a_value_does_not_depend_on_its_neighbours():
    model, asked, pending = build(CASES[5].values[0])
    ours = improvement(model, asked, pending)
    x = uniform(70, 5, seed=5).unsqueeze(1)
    together = ours(x)
    assert torch.equal(together, torch.cat([ours(one) for one in x.split(1)]))
    assert torch.equal(together, ours(x.flip(0)).flip(0))
    assert ours(x[:0]).shape == (0,)


def test_threads_do_not_change_a_bit():
    model, asked, pending = build(CASES[5].values[0])
    ours = improvement(model, asked, pending)
    x, before = uniform(300, 5, seed=6), torch.get_num_threads()
    box = (torch.zeros_like(x), torch.ones_like(x))
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append((ours(x.unsqueeze(1)), *ours.climb(x, box, model.lengthscale, STOP)))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_climb_ends_on_a_top_inside_its_box(case):
    model, asked, pending = build(case)
    ours = improvement(model, asked, pending)
    x = uniform(12, case["d"], seed=7)
    lower, upper = torch.zeros_like(x), torch.ones_like(x)
    lower[:, 0] = upper[:, 0] = x[:, 0]  # one coordinate stays
    scale = model.lengthscale
    top, value = ours.climb(x, (lower, upper), scale, STOP)
    assert torch.equal(top[:, 0], x[:, 0])
    assert bool(((top >= lower) & (top <= upper)).all())
    assert bool((value >= ours(x.unsqueeze(1))).all())
    torch.testing.assert_close(value, ours(top.unsqueeze(1)), rtol=1e-12, atol=1e-9)
    at = top.clone().unsqueeze(1).requires_grad_()
    (slope,) = torch.autograd.grad(ours(at).sum(), at)
    step = torch.clamp(top + slope.squeeze(1) * scale * scale, lower, upper) - top
    assert float((step / scale).abs().amax(-1).median()) < 1e-3


def test_a_point_that_was_tried_without_noise_promises_nothing_and_breaks_nothing():
    model = posterior(30, 3, noise=1e-6)
    ours = improvement(model, goal(best=5.0), torch.zeros(0, 3, dtype=F64))
    value = ours(model.x.unsqueeze(1))
    assert bool(torch.isfinite(value).all())
    top, reached = ours.climb(
        model.x, (torch.zeros_like(model.x), torch.ones_like(model.x)), model.lengthscale, STOP
    )
    assert bool(torch.isfinite(top).all())
    assert bool((reached >= value).all())


def test_beside_a_few_pending_points_rounding_still_promises_something():
    """Then the last points of a small batch refine; those of a large one would all be alike."""
    model = posterior(30, 3, noise=1e-6)
    few, many = uniform(module.FEW, 3, seed=5), uniform(module.FEW + 1, 3, seed=5)
    made = [
        improvement(model, goal(best=5.0, m=len(p), noise=0.0), p)(p[:1].unsqueeze(1))
        for p in (few, many)
    ]
    assert bool(torch.isfinite(torch.cat(made)).all())
    assert float(made[1]) < float(made[0]) - 5


def test_what_is_not_a_number_stays_where_it_is():
    ours = improvement(posterior(10, 2), goal(), torch.zeros(0, 2, dtype=F64))
    x = torch.tensor([[torch.nan, 0.5], [0.5, 0.5]], dtype=F64)
    box = (torch.zeros_like(x), torch.ones_like(x))
    top, value = ours.climb(x, box, torch.ones(2, dtype=F64), STOP)
    assert value[0] == -torch.inf
    assert torch.isfinite(value[1])
    assert bool(torch.isfinite(top[1]).all())


@pytest.mark.parametrize("z", [-1e6, -1e3, -40.0, -10.0, -5.0, -3.0000001, -2.999, -1.0, 0.0, 8.0])
def test_the_tail_of_the_improvement_is_exact(z):
    """One observation with weight 0: the belief is N(0, 1) everywhere, so z = -best."""
    x = torch.zeros(1, 1, dtype=F64)
    terms = ops.BeliefTerms(
        points=x,
        lengthscale=torch.ones(1, dtype=F64),
        inverse=torch.zeros(1, 1, dtype=F64),
        weights=torch.zeros(1, 1, dtype=F64),
        outputscale=1.0,
        constant=0.0,
        least=1e-12,
        known=1e-12,
    )
    promise = ops.Promise("matern52", terms, best=torch.tensor([-z], dtype=F64))
    with mpmath.workdps(60):
        t = mpmath.mpf(z)
        phi = mpmath.exp(-t * t / 2) / mpmath.sqrt(2 * mpmath.pi)
        h = phi + t * mpmath.erfc(-t / mpmath.sqrt(2)) / 2
        want = float(mpmath.log(h))
    got = ops.evaluate(promise, x)[0]
    assert abs(float(got[0]) - want) <= 1e-12 * max(1.0, abs(want))


def test_points_that_do_not_fit_are_refused():
    ours = improvement(posterior(10, 2), goal(), torch.zeros(0, 2, dtype=F64))
    with pytest.raises(ShapeError, match=r"expected \(N, 2\), float64"):
        ours(torch.zeros(3, 1, 4, dtype=F64))
    with pytest.raises(ShapeError):
        ours(torch.zeros(3, 2, 2, dtype=F64))


def test_another_model_is_left_to_the_terms(monkeypatch):
    class Other(GaussianPosterior):
        pass

    model = posterior(10, 2)
    monkeypatch.setattr(module, "GaussianPosterior", Other)
    made = improvement(model, goal(), torch.zeros(0, 2, dtype=F64))
    assert type(made).__name__ == "SumOfLogs"
