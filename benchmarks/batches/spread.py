"""How far apart the points of one batch are, beside Sobol points.

Distances are of coordinates divided by the model's lengthscales, so that 1 is about as far as one
value says something of another.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.stats import qmc

import gpbo
from benchmarks.suite import catalog
from benchmarks.suite.problem import Problem

Array: TypeAlias = NDArray[np.float64]
Row = dict[str, Any]


def observed(problem: Problem, count: int, seed: int) -> gpbo.Optimizer:
    """A study of gpbo's under way: `count` trials that it asked for one by one."""
    opt = gpbo.Optimizer(dict(problem.space), seed=seed, device="cpu")
    for _ in range(count):
        trial = opt.ask()
        assert trial is not None
        opt.tell(trial, problem.true(trial.params))
    return opt


def measure(name: str, seed: int, seen: int, batch: int, scrambles: int) -> Row:
    """Distances in a batch after `seen` observations, and in as many Sobol points.

    batch  of the points proposed; box: of Sobol points in the whole box; near: of Sobol points in
           the smallest box that holds the batch
    """
    problem = catalog.make(name, seed)
    space = gpbo.Space(dict(problem.space))
    trials = observed(problem, seen, seed).ask(batch)
    points = np.array([space.to_row(trial.params) for trial in trials])
    lengthscale = np.array(trials[0].provenance["memory"]["values"]["lengthscale"])
    low, high = points.min(0), points.max(0)
    row: Row = {"problem": name, "seed": seed, "d": points.shape[1], "seen": seen}
    row |= {"points": len(points), "distinct": len(np.unique(points, axis=0))}
    row |= {"lengthscale": [float(f"{one:.4g}") for one in lengthscale]}
    row |= {"sides": [float(f"{one:.4g}") for one in high - low]}
    row["batch"] = distances(points / lengthscale)
    box, near = [], []
    for scramble in range(scrambles):
        u = qmc.Sobol(points.shape[1], rng=np.random.default_rng([seed, scramble])).random(batch)
        box.append(distances(u / lengthscale))
        near.append(distances((low + u * (high - low)) / lengthscale))
    return row | {"box": _middle(box), "near": _middle(near)}


def distances(x: Array) -> dict[str, float]:
    """The least and the median distance of two points: x (n, d)."""
    found = pdist(x)
    return {"least": _short(found.min()), "median": _short(np.median(found))}


def _middle(found: list[dict[str, float]]) -> dict[str, float]:
    """Medians over scrambles."""
    return {key: _short(np.median([one[key] for one in found])) for key in found[0]}


def _short(value: Any) -> float:
    return float(f"{float(value):.6g}")
