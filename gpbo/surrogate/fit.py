"""The most probable hyperparameters: a batched maximum a posteriori fit from several starts."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gpbo.lbfgsb import Settings, minimize, projected_gradient_norm
from gpbo.surrogate.evidence import Data, LogPosterior, decode, encode
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.prior import Priors

# The log posterior is summed over the observations: 1e-2 leaves it about 1e-4 below its maximum.
SETTINGS = Settings(max_iter=200, gradient_tolerance=1e-2, value_tolerance=1e-9)
# Four times faster at 600 and 1000 observations than all starts on all of them, to the same
# optimum. At 250 it lost more than 0.1 of log posterior on 3 of 36 problems, hence the distance.
MANY, SOME = 400, 256


@dataclass(frozen=True)
class FitReport:
    """How a fit went; iterations and gradient_norm are those of the start that won."""

    iterations: int
    gradient_norm: float
    jitter: float
    log_posterior: float
    seconds: float
    starts: int
    fallback: str | None

    def to_dict(self) -> dict[str, Any]:
        """JSON values; a number that is not finite is None."""
        values = asdict(self)
        for key, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                values[key] = None
        return values


def fit(
    data: Data,
    priors: Priors,
    rng: np.random.Generator,
    *,
    warm: Hyperparameters | None = None,
    settings: Settings = SETTINGS,
) -> tuple[Hyperparameters, FitReport]:
    """The hyperparameters that maximize the log posterior, and how they were found.

    Starts from `warm` (where it has the right number of lengthscales), from the priors' modes, from
    a lengthscale of sqrt(d), and from a draw of the priors, all in one batch. With more than MANY
    observations the last three are fitted to SOME of them, and the better of their best and `warm`
    goes on. Never raises for a numerical reason: without a finite value it falls back to `warm`, or
    else to the modes.

    Needs    rng: always drawn from equally, whether or not there is a warm start
    """
    began = time.perf_counter()
    if warm is not None and len(warm.lengthscale) != data.n_groups:
        warm = None
    starts = _starts(data, priors, rng, settings)
    if data.y.numel() == 0:
        return starts[0], FitReport(0, 0.0, 0.0, 0.0, 0.0, 0, "no data: the priors' modes")
    if warm is not None:
        starts = [warm, *starts]
    target = LogPosterior(data, priors)
    box = _box(data, priors)

    def negative(theta: Tensor) -> tuple[Tensor, Tensor]:
        evidence = target(theta)
        return -evidence.value, -evidence.gradient

    theta = torch.stack([encode(start, data.x) for start in starts])
    if data.y.numel() > MANY:
        best = int(target(theta).value.nan_to_num(nan=-torch.inf).argmax())
        theta = theta[best : best + 1]
    found = minimize(negative, theta, *box, settings)
    best = int(found.value.nan_to_num(nan=torch.inf).argmin())
    chosen, fallback = decode(found.x[best], priors), None
    if not bool(torch.isfinite(found.value[best])):
        name = "the priors' modes" if warm is None else "the last good hyperparameters"
        chosen, fallback = starts[0], f"no start has a finite log posterior: {name}"
    # A report on the numbers that leave the fit, not on the minimizer's last point.
    theta = encode(chosen, data.x).unsqueeze(0)
    evidence = target(theta)
    report = FitReport(
        iterations=int(found.iterations[best]),
        gradient_norm=float(projected_gradient_norm(theta, -evidence.gradient, *box)),
        jitter=float(evidence.jitter),
        log_posterior=float(evidence.value),
        seconds=time.perf_counter() - began,
        starts=len(starts),
        fallback=fallback,
    )
    return chosen, report


def _starts(
    data: Data, priors: Priors, rng: np.random.Generator, settings: Settings
) -> list[Hyperparameters]:
    """The starts that need no earlier fit."""
    n, groups = data.y.numel(), data.n_groups
    if n > MANY:
        part = data.rows(np.sort(rng.choice(n, SOME, replace=False)))
        return [fit(part, priors, rng, settings=settings)[0]]
    scale, noise = priors.outputscale.mode, priors.noise.mode
    modes = Hyperparameters((priors.lengthscale.mode,) * groups, scale, noise)
    long = Hyperparameters((math.sqrt(max(groups, 1)),) * groups, scale, noise)
    draw = Hyperparameters(
        tuple(priors.lengthscale.draw(rng, groups).tolist()),
        float(priors.outputscale.draw(rng, 1)[0]),
        float(priors.noise.draw(rng, 1)[0]),
    )
    return [modes, long, draw]


def _box(data: Data, priors: Priors) -> tuple[Tensor, Tensor]:
    ranges = [priors.lengthscale_range] * data.n_groups
    ranges += [priors.outputscale_range, priors.noise_range]
    ends = torch.tensor([(r.low, r.high) for r in ranges], dtype=torch.float64)
    lower, upper = ends.log().to(data.x.device).unbind(-1)
    return lower, upper
