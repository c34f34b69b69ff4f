"""Many points at once: each is the best candidate of one function drawn from a belief."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gpbo.acquisition.feasible import LogFeasibility
from gpbo.acquisition.thompson import distinct_best, sample
from gpbo.maximizer.landscape import Taken
from gpbo.strategy.belief import Belief
from gpbo.strategy.goal import least_success


def draw(
    belief: Belief,
    pool: Tensor,
    n: int,
    known: Tensor,
    pending: Tensor,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Up to n distinct points of the pool that are neither known nor pending, and their values.

    A value is the function's that was drawn, as a target, and the log of the chance of success,
    counted as in LogFeasibility. The belief is conditioned on the pending points.

    Shapes   pool (m, p), known (n, p), pending (q, p), snapped -> (k, p), (k,); k <= n
    Raises   FactorizationError  if the covariance of the candidates has no factor
    """
    domain = belief.domain
    taken = Taken(domain)
    taken.add(known)
    taken.add(pending)
    if domain.n_discrete:
        pool = torch.unique(pool, dim=0)
    z = pool[~taken.mask(pool)]
    if len(z) == 0:
        return z, z.new_zeros(0)
    x = domain.embed(z)
    values = sample(belief.posterior.condition(domain.embed(pending), None), x, n, rng)
    if belief.success is not None:
        least = least_success(belief)
        chance = LogFeasibility(belief.success.posterior, least=least, even=belief.even)
        values += chance(x.unsqueeze(1))
    best = distinct_best(values)
    return z[best], values[torch.arange(len(best), device=best.device), best]
