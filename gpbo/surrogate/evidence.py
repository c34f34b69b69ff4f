"""How well hyperparameters explain the data: the log posterior and its gradient, in closed form.

Symbols: X (n, d), y (n,), b settings of hyperparameters at once; M (b, n, n) the kernel with unit
outputscale s, K = s M + noise; m (b,) the constant mean; a = K^-1 (y - m); W = K^-1 - a a^T.

    log p(y) = -1/2 (y - m) a - sum log diag L - n/2 log 2 pi,  d/dtheta = -1/2 sum(W * dK/dtheta)

The mean is not learned but profiled out: m = 1 K^-1 y / 1 K^-1 1 maximizes log p(y) for each
setting, so the gradient has no term for it (Rasmussen & Williams 2006, eq. 2.41 and 5.9).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpbo.errors import ObservationError, ShapeError, explain
from gpbo.linalg import JITTERS, solve_lower
from gpbo.ops.likelihood import likelihood
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.prior import Priors

# Known noise variances are kept in a range in which K stays well conditioned: from the floor of the
# learned noise to where an observation says nothing.
LEAST_NOISE, MOST_NOISE = 1e-9, 1e6


@dataclass(frozen=True, eq=False)
class Data:
    """What was observed.

    Shapes   x (n, d), y (n,), known and unknown (n,), groups (d,) or None: column -> lengthscale
    Needs    float64; unknown marks the observations with the learned noise; the others have the
             variance in known, which is 0 where unknown
    """

    x: Tensor
    y: Tensor
    known: Tensor
    unknown: Tensor
    groups: Tensor | None
    n_groups: int

    @classmethod
    def build(
        cls, x: Tensor, y: Tensor, noise: Tensor | None = None, groups: Tensor | None = None
    ) -> Data:
        """Checked data in float64.

        Raises   ShapeError        if the shapes do not fit together
                 ObservationError  if x or y is not finite, or a known noise is negative
        """
        x, y = x.detach().double(), y.detach().double()
        noise = torch.full_like(y, torch.nan) if noise is None else noise.detach().double()
        _check(x, y, noise, groups)
        groups = None if groups is None else groups.to(x.device)
        unknown = torch.isnan(noise)
        known = noise.clamp(LEAST_NOISE, MOST_NOISE).masked_fill(unknown, 0.0)
        n_groups = x.shape[-1] if groups is None else int(groups.max()) + 1 if len(groups) else 0
        return cls(x, y, known, unknown.double(), groups, n_groups)

    def rows(self, index: NDArray[np.int64]) -> Data:
        """Some of the observations."""
        at = torch.from_numpy(index).to(self.x.device)
        known, unknown = self.known[at], self.unknown[at]
        return replace(self, x=self.x[at], y=self.y[at], known=known, unknown=unknown)

    def columns(self, lengthscale: Tensor) -> Tensor:
        """The lengthscale of each column: (..., n_groups) -> (..., d)."""
        return per_column(lengthscale, self.groups, self.x.shape[-1])

    def by_group(self, of_columns: Tensor) -> Tensor:
        """The sum over the columns of each group: (..., d) -> (..., n_groups)."""
        if self.groups is None:
            return of_columns
        return of_columns @ self._member

    @cached_property
    def _member(self) -> Tensor:
        """1 where a column belongs to a group, (d, n_groups): a product with it adds up in one
        order, which index_add on a GPU does not."""
        assert self.groups is not None
        return torch.nn.functional.one_hot(self.groups, self.n_groups).to(self.x)


@dataclass(frozen=True, eq=False)
class Evidence:
    """The log posterior of b settings.

    Shapes   value (b,), gradient (b, n_groups + 2), jitter (b,); nan where K has no factor
    """

    value: Tensor
    gradient: Tensor
    jitter: Tensor


class LogPosterior:
    """log p(y) plus the log densities of the priors, summed over the observations.

    Shapes   theta (b, n_groups + 2): logs of the lengthscales, the outputscale and the noise
    Needs    the gradient is in theta; the priors are densities of exp(theta), as in GPyTorch
    Source   Rasmussen & Williams 2006, eq. 5.8 and 5.9
    """

    def __init__(self, data: Data, priors: Priors) -> None:
        self.data = data
        self._prior = priors.table(data.n_groups).to(data.x.device).unbind(0)

    def __call__(self, theta: Tensor) -> Evidence:
        data, values = self.data, theta.exp()
        lengthscale, scale, learned = values.tensor_split((-2, -1), dim=-1)
        learned = learned * data.unknown
        found = likelihood(
            "matern52",
            data.x,
            data.y,
            data.columns(lengthscale),
            data.known + learned,
            outputscale=scale.squeeze(-1),
            jitters=JITTERS,
        )
        slope = torch.cat(
            [
                lengthscale * data.by_group(found.by_lengthscale),
                scale * found.by_outputscale.unsqueeze(-1),
                (found.by_diagonal * learned).sum(-1, keepdim=True),
            ],
            -1,
        )
        c0, c1, c2, c3 = self._prior
        prior = c0 + theta * (c1 + theta * c2) + values * c3
        slope += c1 + 2 * theta * c2 + values * c3
        return Evidence(found.value + prior.sum(-1), slope, found.jitter)


def whiten(lower: Tensor, sides: Tensor) -> tuple[Tensor, Tensor]:
    """L^-1 (y - m) for the generalized least squares mean m, and m.

    Shapes   lower (..., n, n), sides (n, 2): ones and y -> (..., n), (..., 1)
    """
    one, white = solve_lower(lower, sides.expand(*lower.shape[:-1], 2)).unbind(-1)
    mean = (one * white).sum(-1, keepdim=True) / (one * one).sum(-1, keepdim=True)
    return white - mean * one, mean


def encode(values: Hyperparameters, like: Tensor) -> Tensor:
    """The row of theta for given hyperparameters, on the device of `like`: (n_groups + 2,)."""
    numbers = [*values.lengthscale, values.outputscale, values.noise]
    return torch.tensor(numbers, dtype=torch.float64, device=like.device).log()


def decode(theta: Tensor, priors: Priors) -> Hyperparameters:
    """Plain numbers from a row of theta, within their ranges whatever exp and log round to."""
    ranges = priors.ranges(len(theta) - 2)
    values = [r.clip(value) for r, value in zip(ranges, theta.exp().tolist(), strict=True)]
    return Hyperparameters(tuple(values[:-2]), outputscale=values[-2], noise=values[-1])


def per_column(lengthscale: Tensor, groups: Tensor | None, d: int) -> Tensor:
    """One lengthscale for each of d columns from one for each group, or from a single one.

    Shapes   lengthscale (..., g), groups (d,) long or None -> (..., d)
    """
    if groups is not None:
        return lengthscale[..., groups]
    return lengthscale.expand(*lengthscale.shape[:-1], d)


def _check(x: Tensor, y: Tensor, noise: Tensor, groups: Tensor | None) -> None:
    if x.ndim != 2 or y.shape != x.shape[:1] or noise.shape != y.shape:
        shapes = tuple(map(tuple, (x.shape, y.shape, noise.shape)))
        raise ShapeError(
            explain("data", "x, y and noise do not match", shapes, expected="(n, d), (n,), (n,)")
        )
    if groups is not None and groups.shape != x.shape[1:]:
        raise ShapeError(
            explain(
                "data", "not one group a column", tuple(groups.shape), expected=f"({x.shape[1]},)"
            )
        )
    if not bool(torch.isfinite(x).all() & torch.isfinite(y).all()):
        raise ObservationError(explain("data", "x or y is not finite", fix="Leave failures out."))
    if bool((noise < 0).any()):
        raise ObservationError(explain("data", "a noise variance is negative", float(noise.min())))
