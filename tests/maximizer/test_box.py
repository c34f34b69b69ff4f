"""The part of a domain around a point, and what is searched and drawn inside."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpbo.maximizer import Box, Domain, Situation, propose
from gpbo.seeding import generator


def rng(seed: int = 0) -> np.random.Generator:
    return generator(seed, "test")


def centers(n: int) -> list[float]:
    return [(k + 0.5) / n for k in range(n)]


@pytest.mark.parametrize("length", [0.01, 0.1])
def test_sides_are_in_proportion_to_the_lengthscales_and_length_is_their_mean(cube, length) -> None:
    lengthscale = torch.tensor([0.2, 1.0, 5.0, 0.7]).double()
    box = Box.around(cube(4), torch.full((4,), 0.5).double(), length, lengthscale)
    sides = box.upper - box.lower
    torch.testing.assert_close(sides / sides[1], lengthscale)
    assert sides.log().mean().exp().item() == pytest.approx(length)
    torch.testing.assert_close((box.upper + box.lower) / 2, box.center)


def test_without_lengthscales_it_is_a_cube_that_ends_where_the_domain_does(cube) -> None:
    box = Box.around(cube(3), torch.tensor([0.5, 0.1, 1.0]).double(), 0.4)
    torch.testing.assert_close(box.lower, torch.tensor([0.3, 0.0, 0.8]).double())
    torch.testing.assert_close(box.upper, torch.tensor([0.7, 0.3, 1.0]).double())


def test_the_next_level_is_inside_however_short_the_side(grid) -> None:
    domain = grid(5, 5, 5)
    center = domain.snap(torch.tensor([0.5, 0.0, 1.0]).double())
    box = Box.around(domain, center, 1e-3)
    inside = domain.enumerate()[box.contains(domain, domain.enumerate())]
    assert len(inside) == 3 * 2 * 2
    torch.testing.assert_close(inside.amin(0), torch.tensor([0.3, 0.1, 0.7]).double())


def test_categories_are_never_outside_and_do_not_change_the_sides() -> None:
    kinds, levels = ["continuous", "category"], [None, centers(4)]
    domain = Domain.build(kinds, levels, [-1, -1], [-1, -1])
    center = domain.snap(torch.tensor([0.5, 0.1]).double())
    box = Box.around(domain, center, 0.2, torch.tensor([3.0, 1e-2]).double())
    torch.testing.assert_close(box.upper[0] - box.lower[0], torch.tensor(0.2).double())
    z = domain.snap(torch.tensor([[0.55, p] for p in centers(4)] + [[0.7, 0.1]]).double())
    assert box.contains(domain, z).tolist() == [True] * 4 + [False]


@pytest.mark.parametrize("p", [1, 5, 20, 200])
def test_candidates_are_inside_and_change_few_coordinates_but_one_at_least(cube, p) -> None:
    domain = cube(p)
    center = domain.snap(torch.full((p,), 0.3).double())
    box = Box.around(domain, center, 0.2)
    z = box.candidates(domain, 2000, rng())
    assert z.shape == (2000, p)
    assert box.contains(domain, z).all()
    assert torch.equal(domain.snap(z), z)
    changed = (z != center).sum(1).double()
    assert changed.min() >= 1
    assert changed.mean().item() == pytest.approx(min(p, 20), rel=0.06)


def test_candidates_fill_the_box_evenly(cube) -> None:
    domain = cube(2)
    box = Box.around(domain, torch.full((2,), 0.4).double(), 0.5)
    z = (box.candidates(domain, 4096, rng()) - box.lower) / (box.upper - box.lower)
    assert (z.mean(0) - 0.5).abs().max() < 0.01
    assert (z.std(0) - 12**-0.5).abs().max() < 0.01


def test_most_candidates_keep_most_categories(grid) -> None:
    domain = grid(*[3] * 10, kind="category")
    center = domain.snap(torch.zeros(10).double())
    z = Box.around(domain, center, 0.8).candidates(domain, 4000, rng())
    # 2 of 10 are drawn anew and one more at random, which keep their level in a third of cases
    assert (z != center).sum(1).double().mean().item() == pytest.approx(2.8 * 2 / 3, rel=0.05)


def test_what_a_candidate_activates_is_anything(nested) -> None:
    center = nested.snap(torch.full((7,), 0.1).double())
    box = Box.around(nested, center, 0.05)
    z = box.candidates(nested, 4000, rng())
    assert torch.equal(nested.snap(z), z)
    assert box.contains(nested, z).all()
    woken = nested.active(z) & ~nested.active(center) & nested.continuous
    assert woken.any()
    assert (z[woken] - 0.5).abs().max() > 0.4


def test_the_same_generator_gives_the_same_candidates(nested) -> None:
    box = Box.around(nested, nested.snap(torch.full((7,), 0.6).double()), 0.4)
    first, again, other = (box.candidates(nested, 50, rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_search_ends_on_the_wall_where_the_maximum_is_outside(synthetic, cube) -> None:
    domain = cube(3)
    center = domain.snap(torch.full((3,), 0.25).double())
    box = Box.around(domain, center, 0.3)
    nothing = torch.zeros(0, 3).double()
    situation = Situation(nothing, torch.zeros(0).double(), nothing, None, box)
    goal = torch.tensor([0.9, 0.3, 0.0]).double()
    z, _ = propose(
        lambda pending: synthetic(lambda x: -(x - goal).square().sum(-1)),
        domain, 2, situation, rng(),
    )  # fmt: skip
    assert box.contains(domain, z).all()
    torch.testing.assert_close(z[0], torch.tensor([0.4, 0.3, 0.1]).double(), atol=1e-3, rtol=0)


def test_a_search_over_levels_stays_inside_until_the_box_is_used_up(synthetic, grid) -> None:
    domain = grid(9, 9)
    box = Box.around(domain, domain.snap(torch.full((2,), 0.5).double()), 0.01)
    nothing = torch.zeros(0, 2).double()
    situation = Situation(nothing, torch.zeros(0).double(), nothing, None, box)
    z, _ = propose(lambda pending: synthetic(lambda x: x.sum(-1)), domain, 12, situation, rng())
    assert box.contains(domain, z).tolist() == [True] * 9 + [False] * 3
    assert len(torch.unique(z, dim=0)) == 12


def test_moves_over_many_levels_stay_inside(synthetic, grid) -> None:
    domain = grid(1000, 1000, 1000)
    box = Box.around(domain, domain.snap(torch.full((3,), 0.5).double()), 0.1)
    nothing = torch.zeros(0, 3).double()
    situation = Situation(nothing, torch.zeros(0).double(), nothing, None, box)
    z, _ = propose(lambda pending: synthetic(lambda x: x.sum(-1)), domain, 3, situation, rng())
    assert box.contains(domain, z).all()
    assert (z[0] > 0.545).all()
