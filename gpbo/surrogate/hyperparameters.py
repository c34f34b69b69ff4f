"""The numbers that a fit learns, as plain floats that survive JSON bit for bit."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpbo.errors import StudyError, explain

KEYS = ("lengthscale", "outputscale", "noise")
COUNTS = ("searched", "fitted")


@dataclass(frozen=True)
class Hyperparameters:
    """A lengthscale for each group of columns, the function's variance and the noise variance.

    Needs    searched: from how many observations all starts were last tried, fitted: from how many
             the numbers were last moved; 0 for never. metric: how far the logs of the numbers can
             move at little cost, the inverse of minus the log posterior's second derivatives; its
             lower triangle row by row, its diagonal alone, or nothing. None of the three makes two
             of these unequal.
    """

    lengthscale: tuple[float, ...]
    outputscale: float
    noise: float
    searched: int = field(default=0, compare=False)
    fitted: int = field(default=0, compare=False)
    metric: tuple[float, ...] = field(default=(), compare=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` gives back equal bits."""
        return {
            "lengthscale": list(self.lengthscale),
            "outputscale": self.outputscale,
            "noise": self.noise,
            "searched": self.searched,
            "fitted": self.fitted,
            "metric": list(self.metric),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Hyperparameters:
        """What `to_dict` wrote; without the counts, all starts were never tried.

        Raises   StudyError  if it is something else, or a number is not positive and finite
        """
        try:
            lengthscale, outputscale, noise = (values[key] for key in KEYS)
            if not isinstance(lengthscale, Sequence) or isinstance(lengthscale, str):
                raise TypeError
            searched, fitted = (operator.index(values.get(key, 0)) for key in COUNTS)
            metric = tuple(map(float, values.get("metric", ())))
            lengths = tuple(map(float, lengthscale))
            numbers = lengths, float(outputscale), float(noise)
            read = cls(*numbers, searched, fitted, metric)
        except (KeyError, TypeError, ValueError):
            raise _unreadable(values) from None
        positive = all(
            math.isfinite(number) and number > 0
            for number in (*read.lengthscale, read.outputscale, read.noise)
        )
        if not positive or min(searched, fitted) < 0 or not all(map(math.isfinite, metric)):
            raise _unreadable(values)
        return read


def _unreadable(values: object) -> StudyError:
    return StudyError(
        explain(
            "hyperparameters",
            "not what a fit wrote",
            values,
            expected=f"positive numbers under {', '.join(KEYS)}",
        )
    )
