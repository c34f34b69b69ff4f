"""Problems of which parts have no value, as trainings that run out of memory or diverge.

A part that fails never holds the optimum, but may come close to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

import gpbo
from benchmarks.suite.conditional import training
from benchmarks.suite.formulas import Array, Formula
from benchmarks.suite.placed import floats, from_unit, place, to_unit
from benchmarks.suite.problem import FailedTrialError, Params, Problem, stream, with_noise
from benchmarks.suite.synthetic import formula_of, trials_for

GELBART = "after Gelbart et al. 2014, Bayesian optimization with unknown constraints, UAI"
MARGIN = 0.1  # in standard deviations of a rule's score: the optimum is that far from failing
POINTS = 4096  # to find out what share of the box a rule covers

Shape = Literal["half", "ball", "shell", "stripes", "luck"]


@dataclass(frozen=True)
class Failing:
    """A formula that fails in about a share of its box, of a shape that the seed places."""

    name: str
    formula: Formula
    shape: Shape
    share: float
    noise: float = 0.0

    def __call__(self, seed: int) -> Problem:
        """The problem as the seed places it."""
        formula = self.formula
        placed = place(formula, seed)
        rng = stream("fail", self.name, seed)
        fails = RULES[self.shape](placed.at, self.share, rng)

        def function(params: Params) -> float:
            u = to_unit(formula, params)
            if fails(u[None])[0]:
                raise FailedTrialError("out of the region that works")
            return float(placed(u)[0])

        problem = Problem(
            self.name,
            "failing",
            floats(formula),
            function,
            formula.optimum,
            from_unit(formula, placed.at),
            trials=trials_for(formula.d),
            source=f"{formula.source}; {GELBART}",
        )
        return with_noise(problem, self.noise)


Rule = Callable[[Array], Array]


def _threshold(score: Rule, at: Array, share: float, rng: np.random.Generator) -> Rule:
    """Fails where the score is in its highest share, and above that of the optimum by some."""
    scores = score(rng.random((POINTS, len(at))))
    cut = max(
        float(np.quantile(scores, 1 - share)), float(score(at[None])[0] + MARGIN * scores.std())
    )
    return lambda u: score(u) > cut


def half(at: Array, share: float, rng: np.random.Generator) -> Rule:
    """All on the far side of a plane."""
    normal = rng.standard_normal(len(at))
    normal *= np.sign((0.5 - at) @ normal)
    return _threshold(lambda u: u @ normal, at, share, rng)


def ball(at: Array, share: float, rng: np.random.Generator) -> Rule:
    """All within a distance of a place on the other side of the box."""
    center = at + 0.45 * np.sign(0.5 - at)
    return _threshold(lambda u: -((u - center) ** 2).sum(-1), at, share, rng)


def shell(at: Array, share: float, rng: np.random.Generator) -> Rule:
    """All beyond a distance of a place near the optimum."""
    center = at + rng.uniform(-0.1, 0.1, len(at))
    return _threshold(lambda u: ((u - center) ** 2).sum(-1), at, share, rng)


def stripes(at: Array, share: float, rng: np.random.Generator) -> Rule:
    """Bands across the box."""
    normal = rng.standard_normal(len(at))
    normal /= np.linalg.norm(normal)
    return _threshold(lambda u: -np.cos(4 * np.pi * ((u - at) @ normal)), at, share, rng)


def luck(at: Array, share: float, rng: np.random.Generator) -> Rule:
    """Here and there without a reason, the same for the same params."""
    salt = rng.bytes(8)

    def fails(u: Array) -> Array:
        draws = (hashlib.sha256(salt + row.tobytes()).digest()[0] / 256 for row in u)
        return np.fromiter(draws, float, len(u)) < share

    def rule(u: Array) -> Array:
        return fails(u) & (np.abs(u - at).max(-1) > 1e-9)

    return rule


RULES: dict[Shape, Callable[[Array, float, np.random.Generator], Rule]] = {
    "half": half,
    "ball": ball,
    "shell": shell,
    "stripes": stripes,
    "luck": luck,
}


def diverging(seed: int) -> Problem:
    """The training of `conditional`, which has no value where its loss explodes."""
    problem = training(seed)

    def function(params: Params) -> float:
        value = problem.function(params)
        if value > 50.0:
            raise FailedTrialError("the loss is nan")
        return value

    return replace(problem, name="training-nan", kind="failing", function=function)


def memory(seed: int) -> Problem:
    """A network that must be large, and fails where it does not fit; one backend never works."""
    rng = stream("memory", "memory", seed)
    names = ["cpu", "fused", "flash", "tiled"]
    order = dict(zip(names, rng.permutation(4).tolist(), strict=True))
    broken = next(name for name in names if order[name] == 3)
    most = int(2 ** rng.uniform(16.0, 18.0))  # width * depth * batch that fits
    rate = float(rng.uniform(-3.5, -1.5))
    space = {
        "width": gpbo.Int(32, 2048, log=True),
        "depth": gpbo.Int(1, 16),
        "batch": gpbo.Ordinal([16, 32, 64, 128, 256, 512]),
        "lr": gpbo.Float(1e-6, 1.0, log=True),
        "backend": gpbo.Categorical(names),
    }

    def loss(params: Params) -> float:
        capacity = np.log2(params["width"]) + 0.7 * np.log2(params["depth"])
        off = np.log10(params["lr"]) - rate - 0.15 * np.log2(params["batch"] / 64)
        return float(0.6**capacity * 20 + 0.1 * off**2 + 0.05 * order[params["backend"]])

    def function(params: Params) -> float:
        if (
            params["backend"] == broken
            or params["width"] * params["depth"] * params["batch"] > most
        ):
            raise FailedTrialError("out of memory")
        return loss(params)

    # Small batches leave room for the widest and deepest, and the rate makes up for them.
    small = {"batch": 16, "lr": 10 ** (rate - 0.3), "backend": min(names, key=order.__getitem__)}
    fitting = ({"depth": depth, "width": min(2048, most // (16 * depth))} for depth in range(1, 17))
    at = min(({**shape, **small} for shape in fitting), key=loss)
    return Problem("memory", "failing", space, function, loss(at), at, trials=75)


def makers() -> dict[str, Callable[[int], Problem]]:
    """By name, what makes a problem from a seed."""
    f = formula_of
    made = [
        Failing("branin-half", f("branin", 2), "half", 0.4),
        Failing("camel6-ball", f("camel6", 2), "ball", 0.4),
        Failing("hartmann6-shell", f("hartmann6", 6), "shell", 0.4),
        Failing("levy-d4-half", f("levy", 4), "half", 0.4),
        Failing("ackley-d5-shell", f("ackley", 5), "shell", 0.6),
        Failing("rosenbrock-d4-ball", f("rosenbrock", 4), "ball", 0.3),
        Failing("styblinski-d5-stripes", f("styblinski", 5), "stripes", 0.4),
        Failing("griewank-d3-stripes", f("griewank", 3), "stripes", 0.5),
        Failing("cosine-d4-luck", f("cosine", 4), "luck", 0.2),
        Failing("michalewicz-d5-half", f("michalewicz", 5), "half", 0.4, noise=0.05),
        Failing("goldsteinprice-half", f("goldsteinprice", 2), "half", 0.4),
    ]
    found: dict[str, Callable[[int], Problem]] = {maker.name: maker for maker in made}
    return found | {"training-nan": diverging, "memory": memory}
