"""Where the search begins: candidates all over the domain and near what is known to be good."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from gpbo.maximizer.domain import LEVELS, Domain
from gpbo.maximizer.settings import Settings
from gpbo.quasirandom import MOST_COLUMNS, sobol_points

# A local candidate changes about this many discrete coordinates, each with a chance of a half at
# most: enough to leave a level, few enough to stay local.
DISCRETE_MOVES = 2


def best_known(known: Tensor, quality: Tensor, settings: Settings) -> Tensor:
    """The best share of the known points, the best first; one at least, where one succeeded.

    Shapes   known (n, p), quality (n,): larger is better, nan where it failed -> (k, p)
    """
    usable = int((~torch.isnan(quality)).sum())
    order = quality.nan_to_num(nan=-torch.inf).argsort(descending=True, stable=True)
    return known[order[: min(usable, max(1, int(settings.best_share * usable)))]]


def candidates(
    domain: Domain, good: Tensor, rng: np.random.Generator, settings: Settings
) -> Tensor:
    """Points all over the domain and, where good ones are known, points near those.

    Shapes   good (k, p), snapped -> (settings.sobol + settings.local, p), snapped
    """
    everywhere = spread(domain, settings.sobol, rng)
    if good.shape[0] == 0 or settings.local == 0:
        return everywhere
    return torch.cat([everywhere, nearby(domain, good, rng, settings)])


def spread(domain: Domain, n: int, rng: np.random.Generator) -> Tensor:
    """Quasi-random points: every category alike, whatever hangs on it.

    One scrambled Sobol sequence, turned by a random amount in each coordinate: to scramble it anew
    would take as long as a fit.

    Shapes   -> (n, p), snapped
    Source   Cranley & Patterson 1976, doi:10.1137/0713071
    """
    return domain.snap(even(domain.p, n, rng, domain.kind.device))


def even(p: int, n: int, rng: np.random.Generator, device: torch.device) -> Tensor:
    """The points of `spread` as they come: (n, p) in [0, 1)."""
    if p > MOST_COLUMNS:
        return torch.from_numpy(rng.random((n, p))).to(device)
    shift = torch.from_numpy(rng.random(p)).to(device)
    return (_sobol(p, n, device) + shift) % 1.0


@lru_cache(maxsize=8)
def _sobol(p: int, n: int, device: torch.device) -> Tensor:
    return sobol_points(p, n, seed=0).to(device)


def nearby(domain: Domain, good: Tensor, rng: np.random.Generator, settings: Settings) -> Tensor:
    """Steps away from the given points: truncated normals, and moves to other levels.

    Where there are many coordinates, half of the points change some of them only.

    Shapes   good (k, p), snapped -> (settings.local, p), snapped
    Source   Regis & Shoemaker 2013, doi:10.1080/0305215X.2012.687731 (changing few coordinates)
    """
    n, p = settings.local, domain.p
    center = good[torch.arange(n, device=good.device) % good.shape[0]]
    u = _uniform(rng, (n, p), good)
    z = _truncated_normal(center, settings.sigma, u)
    if domain.n_discrete:
        z = _move_levels(domain, center, z, rng, settings.scan)
    if p > settings.moved:
        few = _uniform(rng, (n, p), good) < settings.moved / p
        one = torch.from_numpy(rng.integers(p, size=(n, 1))).to(good.device)
        few = few.scatter(1, one, True)  # at least one
        # Of an even number of good points each has steps of one kind. Turns by rounds, so that each
        # has both, were level in 20 to 500 dimensions (36 studies: +0.09 +- 0.08 decades).
        few[::2] = True
        z = torch.where(few, z, center)
    if domain.generations:  # what is inactive here may be activated by a move: it can be anything
        z = torch.where(domain.active(center), z, u)
    return domain.snap(z)


def choose(
    domain: Domain, z: Tensor, values: Tensor, rng: np.random.Generator, settings: Settings
) -> Tensor:
    """Which candidates to start from: the best, the best of each branch, and Boltzmann draws.

    Shapes   z (n, p), values (n,) -> long (at most starts + branches,), distinct rows
    """
    number = values.detach().cpu().numpy()
    usable = np.isfinite(number)
    if not usable.any():
        return torch.arange(min(settings.starts, z.shape[0]), device=z.device)
    finite = number[usable]
    spread_of = max(float(finite.std()), np.finfo(np.float64).tiny)
    # Gumbel noise on the weights' logs draws without replacement (Efraimidis & Spirakis 2006).
    with np.errstate(invalid="ignore", over="ignore"):  # where a value is infinite
        weight = settings.eta * (number - finite.mean()) / spread_of
    weight = np.where(usable, weight + rng.gumbel(size=len(number)), -np.inf)
    weight[np.where(usable, number, -np.inf).argmax()] = np.inf
    count = min(settings.starts, len(finite))
    drawn = torch.from_numpy(weight.argpartition(-count)[-count:]).to(z.device)
    both = torch.cat([drawn, _best_of_branches(domain, z, values, settings.starts)])
    rows: Tensor = both.unique()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return rows


def _truncated_normal(center: Tensor, sigma: float, u: Tensor) -> Tensor:
    """Normal around each center, cut off at 0 and 1, by its inverse cdf at u."""
    low = torch.special.ndtr(-center / sigma)
    high = torch.special.ndtr((1 - center) / sigma)
    step: Tensor = torch.special.ndtri(low + u * (high - low))
    return (center + sigma * step).clamp(0.0, 1.0)


def _move_levels(
    domain: Domain, center: Tensor, z: Tensor, rng: np.random.Generator, short: int
) -> Tensor:
    """z with some categories drawn anew and some ordered coordinates one level up or down.

    The others stay where the center is; an ordered coordinate of more than `short` levels behaves
    like a continuous one and keeps its normal step.
    """
    j = domain.discrete
    count, index, kind = domain.count[j], domain.index(center), domain.kind[j]
    shape = (z.shape[0], domain.n_discrete)
    moved = _uniform(rng, shape, z) < min(0.5, DISCRETE_MOVES / domain.n_discrete)
    u = _uniform(rng, shape, z)
    beside = (index + torch.where(u < 0.5, -1, 1)).clamp_min(0).minimum(count - 1)
    target = torch.where(kind == LEVELS, beside, (u * count).long())
    position = domain.positions(torch.where(moved, target, index))
    long = (kind == LEVELS) & (count > short)
    z = z.clone()
    z[:, j] = torch.where(long, z[:, j], position)
    return z


def _uniform(rng: np.random.Generator, shape: tuple[int, int], like: Tensor) -> Tensor:
    return torch.from_numpy(rng.random(shape)).to(like.device)


def _best_of_branches(domain: Domain, z: Tensor, values: Tensor, most: int) -> Tensor:
    """The best candidate on each level of each category that others depend on, `most` in all."""
    best: list[Tensor] = []
    if not domain.generations:
        return torch.zeros(0, dtype=torch.long, device=z.device)
    active, index = domain.active(z), domain.index(z)
    for j in domain.has_children.nonzero().squeeze(-1).tolist():
        for level in range(int(domain.count[j])):
            if len(best) == most:
                break
            here = active[:, j] & (index[:, int(domain.row[j])] == level) & torch.isfinite(values)
            if bool(here.any()):
                best.append(torch.where(here, values, -torch.inf).argmax())
    return torch.stack(best) if best else torch.zeros(0, dtype=torch.long, device=z.device)
