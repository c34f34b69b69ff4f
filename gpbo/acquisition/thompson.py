"""Thompson sampling: each point is the best of one function that the belief holds for possible."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gpbo.linalg import cholesky
from gpbo.surrogate.base import Posterior

# Added to every variance, relative to their mean: candidates lie close together, so their joint
# covariance is singular to rounding, and each attempt to factorize it costs as much as the last.
NUGGET = 1e-6
LEAST = 1e-12  # where the belief is certain of everything


def sample(posterior: Posterior, x: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """What the function may be at all points, jointly, in so many ways.

    Shapes   x (m, d) -> (count, m)
    Raises   FactorizationError  if the covariance of the points has no factor
    """
    with torch.no_grad():
        mean, covariance = posterior.joint(x)
        diagonal = covariance.diagonal()
        diagonal.add_(NUGGET * diagonal.mean().clamp_min(LEAST))
        lower = cholesky(covariance).lower
        base = torch.from_numpy(rng.standard_normal((count, len(x)))).to(x)
        return mean + base @ lower.mT


def distinct_best(values: Tensor) -> Tensor:
    """The best point of each row that no row before it has taken.

    Shapes   values (q, m) -> long (min(q, m),)
    """
    left = torch.zeros_like(values[0]) if len(values) else values.new_zeros(values.shape[1])
    found = []
    for row in values[: values.shape[1]]:
        best = (row + left).argmax()
        left.index_fill_(0, best.view(1), -torch.inf)  # a GPU need not be waited for
        found.append(best)
    return torch.stack(found) if found else torch.zeros(0, dtype=torch.long, device=values.device)
