"""Climbing from many starts."""

from __future__ import annotations

import torch

from gpbo.maximizer import Domain, Settings
from gpbo.maximizer.gradient import climb
from gpbo.maximizer.landscape import Landscape, Taken
from gpbo.maximizer.start import spread
from gpbo.seeding import generator


def landscape(domain: Domain, acquisition, lengthscale=None) -> Landscape:
    exactly = Settings(gradient_tolerance=1e-6, value_tolerance=1e-12)
    return Landscape(acquisition, domain, exactly, lengthscale, Taken(domain))


def test_every_row_reaches_the_top_of_its_hill(cube, synthetic):
    domain = cube(4)
    top = torch.tensor([0.2, 0.7, 1.3, -0.4]).double()
    bowl = synthetic(lambda x: -((x - top) ** 2 * torch.tensor([1, 30, 5, 0.5]).double()).sum(-1))
    z, values = climb(landscape(domain, bowl), spread(domain, 12, generator(0, "test")))
    torch.testing.assert_close(z, top.clamp(0, 1).expand(12, 4), rtol=0, atol=1e-3)
    torch.testing.assert_close(values, bowl.formula(z), rtol=0, atol=1e-6)


def test_two_hills_are_climbed_independently(cube, synthetic):
    hills = synthetic(lambda x: torch.cos(12 * x[:, 0]))
    z, values = climb(landscape(cube(1), hills), torch.tensor([[0.4], [0.52], [0.001]]).double())
    expected = torch.tensor([[torch.pi / 6], [torch.pi / 6], [0.0]]).double()
    torch.testing.assert_close(z, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(values, torch.ones(3).double(), rtol=0, atol=1e-6)


def test_lengthscales_change_the_way_and_not_the_top(cube, synthetic):
    scale = torch.tensor([0.01, 1.0, 30.0]).double()
    ridge = synthetic(lambda x: -(((x - 0.4) / scale) ** 2).sum(-1))
    start = torch.tensor([[0.43, 0.9, 0.0]]).double()
    z, _ = climb(landscape(cube(3), ridge, scale), start)
    torch.testing.assert_close(z[:, :2], torch.full((1, 2), 0.4).double(), rtol=0, atol=1e-3)
    assert len(ridge.calls) < 10


def test_discrete_and_inactive_coordinates_stay(nested, synthetic):
    start = spread(nested, 32, generator(0, "test"))
    z, values = climb(landscape(nested, synthetic(lambda x: x.sum(-1))), start)
    moved = z != start
    free = nested.active(start) & nested.continuous
    assert torch.equal(moved, free & (start < 1))
    assert (z[free] == 1).all()
    assert torch.equal(z, nested.snap(z))
    assert torch.isfinite(values).all()


def test_a_start_without_a_finite_value_stays_and_counts_as_nothing(cube, synthetic):
    cliff = synthetic(lambda x: torch.where(x[:, 0] < 0.5, torch.nan, -((x[:, 0] - 0.8) ** 2)))
    z, values = climb(landscape(cube(1), cliff), torch.tensor([[0.2], [0.7]]).double())
    assert z[0] == torch.tensor([0.2]).double().mul(2**40).round().div(2**40)
    assert values[0] == -torch.inf
    assert abs(z[1].item() - 0.8) < 1e-3
