"""From objective values to standardized targets, and back: larger is better on both sides.

Objective values of real work span decades on their bad side (a learning rate too high gives a loss
of 1e7), and a Gaussian process that has to explain those has no eye left for the good ones. So the
bad tail is tamed first: clipped, and where that is not enough, replaced by its ranks.
Every step works on any finite doubles: huge offsets, scales of 1e-300, one value of 1e300.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from gpbo.errors import ObservationError, explain

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

WHISKER = 1.5  # Tukey's: of the interquartile range, below the first quartile
FAR = 5.0  # standard deviations of the good half; beyond, the bad half keeps only its order
# Values in the good half, at most: of 200 random ones the better half spans decades itself, and the
# best ten of them are alike. Decision 26 in docs has the measurements.
GOOD = 40
LARGEST, LEAST = sys.float_info.max, math.ulp(0.0)


@dataclass(frozen=True)
class Target:
    """How values became targets, and the way back: value = center + scale * target.

    `steps` names what was done to the bad tail. The way back undoes center and scale only: it is
    exact for values above `exact_above`; below, a value reads better than it was.
    """

    center: float
    scale: float
    steps: tuple[str, ...]  # of "winsorize", "half-rank"
    exact_above: float  # -inf where no step was needed

    def to_values(self, mean: Tensor, sd: Tensor) -> tuple[Tensor, Tensor]:
        """A belief about targets as one about values.

        Shapes   mean, sd (...) -> (...), (...)
        Units    targets -> the objective's
        """
        value = (self.center + self.scale * mean).clamp(-LARGEST, LARGEST)
        return value, (self.scale * sd).clamp_max(LARGEST)

    def noise_variance(self, sd: Tensor) -> Tensor:
        """Known standard deviations of values as variances of targets; nan stays nan.

        Shapes   sd (...) -> (...)
        Units    the objective's -> targets squared, at most 1e6: more than that is no information
        """
        return (sd / self.scale).clamp_max(1e3).square()


def standardize(y: Tensor, apart: Tensor | None = None) -> tuple[Tensor, Target]:
    """Targets with mean 0 and standard deviation 1, with the low tail tamed.

    All quartiles, halves, ranks, means and deviations are those of the values that are `apart`, so
    that many values of one place count as one; None: of all. The upper half is never of more than
    40 of them, and then the lower one is all that is below.

    Values below q1 - 1.5 (q3 - q1) are clipped to it. Where the lower half still reaches beyond 5
    standard deviations of the upper half, its values become the normal quantiles of their ranks,
    scaled like the upper half. Order is kept, ties stay ties, and the upper half is only shifted
    and scaled. Equal values give targets of 0.

    Shapes   y (n,), apart bool (n,) -> (n,) in float64; n may be 0
    Needs    apart: one value at least, where there are any; the best one among them
    Raises   ObservationError  if a value is not finite
    Source   clipping: Tukey 1977; ranks of the bad half: Vizier's half-rank warping, Song et al.
             2024, arXiv:2408.11527
    """
    values = y.detach().double().cpu().numpy()
    if not np.isfinite(values).all():
        raise ObservationError(explain("targets", "a value is not finite"))
    alone = np.ones(values.size, dtype=bool) if apart is None else apart.cpu().numpy()
    targets, target = _standardize(values, alone)
    return torch.from_numpy(targets).to(y.device), target


def _standardize(y: Array, apart: Mask) -> tuple[Array, Target]:
    if y.size == 0:
        return y.copy(), Target(0.0, 1.0, (), -math.inf)
    shift = 4 if np.abs(y).max() > 2.0**1000 else 0  # differences must not overflow
    y = np.ldexp(y, -shift)
    # The least value of the good half: whatever the offset, and however far the lower half
    # reaches, the differences in the upper half stay exact.
    alone = np.sort(y[apart])
    if alone[0] == alone[-1]:  # equal values give no scale: that of all is taken
        apart, alone = np.ones(y.size, dtype=bool), np.sort(y)
    origin = float(alone[max(alone.size // 2, alone.size - GOOD)])
    v, steps, knee = y - origin, [], -math.inf
    for name, tame in (("winsorize", _winsorize), ("half-rank", _half_rank)):
        tamed, bend = tame(v, apart)
        if bend is not None:
            v, knee = tamed, max(knee, bend)
            steps.append(name)
    size = float(np.abs(v).max())
    if size == 0.0:
        return np.zeros_like(v), Target(math.ldexp(origin, shift), 1.0, (), -math.inf)
    w = v / size
    mean = float(w[apart].mean())
    sd = _root_mean_square(w[apart] - mean)
    target = Target(
        center=math.ldexp(origin + size * mean, shift),
        scale=max(math.ldexp(size * sd, shift), LEAST),
        steps=tuple(steps),
        exact_above=math.ldexp(origin + knee, shift),
    )
    return (w - mean) / sd, target


def _winsorize(v: Array, apart: Mask) -> tuple[Array, float | None]:
    """v with its low tail clipped, and where; None where nothing is to clip.

    Where the middle half is one and the same value there is no scale to clip by.
    """
    low, high = _quartiles(v[apart])
    bound = low - WHISKER * (high - low)
    if high == low or float(v.min()) >= bound:
        return v, None
    return np.maximum(v, bound), bound


def _quartiles(v: Array) -> tuple[float, float]:
    """The first and the third; as NumPy's quantile, which takes ten times as long."""
    ordered, found = np.sort(v), []
    for share in (0.25, 0.75):
        at = share * (v.size - 1)
        below = ordered[math.floor(at)]
        found.append(float(below + (at % 1) * (ordered[math.ceil(at)] - below)))
    return found[0], found[1]


def _half_rank(v: Array, apart: Mask) -> tuple[Array, float | None]:
    """v with its lower half, v < 0, as normal quantiles, and 0; None where it is near enough."""
    bad = v < 0
    spread = _root_mean_square(v[~bad & apart])
    if -float(v.min()) <= FAR * spread or spread == 0.0:
        return v, None
    levels, counts = np.unique(v[apart], return_counts=True)
    middle = (counts.cumsum() - 0.5 * counts) / counts.sum()  # of each value's ranks
    # What is not apart lies between: below all of the upper half, which begins at 0 and at a share
    # of one half, however many there are below.
    below = levels < 0
    middle = middle[below] * min(1.0, 0.5 * counts.sum() / max(int(counts[below].sum()), 1))
    share = np.interp(v, np.append(levels[below], 0.0), np.append(middle, 0.5))
    quantile = ndtri(share)
    return np.where(bad, spread * quantile, v), 0.0


def _root_mean_square(v: Array) -> float:
    """sqrt(mean(v^2)) of any finite numbers, without overflow or underflow."""
    size = max(float(np.abs(v).max()), LEAST)
    return size * math.sqrt(float(np.square(v / size).mean()))
