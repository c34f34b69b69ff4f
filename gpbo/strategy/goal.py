"""What the next point is chosen for, by every strategy with a model: expected improvement over the
best mean, beside what is pending, where trials succeed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from gpbo.acquisition.base import Acquisition
from gpbo.acquisition.feasible import SLACK
from gpbo.acquisition.improvement import Goal, improvement
from gpbo.acquisition.montecarlo import normal_base_samples
from gpbo.strategy.belief import Belief
from gpbo.strategy.crowd import GAIN
from gpbo.surrogate.posterior import GaussianPosterior

BASE_SAMPLES = 128  # of what pending trials may turn out to be
# Below this noise variance of the targets, pending trials count as observed at their means:
# decision 21.
EXACT_NOISE = 1e-3
# Shares of the learned noise that count as noise, in turn. Without any, proposals repeat the best
# category for ever on 6 of 12 seeds of a mixed function; with all of it, refinement on Branin is 50
# times worse in the mean of 5 seeds; in turn, 2 of 12 and 9 times.
# Beside pending points none does: it would keep a batch from refining. Batches of 8 ended 0.74 and
# 0.45 decades lower for it, 8 workers 0.45 and 0.42, on 6 problems to tune on and 12 to report on
# (6 and 3 seeds). Where a coordinate is discrete it stays, for 2 of 6 seeds of Hartmann's function
# with categories got stuck without it, none with it.
NOISE = (1.0, 0.1)
# The probability of success that a proposal should have. Where the optimum lies at a wall, 47 % of
# the later proposals fail with this, 32 % with 0.75, and 30 % with 0.9 and at every third 0.5. But
# where good ground lies beyond failing ground, studies then stayed on the wrong side: a regret of
# 390, not 8.6, on Rosenbrock's function with stripes; 37, not 0.02, on Styblinski and Tang's.
LEAST_SUCCESS = 0.5
# And where so much is more than unknown ground has, nearly what that has: else two or three early
# failures close all that was never tried. Decision 15 in docs has the measurements.
OF_UNKNOWN = 0.98


def least_success(belief: Belief) -> float:
    """The probability of success that a proposal should have."""
    success = None if belief.success is None else belief.success.posterior
    if not isinstance(success, GaussianPosterior):
        return LEAST_SUCCESS
    unknown = (success.constant - belief.even) / math.sqrt(success.outputscale + SLACK)
    return min(LEAST_SUCCESS, OF_UNKNOWN * float(ndtr(unknown)))


def acquisition_for(
    belief: Belief, turn: int, beside: int, rng: np.random.Generator
) -> Callable[[Tensor], Acquisition]:
    """From the pending points, those chosen so far among them, to what the next one is worth.

    Shapes   of its argument (m, d), with m at most `beside`
    Needs    turn: how many asks there were before
    """
    best = float(belief.means().max())
    if belief.overview:  # what looks past a crowd shall not go back to it for next to nothing
        best += GAIN
    exact = belief.noise < EXACT_NOISE
    samples = normal_base_samples(1 if exact else BASE_SAMPLES, beside, rng, belief.tried.device)
    if exact:  # one is drawn all the same, so that rng goes on alike
        samples = torch.zeros_like(samples)
    success = None if belief.success is None else belief.success.posterior
    even, least = belief.even, least_success(belief)

    def acquisition(pending: Tensor) -> Acquisition:
        noise = belief.noise * NOISE[(turn + len(pending)) % len(NOISE)]
        if len(pending) and not belief.domain.n_discrete:
            noise = 0.0
        return improvement(
            belief.posterior, Goal(best, noise, success, least, even, samples), pending
        )

    return acquisition
