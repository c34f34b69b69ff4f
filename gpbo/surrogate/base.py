"""What every model of the objective offers: a Surrogate is fitted, a Posterior is asked.

x (..., d) are encoded points in the unit cube; y (n,) are standardized targets, larger is better.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor


class Posterior(ABC):
    """A Gaussian belief about the noise-free function, at any points."""

    @abstractmethod
    def mean_variance(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance at each point on its own, without observation noise.

        Shapes   x (..., d) -> mean (...), variance (...)
        Units    standardized targets, larger is better; variance > 0
        Needs    x in float64 on the device of the data; differentiable in x
        """

    def mean(self, x: Tensor) -> Tensor:
        """The mean alone: (..., d) -> (...)."""
        return self.mean_variance(x)[0]

    @abstractmethod
    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and covariance of the q points of each batch element, without observation noise.

        Shapes   x (..., q, d) -> mean (..., q), covariance (..., q, q)
        Needs    as mean_variance; the covariance can be singular where points coincide
        """

    @abstractmethod
    def condition(self, x: Tensor, y: Tensor | None) -> Posterior:
        """The belief after y was also observed at x; this one stays as it is.

        Shapes   x (m, d), y (m,) or None
        Needs    y None stands for the posterior mean at x: the mean stays, the variance shrinks
        """


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit gives: the belief, what to remember for the next fit, and how it went."""

    posterior: Posterior
    memory: dict[str, Any]  # JSON values only; the next fit's `warm`, and `posterior`'s `memory`
    report: dict[str, Any]  # JSON values only; for people and for provenance


class Surrogate(ABC):
    """A model with its settings; what it learns is in what `fit` returns, never in itself."""

    @abstractmethod
    def fit(
        self,
        x: Tensor,
        y: Tensor,
        rng: np.random.Generator,
        *,
        noise: Tensor | None = None,
        warm: Mapping[str, Any] | None = None,
    ) -> Fitted:
        """Learn the hyperparameters from the observations.

        Shapes   x (n, d), y (n,), noise (n,): known variances, nan where unknown; n may be 0
        Needs    warm: the `memory` of an earlier fit, or None; one that does not match is ignored
        Raises   ShapeError  if the shapes do not fit together
        """

    @abstractmethod
    def posterior(
        self, x: Tensor, y: Tensor, memory: Mapping[str, Any], *, noise: Tensor | None = None
    ) -> Posterior:
        """The belief for these observations with hyperparameters that an earlier fit learned.

        Shapes   x (n, d), y (n,), noise (n,): known variances, nan where unknown; n may be 0
        Raises   ShapeError  if the shapes do not fit together
        """
