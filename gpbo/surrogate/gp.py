"""The exact Gaussian process, the default surrogate.

It fits and predicts by closed forms (fit.py, posterior.py). `gpytorch_model` gives the same belief
as a GPyTorch model; GPyTorch is imported there and nowhere on the way to a proposal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from gpbo.errors import StudyError
from gpbo.surrogate.base import Fitted, Surrogate
from gpbo.surrogate.evidence import Data
from gpbo.surrogate.fit import fit
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.posterior import GaussianPosterior
from gpbo.surrogate.prior import Priors, default_priors

if TYPE_CHECKING:
    from gpbo.surrogate.model import ExactGaussianProcess


@dataclass(frozen=True, eq=False)
class GaussianProcess(Surrogate):
    """An exact Gaussian process with a Matern 5/2 kernel and a constant mean.

    Shapes   groups (d,) long: column -> lengthscale; None: a lengthscale for each column
    Needs    priors None: `default_priors` of the number of lengthscales
    """

    groups: Tensor | None = None
    priors: Priors | None = None

    def fit(
        self,
        x: Tensor,
        y: Tensor,
        rng: np.random.Generator,
        *,
        noise: Tensor | None = None,
        warm: Mapping[str, Any] | None = None,
    ) -> Fitted:
        """As promised by Surrogate.

        Raises   ShapeError        if the shapes do not fit together
                 ObservationError  if x or y is not finite, or a noise is negative
        """
        data, priors = self._data(x, y, noise)
        values, report = fit(data, priors, rng, warm=_read(warm))
        posterior = GaussianPosterior.build(data, values)
        return Fitted(posterior, values.to_dict(), report.to_dict())

    def posterior(
        self, x: Tensor, y: Tensor, memory: Mapping[str, Any], *, noise: Tensor | None = None
    ) -> GaussianPosterior:
        """As promised by Surrogate.

        Raises   StudyError  if memory is not what a fit gave
        """
        data, _ = self._data(x, y, noise)
        return GaussianPosterior.build(data, Hyperparameters.from_dict(memory))

    def gpytorch_model(
        self, x: Tensor, y: Tensor, memory: Mapping[str, Any], *, noise: Tensor | None = None
    ) -> ExactGaussianProcess:
        """The same belief as a GPyTorch model, in training mode."""
        from gpbo.surrogate.model import ExactGaussianProcess

        data, priors = self._data(x, y, noise)
        return ExactGaussianProcess(data, priors, Hyperparameters.from_dict(memory))

    def _data(self, x: Tensor, y: Tensor, noise: Tensor | None) -> tuple[Data, Priors]:
        data = Data.build(x, y, noise, self.groups)
        return data, self.priors or default_priors(data.n_groups)


def _read(warm: Mapping[str, Any] | None) -> Hyperparameters | None:
    """A warm start, or None where the log holds something else: it is only a hint."""
    try:
        return None if warm is None else Hyperparameters.from_dict(warm)
    except StudyError:
        return None
