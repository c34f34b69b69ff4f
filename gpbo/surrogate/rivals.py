"""Two Gaussian processes that differ in their priors: which is believed, the data decide.

A prior's mode says what a lengthscale is where the data leave it open. Among categories that
decides whether a value is the noise of one trial or news of its neighbours: with short lengthscales
all values are unrelated and exact, with long ones most of what differs is noise. Neither is right
everywhere, so both are fitted. docs/decisions/27-categories.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from gpbo.surrogate.base import Fitted, Surrogate
from gpbo.surrogate.gp import GaussianProcess
from gpbo.surrogate.posterior import GaussianPosterior

# Natural logarithms of likelihood by which `usual` has to explain the data better.
LEAD = 2.0


@dataclass(frozen=True, eq=False)
class Rivals(Surrogate):
    """The second of two Gaussian processes, unless the first explains the data better by LEAD.

    Where the first sees the data through inducing points, it is believed alone.
    """

    usual: GaussianProcess
    other: GaussianProcess

    def fit(
        self,
        x: Tensor,
        y: Tensor,
        rng: np.random.Generator,
        *,
        noise: Tensor | None = None,
        warm: Mapping[str, Any] | None = None,
    ) -> Fitted:
        """As promised by Surrogate; `memory` is that of the one that is believed, and in "rivals"
        has what each of them remembers.

        Raises   ShapeError        if the shapes do not fit together
                 ObservationError  if x or y is not finite, or a noise is negative
        """
        first, second = _each(warm)
        usual = self.usual.fit(x, y, rng, noise=noise, warm=first)
        if usual.report["inducing"] is not None:
            return usual
        other = self.other.fit(x, y, rng, noise=noise, warm=second)
        rivals = [usual.memory, other.memory]
        lead = _log_likelihood(usual) - _log_likelihood(other)
        believed = usual if lead > LEAD else other
        return Fitted(
            believed.posterior,
            {**believed.memory, "rivals": rivals},
            {**believed.report, "lead": lead},
        )

    def posterior(
        self, x: Tensor, y: Tensor, memory: Mapping[str, Any], *, noise: Tensor | None = None
    ) -> GaussianPosterior:
        """As promised by Surrogate.

        Raises   StudyError  if memory is not what a fit gave
        """
        return self.usual.posterior(x, y, memory, noise=noise)


def _each(warm: Mapping[str, Any] | None) -> tuple[Any, Any]:
    """What each of the two remembers; what there is for both, where they were never fitted."""
    rivals = None if warm is None else warm.get("rivals")
    if not isinstance(rivals, list) or len(rivals) != 2:
        return warm, warm
    return rivals[0], rivals[1]


def _log_likelihood(fitted: Fitted) -> float:
    assert isinstance(fitted.posterior, GaussianPosterior)
    return fitted.posterior.log_likelihood()
