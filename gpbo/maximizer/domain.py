"""The set that is searched, in tensor terms: coordinates in [0, 1], their levels, their conditions.

Symbols   z (..., p)   a point: one coordinate in [0, 1] each; nan or anything where inactive
          x (..., d)   its encoding for a model
          index        which level a discrete coordinate stands on

A coordinate with a parent exists only where the parent, a category, stands on a certain level, and
only where the parent exists itself. Everything is vectorized over points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from gpbo.errors import SpaceError, explain

CONTINUOUS, LEVELS, CATEGORY = range(3)
KINDS = ("continuous", "levels", "category")
LATTICE = 2.0**40  # continuous coordinates are multiples of 1 / LATTICE: points can be told apart
REST = 0.5  # what an inactive coordinate is set to


@dataclass(frozen=True, eq=False)
class Domain:
    """The search set; make one with `Domain.build`.

    Shapes   p coordinates, k of them discrete with at most K levels, d encoded columns
    """

    kind: Tensor  # (p,) CONTINUOUS, LEVELS or CATEGORY
    count: Tensor  # (p,) how many levels; 0 where continuous
    parent: Tensor  # (p,) an earlier coordinate, or -1
    branch: Tensor  # (p,) the level of the parent on which it exists, or -1
    discrete: Tensor  # (k,) the coordinates with levels
    row: Tensor  # (p,) where in `discrete`; 0 where continuous
    levels: Tensor  # (k, K) positions, ascending, padded with the last one
    walls: Tensor  # (k, K - 1) midpoints between levels, padded with infinity
    generations: tuple[Tensor, ...]  # coordinates with a parent: children first, then theirs, ...
    groups: Tensor  # (d,) the coordinate of each column
    flag: Tensor  # (d,) the level that a one-hot column stands for; -1: the coordinate itself
    height: Tensor  # (d,) the value of a one-hot column on its level
    rest: Tensor  # (d,) the value of a column where its coordinate is inactive

    @classmethod
    def build(
        cls,
        kinds: Sequence[str],
        levels: Sequence[Sequence[float] | None],
        parents: Sequence[int],
        branches: Sequence[int],
        device: torch.device | str = "cpu",
    ) -> Domain:
        """The domain of p coordinates described one by one.

        `levels` holds ascending positions in [0, 1] where the kind is "levels" or "category" and
        None where it is "continuous"; a parent of -1 is none.

        Raises   SpaceError  if the descriptions do not fit together
        """
        _check(kinds, levels, parents, branches)
        with torch.device(device):
            return cls(**_coordinates(kinds, levels, parents, branches), **_columns(kinds, levels))

    @property
    def p(self) -> int:
        """How many coordinates a point has."""
        return self.kind.shape[0]

    @property
    def d(self) -> int:
        """How many columns its encoding has."""
        return self.groups.shape[0]

    @cached_property
    def continuous(self) -> Tensor:
        """Which coordinates move freely; (p,) bool."""
        return self.kind == CONTINUOUS

    @cached_property
    def n_discrete(self) -> int:
        """How many coordinates have levels."""
        return self.discrete.shape[0]

    @cached_property
    def has_children(self) -> Tensor:
        """On which coordinates others depend; (p,) bool."""
        parents = self.parent[self.parent >= 0]
        return torch.zeros_like(self.continuous).index_fill(0, parents, True)

    @cached_property
    def spacing(self) -> Tensor:
        """The mean distance of neighbouring levels where they are ordered, else 0; (p,)."""
        found = torch.zeros_like(self.continuous, dtype=torch.float64)
        steps = (self.count[self.discrete] - 1).clamp(min=1)
        found[self.discrete] = (self.levels[:, -1] - self.levels[:, 0]) / steps
        return found.masked_fill(self.kind != LEVELS, 0.0)

    @cached_property
    def size(self) -> int | None:
        """How many different points there are; None where a coordinate is continuous."""
        if self.n_discrete < self.p:
            return None
        counts, parents, branches = (v.tolist() for v in (self.count, self.parent, self.branch))
        below = [[1] * n for n in counts]  # for each level, the points of what hangs on it
        total = 1
        for j in reversed(range(self.p)):
            if parents[j] < 0:
                total *= sum(below[j])
            else:
                below[parents[j]][branches[j]] *= sum(below[j])
        return total

    def index(self, z: Tensor) -> Tensor:
        """The level that each discrete coordinate is nearest to.

        Shapes   z (..., p) -> (..., k), in the order of `discrete`
        """
        if self.n_discrete == 0:
            return torch.zeros(*z.shape[:-1], 0, dtype=torch.long, device=z.device)
        flat = z.detach().reshape(-1, self.p)[:, self.discrete].nan_to_num(REST)
        found = torch.searchsorted(self.walls, flat.T.contiguous(), right=True)
        return found.T.reshape(*z.shape[:-1], self.n_discrete)

    def positions(self, index: Tensor) -> Tensor:
        """The coordinates of levels: index (..., k) -> (..., k)."""
        return self.levels[torch.arange(self.n_discrete, device=index.device), index]

    def active(self, z: Tensor) -> Tensor:
        """Which coordinates exist at each point.

        Shapes   z (..., p) -> bool (..., p)
        """
        return self._active(self.index(z))

    def snap(self, z: Tensor) -> Tensor:
        """The nearest proper point: coordinates on their level or lattice, REST where inactive.

        Two points are the same if and only if they are equal after it.

        Shapes   z (..., p) -> (..., p)
        """
        snapped = z.nan_to_num(REST).clamp_(0.0, 1.0).mul_(LATTICE).round_().div_(LATTICE)
        if not self.n_discrete:
            return snapped
        index = self.index(z)
        snapped[..., self.discrete] = self.positions(index)
        if self.generations:
            snapped = torch.where(self._active(index), snapped, REST)
        return snapped

    def key(self, z: Tensor) -> Tensor:
        """Integers that are equal if and only if the points are the same.

        Shapes   z (..., p) -> long (..., p): lattice or level number, -1 where inactive
        """
        out = z.nan_to_num(REST).clamp_(0.0, 1.0).mul_(LATTICE).round_().long()
        if not self.n_discrete:
            return out
        index = self.index(z)
        out[..., self.discrete] = index
        return torch.where(self._active(index), out, -1)

    def embed(self, z: Tensor) -> Tensor:
        """The encoding in which a model measures distance, differentiable where continuous.

        A continuous or ordered coordinate is one column. A category is one column of 0 and 1 for
        two levels, else one column for each level, scaled so that two levels lie 1 apart. What is
        inactive is constant, at the centre.

        Shapes   z (..., p) -> x (..., d)
        """
        if not self.n_discrete:
            return z
        index = self.index(z)
        x = z[..., self.groups]
        if self._one_hot.numel():
            columns = self._one_hot
            on = index[..., self.row[self.groups[columns]]] == self.flag[columns]
            x = x.index_copy(-1, columns, on * self.height[columns])
        if self.generations:
            x = torch.where(self._active(index)[..., self.groups], x, self.rest)
        return x

    def with_level(self, z: Tensor, coordinate: Tensor, level: Tensor) -> Tensor:
        """Each point with one discrete coordinate put on a level; what that activates is at REST.

        Shapes   z (n, p), coordinate (n,), level (n,) -> (n, p)
        """
        position = self.levels[self.row[coordinate], level]
        return self.snap(z.scatter(1, coordinate.unsqueeze(1), position.unsqueeze(1)))

    def enumerate(self) -> Tensor:
        """Every point, the last coordinate fastest.

        Shapes   -> (size, p)
        Raises   SpaceError  if a coordinate is continuous
        """
        if self.size is None:
            raise SpaceError(explain("Domain", "continuous coordinates cannot be enumerated"))
        z = self.levels.new_full((1, self.p), REST)
        for j in range(self.p):
            repeats = torch.where(self.active(z)[:, j], self.count[j], 1)
            last = repeats.cumsum(0)
            z = z.repeat_interleave(repeats, 0)
            level = torch.arange(z.shape[0], device=z.device) - (last - repeats).repeat_interleave(
                repeats
            )
            z[:, j] = self.levels[j, level]  # every coordinate is discrete: row j is coordinate j
        return self.snap(z)

    @cached_property
    def _one_hot(self) -> Tensor:
        return (self.flag >= 0).nonzero().squeeze(-1)

    def _active(self, index: Tensor) -> Tensor:
        active = torch.ones(*index.shape[:-1], self.p, dtype=torch.bool, device=index.device)
        for children in self.generations:
            parent = self.parent[children]
            on = index[..., self.row[parent]] == self.branch[children]
            active[..., children] = active[..., parent] & on
        return active


def _coordinates(
    kinds: Sequence[str],
    levels: Sequence[Sequence[float] | None],
    parents: Sequence[int],
    branches: Sequence[int],
) -> dict[str, Any]:
    discrete = [j for j, kind in enumerate(kinds) if kind != "continuous"]
    row = [0] * len(kinds)
    for number, j in enumerate(discrete):
        row[j] = number
    tables = [list(levels[j] or ()) for j in discrete]
    most = max((len(table) for table in tables), default=1)
    walls = [
        [(a + b) / 2 for a, b in pairwise(table)] + [math.inf] * (most - len(table))
        for table in tables
    ]
    padded = [table + [table[-1]] * (most - len(table)) for table in tables]
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return {
        "kind": torch.tensor([KINDS.index(kind) for kind in kinds]),
        "count": torch.tensor([len(table or ()) for table in levels]),
        "parent": torch.tensor(parents),
        "branch": torch.tensor(branches),
        "discrete": torch.tensor(discrete, dtype=torch.long),
        "row": torch.tensor(row),
        "levels": torch.tensor(padded, dtype=torch.float64).view(len(tables), most),
        "walls": torch.tensor(walls, dtype=torch.float64).view(len(tables), most - 1),
        "generations": tuple(
            torch.tensor([j for j, own in enumerate(depth) if own == generation])
            for generation in range(1, max(depth) + 1)
        ),
    }


def _columns(kinds: Sequence[str], levels: Sequence[Sequence[float] | None]) -> dict[str, Any]:
    columns: list[tuple[int, int, float, float]] = []  # group, flag, height, rest
    for j, (kind, table) in enumerate(zip(kinds, levels, strict=True)):
        if kind != "category":
            columns.append((j, -1, 1.0, REST))
        elif len(table or ()) <= 2:
            columns.append((j, 1, 1.0, REST))
        else:
            count, height = len(table or ()), math.sqrt(0.5)
            columns += [(j, level, height, height / count) for level in range(count)]
    group, flag, height_, rest = zip(*columns, strict=True)
    return {
        "groups": torch.tensor(group),
        "flag": torch.tensor(flag),
        "height": torch.tensor(height_, dtype=torch.float64),
        "rest": torch.tensor(rest, dtype=torch.float64),
    }


def _check(
    kinds: Sequence[str],
    levels: Sequence[Sequence[float] | None],
    parents: Sequence[int],
    branches: Sequence[int],
) -> None:
    lengths = {len(kinds), len(levels), len(parents), len(branches)}
    if lengths == {0} or len(lengths) > 1:
        got = (len(kinds), len(levels), len(parents), len(branches))
        raise SpaceError(explain("Domain", "lengths differ or are 0", got))
    for j, (kind, table) in enumerate(zip(kinds, levels, strict=True)):
        where = f"Domain coordinate {j}"
        if kind not in KINDS:
            raise SpaceError(explain(where, "unknown kind", kind, expected=f"one of {KINDS}"))
        if (table is None) != (kind == "continuous"):
            raise SpaceError(explain(where, f"wrong levels for a {kind} one", table))
        if table is not None and not _ascending(table):
            expected = "ascending positions in [0, 1]"
            raise SpaceError(explain(where, "bad levels", table, expected=expected))
        parent, branch = parents[j], branches[j]
        if parent < 0:
            continue
        if parent >= j or kinds[parent] != "category":
            expected = "an earlier coordinate, a category"
            raise SpaceError(explain(where, "bad parent", parent, expected=expected))
        if not 0 <= branch < len(levels[parent] or ()):
            raise SpaceError(explain(where, "the parent has no such level", branch))


def _ascending(table: Sequence[float]) -> bool:
    inside = len(table) > 0 and table[0] >= 0 and table[-1] <= 1
    return inside and all(a < b for a, b in pairwise(table))
