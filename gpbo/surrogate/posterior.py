"""The exact Gaussian belief from a Cholesky factor, in closed form.

Symbols: X (n, d) observed points, K = L L^T their covariance with noise, m the constant mean,
r = y - m, a = K^-1 r, s the outputscale, k = s M(x, X). Then, without observation noise,

    mean = m + k a,    covariance = s M(x, x) - (L^-1 k^T)^T (L^-1 k^T)

The mean m is the generalized least squares estimate, plugged in: its own uncertainty is left out.
Source: Rasmussen & Williams 2006, eq. 2.25 and 2.26.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from gpbo.errors import ShapeError, StudyError, explain
from gpbo.linalg import (
    append_inverse,
    append_rows,
    cholesky,
    independent,
    inverse_lower,
    solve,
    solve_lower,
    solve_upper,
)
from gpbo.ops.kernel_matrix import kernel_matrix, matern52
from gpbo.surrogate.base import Posterior
from gpbo.surrogate.evidence import Data, whiten
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.recent import Recent

KEPT = (400, 4096)  # rows of a factor that is kept for the next model
LEAST = 1e-12  # of the outputscale: below this a variance is rounding, and its log must exist


@dataclass(frozen=True, eq=False)
class FirstRows:
    """A factor of K with its inverse, and what it is the factor of.

    Shapes   x (n, d), lengthscale (d,), lower (n, n)
    """

    x: Tensor
    lengthscale: Tensor
    outputscale: float
    lower: Tensor
    jitter: float

    @cached_property
    def inverse(self) -> Tensor:
        """L^-1, with zeros above its diagonal: (n, n)."""
        return inverse_lower(self.lower)

    def matrix(self, a: Tensor, b: Tensor | None, diagonal: Tensor | None = None) -> Tensor:
        """The covariance of these points: a (n, d), b (m, d) or None for a -> (n, m)."""
        return matrix_of(a, b, self.lengthscale, self.outputscale, diagonal)

    def append(self, x: Tensor, diagonal: Tensor) -> tuple[Tensor, float]:
        """The factor with more rows, and the most jitter that is in it.

        Shapes   x (m, d), diagonal (m,) -> (n + m, n + m), number
        Raises   FactorizationError  if there is none
        """
        if len(x) == 0:
            return self.lower, self.jitter
        new = self.matrix(x, None, diagonal + self.jitter)
        factor = append_rows(self.lower, new, self.matrix(x, self.x))
        return factor.lower, max(self.jitter, float(factor.jitter))


@dataclass(frozen=True, eq=False)
class GaussianPosterior(Posterior):
    """The belief of a Gaussian process with given hyperparameters.

    Shapes   x (n, d), lower (n, n), residual and weights (n,), lengthscale (d,): one a column;
             constant (the mean m), outputscale and noise are numbers
    """

    x: Tensor
    lower: Tensor
    residual: Tensor
    weights: Tensor
    lengthscale: Tensor
    constant: float
    outputscale: float
    noise: float
    jitter: float
    first: FirstRows | None = None  # what the factor was begun with

    @classmethod
    def build(cls, data: Data, values: Hyperparameters) -> GaussianPosterior:
        """Factorize once; everything that is asked later uses the factor.

        The observations that the hyperparameters were fitted to come first, and later ones are
        appended to their factor: whether that is still at hand or not, the numbers are the same.

        Raises   StudyError  if the hyperparameters are those of another space
        """
        x, y = data.x, data.y
        lengthscale, diagonal, base = terms_of(data, values)
        first = _first(x[:base], lengthscale, values.outputscale, diagonal[:base])
        lower, jitter = first.append(x[base:], diagonal[base:])
        mean, white = 0.0, y
        if len(y):
            white, found = whiten(lower, torch.stack([torch.ones_like(y), y], -1))
            mean = float(found)
        return cls(
            x=x,
            lower=lower,
            residual=y - mean,
            weights=solve_upper(lower.mT, white.unsqueeze(-1)).squeeze(-1),
            lengthscale=lengthscale,
            constant=mean,
            outputscale=values.outputscale,
            noise=values.noise,
            jitter=jitter,
            first=first,
        )

    @cached_property
    def inverse_lower(self) -> Tensor:
        """L^-1, with zeros above its diagonal: (n, n)."""
        if self.first is None:
            return inverse_lower(self.lower)
        inverse = self.first.inverse
        return inverse if len(inverse) == len(self.x) else append_inverse(inverse, self.lower)

    def log_likelihood(self) -> float:
        """log N(y | m, K), for a belief that is exact.

        Source   Rasmussen & Williams 2006, eq. 2.30
        """
        explained = 0.5 * self.residual @ self.weights + self.lower.diagonal().log().sum()
        return -float(explained) - 0.5 * len(self.x) * math.log(2 * math.pi)

    def given(self, x: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the belief consists of when the function itself is known to be one of S at x.

        Of the q points those that the others tell, to rounding, are left out, and p stay: a factor
        of all would need jitter, and with jitter no value is known.

        Shapes   x (q, d), values (S, q) -> points (n + p, d), inverse of their factor (n + p,
                 n + p), and weights (S, n + p) with which the mean is m + k weights
        Raises   FactorizationError  if the points have no factor
        """
        with torch.no_grad():
            n, least = len(self.x), LEAST * self.outputscale
            cross = self._cross(x)
            new = self.outputscale * matern52(x, None, self.lengthscale)
            factor = append_rows(self.lower, new, cross)
            if float(factor.jitter) > 0 or float(factor.lower.diagonal()[n:].min()) ** 2 < least:
                below = solve_lower(self.lower, cross.mT)
                kept = independent(new - below.mT @ below, least)
                x, values, new = x[kept], values[:, kept], new[kept][:, kept]
                factor = append_rows(self.lower, new, cross[kept])
            inverse = append_inverse(self.inverse_lower, factor.lower)
            residual = torch.cat(
                [self.residual.expand(len(values), n), values - self.constant], 1
            )  # (S, n + p)
            weights = residual @ inverse.mT @ inverse
            return torch.cat([self.x, x]), inverse, weights.contiguous()

    def mean(self, x: Tensor) -> Tensor:
        self._check(x, 1)
        cross = self._cross(x.reshape(-1, x.shape[-1]))
        return (self.constant + cross @ self.weights).reshape(x.shape[:-1])

    def mean_variance(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self._check(x, 1)
        cross = self._cross(x.reshape(-1, x.shape[-1]))
        white = solve_lower(self.lower, cross.mT)
        variance = self.outputscale - white.square().sum(0)
        variance = variance.clamp_min(LEAST * self.outputscale)
        mean = self.constant + cross @ self.weights
        return mean.reshape(x.shape[:-1]), variance.reshape(x.shape[:-1])

    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self._check(x, 2)
        cross = self._cross(x.reshape(-1, x.shape[-1]))
        white = solve_lower(self.lower, cross.mT).mT.reshape(*x.shape[:-1], len(self.x))
        prior = self.outputscale * matern52(x, None, self.lengthscale)
        mean = self.constant + cross @ self.weights
        return mean.reshape(x.shape[:-1]), prior - white @ white.mT

    def condition(self, x: Tensor, y: Tensor | None) -> GaussianPosterior:
        """As promised by Posterior; the new observations have the learned noise.

        The constant mean stays as it is, so that believing the mean does not move it.
        Raises   ShapeError  if x is not (m, d), or y not (m,)
        """
        x = x.detach()
        if y is not None and y.shape != x.shape[:1]:
            got = (tuple(x.shape), tuple(y.shape))
            raise ShapeError(
                explain("condition", "x and y do not match", got, expected="(m, d), (m,)")
            )
        with torch.no_grad():
            self._check(x, 2)
            cross = self._cross(x)
            new = self.outputscale * matern52(x, None, self.lengthscale)
            new.diagonal().add_(self.noise)
            factor = append_rows(self.lower, new, cross)
            believed = cross @ self.weights if y is None else y.detach() - self.constant
            residual = torch.cat([self.residual, believed])
            return replace(
                self,
                x=torch.cat([self.x, x]),
                lower=factor.lower,
                residual=residual,
                weights=solve(factor.lower, residual.unsqueeze(-1)).squeeze(-1),
                jitter=max(self.jitter, float(factor.jitter)),
                first=None,
            )

    def _cross(self, x: Tensor) -> Tensor:
        """s M(x, X): (N, d) -> (N, n)."""
        return self.outputscale * matern52(x, self.x, self.lengthscale)

    def _check(self, x: Tensor, dimensions: int) -> None:
        d = self.x.shape[-1]
        if x.ndim < dimensions or x.shape[-1] != d:
            leading = "..., q" if dimensions == 2 else "..."
            raise ShapeError(
                explain("posterior", "x does not fit", tuple(x.shape), expected=f"({leading}, {d})")
            )


# For studies that are long: in them hyperparameters are kept for many proposals, and there may be
# two kinds of targets in turn. 512 MB at most: where trials fail too, or two models compete, there
# are more factors than this, and they are made anew.
_recent: Recent[FirstRows] = Recent(2)


def _first(x: Tensor, lengthscale: Tensor, outputscale: float, diagonal: Tensor) -> FirstRows:
    """The factor of these rows; one that is at hand, where there is one."""

    def make() -> FirstRows:
        factor = cholesky(matrix_of(x, None, lengthscale, outputscale, diagonal))
        return FirstRows(x, lengthscale, outputscale, factor.lower, float(factor.jitter))

    if KEPT[0] <= len(x) <= KEPT[1]:
        return _recent.get((x, lengthscale, diagonal), outputscale, make)
    return make()


def terms_of(data: Data, values: Hyperparameters) -> tuple[Tensor, Tensor, int]:
    """The lengthscale of each column, the noise of each observation, and how many of these, the
    first ones, the hyperparameters were fitted to: all, where that is not known.

    Shapes   -> (d,), (n,), number
    Raises   StudyError  if the hyperparameters are those of another space
    """
    if len(values.lengthscale) != data.n_groups:
        wrong = f"not a lengthscale for each of {data.n_groups}"
        raise StudyError(explain("hyperparameters", wrong, values.lengthscale))
    groups = torch.tensor(values.lengthscale, dtype=data.x.dtype, device=data.x.device)
    noise, n = data.known + values.noise * data.unknown, len(data.y)
    return data.columns(groups), noise, min(values.fitted, n) or n


def matrix_of(
    a: Tensor,
    b: Tensor | None,
    lengthscale: Tensor,
    outputscale: float,
    diagonal: Tensor | None = None,
) -> Tensor:
    """The covariance of these points: a (n, d), b (m, d) or None for a -> (n, m)."""
    scale = a.new_tensor(outputscale)
    return kernel_matrix("matern52", a, b, lengthscale, outputscale=scale, diagonal=diagonal)
