"""A problem of the suite: what may be tried, what it gives, and what would be best.

A problem belongs to a family, for example all that are made from Ackley's function. Families, not
problems, are shared out between two halves: one to tune gpbo on and one to report on, so that what
was tuned on never meets itself in a report in another dimension or with noise.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

import gpbo

Params: TypeAlias = dict[str, Any]
Half: TypeAlias = Literal["tune", "report"]

SALT = "suite 2098"  # of 3000 the one that splits every kind of problem most evenly
DRAWS = 512
NOISE_DRAWS = 128
KINDS = (
    "synthetic",  # 2 to 20 dimensions, no noise
    "noisy",
    "high-dimensional",  # few of 20 to 500 coordinates count
    "mixed",  # integers, categories
    "conditional",  # parameters that exist in one branch only
    "failing",  # regions without a value
    "learning",  # a model is trained
    "table",  # a model was trained for every combination
)


class FailedTrialError(Exception):
    """The objective has no value here, as a training that diverges or runs out of memory."""


@dataclass(frozen=True)
class Problem:
    """One instance, to be minimized; another seed of the same name has its optimum elsewhere.

    name      family and variant, such as "ackley-d10-noise"
    kind      one of KINDS
    space     gpbo parameters by name
    function  params -> value without noise; raises FailedTrialError or returns nan where it fails
    optimum   the lowest value; None where nobody knows it
    at        params that give the optimum, where they are known
    noise     standard deviation of what a trial is told, around the function's value
    trials    how many a study has
    source    where the function and its optimum were published
    """

    name: str
    kind: str
    space: Mapping[str, Any]
    function: Callable[[Params], float]
    optimum: float | None
    at: Params | None = None
    noise: float = 0.0
    trials: int = 60
    source: str = ""

    @property
    def family(self) -> str:
        """The part of the name that all variants share."""
        return self.name.partition("-")[0]

    @property
    def half(self) -> Half:
        """Which half of the suite it is in."""
        return half_of(self.family)

    def true(self, params: Mapping[str, Any]) -> float:
        """The value without noise; nan where the objective fails."""
        try:
            value = float(self.function(dict(params)))
        except FailedTrialError:
            return math.nan
        return value if math.isfinite(value) else math.nan


def half_of(family: str) -> Half:
    """A coin that falls the same way for ever."""
    digest = hashlib.sha256(f"{SALT}:{family}".encode()).digest()
    return "tune" if digest[0] % 2 else "report"


def typical(problem: Problem, draws: int = DRAWS) -> float:
    """The median value of random params, without noise: what a regret is measured against."""
    space, rng = gpbo.Space(dict(problem.space)), stream("typical", problem.name, 0)
    values = [problem.true(space.sample(rng)) for _ in range(draws)]
    return float(np.nanmedian(values))


def with_noise(problem: Problem, share: float) -> Problem:
    """The problem with noise, in shares of what random params lose against the optimum."""
    if not share or problem.optimum is None:
        return problem
    return replace(problem, noise=share * (typical(problem, NOISE_DRAWS) - problem.optimum))


def stream(purpose: str, name: str, seed: int) -> np.random.Generator:
    """Random numbers of their own for a purpose, a name and a seed."""
    digest = hashlib.sha256(f"{purpose}:{name}".encode()).digest()
    return np.random.default_rng([seed, *digest[:8]])
