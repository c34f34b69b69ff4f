"""Problems with integers, steps, ordered values and categories, their optima on a level.

A coordinate of a formula becomes a discrete parameter by looking at the formula only where its
levels are; the formula is placed so that its lowest point is one of them, so the optimum is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpbo
from benchmarks.suite.formulas import Array, Formula
from benchmarks.suite.placed import Placed, place
from benchmarks.suite.problem import Params, Problem, stream, with_noise
from benchmarks.suite.synthetic import formula_of, trials_for
from gpbo.space import Parameter

RU = "after Ru et al. 2020, Bayesian optimisation over multiple continuous and categorical inputs"
DAXBERGER = "after Daxberger et al. 2020, Mixed-variable Bayesian optimization, arXiv:1907.01329"
PACKEBUSCH = "Packebusch & Mertens 2016, Low autocorrelation binary sequences, arXiv:1512.02475"
# Merit of the best binary sequence of some lengths: the energy, table 1 there.
LABS = {15: 15, 20: 26, 27: 37}
OFFSETS = 0.3  # how much worse, in typical losses, the best point of the next category is


def whole(count: int) -> gpbo.Int:
    """Integers."""
    return gpbo.Int(1, count)


def log_whole(count: int) -> gpbo.Int:
    """Integers on a logarithmic scale."""
    return gpbo.Int(1, count, log=True)


def stepped(count: int) -> gpbo.Float:
    """Floats in steps."""
    return gpbo.Float(0.0, 0.05 * (count - 1), step=0.05)


def ordered(count: int) -> gpbo.Ordinal:
    """Powers of two."""
    return gpbo.Ordinal([2**k for k in range(count)])


def category(count: int) -> gpbo.Categorical:
    """Names without an order."""
    return gpbo.Categorical([f"c{k}" for k in range(count)])


@dataclass(frozen=True)
class Mixed:
    """A formula whose last coordinates are discrete; values of a category are in random order."""

    name: str
    formula: Formula
    discrete: tuple[Parameter, ...]
    source: str = DAXBERGER
    noise: float = 0.0

    def __call__(self, seed: int) -> Problem:
        """The problem as the seed places it."""
        d, first = self.formula.d, self.formula.d - len(self.discrete)
        rng = stream("mix", self.name, seed)
        placed = place(self.formula, seed)
        orders = [rng.permutation(parameter.size or 0) for parameter in self.discrete]
        space: dict[str, Any] = {f"x{k}": gpbo.Float(0.0, 1.0) for k in range(first)}
        space |= {f"n{k}": parameter for k, parameter in enumerate(self.discrete)}
        at: Params = {f"x{k}": float(placed.at[k]) for k in range(first)}
        point = placed.at.copy()
        for k, (parameter, order) in enumerate(zip(self.discrete, orders, strict=True)):
            value = _nearest(parameter, order, float(placed.at[first + k]))
            point[first + k] = _coordinate(parameter, order, value)
            at[f"n{k}"] = value
        moved = _moved(placed, point)

        def function(params: Params) -> float:
            u = np.empty(d)
            u[:first] = [params[f"x{k}"] for k in range(first)]
            for k, (parameter, order) in enumerate(zip(self.discrete, orders, strict=True)):
                u[first + k] = _coordinate(parameter, order, params[f"n{k}"])
            return float(moved(u)[0])

        optimum = self.formula.optimum
        problem = Problem(
            self.name, "mixed", space, function, optimum, at, 0.0, trials_for(d), self.source
        )
        return with_noise(problem, self.noise)


def _moved(placed: Placed, point: Array) -> Placed:
    """The formula with its lowest point at `point`, near where it was."""
    return Placed(placed.formula, placed.origin, placed.scale, point, placed.turn, point)


def _coordinate(parameter: Parameter, order: Array, value: Any) -> float:
    """Where a value stands in [0, 1]; a category's values stand in the given order."""
    u = parameter.to_unit(value)
    if parameter.kind != "category":
        return u
    return (float(order[int(u * len(order))]) + 0.5) / len(order)


def _nearest(parameter: Parameter, order: Array, u: float) -> Any:
    """The value that stands nearest to u."""
    if parameter.kind != "category":
        return parameter.from_unit(u)
    place = min(int(u * len(order)), len(order) - 1)
    return parameter.value_at(int(np.flatnonzero(order == place)[0]))


