"""Whether a GPU is worth it: what an ask does, timed on both devices, once for each size.

A GPU wins by the size of the matrices and loses by its launches and, on most that are not made for
computing, by a sixty-fourth of the speed in float64. Where the two meet is a matter of the machine,
so it is measured there: the CPU's part takes 0.1 s for 512 observations, 2 s for 2048.
"""

from __future__ import annotations

import math
import time
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch

from gpbo.acquisition.improvement import Goal, improvement
from gpbo.maximizer import Situation, propose
from gpbo.space import Float, Space
from gpbo.strategy.belief import domain_of
from gpbo.surrogate.evidence import Data, LogPosterior, encode
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.posterior import GaussianPosterior
from gpbo.surrogate.prior import default_priors

SIZES = (128, 2048)  # below, launches cost more than all the work; beyond, both grow alike
EVALUATIONS = 4  # of the log posterior, as in a fit from the last hyperparameters
TIMES, ENOUGH = 3, 0.1  # the quickest of so many runs counts, or of fewer that take so many seconds


class Measured(NamedTuple):
    """Seconds of the same work on both devices."""

    observations: int
    cpu: float
    gpu: float

    def __str__(self) -> str:
        return (
            f"measured beside {self.observations} observations: "
            f"cpu {1e3 * self.cpu:.3g} ms, gpu {1e3 * self.gpu:.3g} ms"
        )


def measure(observations: int, columns: int, device: torch.device) -> Measured | None:
    """What an ask costs on the CPU and on a GPU; None where there is too little to do for a GPU.

    Measured once in a process for each power of two: at or below the observations and at most 2048,
    at or above the columns.
    """
    if observations < SIZES[0]:
        return None
    n = min(1 << (observations.bit_length() - 1), SIZES[1])
    return _measure(n, 1 << max(columns - 1, 0).bit_length(), device)


@lru_cache(maxsize=64)
def _measure(n: int, d: int, gpu: torch.device) -> Measured:
    try:
        return Measured(n, _quickest(n, d, torch.device("cpu")), _quickest(n, d, gpu))
    except RuntimeError:  # no memory, or no driver that works
        return Measured(n, 0.0, math.inf)


def _quickest(n: int, d: int, device: torch.device) -> float:
    work(SIZES[0], d, 0, device)  # libraries load
    seconds: list[float] = []
    while len(seconds) < TIMES and sum(seconds) < ENOUGH:
        began = time.perf_counter()
        work(n, d, 1 + len(seconds), device)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def work(n: int, d: int, run: int, device: torch.device) -> None:
    """Evaluations of a fit, a factor with its inverse, and the search for a proposal, whose many
    small steps are what a GPU is slow at; other data each run.
    """
    rng = np.random.default_rng(run)
    x = torch.from_numpy(rng.random((n, d))).to(device)
    y = torch.from_numpy(rng.standard_normal(n)).to(device)
    data, priors = Data.build(x, y), default_priors(d)
    values = Hyperparameters((priors.lengthscale.mode,) * d, 1.0, 0.1)
    target, theta = LogPosterior(data, priors), encode(values, x).unsqueeze(0)
    for _ in range(EVALUATIONS):
        target(theta)
    posterior = GaussianPosterior.build(data, values)
    goal = Goal(float(y.max()), 0.0, None, 0.0, 0.5, x.new_zeros(0, 0))
    domain = domain_of(Space({f"x{k}": Float(0, 1) for k in range(d)}), device)
    situation = Situation(x, y, x[:0], posterior.lengthscale)
    found = propose(partial(improvement, posterior, goal), domain, 1, situation, rng)
    float(found[1])  # waits for the device
