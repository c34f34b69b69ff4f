"""What a model needs to know of a space: params as rows of numbers, and how each column behaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpbo.space.parameter import Kind, Parameter, Value
from gpbo.space.space import Space

MANY_LEVELS = 4096  # an ordered parameter with more values is searched as if it were continuous


@dataclass(frozen=True)
class Column:
    """How one coordinate of a row behaves."""

    kind: Kind
    levels: tuple[float, ...] | None  # the coordinates of its values, where there are few enough
    parent: int  # the column of the Choice that decides whether this one is active; -1 for none
    branch: int  # the position among the parent's levels that activates it


def encode(space: Space, many: Iterable[Mapping[str, Value]]) -> npt.NDArray[np.float64]:
    """Valid params as rows of coordinates in [0, 1]; nan where inactive.

    Shapes   n params -> (n, number of leaves)
    """
    rows = [space.to_row(params) for params in many]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(space.leaves))


def describe(space: Space) -> tuple[Column, ...]:
    """The columns of `encode`, in order."""
    return tuple(_column(leaf.parameter, leaf.parent, leaf.branch) for leaf in space.leaves)


def _column(parameter: Parameter, parent: int, branch: int) -> Column:
    size = parameter.size
    if size is None or (parameter.kind == "levels" and size > MANY_LEVELS):
        return Column("continuous", None, parent, branch)
    levels = tuple(parameter.to_unit(parameter.value_at(k)) for k in range(size))
    return Column(parameter.kind, levels, parent, branch)
