"""Grid search: every combination once, in the order of the space, the last parameter fastest."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from gpbo.check import whole
from gpbo.errors import SpaceError, did_you_mean, explain
from gpbo.history import History
from gpbo.space import Distribution, Int, Lattice, Parameter, Space
from gpbo.strategy.base import Proposal, Strategy
from gpbo.trial import Trial

MAX_POINTS = 10**7
LONG_INT = 100  # an Int with more values than this is a range, not a list of options
TRIES = 2  # a point that failed is offered once more, after all others


@dataclass(frozen=True)
class Grid(Strategy):
    """Every combination of the parameters' values.

    `n` is how many values a range gets, both ends included: one number for all ranges, or a dict
    by name. Ranges are: a Float without `step`, an Int with more than 100 values and no `step`, and
    a distribution. A failed point counts as not done: it comes again once, after all others.

    Raises   SpaceError  when used with a space of more than 10**7 points, of ranges without `n`, or
                         without a parameter that `n` names
             TypeError, ValueError  if `n` is no whole number from 1 on, nor a dict of them
    """

    n: int | Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        n: int | dict[str, int] | None = None
        if isinstance(self.n, Mapping):
            n = {name: whole("Grid n", count, 1) for name, count in self.n.items()}
        elif self.n is not None:
            n = whole("Grid n", self.n, 1)
        object.__setattr__(self, "n", n)

    def __hash__(self) -> int:
        return hash(frozenset(self.n.items()) if isinstance(self.n, Mapping) else self.n)

    @property
    def name(self) -> str:
        return "grid"

    def check(self, space: Space) -> None:
        lattice = self.lattice(space)
        if lattice.size > MAX_POINTS:
            raise SpaceError(
                f"grid: the grid has {_short(lattice.size)} points; expected at most 10**7. "
                "Give ranges fewer values with n=, or use 'sobol'."
            )

    def lattice(self, space: Space) -> Lattice:
        """The points of the grid, in order; its `size` is known before anything runs."""
        return _lattice(space, self)

    def levels(self, name: str, path: str, parameter: Parameter) -> int:
        """How many values a parameter gets."""
        if isinstance(self.n, Mapping):
            wanted = self.n.get(path, self.n.get(name))
        else:
            wanted = self.n if is_range(parameter) else None
        if wanted is None and is_range(parameter):
            fix = f"Give it a step, or use gpbo.Grid(n=5) or gpbo.Grid(n={{{path!r}: 5}})."
            raise SpaceError(
                explain(repr(path), "a range is not a list of values", parameter, fix=fix)
            )
        if parameter.size is None:
            assert wanted is not None
            return wanted
        return parameter.size if wanted is None else min(wanted, parameter.size)

    def propose(self, history: History, n: int, seed: int) -> list[Proposal]:
        lattice = self.lattice(history.space)
        fresh = itertools.islice(self._untried(history, lattice), n)
        proposals = [Proposal(lattice[k], self._provenance(lattice, k)) for k in fresh]
        again = itertools.islice(self._failed_once(history), n - len(proposals))
        return proposals + [
            Proposal(trial.params, {**trial.provenance, "retry": True}) for trial in again
        ]

    def size(self, space: Space) -> int:
        return self.lattice(space).size

    def exhausted(self, history: History) -> bool:
        return not self.propose(history, 1, 0)

    def _provenance(self, lattice: Lattice, index: int) -> dict[str, Any]:
        found = {"strategy": self.name, "index": index, "size": lattice.size}
        return found if self.n is None else {**found, "n": self._counts()}

    def _counts(self) -> int | dict[str, int] | None:
        """`n` in JSON terms: what tells this grid from others of the same size."""
        return dict(self.n) if isinstance(self.n, Mapping) else self.n

    def _untried(self, history: History, lattice: Lattice) -> Iterator[int]:
        """Points from the one after the last proposed on, but for those tried in another way."""
        start = 0
        for trial in reversed(history.trials):
            made = trial.provenance
            if made.get("strategy") == self.name and not made.get("retry"):
                if (made.get("size"), made.get("n")) == (lattice.size, self._counts()):
                    start = made["index"] + 1
                break
        for k in range(start, lattice.size):
            if not history.trials_at(history.space.to_row(lattice[k])):
                yield k

    def _failed_once(self, history: History) -> Iterator[Trial]:
        """Failed trials of this grid whose point was not tried often enough."""
        for trial in history.failed:
            tries = len(history.trials_at(history.rows[trial.number]))
            if trial.provenance.get("strategy") == self.name and tries < TRIES:
                yield trial


def _short(n: int) -> str:
    """A large number as 3.2e9, beyond the range of floats too."""
    return f"{Decimal(n):.1e}".replace("+", "")


def is_range(parameter: Parameter) -> bool:
    """Whether a grid needs to be told how many values to take."""
    if isinstance(parameter, Int):
        return parameter.step == 1 and parameter.size > LONG_INT
    return parameter.size is None or isinstance(parameter, Distribution)


@lru_cache(maxsize=8)
def _lattice(space: Space, grid: Grid) -> Lattice:
    if isinstance(grid.n, Mapping):
        known = {leaf.name for leaf in space.leaves} | {leaf.path for leaf in space.leaves}
        for name in grid.n:
            if name not in known:
                raise SpaceError(f"Grid n: unknown name {name!r}. {did_you_mean(name, known)}")
    return Lattice(space, grid.levels)
