"""Data sets that look like a study under way, the same in every run.

Half of the points fill the space, the others were tried near the best of their time, closer and
closer, as an optimizer does. Values are those of a known function, smaller is better.

Symbols   x (n, d) points in the unit cube, y (n,) values
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

Array = NDArray[np.float64]

# Hartmann's function of 6 coordinates (Dixon & Szegö 1978): weights, widths, centers, the optimum.
ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
WIDTH = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
CENTER = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
TOP = np.array([0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573])

SPREAD = 10.0 ** np.array([-2.0, -0.7])  # standard deviations of a step, drawn between these


@dataclass(frozen=True)
class Problem:
    """A function on the unit cube, its name and its dimension."""

    name: str
    d: int
    function: Callable[[Array], Array]

    def __call__(self, x: Array) -> Array:
        """Values of points: (n, d) -> (n,)."""
        return self.function(np.asarray(x, dtype=np.float64).reshape(-1, self.d))


def levy(d: int, seed: int) -> Problem:
    """Many hills in a bowl; all coordinates count."""
    shift = _optimum(d, seed)

    def function(x: Array) -> Array:
        w = 1 + 5 * (x - shift)  # [-9, 11] around the optimum at 1, in quarters
        first = np.sin(np.pi * w[:, 0]) ** 2
        middle = (w[:, :-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:, :-1] + 1) ** 2)
        last = (w[:, -1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[:, -1]) ** 2)
        return first + middle.sum(1) + last

    return Problem("levy", d, function)


def ackley(d: int, seed: int) -> Problem:
    """A narrow funnel in a rippled plain; all coordinates count."""
    shift = _optimum(d, seed)

    def function(x: Array) -> Array:
        z = 20 * (x - shift)
        funnel = -20 * np.exp(-0.2 * np.sqrt((z**2).mean(1)))
        return funnel - np.exp(np.cos(2 * np.pi * z).mean(1)) + 20 + np.e

    return Problem("ackley", d, function)


def hartmann(d: int, seed: int) -> Problem:
    """Four bumps in six coordinates: more do nothing, and with fewer the rest is at its best."""

    def function(x: Array) -> Array:
        six = np.tile(TOP, (len(x), 1))
        six[:, : min(d, 6)] = x[:, :6]
        distance = (WIDTH * (six[:, None, :] - CENTER) ** 2).sum(-1)
        return -np.exp(-distance) @ ALPHA

    return Problem("hartmann", d, function)


PROBLEMS = {"levy": levy, "ackley": ackley, "hartmann": hartmann}


def study(problem: Problem, n: int, seed: int) -> tuple[Array, Array]:
    """What n trials of a study may have been: x (n, d), y (n,)."""
    rng = np.random.default_rng([seed, n, problem.d])
    spread = (n + 1) // 2
    # A power of two is drawn and cut: a Sobol sequence is balanced only so, and SciPy warns.
    sobol = qmc.Sobol(problem.d, scramble=True, rng=rng).random_base2((spread - 1).bit_length())
    x, y = sobol[:spread], problem(sobol[:spread])
    while len(x) < n:
        count = min(n - len(x), max(1, n // 20))
        steps = np.exp(rng.uniform(*np.log(SPREAD), size=(count, 1)))
        moved = rng.random((count, problem.d)) < min(1.0, 20 / problem.d)
        near = x[y.argmin()] + steps * moved * rng.standard_normal((count, problem.d))
        near = np.clip(near, 0.0, 1.0)
        x, y = np.concatenate([x, near]), np.concatenate([y, problem(near)])
    return x, y


def _optimum(d: int, seed: int) -> Array:
    """Where a function is best: neither at the center, where many optimizers begin, nor outside."""
    return np.random.default_rng([seed, d]).uniform(0.2, 0.8, d)