@dataclass(frozen=True)
class Picked:
    """A category picks one of several formulas; each has its own lowest point and offset."""

    name: str
    formulas: tuple[Formula, ...]
    categories: int = 1

    def __call__(self, seed: int) -> Problem:
        """The problem as the seed places it."""
        rng = stream("pick", self.name, seed)
        d, count = self.formulas[0].d, len(self.formulas)
        placed = [place(formula, seed) for formula in self.formulas]
        scales = [_loss(one) for one in placed]
        order = rng.permutation(count)  # the formula in place 0 holds the optimum
        names = [f"f{k}" for k in range(count)]
        extra = {f"g{k}": rng.permutation(4) / 3 for k in range(self.categories - 1)}
        space: Mapping[str, Any] = {
            "pick": gpbo.Categorical(names),
            **{name: gpbo.Categorical(["a", "b", "c", "d"]) for name in extra},
            **{f"x{k}": gpbo.Float(-1.0, 1.0) for k in range(d)},
        }

        def function(params: Params) -> float:
            k = names.index(params["pick"])
            u = np.array([(params[f"x{i}"] + 1) / 2 for i in range(d)])
            loss = (float(placed[k](u)[0]) - self.formulas[k].optimum) / scales[k]
            costs = (values["abcd".index(params[name])] for name, values in extra.items())
            return loss + OFFSETS * float(order[k] + sum(costs))

        best = int(np.flatnonzero(order == 0)[0])
        at: Params = {"pick": names[best]}
        at |= {name: "abcd"[int(values.argmin())] for name, values in extra.items()}
        at |= {f"x{k}": 2 * float(u) - 1 for k, u in enumerate(placed[best].at)}
        return Problem(self.name, "mixed", space, function, 0.0, at, 0.0, 75, RU)


def _loss(placed: Placed) -> float:
    """What a random point loses in the median."""
    points = stream("loss", placed.formula.name, 0).random((512, placed.formula.d))
    return float(np.median(placed(points)) - placed.formula.optimum)


@dataclass(frozen=True)
class Labs:
    """A binary sequence whose shifted copies resemble it as little as possible.

    Which bits are turned over in the seed's instance is random, which changes nothing but names.
    """

    name: str
    length: int

    def __call__(self, seed: int) -> Problem:
        """The problem as the seed turns its bits over."""
        turned = stream("labs", self.name, seed).random(self.length) < 0.5
        n = self.length

        def function(params: Params) -> float:
            bits = np.array([params[f"b{k}"] for k in range(n)]) != turned
            signs = np.where(bits, 1.0, -1.0)
            return float(sum((signs[k:] @ signs[: n - k]) ** 2 for k in range(1, n)))

        space = {f"b{k}": gpbo.Bool() for k in range(n)}
        optimum = float(LABS[n])
        return Problem(self.name, "mixed", space, function, optimum, trials=100, source=PACKEBUSCH)


def makers() -> dict[str, Callable[[int], Problem]]:
    """By name, what makes a problem from a seed."""
    f, ints, cats = formula_of, whole, category
    made: list[Any] = [
        Mixed("ackley-d6-int", f("ackley", 6), (ints(9), ints(25), log_whole(200))),
        Mixed("levy-d6-int", f("levy", 6), (ints(8), stepped(11), ordered(7), log_whole(64))),
        Mixed("rosenbrock-d5-int", f("rosenbrock", 5), (ints(16), ints(16), ints(16))),
        Mixed("styblinski-d6-int", f("styblinski", 6), tuple(ints(10) for _ in range(6))),
        Mixed("griewank-d8-int", f("griewank", 8), (ints(50),) * 4, noise=0.02),
        Mixed("hartmann6-d6-int", f("hartmann6", 6), (ordered(6), stepped(21), ints(40))),
        Mixed("cosine-d8-int", f("cosine", 8), (ints(5), ints(5), ints(9), ints(9), ints(17))),
        Mixed("michalewicz-d5-int", f("michalewicz", 5), (ints(30), log_whole(100))),
        Mixed("ackley-d5-cat", f("ackley", 5), (cats(17),) * 5, RU),
        Mixed("levy-d4-cat", f("levy", 4), (cats(6), cats(12)), RU),
        Mixed("ellipsoid-d6-cat", f("ellipsoid", 6), (cats(5), cats(5), gpbo.Bool()), RU),
        Mixed("styblinski-d5-cat", f("styblinski", 5), (cats(4), cats(8)), RU, noise=0.05),
        Mixed("hartmann6-d6-cat", f("hartmann6", 6), (cats(6), cats(6), ints(12)), RU),
        Mixed("zakharov-d12-bool", f("zakharov", 12), (gpbo.Bool(),) * 9, RU),
        Picked("picked2-d2", (f("rosenbrock", 2), f("camel6", 2), f("beale", 2))),
        Picked("picked4-d4", tuple(f(n, 4) for n in ("levy", "styblinski", "cosine", "ackley")), 3),
        Picked("picked3-d6", tuple(f(n, 6) for n in ("griewank", "dixonprice", "sharp")), 2),
        Labs("labs-d15", 15),
        Labs("labs-d27", 27),
    ]
    return {maker.name: maker for maker in made}
