"""The numbers that a fit learns, as plain floats that survive JSON bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpbo.errors import StudyError, explain

KEYS = ("lengthscale", "outputscale", "noise")


@dataclass(frozen=True)
class Hyperparameters:
    """A lengthscale for each group of columns, the function's variance and the noise variance."""

    lengthscale: tuple[float, ...]
    outputscale: float
    noise: float

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` gives back equal bits."""
        return {
            "lengthscale": list(self.lengthscale),
            "outputscale": self.outputscale,
            "noise": self.noise,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Hyperparameters:
        """What `to_dict` wrote.

        Raises   StudyError  if it is something else, or a number is not positive and finite
        """
        try:
            lengthscale, outputscale, noise = (values[key] for key in KEYS)
            if not isinstance(lengthscale, Sequence) or isinstance(lengthscale, str):
                raise TypeError
            read = cls(tuple(map(float, lengthscale)), float(outputscale), float(noise))
        except (KeyError, TypeError, ValueError):
            raise _unreadable(values) from None
        numbers = (*read.lengthscale, read.outputscale, read.noise)
        if not all(math.isfinite(number) and number > 0 for number in numbers):
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
