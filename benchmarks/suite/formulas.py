"""Test functions of global optimization, on their published domains, with their lowest points.

Symbols   x (n, d) points on the natural scale -> (n,)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SFU = "Surjanovic & Bingham, Virtual Library of Simulation Experiments, sfu.ca/~ssurjano"
JAMIL = "Jamil & Yang 2013, A literature survey of benchmark functions, arXiv:1308.4008"


@dataclass(frozen=True)
class Formula:
    """A function, its box, and where it is lowest.

    name        one word
    d           the dimension
    low, high   the published box, the same or one for each coordinate
    function    (n, d) -> (n,)
    at          a lowest point: (d,)
    optimum     the value there
    source      where it was published
    everywhere  whether `optimum` is the lowest value outside the box as well, so that it may move
    """

    name: str
    d: int
    low: Array
    high: Array
    function: Callable[[Array], Array]
    at: Array
    optimum: float
    source: str = SFU
    everywhere: bool = True

    def __call__(self, x: Array) -> Array:
        return self.function(np.asarray(x, dtype=np.float64).reshape(-1, self.d))


def make(
    name: str,
    box: tuple[object, object],
    at: object,
    optimum: float,
    function: Callable[[Array], Array],
    **rest: object,
) -> Formula:
    """A formula whose dimension is that of its lowest point."""
    point = np.asarray(at, dtype=np.float64)
    low, high = (np.broadcast_to(np.asarray(b, dtype=np.float64), point.shape) for b in box)
    return Formula(name, len(point), low, high, function, point, optimum, **rest)  # type: ignore[arg-type]  # the dataclass names them
