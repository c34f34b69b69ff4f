"""Scrambled Sobol points for the maths: Owen 1998, by torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

MOST_COLUMNS: int = SobolEngine.MAXDIM


def sobol_points(columns: int, count: int, seed: int) -> Tensor:
    """The first points of one scrambled sequence.

    Shapes   -> (count, columns), float64 in [0, 1)
    Needs    columns at most MOST_COLUMNS
    """
    engine = SobolEngine(columns, scramble=True, seed=seed)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    first = engine.quasi.double() / 2**engine.MAXBIT
    points: Tensor = engine.draw(count, dtype=torch.float64)
    points[:1] = first.float()  # torch rounds it to whatever its default dtype is: here always so
    return points
