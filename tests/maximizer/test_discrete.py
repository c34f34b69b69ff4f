"""Moves of discrete coordinates."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gpbo.maximizer import Domain, Settings
from gpbo.maximizer.discrete import Moves, ascend, sweep
from gpbo.maximizer.landscape import Landscape, Taken
from gpbo.maximizer.start import spread
from gpbo.seeding import generator


def prepare(domain: Domain, acquisition, settings=None) -> tuple[Landscape, Moves, torch.Tensor]:
    settings = settings or Settings()
    rng = generator(0, "test")
    pool = spread(domain, 256, rng)
    land = Landscape(acquisition, domain, settings, None, Taken(domain))
    pool = pool[land.values(pool).argsort(descending=True)]
    return land, Moves.build(domain, pool, rng, settings), spread(domain, 6, rng)


def test_a_sweep_settles_many_independent_coordinates(grid, synthetic):
    domain = grid(*[7] * 30)
    top = domain.snap(spread(domain, 1, generator(5, "test")))
    near = synthetic(lambda x: -(x - top).abs().sum(-1))
    land, moves, z = prepare(domain, near)
    better, values, changed = sweep(land, moves, z, land.values(z))
    assert torch.equal(better, top.expand(6, 30))
    assert values.tolist() == [0.0] * 6
    assert changed.all()


def test_categories_are_searched_exhaustively(grid, synthetic):
    domain = grid(16, 16, kind="category")
    score = torch.from_numpy(generator(3, "test").random((16, 16)))
    table = synthetic(lambda x: x[:, :16] @ score[0] + x[:, 16:] @ score[1])
    land, moves, z = prepare(domain, table)
    assert len(moves) == 32
    better, _, _ = sweep(land, moves, z, land.values(z))
    assert domain.index(better).unique(dim=0).tolist() == [score[:2].argmax(1).tolist()]


def test_a_long_ordered_coordinate_is_searched_in_few_looks(grid, synthetic):
    domain = grid(4000, 17)
    slope = synthetic(lambda x: -(x[:, 0] - 0.6181).abs() - (x[:, 1] - 0.3).abs())
    land, moves, z = prepare(domain, slope)
    assert len(moves) < 40
    better, _, _ = sweep(land, moves, z, land.values(z))
    assert torch.equal(better, domain.snap(torch.tensor([[0.6181, 0.3]]).double()).expand(6, 2))


def test_a_category_with_very_many_levels_gets_some_of_them(grid, synthetic):
    domain = grid(500, kind="category")
    land, moves, z = prepare(domain, synthetic(lambda x: x[:, 3]))
    assert len(moves) == land.settings.scan
    assert moves.level.unique().shape == (land.settings.scan,)
    better, values, _ = sweep(land, moves, z, land.values(z))
    assert (values >= land.values(z)).all()
    assert torch.equal(domain.snap(better), better)


def test_a_switch_of_branch_brings_good_values_for_what_it_activates(nested, synthetic):
    # Only worth anything with 1 on level 1, 3 on level 1 and 4 near 0.9: x has columns
    # 0, 1: three, 2, 3, 4, 5, 6.
    deep = synthetic(lambda x: 2 * x[:, 2] + x[:, 5] - (x[:, 6] - 0.9).abs())
    land, moves, _ = prepare(nested, deep)
    z = nested.snap(torch.tensor([[0.5, 0.1, 0.2, 0.5, 0.5, 0.5, 0.1]]).double())
    better, _, changed = sweep(land, moves, z, land.values(z))
    assert changed.all()
    assert nested.active(better)[0, 4]
    assert abs(better[0, 4].item() - 0.9) < 0.05


def test_rows_that_nothing_improves_stay(grid, synthetic):
    domain = grid(5, 5)
    land, moves, z = prepare(domain, synthetic(lambda x: torch.zeros_like(x[:, 0])))
    better, values, changed = sweep(land, moves, z, land.values(z))
    assert torch.equal(better, z)
    assert not changed.any()
    assert (values == 0).all()


def test_with_too_many_moves_the_best_rows_are_served_first(grid, synthetic):
    domain = grid(*[16] * 8)
    settings = replace(Settings(), moves=300)
    land, moves, z = prepare(domain, synthetic(lambda x: x.sum(-1)), settings)
    values = land.values(z)
    _, _, changed = sweep(land, moves, z, values)
    assert changed.sum() == 300 // len(moves)
    assert changed[values.argsort(descending=True)[:2]].all()


@pytest.mark.parametrize("chunk", [7, 5000])
def test_pieces_do_not_change_a_sweep(nested, synthetic, chunk):
    settings = replace(Settings(), chunk=chunk)
    weight = torch.arange(nested.d).double() + 1
    land, moves, z = prepare(nested, synthetic(lambda x: (x * weight).sum(-1)), settings)
    better, values, _ = sweep(land, moves, z, land.values(z))
    torch.testing.assert_close(
        values, torch.full((6,), values.max().item()).double(), atol=5, rtol=0
    )
    assert torch.equal(land.values(better), values)


def test_climbing_and_moving_in_turn_finds_a_coupled_optimum(synthetic):
    domain = Domain.build(
        ["continuous", "levels", "category", "continuous"],
        [None, [i / 10 for i in range(11)], [0.1, 0.5, 0.9], None],
        [-1] * 4,
        [-1] * 4,
    )

    def coupled(x):  # the best level depends on the continuous coordinate, and back
        level, first, last = x[:, 1], x[:, 0], x[:, -1]
        return -((first - level) ** 2) - 0.1 * (level - 0.8).abs() - (last - first) ** 2 + x[:, 3]

    land, moves, _ = prepare(domain, synthetic(coupled))
    z = spread(domain, 24, generator(1, "test"))
    top, values = ascend(land, moves, z, land.values(z))
    best = top[values.argmax()]
    torch.testing.assert_close(best, torch.tensor([0.8, 0.8, 0.5, 0.8]).double(), rtol=0, atol=1e-3)
    torch.testing.assert_close(values, land.values(top), rtol=0, atol=1e-9)
