"""How likely it is that a trial succeeds, from a belief about 0/1 labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gpbo.acquisition.base import Acquisition
from gpbo.errors import ShapeError, explain
from gpbo.surrogate.base import Posterior

# Added to the variance of a label: one failure among successes may be bad luck, so even beside it
# the value falls to log Phi(-0.5 / 0.1) = -15 and no further.
SLACK = 1e-2
# What each log unit below the least probability costs. The log expected improvement of feasible
# ground falls to about -500 beside a slope that rises towards the failures; this outweighs it.
STEEP = 1e4


class LogFeasibility(Acquisition):
    """Log probability that each point of a set is feasible; the points count as independent.

    `posterior` is the belief about labels that are 1 where a trial succeeded and 0 where it failed;
    success is a label above `even`.

    A point less feasible than `least` is worth less than any that is not, and among such points the
    most feasible is worth most.

    Source   a Gaussian process on the labels in place of a classifier, its sign read as in
             Gardner et al. 2014, "Bayesian optimization with inequality constraints", eq. 4;
             least: Gelbart et al. 2014, arXiv:1403.5607
    """

    def __init__(
        self, posterior: Posterior, slack: float = SLACK, least: float = 0.0, even: float = 0.5
    ) -> None:
        self.posterior, self.slack, self.least, self.even = posterior, slack, least, even

    def __call__(self, x: Tensor) -> Tensor:
        if x.ndim != 3:
            raise ShapeError(
                explain("LogFeasibility", "x is no batch", tuple(x.shape), expected="(b, q, d)")
            )
        mean, variance = self.posterior.mean_variance(x)
        z = (mean - self.even) / (variance + self.slack).sqrt()
        logs: Tensor = torch.special.log_ndtr(z)
        if self.least > 0.0:
            logs = logs + STEEP * (logs - math.log(self.least)).clamp_max(0.0)
        return logs.sum(-1)
