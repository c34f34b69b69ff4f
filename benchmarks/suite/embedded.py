"""High-dimensional problems: a formula that sees few of many coordinates, or all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import gpbo
from benchmarks.suite.formulas import Formula
from benchmarks.suite.placed import place
from benchmarks.suite.problem import Params, Problem, stream, with_noise
from benchmarks.suite.synthetic import formula_of

WANG = "Wang et al. 2016, Bayesian optimization in a billion dimensions, JAIR 55"
# formula, its dimension, the dimension of the space, trials, noise
EMBEDDED = (
    ("branin", 2, 100, 150, 0.0),
    ("hartmann6", 6, 100, 200, 0.0),
    ("hartmann6", 6, 500, 200, 0.0),
    ("levy", 4, 100, 150, 0.0),
    ("levy", 4, 300, 150, 0.0),
    ("rosenbrock", 4, 100, 150, 0.0),
    ("styblinski", 5, 200, 150, 0.0),
    ("ackley", 5, 100, 150, 0.0),
    ("michalewicz", 5, 100, 150, 0.0),
    ("griewank", 6, 100, 150, 0.0),
    ("ellipsoid", 6, 200, 150, 0.0),
    ("cosine", 8, 100, 150, 0.0),
    ("shekel", 4, 20, 100, 0.0),
    ("camel6", 2, 20, 100, 0.02),
    ("hartmann6", 6, 20, 150, 0.02),
    ("dixonprice", 6, 50, 150, 0.0),
)
# every coordinate counts
DENSE = (
    ("ackley", 100, 300),
    ("levy", 100, 300),
    ("rosenbrock", 50, 200),
    ("rastrigin", 100, 300),
    ("styblinski", 50, 200),
    ("griewank", 100, 300),
    ("ellipsoid", 50, 200),
    ("powell", 24, 150),
)


@dataclass(frozen=True)
class Embedded:
    """A formula on some coordinates of [0, 1]^d; the seed says which."""

    name: str
    formula: Formula
    d: int
    trials: int
    noise: float = 0.0

    def __call__(self, seed: int) -> Problem:
        """The problem as the seed places it."""
        placed = place(self.formula, seed)
        rng = stream("embed", self.name, seed)
        active = np.sort(rng.choice(self.d, self.formula.d, replace=False))
        names = [f"x{k}" for k in range(self.d)]

        def function(params: Params) -> float:
            return float(placed(np.array([params[names[k]] for k in active]))[0])

        at = np.full(self.d, 0.5)
        at[active] = placed.at
        problem = Problem(
            self.name,
            "high-dimensional",
            {name: gpbo.Float(0.0, 1.0) for name in names},
            function,
            self.formula.optimum,
            dict(zip(names, at.tolist(), strict=True)),
            trials=self.trials,
            source=f"{self.formula.source}; {WANG}",
        )
        return with_noise(problem, self.noise)


def makers() -> dict[str, Callable[[int], Problem]]:
    """By name, what makes a problem from a seed."""
    made = [
        Embedded(f"{name}-d{inner}-in-d{d}", formula_of(name, inner), d, trials, noise)
        for name, inner, d, trials, noise in EMBEDDED
    ]
    made += [Embedded(f"{name}-d{d}", formula_of(name, d), d, trials) for name, d, trials in DENSE]
    return {maker.name: maker for maker in made}
