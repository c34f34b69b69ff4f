"""What one more point promises: improvement, news, and that it succeeds. One sum, two ways.

On a CPU with the compiled library, for an exact Gaussian process, values, gradients and whole
climbs are single calls (`CompiledImprovement`). Anywhere else it is the sum of its terms, as they
are in analytic.py, montecarlo.py, news.py and feasible.py; the tests hold the two together, but for
places so near to a pending point that a variance is rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gpbo.acquisition.analytic import LogExpectedImprovement
from gpbo.acquisition.base import Acquisition, Box, Stop, SumOfLogs, single
from gpbo.acquisition.feasible import SLACK, STEEP, LogFeasibility
from gpbo.acquisition.montecarlo import ConditionalLogExpectedImprovement, pending_samples
from gpbo.acquisition.news import LogNews
from gpbo.ops import improvement as ops
from gpbo.surrogate.base import Posterior
from gpbo.surrogate.posterior import LEAST, GaussianPosterior

# A variance that is rounding counts as LEAST of the outputscale. That promises more than the place
# of a pending point can hold, and all points of a large batch would go to the best of them: 40 of
# 64 did, once a study had found its optimum. So beside more than FEW pending points such a variance
# counts as KNOWN, which is next to nothing. Not beside fewer: the last points of a small batch
# refine the optimum there. Decision 21 in docs has the measurements.
KNOWN, FEW = 1e-30, 8


@dataclass(frozen=True, eq=False)
class Goal:
    """What an improvement is over, and what goes with it.

    Shapes   base_samples (S, at least m) for m pending points
    """

    best: float  # the value to be better than
    noise: float  # variance of one observation: what it cannot say counts less; 0: it says all
    success: Posterior | None  # the belief about labels, 1 where a trial succeeded; None: all do
    least: float  # the probability of success that a point should have
    even: float  # the label that counts as even odds of success
    base_samples: Tensor  # of what the pending points may turn out to be


def improvement(posterior: Posterior, goal: Goal, pending: Tensor) -> Acquisition:
    """The log of what one more point adds to the pending ones, as an acquisition of single points.

    Shapes   pending (m, d)
    """
    success = goal.success
    if (
        isinstance(posterior, GaussianPosterior)
        and isinstance(success, GaussianPosterior | None)
        and ops.available(pending.device)
    ):
        return CompiledImprovement(posterior, success, goal, pending)
    terms: list[Acquisition]
    if len(pending):
        base = goal.base_samples
        terms = [
            ConditionalLogExpectedImprovement(posterior, goal.best, pending, base, noise=goal.noise)
        ]
    else:
        terms = [LogExpectedImprovement(posterior, goal.best)]
        if goal.noise > 0:
            terms.append(LogNews(posterior, goal.noise))
    if success is not None:
        terms.append(LogFeasibility(success, least=goal.least, even=goal.even))
    return SumOfLogs(terms)


class CompiledImprovement(Acquisition):
    """`improvement` for an exact Gaussian process on the CPU.

    Pending points are taken for observed without noise, in each of S ways: that changes the
    weights of the mean from way to way, and the variance once.

    Raises   ShapeError  when called with more than one point a set
    """

    def __init__(
        self,
        posterior: GaussianPosterior,
        success: GaussianPosterior | None,
        goal: Goal,
        pending: Tensor,
    ) -> None:
        points, inverse = posterior.x, posterior.inverse_lower
        weights, best = posterior.weights.unsqueeze(0), posterior.x.new_tensor([goal.best])
        known = LEAST if len(pending) <= FEW else KNOWN
        if len(pending):
            values = pending_samples(posterior, pending, goal.base_samples)
            points, inverse, weights = posterior.given(pending, values)
            best = values.amax(1).clamp_min(goal.best)
        self.promise = ops.Promise(
            kernel="matern52",
            objective=_terms(posterior, points, inverse, weights, known),
            best=best,
            noise=goal.noise,
            success=None if success is None else _success_terms(success, goal.even),
            slack=SLACK,
            least=goal.least,
            steep=STEEP,
        )

    def __call__(self, x: Tensor) -> Tensor:
        x = single("improvement", x)
        if x.requires_grad and torch.is_grad_enabled():
            result: Tensor = _Improvement.apply(x, self.promise)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            return result
        return ops.evaluate(self.promise, x)[0]

    def climb(self, x: Tensor, box: Box, scale: Tensor, stop: Stop) -> tuple[Tensor, Tensor]:
        return ops.climb(self.promise, x, box, scale, stop)


class _Improvement(torch.autograd.Function):
    """The value; its gradient comes from the same call."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, promise: ops.Promise) -> Tensor:
        value, gradient = ops.evaluate(promise, x, gradient=True)
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return grad.unsqueeze(-1) * gradient, None


def _terms(
    posterior: GaussianPosterior,
    points: Tensor,
    inverse: Tensor,
    weights: Tensor,
    known: float = LEAST,
) -> ops.BeliefTerms:
    return ops.BeliefTerms(
        points=points.contiguous(),
        lengthscale=posterior.lengthscale.contiguous(),
        inverse=inverse,
        weights=weights.contiguous(),
        outputscale=posterior.outputscale,
        constant=posterior.constant,
        least=LEAST * posterior.outputscale,
        known=known * posterior.outputscale,
    )


def _success_terms(success: GaussianPosterior, even: float) -> ops.BeliefTerms:
    """With labels moved so that those with even odds are 0.5, which the compiled code expects."""
    weights = success.weights.unsqueeze(0)
    terms = _terms(success, success.x, success.inverse_lower, weights)
    return replace(terms, constant=terms.constant + (0.5 - even))
