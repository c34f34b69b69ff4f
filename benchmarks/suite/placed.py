"""A formula made into a problem: moved, mirrored and turned, so that nobody starts at its optimum.

The lowest point of a formula is often the center of its box, where many optimizers begin. Here it
lands elsewhere, for each seed at another place, neither near the center nor at a corner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import gpbo
from benchmarks.suite.formulas import Array, Formula
from benchmarks.suite.problem import Params, stream

NEAR, FAR = 0.1, 0.4  # how far from the center the optimum lies, in box widths
CROP = 0.3  # of a side, at most, where the box may shrink but not move


@dataclass(frozen=True)
class Placed:
    """A formula on the unit cube: x = origin + (turn (u * flip + shift)) * scale.

    at   the lowest point in the unit cube
    """

    formula: Formula
    origin: Array
    scale: Array
    anchor: Array
    turn: Array | None
    at: Array

    def __call__(self, u: Array) -> Array:
        """Values at points of the unit cube: (n, d) -> (n,)."""
        step = np.asarray(u, dtype=np.float64).reshape(-1, self.formula.d) - self.anchor
        if self.turn is not None:
            step = step @ self.turn
        return self.formula(self.origin + step * self.scale)


def place(formula: Formula, seed: int, turned: bool = False) -> Placed:
    """The formula as the seed places it.

    With `turned` the directions of its axes are random ones.
    """
    rng = stream("place", f"{formula.name}-{formula.d}", seed)
    flip = rng.choice([-1.0, 1.0], formula.d)
    if formula.everywhere:
        side = rng.choice([-1.0, 1.0], formula.d)
        at = 0.5 + side * rng.uniform(NEAR, FAR, formula.d)
        scale = (formula.high - formula.low) * flip
    else:
        at, scale = _cropped(formula, flip, rng)
    turn = None
    if turned:
        turn = np.linalg.qr(rng.standard_normal((formula.d, formula.d)))[0]
    return Placed(formula, formula.at, scale, at, turn, at)


def _cropped(formula: Formula, flip: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Where the optimum lies in a part of the box, and the part's signed widths."""
    below = (formula.at - formula.low) * (1 - rng.uniform(0, CROP, formula.d))
    above = (formula.high - formula.at) * (1 - rng.uniform(0, CROP, formula.d))
    at = below / (below + above)
    return np.where(flip > 0, at, 1 - at), (below + above) * flip


def floats(formula: Formula) -> dict[str, gpbo.Float]:
    """One Float for each coordinate, with the published bounds."""
    bounds = zip(formula.low.tolist(), formula.high.tolist(), strict=True)
    return {f"x{k}": gpbo.Float(*pair) for k, pair in enumerate(bounds)}


def to_unit(formula: Formula, params: Params) -> Array:
    """The coordinates of params in [0, 1]^d."""
    x = np.array([params[f"x{k}"] for k in range(formula.d)])
    return (x - formula.low) / (formula.high - formula.low)


def from_unit(formula: Formula, u: Array) -> Params:
    """The params at coordinates."""
    x = np.clip(formula.low + u * (formula.high - formula.low), formula.low, formula.high)
    return {f"x{k}": value for k, value in enumerate(x.tolist())}
