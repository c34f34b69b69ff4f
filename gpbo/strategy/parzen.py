"""Parzen densities over the rows of a space: mixtures of kernels, one kernel for each trial.

A row is what `Space.to_row` makes: one coordinate in [0, 1] for each leaf, nan where inactive. A
kernel is a product over leaves: a normal density cut to [0, 1] for a continuous leaf, the mass
that it gives to a value's interval for an ordered one, a table for a category. Where a trial has no
coordinate its kernel is uniform, and where a row has none the factor is 1. So a mixture is a
density over the whole tree of a nested space: branches are drawn and weighed with all the rest.

Symbols   X (m, p) rows, n trials, p leaves, K = n + 1 kernels, the last of them the uniform prior
Source    Bergstra et al. 2011, section 4; Falkner et al. 2018 (BOHB) for products over leaves
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from gpbo.space import Distribution, Int, Parameter, Space
from gpbo.space.encode import MANY_LEVELS

Array: TypeAlias = npt.NDArray[np.float64]

# The least width of a kernel, in ranges. In a mixture for each leaf it narrows as that of hyperopt
# and Optuna does, to 1 / MOST_KERNELS. Four functions in 2 to 4 dimensions (10 seeds) then ended
# 0.35 and 0.32 decades lower than with NARROWEST after 80 and 150 trials, and with theirs, which
# begins wider, 0.23 and 0.36. In a joint mixture theirs ended 0.2 and 0.1 lower on two functions
# and 0.8 higher on Branin's (4 seeds).
NARROWEST, MOST_KERNELS = 0.05, 100


@dataclass(frozen=True)
class Axis:
    """Where the values of a leaf lie in [0, 1]; a continuous one has neither levels nor edges."""

    category: bool
    levels: Array  # (k,) the coordinates of its values
    edges: Array  # (k + 1,) where the interval of each begins, and 1
    parent: int  # the leaf of the Choice that it lives in; -1 at the top
    branch: int  # in which branch of it

    def position(self, u: Array) -> npt.NDArray[np.intp]:
        """Whose interval holds a coordinate."""
        found = np.searchsorted(self.edges[1:-1], u, side="right")
        return np.asarray(found, dtype=np.intp)


@lru_cache(maxsize=8)
def axes_of(space: Space) -> tuple[Axis, ...]:
    """The axes of a space, one for each leaf."""
    axes = []
    for leaf in space.leaves:
        parameter, levels, edges = leaf.parameter, np.empty(0), np.empty(0)
        size = parameter.size
        if size is not None and (parameter.kind == "category" or size <= MANY_LEVELS):
            levels = np.array([parameter.to_unit(parameter.value_at(k)) for k in range(size)])
            edges = _edges(parameter, size)
        axes.append(Axis(parameter.kind == "category", levels, edges, leaf.parent, leaf.branch))
    return tuple(axes)


def _edges(parameter: Parameter, size: int) -> Array:
    """Where the interval of each value begins; its length is the value's prior probability."""
    if isinstance(parameter, Int) and parameter.log:
        ends = np.log1p((np.arange(size + 1) - 0.5) / parameter.low)  # log(low - 0.5 + k), moved
    elif isinstance(parameter, Distribution):
        ends = parameter.frozen.cdf(parameter.low - 1 + np.arange(size + 1))
    else:
        ends = np.arange(size + 1.0)
    return np.asarray((ends - ends[0]) / (ends[-1] - ends[0]))


