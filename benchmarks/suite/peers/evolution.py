"""CMA-ES from the package cma."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from benchmarks.suite.peers.base import (
    Cube,
    Params,
    Peer,
    Worst,
    has_categories,
    no_branches,
)
from gpbo import Space

SPREAD = 0.25  # of the box: "about 1/4 of the search domain width", says its documentation


class Cma(Peer):
    """From the center of the box; where it has converged it starts again with twice the population.

    Integers are rounded. A failed trial is told as the worst value so far.
    """

    name, package = "cma", "cma"
    modules = ("cma",)

    def __init__(self, space: Space, seed: int) -> None:
        self._cube, self._worst = Cube(space), Worst()
        self._rng = np.random.default_rng(seed)
        self._start(np.full(self._cube.d, 0.5), None)

    def _start(self, where: Any, size: int | None) -> None:
        import cma

        options = {
            "bounds": [0, 1],
            "seed": int(self._rng.integers(1, 2**31)),
            "verbose": -9,
            **({"popsize": size} if size else {}),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._strategy = cma.CMAEvolutionStrategy(where, SPREAD, options)
        self._points: list[Any] = []
        self._values: list[float] = []

    def ask(self) -> Params:
        if not self._points:
            self._points = self._strategy.ask()
        return self._cube.params(self._points[len(self._values)])

    def tell(self, params: Params, value: float | None) -> None:
        self._values.append(self._worst.value(value))
        if len(self._values) < len(self._points):
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._strategy.tell(self._points, self._values)
        self._points, self._values = [], []
        if self._strategy.stop():
            self._start(self._rng.random(self._cube.d), 2 * self._strategy.popsize)

    @classmethod
    def cannot(cls, space: Space) -> str | None:
        if len(space.leaves) < 2:
            return "needs two parameters"
        return no_branches(space) or ("no categories" if has_categories(space) else None)
