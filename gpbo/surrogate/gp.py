"""The Gaussian process, the default surrogate.

It fits and predicts by closed forms (fit.py, posterior.py, inducing.py). `gpytorch_model` gives the
same belief as a GPyTorch model; GPyTorch is imported there and nowhere on the way to a proposal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from gpbo.check import whole
from gpbo.errors import StudyError
from gpbo.surrogate.base import Fitted, Surrogate
from gpbo.surrogate.evidence import Data
from gpbo.surrogate.fit import fit
from gpbo.surrogate.hyperparameters import Hyperparameters
from gpbo.surrogate.inducing import MOST, inducing_posterior
from gpbo.surrogate.posterior import GaussianPosterior
from gpbo.surrogate.prior import Priors, default_priors

if TYPE_CHECKING:
    from gpbo.surrogate.model import ExactGaussianProcess


@dataclass(frozen=True, eq=False)
class GaussianProcess(Surrogate):
    """A Gaussian process with a Matern 5/2 kernel and a constant mean.

    Shapes   groups (d,) long: column -> lengthscale; None: a lengthscale for each column
    Needs    priors None: `default_priors` of the number of lengthscales; most: observations of
             which the belief is exact, None for any number. With more, half as many (4096 at most)
             are fitted to, and the belief is seen through so many inducing points
    Raises   TypeError, ValueError  if most is not a whole number, 2 or more
    """

    groups: Tensor | None = None
    priors: Priors | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        if self.most is not None:
            whole("GaussianProcess most", self.most, 2)

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
        inducing = self._inducing(data)
        values, report = fit(data, priors, rng, warm=_read(warm), most=inducing)
        said = {**report.to_dict(), "inducing": inducing}
        return Fitted(_belief(data, values, inducing), values.to_dict(), said)

    def posterior(
        self, x: Tensor, y: Tensor, memory: Mapping[str, Any], *, noise: Tensor | None = None
    ) -> GaussianPosterior:
        """As promised by Surrogate.

        Raises   StudyError  if memory is not what a fit gave
        """
        data, _ = self._data(x, y, noise)
        return _belief(data, Hyperparameters.from_dict(memory), self._inducing(data))

    def gpytorch_model(
        self, x: Tensor, y: Tensor, memory: Mapping[str, Any], *, noise: Tensor | None = None
    ) -> ExactGaussianProcess:
        """The belief as a GPyTorch model, in training mode; exact, however many there are."""
        from gpbo.surrogate.model import ExactGaussianProcess

        data, priors = self._data(x, y, noise)
        return ExactGaussianProcess(data, priors, Hyperparameters.from_dict(memory))

    def _data(self, x: Tensor, y: Tensor, noise: Tensor | None) -> tuple[Data, Priors]:
        data = Data.build(x, y, noise, self.groups)
        return data, self.priors or default_priors(data.n_groups)

    def _inducing(self, data: Data) -> int | None:
        """How many inducing points the belief has; None where it is exact."""
        if self.most is None or data.y.numel() <= self.most:
            return None
        return min(self.most // 2, MOST)


def _belief(data: Data, values: Hyperparameters, inducing: int | None) -> GaussianPosterior:
    if inducing is None:
        return GaussianPosterior.build(data, values)
    return inducing_posterior(data, values, inducing)


def _read(warm: Mapping[str, Any] | None) -> Hyperparameters | None:
    """A warm start, or None where the log holds something else: it is only a hint."""
    try:
        return None if warm is None else Hyperparameters.from_dict(warm)
    except StudyError:
        return None
