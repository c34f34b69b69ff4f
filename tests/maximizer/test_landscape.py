"""Values in pieces, and points that are ruled out."""

from __future__ import annotations

from dataclasses import replace

import torch

from gpbo.maximizer import Settings
from gpbo.maximizer.landscape import Landscape, Taken
from gpbo.maximizer.start import spread
from gpbo.seeding import generator


def test_pieces_bound_what_is_asked_at_once_and_change_nothing(cube, synthetic):
    domain, formula = cube(2), synthetic(lambda x: x.sum(-1))
    z = spread(domain, 100, generator(0, "test"))
    pieces = Landscape(formula, domain, replace(Settings(), chunk=32), None, Taken(domain))
    assert torch.equal(pieces.values(z), z.sum(-1))
    assert formula.calls == [32, 32, 32, 4]
    assert pieces.values(z[:0]).shape == (0,)


def test_what_is_not_a_number_is_worth_nothing(cube, synthetic):
    domain = cube(1)
    land = Landscape(synthetic(lambda x: x[:, 0].log()), domain, Settings(), None, Taken(domain))
    values = land.values(torch.tensor([[0.0], [1.0]]).double() - 0.0)
    assert values.tolist() == [-torch.inf, 0.0]
    odd = Landscape(
        synthetic(lambda x: (x[:, 0] - 0.5).sqrt()), domain, Settings(), None, Taken(domain)
    )
    assert odd.values(torch.tensor([[0.0]]).double()).tolist() == [-torch.inf]


def test_taken_points_are_recognised_after_snapping(nested):
    taken = Taken(nested)
    z = spread(nested, 50, generator(0, "test"))
    taken.add(z[:10])
    hidden = torch.where(nested.active(z), z + 1e-14, torch.nan)
    assert taken.mask(hidden).tolist() == [True] * 10 + taken.mask(z[10:]).tolist()
    assert not taken.mask(z[10:]).all()
    assert len(taken) <= 10


def test_the_first_free_point_is_found_in_the_given_order(grid):
    domain = grid(50)
    taken, z = Taken(domain), domain.enumerate()
    order = torch.arange(49, -1, -1)
    assert taken.first(z, order) == 49
    taken.add(z[10:])
    assert taken.first(z, order) == 9
    taken.add(z)
    assert taken.first(z, order) is None


def test_a_finite_domain_values_taken_points_at_nothing(grid, synthetic):
    domain = grid(3, 3)
    taken, z = Taken(domain), domain.enumerate()
    taken.add(z[4:5])
    values = Landscape(synthetic(lambda x: x.sum(-1)), domain, Settings(), None, taken).values(z)
    assert torch.isinf(values).nonzero().flatten().tolist() == [4]
