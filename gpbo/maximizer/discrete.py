"""Better levels for discrete coordinates, in turn with climbing over the continuous ones.

Symbols   b points walk side by side, T moves
          a move    one discrete coordinate to one level, or so many levels up or down

A sweep looks at every move of every point in one batch, then tries the best moves of a point
together: the best 2, 4, 8 ... of them. Many coordinates so settle in a few batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gpbo.maximizer.domain import LEVELS, Domain
from gpbo.maximizer.gradient import climb
from gpbo.maximizer.landscape import Landscape
from gpbo.maximizer.settings import Settings
from gpbo.maximizer.start import spread

GAIN = 1e-9  # less is rounding: a log value of about 1 from a solve with a matrix
TOGETHER = (2, 4, 8, 16)  # how many moves are tried at once


@dataclass(frozen=True, eq=False)
class Moves:
    """The single moves that a sweep looks at.

    Shapes   coordinate, level, offset, fill (T,); filling (F, p)
    """

    coordinate: Tensor
    level: Tensor  # where to; -1 where the move is relative
    offset: Tensor  # levels up or down
    fill: Tensor  # the row of `filling` that gives what the move activates; -1: nothing is
    filling: Tensor

    @classmethod
    def build(
        cls, domain: Domain, pool: Tensor, rng: np.random.Generator, settings: Settings
    ) -> Moves:
        """All moves: each level of a short coordinate, steps of 1, 2, 4 ... along a long one.

        A category with very many levels gets some of them at random. A level on which others
        depend is tried with several fillings, taken from the best of the pool that stand on it.

        Shapes   pool (n, p), snapped, the best first
        """
        filling = torch.cat([pool, spread(domain, settings.fills, rng)])
        choose = _Fillings(domain, filling, settings.fills)
        moves: list[tuple[int, int, int, int]] = []
        for j, kind, count in zip(
            domain.discrete.tolist(),
            domain.kind[domain.discrete].tolist(),
            domain.count[domain.discrete].tolist(),
            strict=True,
        ):
            if count > settings.scan and kind == LEVELS:
                powers = [2**e for e in range((count - 1).bit_length())]
                moves += [(j, -1, sign * step, -1) for step in powers for sign in (1, -1)]
                continue
            levels = range(count)
            if count > settings.scan:
                levels = rng.choice(count, settings.scan, replace=False).tolist()
            moves += [(j, level, 0, fill) for level in levels for fill in choose(j, level)]
        table = torch.tensor(moves, dtype=torch.long, device=pool.device).view(-1, 4)
        coordinate, level, offset, fill = table.unbind(1)
        return cls(coordinate, level, offset, fill, filling)

    def __len__(self) -> int:
        return self.coordinate.shape[0]

    def target(self, domain: Domain, z: Tensor, move: Tensor) -> Tensor:
        """The level that each move leads to: z (n, p), move (n,) -> (n,)."""
        coordinate = self.coordinate[move]
        now = _at(domain.index(z), domain.row[coordinate])
        beside = (now + self.offset[move]).clamp_min(0).minimum(domain.count[coordinate] - 1)
        return torch.where(self.level[move] >= 0, self.level[move], beside)

    def apply(self, domain: Domain, z: Tensor, move: Tensor) -> Tensor:
        """Each point after its move: z (n, p), move (n,) -> (n, p), snapped."""
        level = self.target(domain, z, move)
        fill = self.fill[move]
        if domain.generations:
            missing = ~domain.active(z) & (fill >= 0).unsqueeze(1)
            z = torch.where(missing, self.filling[fill.clamp_min(0)], z)
        return domain.with_level(z, self.coordinate[move], level)

    def possible(self, domain: Domain, z: Tensor) -> Tensor:
        """Which moves of each point change it: z (b, p) -> bool (b, T)."""
        index, rows = domain.index(z), domain.row[self.coordinate]
        now = index[:, rows]
        beside = (now + self.offset).clamp_min(0).minimum(domain.count[self.coordinate] - 1)
        target = torch.where(self.level >= 0, self.level, beside)
        return (target != now) & domain.active(z)[:, self.coordinate]


class _Fillings:
    """For a level on which others depend, rows to copy the newly active coordinates from."""

    def __init__(self, domain: Domain, filling: Tensor, most: int) -> None:
        self.most, self.row = most, domain.row.tolist()
        self.children = domain.has_children.tolist()
        self.active, self.index = domain.active(filling), domain.index(filling)
        self.random = range(filling.shape[0] - most, filling.shape[0])

    def __call__(self, j: int, level: int) -> list[int]:
        if not self.children[j]:
            return [-1]
        here = self.active[:, j] & (self.index[:, self.row[j]] == level)
        found: list[int] = here.nonzero().squeeze(1)[: self.most].tolist()
        return found or list(self.random)


def sweep(
    landscape: Landscape, moves: Moves, z: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Each point after as many improving moves as there are, its value, and whether it changed.

    Where there are more moves than settings.moves, the points of the lowest values stay.

    Shapes   z (b, p), snapped, values (b,) -> (b, p), (b,), bool (b,)
    """
    z, values = z.clone(), values.clone()
    changed = torch.zeros_like(values, dtype=torch.bool)
    most = max(1, landscape.settings.moves // max(1, len(moves)))
    rows = values.argsort(descending=True, stable=True)[:most]
    for _ in range(landscape.settings.sweeps):
        better, gained = _step(landscape, moves, z[rows], values[rows])
        improved = gained > values[rows] + GAIN
        rows, better, gained = rows[improved], better[improved], gained[improved]
        if rows.numel() == 0:
            break
        z[rows], values[rows], changed[rows] = better, gained, True
    return z, values, changed


def ascend(landscape: Landscape, moves: Moves, z: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Climbing and sweeping in turn until neither helps.

    Shapes   z (b, p), snapped, values (b,) -> (b, p), snapped, (b,)
    """
    domain, settings = landscape.domain, landscape.settings
    rows = torch.arange(z.shape[0], device=z.device)
    z, values = z.clone(), values.clone()
    for _ in range(settings.rounds):
        if domain.n_discrete < domain.p:
            z[rows], values[rows] = climb_from(landscape, z[rows], values[rows])
        if domain.n_discrete == 0:
            break
        z[rows], values[rows], changed = sweep(landscape, moves, z[rows], values[rows])
        rows = rows[changed]
        if rows.numel() == 0 or domain.n_discrete == domain.p:
            break
    return z, values


def climb_from(landscape: Landscape, z: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """`climb`, except for rows where it does not help.

    Shapes   z (b, p), snapped, values (b,) -> (b, p), snapped, (b,)
    """
    top, reached = climb(landscape, z)
    up = reached > values
    return torch.where(up.unsqueeze(1), top, z), torch.where(up, reached, values)


def _step(landscape: Landscape, moves: Moves, z: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The best point that one move, or several of the best moves together, leads to."""
    domain, (b, p) = landscape.domain, z.shape
    point, move = moves.possible(domain, z).nonzero(as_tuple=True)
    if point.numel() == 0:
        return z, values
    chunk = landscape.settings.chunk
    tried = [
        landscape.values(moves.apply(domain, z[some], which))
        for some, which in zip(torch.split(point, chunk), torch.split(move, chunk), strict=True)
    ]
    outcome = values.new_full((b, len(moves)), -torch.inf)
    outcome[point, move] = torch.cat(tried)
    best = values.new_full((b, p), -torch.inf)
    where = moves.coordinate.expand(b, -1)
    best = best.scatter_reduce(1, where, outcome, "amax")
    # The move of each coordinate that reached its best; any one of equals.
    winner = torch.zeros(b, p, dtype=torch.long, device=z.device)
    at_best = outcome == best.gather(1, where)
    numbers = torch.arange(len(moves), device=z.device).expand(b, -1)
    winner = winner.scatter_reduce(1, where, numbers.where(at_best, -1), "amax")
    return _combine(landscape, moves, z, values, (best, winner))


def _combine(
    landscape: Landscape, moves: Moves, z: Tensor, values: Tensor, singles: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """The best of: the best single move, and the best 2, 4, 8 ... improving ones together."""
    best, winner = singles
    gains, order = best.sort(dim=1, descending=True, stable=True)
    improving = (gains > (values + GAIN).unsqueeze(1)).sum(1)
    together = int(improving.max())
    current = moves.apply(landscape.domain, z, winner.gather(1, order[:, :1]).squeeze(1))
    found, reached = [current], [gains[:, 0]]
    for number in range(1, min(together, max(TOGETHER))):
        more = improving > number
        step = moves.apply(landscape.domain, current, winner.gather(1, order)[:, number])
        current = torch.where(more.unsqueeze(1), step, current)
        if number + 1 in TOGETHER or number + 1 == together:
            found.append(current)
            reached.append(landscape.values(current))
    all_reached = torch.stack(reached)
    top = all_reached.argmax(0)
    rows = torch.arange(z.shape[0], device=z.device)
    return torch.stack(found)[top, rows], all_reached[top, rows]


def _at(table: Tensor, column: Tensor) -> Tensor:
    return table.gather(1, column.unsqueeze(1)).squeeze(1)