class Parzen:
    """The density of good or bad trials.

    rows          (n, p) of the trials
    weights       (n,) positive, of their kernels
    prior_weight  that of the uniform kernel, and of the uniform part of a category's table
    joint         True: one mixture of products over all leaves. False: a mixture for each leaf, of
                  the trials in which it is active, independent of the others
    """

    def __init__(
        self,
        axes: tuple[Axis, ...],
        rows: Array,
        weights: Array,
        prior_weight: float,
        joint: bool,
    ) -> None:
        self._axes, self._joint = axes, joint
        active = np.pad(~np.isnan(rows), ((0, 1), (0, 0)), constant_values=True)
        mixed = np.append(weights, prior_weight)[:, None] * (
            np.ones_like(active) if joint else active
        )
        self._weights = mixed / mixed.sum(0)  # (K, p); in a joint mixture all columns are equal
        self._tables = {
            j: _table(rows[:, j], axis, prior_weight)
            for j, axis in enumerate(axes)
            if axis.category
        }
        numeric = [j for j in range(len(axes)) if j not in self._tables]
        # Normal kernels (K, p): center, 1 / width (0: uniform), the mass below 0, that in [0, 1].
        self._center = np.where(active, np.pad(rows, ((0, 1), (0, 0)), constant_values=0.5), 0.5)
        self._narrow = np.zeros(active.shape)
        self._narrow[:-1, numeric] = np.nan_to_num(1 / widths(rows[:, numeric], joint))
        self._below = ndtr(-self._center * self._narrow)
        mass = ndtr((1 - self._center) * self._narrow) - self._below
        normal = self._narrow > 0
        self._mass = np.where(normal, mass, 1.0)
        scale = np.where(normal, self._narrow / (self._mass * math.sqrt(2 * math.pi)), 1.0)
        self._log_scale = np.log(scale)

    def draw(self, rng: np.random.Generator, m: int) -> Array:
        """m rows from the density.

        Shapes   -> (m, p); nan where a joint draw takes another branch
        """
        k = self._kernels(rng, m)
        columns = np.arange(len(self._axes))
        quantile = rng.random((m, len(self._axes)))
        narrow = self._narrow[k, columns]
        flat = narrow == 0
        z = ndtri(self._below[k, columns] + quantile * self._mass[k, columns])
        width = 1 / np.where(flat, 1.0, narrow)
        X = np.where(flat, quantile, self._center[k, columns] + z * width).clip(0.0, 1.0)
        for j, axis in enumerate(self._axes):
            if axis.category:
                below = self._tables[j].cumsum(1)[k[:, j], :-1] < quantile[:, j, None]
                X[:, j] = axis.levels[below.sum(1)]
            elif len(axis.levels):
                X[:, j] = axis.levels[axis.position(X[:, j])]
            if self._joint and axis.parent >= 0:  # parents come first
                taken = self._axes[axis.parent].levels[axis.branch]
                X[X[:, axis.parent] != taken, j] = np.nan
        return np.asarray(X)

    def _kernels(self, rng: np.random.Generator, m: int) -> npt.NDArray[np.intp]:
        """Which kernel each coordinate of m rows comes from: (m, p)."""
        count, p = self._weights.shape
        if self._joint:
            one = rng.choice(count, size=m, p=self._weights[:, 0])
            return np.broadcast_to(one[:, None], (m, p))
        each = [rng.choice(count, size=m, p=weights) for weights in self._weights.T]
        return np.stack(each, axis=1)

    def log_density(self, X: Array) -> Array:
        """The logarithm of the density; of a value with an interval, of the mass in it.

        Shapes   X (m, p) -> (m,) if joint, else (m, p)
        """
        if not self._joint:
            each = [self._log_kernels(X[:, j], j) for j in range(len(self._axes))]
            return np.stack([_log_mix(e, w) for e, w in zip(each, self._weights.T, strict=True)], 1)
        log_kernel = np.zeros((len(X), len(self._weights)))
        for j in range(len(self._axes)):
            log_kernel += self._log_kernels(X[:, j], j)
        return _log_mix(log_kernel, self._weights[:, 0])

    def _log_kernels(self, x: Array, j: int) -> Array:
        """Logarithms of all kernels at coordinates of leaf j, 0 where inactive: (m,) -> (m, K)."""
        axis = self._axes[j]
        if not len(axis.levels):
            z = (x[:, None] - self._center[:, j]) * self._narrow[:, j]
            out = self._log_scale[:, j] - 0.5 * z * z
        else:
            k, which = np.unique(axis.position(x), return_inverse=True)
            log_mass = (
                self._log_mass(k, j) if j not in self._tables else np.log(self._tables[j][:, k]).T
            )
            out = log_mass[which]
        return np.where(np.isnan(x)[:, None], 0.0, out) if axis.parent >= 0 else out

    def _log_mass(self, k: npt.NDArray[np.intp], j: int) -> Array:
        """Logarithms of the mass of intervals of leaf j in all kernels: (m,) -> (m, K)."""
        center, narrow, edges = self._center[:, j], self._narrow[:, j], self._axes[j].edges
        low = (edges[k][:, None] - center) * narrow
        high = (edges[k + 1][:, None] - center) * narrow
        right = low > 0  # differences are taken in the left tail, where they are exact
        low, high = np.where(right, -high, low), np.where(right, -low, high)
        uniform = np.log(np.diff(edges)[k])[:, None]
        with np.errstate(divide="ignore"):  # the mass may be 0 in float64; the prior's never is
            inside = np.log(ndtr(high) - ndtr(low)) - np.log(self._mass[:, j])
        return np.where(narrow > 0, inside, uniform)


def widths(rows: Array, joint: bool) -> Array:
    """The widths of the kernels: for each coordinate the distance to its farther neighbor.

    The outermost have one neighbor; one alone counts the ends of the range as neighbors. `joint` as
    in Parzen.

    Shapes   rows (n, p) -> (n, p), nan where inactive
    Source   Bergstra et al. 2011, section 4.2; the least width, where not joint: hyperopt and
             Optuna
    """
    n, p = rows.shape
    order = np.argsort(rows, axis=0, kind="stable")  # nan last
    ordered = np.take_along_axis(rows, order, axis=0)
    gap = np.full((n + 1, p), np.nan)
    gap[1:-1] = np.diff(ordered, axis=0)
    found = np.fmax(gap[:-1], gap[1:])
    alone, active = np.fmax(ordered, 1 - ordered), (~np.isnan(rows)).sum(0)
    found = np.where(active == 1, alone, found)
    least = NARROWEST if joint else np.minimum(NARROWEST, 1 / np.minimum(MOST_KERNELS, active + 2))
    out = np.empty_like(found)
    np.put_along_axis(out, order, np.maximum(found, least), axis=0)
    return np.where(np.isnan(rows), np.nan, out)


def _table(column: Array, axis: Axis, prior_weight: float) -> Array:
    """How likely each kernel makes each category: (K, k)."""
    active = np.flatnonzero(~np.isnan(column))
    size = len(axis.levels)
    table = np.full((len(column) + 1, size), 1 / size)
    table[active] = prior_weight / (len(active) + 1)
    table[active, axis.position(column[active])] += 1
    return np.asarray(table / table.sum(1, keepdims=True))


def _log_mix(log_kernel: Array, weights: Array) -> Array:
    """Logarithm of a weighted sum: (m, K), (K,) -> (m,)."""
    peak = log_kernel.max(1)
    return np.asarray(np.log(np.exp(log_kernel - peak[:, None]) @ weights) + peak)
