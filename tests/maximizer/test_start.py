"""Candidates and starting points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch

from gpbo.maximizer import Domain, Settings
from gpbo.maximizer.start import candidates, choose, nearby, spread
from gpbo.quasirandom import MOST_COLUMNS
from gpbo.seeding import generator

SETTINGS = Settings()


def test_candidates_are_proper_points_everywhere_and_near_the_good_ones(nested):
    good = nested.snap(torch.full((2, 7), 0.2).double())
    z = candidates(nested, good, generator(0, "test"), SETTINGS)
    assert z.shape == (SETTINGS.sobol + SETTINGS.local, 7)
    assert torch.equal(nested.snap(z), z)
    everywhere, near = z[: SETTINGS.sobol, 0], z[SETTINGS.sobol :, 0]
    assert everywhere.std().item() == pytest.approx(12**-0.5, abs=0.01)
    assert near.mean().item() == pytest.approx(0.2, abs=3 * SETTINGS.sigma / 30)


def test_without_good_points_candidates_are_spread_alone(cube):
    domain = cube(3)
    z = candidates(domain, torch.zeros(0, 3).double(), generator(0, "test"), SETTINGS)
    assert z.shape == (SETTINGS.sobol, 3)


def test_the_same_generator_gives_the_same_candidates_and_no_global_one_is_touched(nested):
    good = nested.snap(torch.full((1, 7), 0.6).double())
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, again, other = (
        candidates(nested, good, generator(seed, "test"), SETTINGS) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()


@pytest.mark.parametrize("p", [1, 1000, MOST_COLUMNS + 1])
def test_any_number_of_coordinates_can_be_spread(cube, p):
    assert spread(cube(p), 4, generator(0, "test")).shape == (4, p)


def test_categories_are_spread_evenly(grid):
    z = spread(grid(5, 3, kind="category"), 3 * 5 * 64, generator(0, "test"))
    _, counts = torch.unique(z, dim=0, return_counts=True)
    assert counts.shape == (15,)
    assert counts.min() > 0.8 * counts.max()


@pytest.mark.parametrize("center", [0.0, 0.05, 0.5, 1.0])
def test_local_steps_are_truncated_normals(cube, center):
    settings = replace(SETTINGS, local=4096, sigma=0.1)
    good = torch.full((1, 1), center).double()
    steps = nearby(cube(1), good, generator(0, "test"), settings).squeeze(1).numpy()
    low, high = -center / 0.1, (1 - center) / 0.1
    expected = scipy.stats.truncnorm(low, high, loc=center, scale=0.1)
    assert scipy.stats.kstest(steps, expected.cdf).pvalue > 0.01


def test_in_many_dimensions_half_of_the_local_steps_change_few_coordinates(cube):
    domain = cube(200)
    good = domain.snap(torch.full((1, 200), 0.4).double())
    changed = (nearby(domain, good, generator(0, "test"), SETTINGS) != good).sum(1)
    assert (changed[::2] > 190).all()
    assert changed[1::2].double().mean().item() == pytest.approx(SETTINGS.moved, rel=0.1)
    assert changed.min() >= 1


def test_local_steps_of_discrete_coordinates_are_few_and_short(grid):
    domain = Domain.build(
        ["levels", "category", "levels"],
        [[i / 9 for i in range(10)], [i / 9 for i in range(10)], [i / 400 for i in range(401)]],
        [-1] * 3,
        [-1] * 3,
    )
    good = domain.snap(torch.full((1, 3), 0.5).double())
    step = domain.index(nearby(domain, good, generator(0, "test"), SETTINGS)) - domain.index(good)
    ordered, category, long = step.abs().T
    assert ordered.unique().tolist() == [0, 1]
    assert 0.3 < (ordered > 0).double().mean() < 0.7
    assert len(category.unique()) > 4
    assert len(long.unique()) > 20


def test_local_steps_fill_a_newly_activated_coordinate_with_anything(nested):
    good = nested.snap(torch.tensor([[0.5, 0.1, 0.2, 0.5, 0.5, 0.5, 0.1]]).double())
    z = nearby(nested, good, generator(0, "test"), SETTINGS)
    filled = z[nested.active(z)[:, 4], 4]
    assert len(filled) > 20
    assert filled.std() > 0.2


def test_starts_are_distinct_finite_and_hold_the_best(cube):
    domain = cube(2)
    z = spread(domain, 512, generator(0, "test"))
    values = -(z - 0.3).square().sum(1)
    values[::3], values[1] = -torch.inf, torch.nan
    rows = choose(domain, z, values, generator(1, "test"), SETTINGS)
    assert len(rows) == len(rows.unique()) == SETTINGS.starts
    assert torch.isfinite(values[rows]).all()
    assert values.nan_to_num(-9).argmax() in rows


def test_good_candidates_are_drawn_more_often(cube):
    domain = cube(1)
    z = spread(domain, 512, generator(0, "test"))
    values = z.squeeze(1) * 3
    drawn = torch.cat(
        [values[choose(domain, z, values, generator(k, "test"), SETTINGS)] for k in range(20)]
    )
    assert drawn.mean() > values.mean() + 0.5 * values.std()


@pytest.mark.parametrize("value", [torch.nan, -torch.inf, torch.inf])
def test_without_a_finite_value_some_candidates_are_taken(cube, value):
    domain = cube(1)
    z = spread(domain, 32, generator(0, "test"))
    rows = choose(domain, z, torch.full((32,), value).double(), generator(1, "test"), SETTINGS)
    assert len(rows.unique()) == SETTINGS.starts


def test_every_branch_gets_a_start(nested):
    z = spread(nested, 256, generator(0, "test"))
    values = -(nested.index(z)[:, 0] * 50.0) - z[:, 0]  # level 0 of coordinate 1 is far better
    rows = choose(nested, z, values, generator(1, "test"), SETTINGS)
    assert set(nested.index(z[rows])[:, 0].tolist()) == {0, 1, 2}
