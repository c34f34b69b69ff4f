"""A part of the domain around one of its points: what lies in it, and candidates drawn from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gpbo.maximizer.domain import CATEGORY, LATTICE, Domain
from gpbo.maximizer.settings import Settings
from gpbo.maximizer.start import even

# Categories have no length: a candidate changes about so many, each with a chance of a half at
# most, as the local candidates in start.py do.
CATEGORIES = 2


@dataclass(frozen=True, eq=False)
class Box:
    """Points whose ordered coordinates lie between two ends, with any category.

    Shapes   center (p,), snapped; lower and upper (p,), in [0, 1]
    """

    center: Tensor
    lower: Tensor
    upper: Tensor

    @classmethod
    def around(
        cls, domain: Domain, center: Tensor, length: float, lengthscale: Tensor | None = None
    ) -> Box:
        """Sides in proportion to the lengthscales, with `length` as their geometric mean.

        The next level to either side of an ordered coordinate is inside, however short its side.

        Shapes   center (p,), lengthscale (p,) or None: a cube
        Source   Eriksson et al. 2019, arXiv:1910.01739, section 2
        """
        category = domain.kind == CATEGORY
        half = torch.full_like(center, 0.5 * length)
        if lengthscale is not None and not bool(category.all()):
            logs = lengthscale.log()
            half = half * (logs - logs[~category].mean()).exp()
        lower, upper = (center - half).clamp_min(0.0), (center + half).clamp_max(1.0)
        if domain.n_discrete:
            j, index = domain.discrete, domain.index(center)
            below = domain.positions((index - 1).clamp_min(0))
            above = domain.positions((index + 1).minimum(domain.count[j] - 1))
            lower[j], upper[j] = lower[j].minimum(below), upper[j].maximum(above)
        return cls(center, lower.masked_fill(category, 0.0), upper.masked_fill(category, 1.0))

    def contains(self, domain: Domain, z: Tensor) -> Tensor:
        """Which points lie inside; what is inactive there or at the centre may be anything.

        Shapes   z (n, p), snapped -> bool (n,)
        """
        inside = (z >= self.lower - 1 / LATTICE) & (z <= self.upper + 1 / LATTICE)
        if domain.generations:
            inside |= ~(domain.active(z) & domain.active(self.center))
        return inside.all(-1)

    def candidates(self, domain: Domain, n: int, rng: np.random.Generator) -> Tensor:
        """Quasi-random points inside that differ from the centre in some coordinates only.

        Each coordinate is changed with a chance of min(1, moved / p), where `Settings` has moved,
        and one of them certainly. What is inactive at the centre, and active in a candidate, is
        anything.

        Shapes   -> (n, p), snapped; not all distinct where coordinates are discrete
        Source   Eriksson et al. 2019, arXiv:1910.01739, supplement; Regis & Shoemaker 2013,
                 doi:10.1080/0305215X.2012.687731
        """
        u = even(domain.p, n, rng, self.center.device)
        chance = torch.full_like(self.center, min(1.0, Settings().moved / domain.p))
        category = domain.kind == CATEGORY
        count = int(category.sum())
        if count:
            chance[category] = chance[category].clamp_max(min(0.5, CATEGORIES / count))
        changed = torch.from_numpy(rng.random((n, domain.p))).to(u) < chance
        one = torch.from_numpy(rng.integers(domain.p, size=(n, 1))).to(u.device)
        changed = changed.scatter(1, one, True)
        z = torch.where(changed, self.lower + (self.upper - self.lower) * u, self.center)
        if domain.generations:
            z = torch.where(domain.active(self.center), z, u)
        return domain.snap(z)
