"""Whole proposals: the optimum is found, nothing is proposed twice, nothing makes it fail."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gpbo.acquisition import (
    ConditionalLogExpectedImprovement,
    LogExpectedImprovement,
    normal_base_samples,
)
from gpbo.errors import ShapeError
from gpbo.maximizer import Domain, Settings, Situation, propose
from gpbo.maximizer.start import spread
from gpbo.seeding import generator
from gpbo.surrogate.gp import GaussianProcess


def nothing_known(domain: Domain) -> Situation:
    return situation(torch.zeros(0, domain.p).double())


def situation(known, quality=None, pending=None) -> Situation:
    quality = torch.zeros(len(known)).double() if quality is None else quality
    return Situation(known, quality, known[:0] if pending is None else pending)


def keys(domain: Domain, *groups: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(row) for row in domain.key(torch.cat(groups)).tolist()]


def test_a_continuous_optimum_is_found_among_many_hills(cube, synthetic):
    domain, top = cube(3), torch.tensor([0.31, 0.62, 0.93]).double()

    def hills(x):
        away = x - top
        return torch.cos(14 * away).sum(-1) - 3 * away.square().sum(-1)

    z, values = propose(
        lambda pending: synthetic(hills), domain, 1, nothing_known(domain), generator(0, "test")
    )
    torch.testing.assert_close(z[0], top, rtol=0, atol=1e-3)
    assert values[0].item() == pytest.approx(3, abs=1e-4)


def test_a_narrow_optimum_in_thirty_dimensions_is_found_from_a_known_point(cube, synthetic):
    domain = cube(30)
    top = spread(domain, 1, generator(9, "test"))
    known = torch.cat([(top + 0.1).clamp(0, 1), spread(domain, 20, generator(8, "test"))])
    quality = -(known - top).square().sum(-1)
    peak = synthetic(lambda x: -torch.log1p(200 * (x - top).square().sum(-1)))
    z, _ = propose(lambda pending: peak, domain, 1, situation(known, quality), generator(0, "test"))
    torch.testing.assert_close(z, top, rtol=0, atol=1e-3)


def test_a_mixed_optimum_is_found(synthetic):
    domain = Domain.build(
        ["continuous", "category", "levels", "levels", "continuous"],
        [None, [0.1, 0.3, 0.5, 0.7, 0.9], [0.1, 0.5, 0.9], [i / 300 for i in range(301)], None],
        [-1] * 5,
        [-1] * 5,
    )
    top = domain.snap(torch.tensor([[0.77, 0.7, 0.5, 0.123, 0.05]]).double())
    there = domain.embed(top)
    far = synthetic(lambda x: -(x - there).square().sum(-1).add(1e-9).sqrt())
    z, _ = propose(lambda pending: far, domain, 1, nothing_known(domain), generator(0, "test"))
    torch.testing.assert_close(z, top, rtol=0, atol=1e-3)


def test_an_optimum_under_two_conditions_is_found(nested, synthetic):
    top = nested.snap(torch.tensor([[0.2, 0.5, 0.0, 0.9, 0.83, 0.0, 0.9]]).double())
    there = nested.embed(top)
    weight = torch.ones(nested.d).double()
    weight[6] = 30  # the deep coordinate: its branch is worth something only near 0.83
    deep = synthetic(lambda x: -(weight * (x - there).square()).sum(-1))
    z, values = propose(
        lambda pending: deep, nested, 1, nothing_known(nested), generator(0, "test")
    )
    torch.testing.assert_close(z, top, rtol=0, atol=1e-3)
    assert values[0].item() == pytest.approx(0, abs=1e-5)


def test_the_best_of_a_big_finite_domain_is_found_around_what_is_known(grid, synthetic):
    domain = grid(*[9] * 6)
    top = domain.snap(torch.full((1, 6), 0.72).double())
    steps = torch.eye(6).double() / 9
    known = torch.cat([top, top + steps])
    land = synthetic(lambda x: -(x - top).square().sum(-1))
    quality = land.formula(known)
    z, _ = propose(lambda pending: land, domain, 6, situation(known, quality), generator(0, "test"))
    torch.testing.assert_close(z.sum(0), (6 * top - steps.sum(0))[0])  # the steps downwards
    assert len(set(keys(domain, known, z))) == 13


def test_the_same_generator_gives_the_same_proposals(nested, synthetic):
    wave = synthetic(lambda x: torch.sin(9 * x).sum(-1))
    known = spread(nested, 12, generator(4, "test"))

    def run(seed):
        rng = generator(seed, "test")
        return propose(lambda pending: wave, nested, 3, situation(known), rng)

    (z, values), (z_again, values_again) = run(0), run(0)
    assert torch.equal(z, z_again)
    assert torch.equal(values, values_again)


def test_known_and_pending_points_are_never_proposed_again(nested, synthetic):
    flat = synthetic(lambda x: x.sum(-1))  # every climb ends on one corner
    known, pending = (
        spread(nested, 30, generator(1, "test")),
        spread(nested, 9, generator(2, "test")),
    )
    known = torch.where(nested.active(known), known, torch.nan)
    best, _ = propose(lambda p: flat, nested, 1, situation(known), generator(0, "test"))
    pending = torch.cat([pending, best])
    z, values = propose(
        lambda p: flat, nested, 12, situation(known, pending=pending), generator(0, "test")
    )
    assert z.shape == (12, 7)
    tried = keys(nested, known, pending)
    assert len(set(keys(nested, z))) == 12
    assert not set(keys(nested, z)) & set(tried)
    assert torch.isfinite(values).all()


def test_each_point_is_pending_for_the_next(cube, synthetic):
    domain, seen = cube(2), []

    def away_from(pending):
        seen.append(pending.clone())
        return synthetic(lambda x: torch.cdist(x, pending).amin(-1))

    pending = torch.tensor([[0.0, 0.0]]).double()
    known = torch.tensor([[0.5, 0.5]]).double()
    rng = generator(0, "test")
    z, values = propose(away_from, domain, 3, situation(known, pending=pending), rng)
    assert [len(p) for p in seen] == [1, 2, 3]
    assert torch.equal(seen[2], torch.cat([pending, z[:2]]))
    corners = {tuple(row) for row in z.round().long().tolist()}
    assert corners == {(0, 1), (1, 0), (1, 1)}
    assert values[0].item() == pytest.approx(math.sqrt(2), abs=1e-6)


def test_a_small_finite_domain_is_evaluated_whole_and_in_order(grid, synthetic):
    domain = grid(8, 8, 8)
    noise = torch.from_numpy(generator(0, "noise").random(512))
    table = synthetic(lambda x: noise[((x * 8).long() * torch.tensor([64, 8, 1])).sum(-1)])
    z, values = propose(lambda p: table, domain, 5, nothing_known(domain), generator(0, "test"))
    assert torch.equal(values, noise.sort(descending=True).values[:5])
    assert torch.equal(table.formula(z), values)


def test_the_last_points_of_a_domain_are_found_and_then_no_more(grid, synthetic):
    domain = grid(6, 7, kind="category")
    everything = domain.enumerate()
    flat = synthetic(lambda x: -x.sum(-1))
    left = situation(everything[:-3])
    z, _ = propose(lambda p: flat, domain, 8, left, generator(0, "test"))
    assert set(keys(domain, z)) == set(keys(domain, everything[-3:]))
    z, values = propose(lambda p: flat, domain, 2, situation(everything), generator(0, "test"))
    assert z.shape == (0, 6 - 4)
    assert values.shape == (0,)


def test_the_last_points_of_a_big_domain_are_found_too(grid, synthetic):
    domain = grid(*[9] * 4)
    everything = domain.enumerate()
    hidden = torch.tensor([17, 4000, 6000])
    known = everything[~torch.isin(torch.arange(len(everything)), hidden)]
    settings = replace(Settings(), sobol=64, local=64, starts=2, exhaustive=100)
    flat = synthetic(lambda x: x[:, 0])
    z, _ = propose(lambda p: flat, domain, 4, situation(known), generator(0, "test"), settings)
    assert set(keys(domain, z)) == set(keys(domain, everything[hidden]))


@pytest.mark.parametrize("value", [math.nan, -math.inf, math.inf, 0.0])
def test_values_that_say_nothing_still_give_distinct_points(nested, synthetic, value):
    land = synthetic(lambda x: x.sum(-1) * 0 + value)
    known = spread(nested, 5, generator(3, "test"))
    quality = torch.full((5,), math.nan).double()  # all of them failed
    z, _ = propose(lambda p: land, nested, 4, situation(known, quality), generator(0, "test"))
    assert len(set(keys(nested, known, z))) == 9
    assert torch.equal(nested.snap(z), z)


def test_a_batch_for_a_gaussian_process_spreads_out(cube):
    domain = cube(2)
    x = spread(domain, 16, generator(0, "test"))
    y = torch.sin(6 * x[:, 0]) + torch.cos(5 * x[:, 1])
    y = (y - y.mean()) / y.std()
    memory = {"lengthscale": [0.3, 0.4], "outputscale": 1.0, "noise": 1e-4}
    posterior = GaussianProcess().posterior(x, y, memory)
    base = normal_base_samples(128, 4, generator(0, "base"))
    best = y.max().item()

    def model(pending):
        return ConditionalLogExpectedImprovement(posterior, best, pending, base)

    now = Situation(x, y, x[:0], torch.tensor([0.3, 0.4]).double())
    z, values = propose(model, domain, 4, now, generator(0, "test"))
    assert torch.pdist(z).min() > 0.05
    assert (values.diff() < 0.1).all()  # each adds about as much as the one before it, or less
    grid = torch.cartesian_prod(*[torch.linspace(0, 1, 101).double()] * 2)
    first = LogExpectedImprovement(posterior, best)
    assert values[0] >= first(grid.unsqueeze(1)).max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"known": torch.zeros(4, 3).double()}, r"propose known: wrong shape, got \(4, 3\)"),
        ({"quality": torch.zeros(3).double()}, r"propose quality: .*expected \(4,\)"),
        ({"pending": torch.zeros(2).double()}, r"propose pending: .*expected \(m, 2\)"),
    ],
)
def test_a_situation_of_another_domain_is_refused(cube, synthetic, change, message):
    fits = situation(torch.zeros(4, 2).double())
    with pytest.raises(ShapeError, match=message):
        propose(
            lambda p: synthetic(lambda x: x[:, 0]),
            cube(2),
            1,
            replace(fits, **change),
            np.random.default_rng(0),
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_everything_stays_on_the_device_of_the_inputs():
    domain = Domain.build(
        ["continuous", "category", "continuous", "levels"],
        [None, [0.2, 0.5, 0.8], None, [i / 30 for i in range(31)]],
        [-1, -1, 1, -1],
        [-1, -1, 0, -1],
        device="cuda",
    )
    known = spread(domain, 12, generator(1, "test"))
    x = domain.embed(known)
    memory = {"lengthscale": [0.5] * 4, "outputscale": 1.0, "noise": 1e-4}
    posterior = GaussianProcess(groups=domain.groups).posterior(x, x.sum(-1), memory)
    base = normal_base_samples(64, 4, generator(0, "base"), known.device)

    def model(pending):
        return ConditionalLogExpectedImprovement(posterior, 3.0, pending, base)

    z, values = propose(model, domain, 3, situation(known), generator(0, "test"))
    assert z.device == values.device == known.device
    assert len(set(keys(domain, known, z))) == 15
