"""The most probable hyperparameters: a maximum a posteriori fit from several starts.

Between fits to all starts, which find the highest of several maxima, later fits follow the one
that was found: GROWTH says how long. What is done is a function of the data and of the last fit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpbo.lbfgsb import Settings, minimize
from gpbo.linalg import JITTERS
from gpbo.ops.fit import Found, Model, Stop, can_fit, climb
from gpbo.surrogate.evidence import Data, LogPosterior, decode, encode
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.prior import Priors

# The log posterior is summed over the observations: 1e-2 leaves it about 1e-4 below its maximum.
SETTINGS = Settings(max_iter=200, gradient_tolerance=1e-2, value_tolerance=1e-7)
# The gain that a step has to promise, where the curvature is known from the fit before. In chains
# of 24 fits (2 to 50 dimensions, 15 to 200 observations, one more each time) that curvature made 2
# to 4 evaluations of 12 to 21 (2 and 6 dimensions) and 4 to 12 of 21 to 25 (20 and 50); a DECREMENT
# of 1e-5 lost 2e-3 at most, 2e-4 lost 1e-2 and saved an evaluation.
DECREMENT = 1e-5
# Up to so many hyperparameters the whole curvature is kept for the next fit, beyond its diagonal.
WHOLE = 40
# Four times faster at 600 and 1000 observations than all starts on all of them, to the same
# optimum. At 250 it lost more than 0.1 of log posterior on 3 of 36 problems, hence the distance.
MANY, SOME = 400, 256
# Before all observations follow, the curvature at the best of SOME is measured by differences of
# the gradient over a STEP, up to WHOLE hyperparameters, and taken for LEAST_CURVATURE at least. Of
# 72 first fits to 500 and 1000 observations of three functions, those in 20 dimensions then took
# 465 evaluations in place of 729, those in 4 and 6 as many; log posteriors changed by -0.001 to
# 0.015. In 50 dimensions 3 of 24 fits ended 0.2 to 0.9 lower.
STEP, LEAST_CURVATURE = 1e-4, 1.0
# With more than LARGE, the search over all of them begins where one over LARGE of them ended, with
# its curvature, and takes STEPS steps. Of 2000 observations of six functions (4 to 10 dimensions)
# that took a third of the time; held-out log densities were within 0.001 of those after a whole
# search on four, 0.01 and 0.06 lower on two; with the numbers of LARGE alone 0.02 to 0.46 lower.
LARGE, STEPS = 1000, 3
# Draws of the priors to start a first search from: MOST_DRAWS, or BUDGET / n where that is fewer,
# at least one. Of 250 first fits (10 to 200 observations, 2 to 100 dimensions) 2 % end more than
# 1e-3 below the best of 11 searches from other draws; with a single draw it was 10 % of 210.
# Later searches have an AGAINth of the draws: they also have the best of all before.
MOST_DRAWS, BUDGET, AGAIN = 20, 1000, 3
# The growth of the data, but more than one observation, after which all starts are tried again. In
# 216 states of 9 studies (2 to 20 dimensions, 10 to 200 trials) the log posterior was more than
# 0.1 (1e-3) below the best one known in 3 % (3 %) with all starts at each step, 9 % (10 %) with a
# GROWTH of 1.05, 12 % (14 %) with 1.1, 17 % (18 %) with 1.2 and 18 % (19 %) with none, in 100, 24,
# 19, 16 and 13 % of the time.
GROWTH = 1.05
# The same for moving the numbers at all, with more than MANY observations. In four studies of 420
# trials the kept numbers lost 0.1 to 1.7 of log posterior until then, and 0.6 to 3.7 until 1.05.
MOVE = 1.02
FIXED = 2  # starts that are not drawn: the priors' modes, and long lengthscales
LOOK = Settings(max_iter=0)  # the log posterior at the starts

# From each row of theta, as in evidence.py, with an earlier search's `inverse` or None.
Search = Callable[[Tensor, Settings, Tensor | None], Found]


@dataclass(frozen=True)
class FitReport:
    """How a fit went; iterations and gradient_norm are those of the start that won.

    Needs    starts: 0 where the last hyperparameters were kept, and then what would have to be
             computed is nan; evaluations: of all starts that were there at the end
    """

    iterations: int
    gradient_norm: float
    jitter: float
    log_posterior: float
    seconds: float
    starts: int
    evaluations: int
    fallback: str | None

    def to_dict(self) -> dict[str, Any]:
        """JSON values; a number that is not finite is None."""
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in vars(self).items()
        }


def fit(
    data: Data,
    priors: Priors,
    rng: np.random.Generator,
    *,
    warm: Hyperparameters | None = None,
    settings: Settings = SETTINGS,
    most: int | None = None,
) -> tuple[Hyperparameters, FitReport]:
    """The hyperparameters that maximize the log posterior, and how they were found.

    Starts from `warm` (where it has the right number of lengthscales), from the priors' modes, from
    a lengthscale of sqrt(d), and from draws of the priors. With more than MANY observations all but
    `warm` are fitted to SOME of them, and the better of their best and `warm` goes on; with more
    than LARGE for a few steps only. While the data have not grown by GROWTH since all starts were
    tried, only `warm` is; with more than MANY that have not grown by MOVE, it is kept, and nothing
    is computed. Of more than `most` it looks at so many, drawn at random. Never raises for a
    numerical reason: without a finite value it falls back to `warm`, or else to the modes.
    """
    began = time.perf_counter()
    n = data.y.numel()
    if n == 0:
        nothing = FitReport(0, 0.0, 0.0, 0.0, 0.0, 0, 0, "no data: the priors' modes")
        return _modes(data, priors), nothing
    if warm is not None and len(warm.lengthscale) != data.n_groups:
        warm = None
    searched = n
    if most is not None and n > most:
        data = _part(data, most, rng)
    if warm is None or not warm.searched <= n < GROWTH * warm.searched + 1:
        found, tried = _from_all(data, priors, rng, warm, settings)
    elif n > MANY and warm.fitted <= n < MOVE * warm.fitted:
        unknown, seconds = math.nan, time.perf_counter() - began
        return warm, FitReport(0, unknown, unknown, unknown, seconds, 0, 0, None)
    else:
        settings = _shortened(settings, n)
        found, tried = _search(data, priors)(_row(warm, data), settings, _metric(warm, data)), 1
        searched = warm.searched
    best, fallback = _best(found), None
    metric = _kept(found.inverse, best)
    chosen = replace(decode(found.theta[best], priors), searched=searched, fitted=n, metric=metric)
    if not math.isfinite(float(found.value[best])):
        name = "the priors' modes" if warm is None else "the last good hyperparameters"
        fallback = f"no start has a finite log posterior: {name}"
        chosen = replace(warm or _modes(data, priors), searched=0, fitted=0)
    report = FitReport(
        iterations=int(found.counts[best, 0]),
        gradient_norm=float(found.gradient_norm[best]),
        jitter=float(found.jitter[best]),
        log_posterior=float(found.value[best]),
        seconds=time.perf_counter() - began,
        starts=tried,
        evaluations=int(found.counts[:, 1].sum()),
        fallback=fallback,
    )
    return chosen, report


def _from_all(
    data: Data,
    priors: Priors,
    rng: np.random.Generator,
    warm: Hyperparameters | None,
    settings: Settings,
) -> tuple[Found, int]:
    """What all starts lead to, and how many of them were there to choose from at the end."""
    n = data.y.numel()
    part = _part(data, SOME, rng) if n > MANY else data
    theta = starts = _starts(part, priors, rng)
    if warm is not None and warm.searched:
        theta = starts[: FIXED + max(1, (len(starts) - FIXED) // AGAIN)]
    if part is data:
        if warm is not None:
            theta = torch.cat([_row(warm, data), theta])
        return _search(data, priors)(theta, settings, None), len(theta)
    found = _search(part, priors)(theta, settings, None)
    if n > LARGE:
        large = _part(data, LARGE, rng)
        found, part = _onward(large, priors, found, part, None, settings), large
    found = _onward(data, priors, found, part, warm, _shortened(settings, n))
    return found, 1 if warm is None else 2


def _part(data: Data, size: int, rng: np.random.Generator) -> Data:
    return data.rows(np.sort(rng.choice(data.y.numel(), size, replace=False)))


def _shortened(settings: Settings, n: int) -> Settings:
    return replace(settings, max_iter=min(settings.max_iter, STEPS)) if n > LARGE else settings


def _onward(
    data: Data,
    priors: Priors,
    found: Found,
    part: Data,
    warm: Hyperparameters | None,
    settings: Settings,
) -> Found:
    """The search that begins at the best of those found on a part of the data, or at `warm`."""
    search, best = _search(data, priors), _best(found)
    theta, metric = found.theta[best].unsqueeze(0), None
    if found.inverse is not None:
        metric = found.inverse[best]
        if part.y.numel() <= SOME and len(metric) <= WHOLE:
            metric = _measured(part, priors, theta[0], metric)
        metric = metric * (part.y.numel() / data.y.numel())  # the curvature is a sum over them
    if warm is not None:
        both = torch.cat([_row(warm, data), theta])
        if _best(search(both, LOOK, None)) == 0:
            theta, metric = both[:1], _metric(warm, data)
    return search(theta, settings, metric)


def _measured(data: Data, priors: Priors, theta: Tensor, otherwise: Tensor) -> Tensor:
    """The inverse of the curvature at a maximum theta (p,), from differences of the gradient."""
    steps = STEP * torch.eye(len(theta), dtype=theta.dtype, device=theta.device)
    gradient = LogPosterior(data, priors)(theta + torch.cat([steps[:1] * 0, steps])).gradient
    curvature = (gradient[0] - gradient[1:]) / STEP
    if not curvature.isfinite().all():
        return otherwise
    values, vectors = torch.linalg.eigh((curvature + curvature.mT) / 2)
    inverse: Tensor = vectors / values.clamp(min=LEAST_CURVATURE) @ vectors.mT
    return inverse


def _search(data: Data, priors: Priors) -> Search:
    """The search for the maximum of the log posterior: compiled where there is such code."""
    lower, upper = _box(data, priors)
    if not can_fit(data.x.device):
        return partial(_minimized, LogPosterior(data, priors), lower, upper)
    table = _table(priors, data.n_groups)
    model = Model(data.x, data.y, data.known, data.unknown, data.groups, table)

    def search(theta: Tensor, settings: Settings, metric: Tensor | None) -> Found:
        tolerances = settings.gradient_tolerance, settings.value_tolerance, DECREMENT
        stop = Stop(settings.max_iter, *tolerances)
        return climb(model, theta, lower, upper, stop=stop, jitters=JITTERS, metric=metric)

    return search


def _minimized(
    target: LogPosterior,
    lower: Tensor,
    upper: Tensor,
    theta: Tensor,
    settings: Settings,
    metric: Tensor | None,
) -> Found:
    """The same by batched tensors, which neither know nor tell a curvature."""

    def negative(theta: Tensor) -> tuple[Tensor, Tensor]:
        evidence = target(theta)
        return -evidence.value, -evidence.gradient

    end = minimize(negative, theta, lower, upper, settings)
    counts = torch.stack([end.iterations, end.evaluations, end.converged.long()], -1)
    jitter = target(end.x).jitter
    return Found(end.x, -end.value, end.grad_norm, jitter, counts)


def _starts(data: Data, priors: Priors, rng: np.random.Generator) -> Tensor:
    """The starts that need no earlier fit: (b, n_groups + 2)."""
    modes, groups = _modes(data, priors), data.n_groups
    long = replace(modes, lengthscale=(math.sqrt(max(groups, 1)),) * groups)
    draws = min(MOST_DRAWS, max(1, BUDGET // max(data.y.numel(), 1)))
    rows = np.empty((FIXED + draws, groups + 2))
    for row, start in zip(rows, (modes, long), strict=False):
        row[:] = *start.lengthscale, start.outputscale, start.noise
    drawn = rows[FIXED:]
    drawn[:, :groups] = priors.lengthscale.draw(rng, draws * groups).reshape(draws, groups)
    drawn[:, groups] = priors.outputscale.draw(rng, draws)
    drawn[:, groups + 1] = priors.noise.draw(rng, draws)
    return torch.from_numpy(np.log(rows)).to(data.x.device)


def _modes(data: Data, priors: Priors) -> Hyperparameters:
    lengthscale = (priors.lengthscale.mode,) * data.n_groups
    return Hyperparameters(lengthscale, priors.outputscale.mode, priors.noise.mode)


def _row(values: Hyperparameters, data: Data) -> Tensor:
    return encode(values, data.x).unsqueeze(0)


def _kept(inverse: Tensor | None, best: int) -> tuple[float, ...]:
    """What the next fit shall know of the curvature; six digits of a hint are enough."""
    if inverse is None:
        return ()
    found = inverse[best].numpy()
    kept = found[_triangle(len(found))] if len(found) <= WHOLE else found.diagonal()
    if not np.isfinite(found).all() or not (found.diagonal() > 0).all():
        return ()
    return tuple(float(f"{number:.6g}") for number in kept.tolist())


def _metric(values: Hyperparameters, data: Data) -> Tensor | None:
    """What `_kept` kept, as a matrix; None where it does not fit the data."""
    p, kept = data.n_groups + 2, np.array(values.metric)
    if len(kept) == p:
        return torch.from_numpy(np.diag(kept))
    if len(kept) != p * (p + 1) // 2:
        return None
    matrix = np.zeros((p, p))
    rows, columns = _triangle(p)
    matrix[rows, columns] = matrix[columns, rows] = kept
    return torch.from_numpy(matrix)


def _best(found: Found) -> int:
    return int(found.value.nan_to_num(nan=-torch.inf).argmax())


def _box(data: Data, priors: Priors) -> tuple[Tensor, Tensor]:
    return _ends(priors, data.n_groups, data.x.device)


@lru_cache(maxsize=16)
def _ends(priors: Priors, groups: int, device: torch.device) -> tuple[Tensor, Tensor]:
    ranges = priors.ranges(groups)
    ends = [[math.log(r.low) for r in ranges], [math.log(r.high) for r in ranges]]
    lower, upper = torch.tensor(ends, dtype=torch.float64, device=device).unbind(0)
    return lower, upper


@lru_cache(maxsize=16)
def _table(priors: Priors, groups: int) -> Tensor:
    return priors.table(groups)


@lru_cache(maxsize=16)
def _triangle(p: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.tril_indices(p)
