"""Problems whose parameters exist in one branch of a choice only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpbo
from benchmarks.suite.formulas import Formula
from benchmarks.suite.placed import Placed, place
from benchmarks.suite.problem import Params, Problem, stream, with_noise
from benchmarks.suite.synthetic import formula_of

JENATTON = "Jenatton et al. 2017, Bayesian optimization with tree-structured dependencies, ICML"
LEVESQUE = "after Levesque et al. 2017, Bayesian optimization for conditional hyperparameter spaces"
OFFSETS = 0.2  # how much worse the best point of the next branch is, in typical losses


@dataclass(frozen=True)
class Branches:
    """A choice of formulas of different dimensions, with coordinates that all of them share.

    The branch with the lowest point is another one for each seed.
    """

    name: str
    formulas: tuple[Formula, ...]
    shared: int = 0
    noise: float = 0.0

    def __call__(self, seed: int) -> Problem:
        """The problem as the seed places it."""
        rng = stream("branches", self.name, seed)
        placed = [place(formula, seed) for formula in self.formulas]
        scales = [_loss(one) for one in placed]
        order = rng.permutation(len(placed))
        common = rng.uniform(0.1, 0.4, self.shared) + 0.5 * (rng.random(self.shared) < 0.5)
        branches = {
            f"b{k}": {f"x{i}": gpbo.Float(0.0, 1.0) for i in range(formula.d)} or None
            for k, formula in enumerate(self.formulas)
        }
        space: dict[str, Any] = {"branch": gpbo.Choice(branches)}
        space |= {f"s{k}": gpbo.Float(0.0, 1.0) for k in range(self.shared)}

        def function(params: Params) -> float:
            k = int(params["branch"][1:])
            formula = self.formulas[k]
            u = np.array([params[f"x{i}"] for i in range(formula.d)])
            loss = (float(placed[k](u)[0]) - formula.optimum) / scales[k]
            away = sum(4 * (params[f"s{i}"] - at) ** 2 for i, at in enumerate(common))
            return loss + OFFSETS * float(order[k]) + float(away)

        best = int(order.argmin())
        at: Params = {"branch": f"b{best}"}
        at |= {f"x{i}": float(u) for i, u in enumerate(placed[best].at)}
        at |= {f"s{k}": float(u) for k, u in enumerate(common)}
        trials = 75 if len(placed) <= 3 else 100
        problem = Problem(self.name, "conditional", space, function, 0.0, at, 0.0, trials, LEVESQUE)
        return with_noise(problem, self.noise)


def _loss(placed: Placed) -> float:
    points = stream("loss", placed.formula.name, 0).random((512, placed.formula.d))
    return float(np.median(placed(points)) - placed.formula.optimum)


def tree(seed: int) -> Problem:
    """A tree of three choices, a square in each leaf, a shared parameter in each half."""
    rng = stream("tree", "jenatton", seed)
    places = rng.uniform(-0.8, 0.8, 6)  # of the four leaves and of the two shared ones
    order = rng.permutation(4)
    leaf = [{f"x{4 + k}": gpbo.Float(-1.0, 1.0)} for k in range(4)]
    halves = [
        {f"x{2 + k}": gpbo.Choice({0: leaf[2 * k], 1: leaf[2 * k + 1]}),
         f"r{8 + k}": gpbo.Float(0.0, 1.0)}
        for k in range(2)
    ]  # fmt: skip

    def function(params: Params) -> float:
        half = params["x1"]
        k = 2 * half + params[f"x{2 + half}"]
        square = (params[f"x{4 + k}"] - places[k]) ** 2
        return square + 0.1 + 0.1 * float(order[k]) + abs(params[f"r{8 + half}"] - bottom[half])

    bottom = [abs(place) for place in places[4:]]
    best = int(order.argmin())
    half = best // 2
    at = {"x1": half, f"x{2 + half}": best % 2, f"r{8 + half}": float(bottom[half])}
    at[f"x{4 + best}"] = float(places[best])
    space = {"x1": gpbo.Choice({0: halves[0], 1: halves[1]})}
    return Problem("jenatton-tree", "conditional", space, function, 0.1, at, 0.0, 60, JENATTON)


def training(seed: int) -> Problem:
    """A loss as a training has it: decades of it, a valley in the learning rate for each optimizer.

    The loss is 0.05 at the best params. Too large a rate multiplies it by up to 1e6.
    """
    rng = stream("training", "training", seed)
    rate = {"sgd": rng.uniform(-2, -0.5), "adam": rng.uniform(-4, -2.5), "rms": -3.5}
    order = dict(zip(rate, rng.permutation(3).tolist(), strict=True))
    width, drop = float(rng.uniform(5, 8)), round(float(rng.uniform(0.1, 0.4)) / 0.05) * 0.05
    depth, momentum, beta = int(rng.integers(2, 6)), float(rng.uniform(0.6, 0.95)), 0.97
    space = {
        "lr": gpbo.Float(1e-6, 10.0, log=True),
        "width": gpbo.Int(16, 1024, log=True),
        "depth": gpbo.Int(1, 8),
        "dropout": gpbo.Float(0.0, 0.5, step=0.05),
        "optimizer": gpbo.Choice(
            {
                "sgd": {"momentum": gpbo.Float(0.0, 0.99), "nesterov": gpbo.Bool()},
                "adam": {"beta": gpbo.Float(0.8, 0.999), "decay": gpbo.Float(1e-6, 0.1, log=True)},
                "rms": None,
            }
        ),
    }
    wide = min(max(round(2**width), 16), 1024)

    def function(params: Params) -> float:
        name = params["optimizer"]
        excess = math.log10(params["lr"]) - rate[name] - 0.3 * (depth - params["depth"]) / 4
        log_loss = 0.25 * excess**2 if excess < 0 else 0.5 * excess**2 + 0.8 * excess**3
        log_loss += 0.02 * (math.log2(params["width"]) - math.log2(wide)) ** 2
        log_loss += 0.03 * (params["depth"] - depth) ** 2 + 2 * (params["dropout"] - drop) ** 2
        if name == "sgd":
            log_loss += 0.5 * (params["momentum"] - momentum) ** 2 + 0.02 * (not params["nesterov"])
        if name == "adam":
            log_loss += 5 * (params["beta"] - beta) ** 2
            log_loss += 0.02 * (math.log10(params["decay"]) + 3.0) ** 2
        return 0.05 * 10 ** min(log_loss + 0.15 * order[name], 6.0)

    best = min(order, key=lambda name: order[name])
    at: Params = {"lr": 10 ** rate[best], "width": wide, "depth": depth}
    at |= {"dropout": 0.05 * round(drop / 0.05), "optimizer": best}
    extra: dict[str, Params] = {
        "sgd": {"momentum": momentum, "nesterov": True},
        "adam": {"beta": beta, "decay": 1e-3},
    }
    at |= extra.get(best, {})
    return Problem("training", "conditional", space, function, 0.05, at, trials=75)


def makers() -> dict[str, Callable[[int], Problem]]:
    """By name, what makes a problem from a seed."""
    f = formula_of
    shapes = [
        ("branches2", (("branin", 2), ("hartmann6", 6)), 0, 0.0),
        ("branches3", (("ackley", 3), ("levy", 4), ("camel6", 2)), 1, 0.0),
        ("branches4", (("styblinski", 2), ("cosine", 4), ("rosenbrock", 3), ("sharp", 2)), 2, 0.0),
        ("branches6", tuple((n, 2) for n in ("levy", "griewank", "beale", "camel3", "mccormick",
                                             "alpine")), 2, 0.0),
        ("branches3n", (("hartmann3", 3), ("zakharov", 2), ("dixonprice", 4)), 1, 0.05),
    ]  # fmt: skip
    made: dict[str, Callable[[int], Problem]] = {
        name: Branches(name, tuple(f(*pair) for pair in pairs), shared, noise)
        for name, pairs, shared, noise in shapes
    }
    return made | {"jenatton-tree": tree, "training": training}
