"""The problems made of formulas alone: with and without noise, straight and turned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from benchmarks.suite.bumps import bumps
from benchmarks.suite.formulas import Formula
from benchmarks.suite.placed import floats, from_unit, place, to_unit
from benchmarks.suite.planar import planar
from benchmarks.suite.problem import Params, Problem, with_noise
from benchmarks.suite.scalable import scalable

# family: dimensions
DIMENSIONS = {
    "ackley": (2, 5, 10),
    "levy": (2, 4, 10, 20),
    "rastrigin": (2, 5),
    "rosenbrock": (2, 4, 10),
    "michalewicz": (2, 5, 10),
    "griewank": (3, 6),
    "styblinski": (2, 5, 10),
    "powell": (4, 8),
    "dixonprice": (3, 6),
    "schwefel": (2, 4),
    "zakharov": (3, 8),
    "cosine": (4, 8),
    "trid": (4, 10),
    "ellipsoid": (3, 10, 20),
    "salomon": (3,),
    "alpine": (3, 6),
    "sharp": (3, 6),
}
TURNED = (("rosenbrock", 4), ("ellipsoid", 6), ("rastrigin", 3), ("styblinski", 4), ("powell", 4))
# formula and dimension, and the noise in shares of what random params lose against the optimum
NOISY = (
    ("branin", 2, 0.02),
    ("hartmann6", 6, 0.05),
    ("ackley", 5, 0.05),
    ("levy", 4, 0.1),
    ("rosenbrock", 4, 0.01),
    ("griewank", 6, 0.1),
    ("cosine", 8, 0.05),
    ("camel6", 2, 0.1),
    ("shubert", 2, 0.1),
    ("michalewicz", 5, 0.05),
    ("hartmann3", 3, 0.2),
)


@dataclass(frozen=True)
class Variant:
    """A formula and how it is used."""

    name: str
    formula: Formula
    turned: bool = False
    noise: float = 0.0

    def __call__(self, seed: int) -> Problem:
        """The problem as the seed places it."""
        formula = self.formula
        placed = place(formula, seed, self.turned)

        def function(params: Params) -> float:
            return float(placed(to_unit(formula, params))[0])

        problem = Problem(
            self.name,
            "noisy" if self.noise else "synthetic",
            floats(formula),
            function,
            formula.optimum,
            from_unit(formula, placed.at),
            trials=trials_for(formula.d),
            source=formula.source,
        )
        return with_noise(problem, self.noise)


def trials_for(d: int) -> int:
    """How many trials a study of a problem without further difficulties has."""
    return 50 if d <= 2 else 75 if d <= 5 else 100


@cache
def formulas() -> dict[tuple[str, int], Formula]:
    """Every formula of the suite, by name and dimension."""
    fixed = [*planar(), *bumps()]
    free = [scalable(name, d) for name, ds in DIMENSIONS.items() for d in ds]
    return {(formula.name, formula.d): formula for formula in [*fixed, *free]}


def formula_of(name: str, d: int) -> Formula:
    """A formula by name; of one that has a dimension of its own, d has to be that one."""
    return formulas().get((name, d)) or scalable(name, d)


def makers() -> dict[str, Callable[[int], Problem]]:
    """By name, what makes a problem from a seed."""
    found = formulas()
    variants = [
        Variant(f"{name}-d{d}" if name in DIMENSIONS else name, formula)
        for (name, d), formula in found.items()
    ]
    variants += [
        Variant(f"{name}-d{d}-turned", formula_of(name, d), turned=True) for name, d in TURNED
    ]
    variants += [
        Variant(f"{name}-d{d}-noise", formula_of(name, d), noise=share) for name, d, share in NOISY
    ]
    return {variant.name: variant for variant in variants}
