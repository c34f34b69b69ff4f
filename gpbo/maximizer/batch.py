"""The q points to try next: one after the other, each counting those chosen before as pending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gpbo.acquisition.base import Acquisition
from gpbo.errors import ShapeError, explain
from gpbo.maximizer.box import Box
from gpbo.maximizer.discrete import Moves, ascend, climb_from
from gpbo.maximizer.domain import Domain
from gpbo.maximizer.landscape import Landscape, Taken
from gpbo.maximizer.settings import Settings
from gpbo.maximizer.start import best_known, candidates, choose, spread

Factory = Callable[[Tensor], Acquisition]  # encoded pending points (m, d) -> what to maximize

DRAWS = 64  # times `chunk` random points that are looked at for one that is not taken


@dataclass(frozen=True, eq=False)
class Situation:
    """What the search knows when it begins.

    Shapes   known (n, p), quality (n,), pending (m, p), lengthscale (p,) or None
    """

    known: Tensor  # every point that was tried; nan where inactive is fine
    quality: Tensor  # how good each is, larger is better; nan where it failed
    pending: Tensor  # points that are being tried
    lengthscale: Tensor | None = None  # the model's, of each coordinate
    box: Box | None = None  # where to search; None: everywhere


def propose(
    acquisition: Factory,
    domain: Domain,
    q: int,
    situation: Situation,
    rng: np.random.Generator,
    settings: Settings | None = None,
) -> tuple[Tensor, Tensor]:
    """The q points that are worth most together, found greedily, and the value of each.

    `acquisition` is called once for each point, with the encoding of what is pending by then: the
    situation's pending points, then those chosen so far. A value is what the acquisition of that
    moment gives, so values of one batch are not compared.

    With a box, all of them lie in it while it has points that are not taken.

    No point is among the known, the pending or each other. Fewer than q come back where a finite
    domain has no more; nothing else makes it fail, whatever the acquisition's values are.

    Shapes   -> z (k, p), snapped, values (k,); k <= q
    Raises   ShapeError  if the situation does not fit the domain
    """
    settings = settings or Settings()
    _check(domain, situation)
    known, pending = domain.snap(situation.known), domain.snap(situation.pending)
    taken = Taken(domain)
    taken.add(known)
    taken.add(pending)
    good = best_known(known, situation.quality, settings)
    chosen: list[Tensor] = []
    values: list[Tensor] = []
    tops = known[:0]
    for _ in range(q):
        model = acquisition(domain.embed(torch.cat([pending, *chosen])))
        landscape = Landscape(model, domain, settings, situation.lengthscale, taken, situation.box)
        z, reached = _search(landscape, good, tops, rng)
        number = taken.first(z, reached.argsort(descending=True, stable=True))
        if number is None:
            z = _unseen(domain, taken, rng, settings)
            if z.shape[0] == 0:
                break
            reached = replace(landscape, box=None).values(z)
            number = 0
        chosen.append(z[number : number + 1])
        values.append(reached[number : number + 1])
        taken.add(chosen[-1])
        tops = z[: settings.starts]
    return torch.cat([known[:0], *chosen]), torch.cat([known.new_zeros(0), *values])


def _search(
    landscape: Landscape, good: Tensor, tops: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Points worth proposing and their values: where the climbs ended, then the candidates.

    Shapes   good (k, p), tops (t, p): where the climbs for the last point ended
    """
    domain, settings = landscape.domain, landscape.settings
    box = landscape.box
    if domain.size is not None and domain.size <= settings.exhaustive:
        return _all_left(landscape)
    if box is None:
        pool = torch.cat([tops, good[:1], candidates(domain, good, rng, settings)])
    else:
        near = box.candidates(domain, settings.sobol + settings.local, rng)
        pool = torch.cat([tops, box.center.unsqueeze(0), near])
    if domain.size is not None:
        pool = torch.unique(pool, dim=0)
    values = landscape.values(pool)
    order = values.argsort(descending=True, stable=True)
    pool, values = pool[order], values[order]
    starts = choose(domain, pool, values, rng, settings)
    z, reached = pool[starts], values[starts]
    if domain.n_discrete:
        moves = Moves.build(domain, pool, rng, settings)
        z, reached = ascend(landscape, moves, z, reached)
    else:
        z, reached = climb_from(landscape, z, reached)
    return torch.cat([z, pool]), torch.cat([reached, values])


def _all_left(landscape: Landscape) -> tuple[Tensor, Tensor]:
    """Every point that is not taken, of the box while it has one, and the values."""
    domain, box = landscape.domain, landscape.box
    z = domain.enumerate()
    z = z[~landscape.taken.mask(z)]
    if box is not None:
        inside = box.contains(domain, z)
        if not bool(inside.any()):
            return z, replace(landscape, box=None).values(z)
        z = z[inside]
    return z, landscape.values(z)


def _unseen(domain: Domain, taken: Taken, rng: np.random.Generator, settings: Settings) -> Tensor:
    """One point that is not taken, at random: (1, p); (0, p) if there is none."""
    few = settings.exhaustive + 2 * len(taken)
    if domain.size is None or domain.size > few:
        for _ in range(DRAWS):
            z = spread(domain, settings.chunk, rng)
            free = z[~taken.mask(z)]
            if free.shape[0]:
                return free[:1]
    if domain.size is None:  # cannot be: its points have measure zero
        return domain.levels.new_zeros(0, domain.p)
    left = domain.enumerate()
    left = left[~taken.mask(left)]
    at = int(rng.integers(max(1, left.shape[0])))
    return left[at : at + 1]


def _check(domain: Domain, situation: Situation) -> None:
    n = situation.known.shape[0]
    for name, shape in (("known", (n, domain.p)), ("quality", (n,))):
        if getattr(situation, name).shape != shape:
            got = tuple(getattr(situation, name).shape)
            raise ShapeError(explain(f"propose {name}", "wrong shape", got, expected=f"{shape}"))
    if situation.pending.ndim != 2 or situation.pending.shape[1] != domain.p:
        got = tuple(situation.pending.shape)
        raise ShapeError(
            explain("propose pending", "wrong shape", got, expected=f"(m, {domain.p})")
        )
