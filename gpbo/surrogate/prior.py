"""What is believed about the hyperparameters before there are data, each prior with its source.

Densities are those of the hyperparameter itself, v, and not of its logarithm t in which the fit
moves. `module()` is the same prior for any GPyTorch model; only it imports GPyTorch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    import gpytorch

Coefficients = tuple[float, float, float, float]


class Hyperprior(ABC):
    """A prior of a positive number v = exp(t), with log density c0 + c1 t + c2 t^2 + c3 v."""

    @property
    @abstractmethod
    def mode(self) -> float:
        """Where the density is highest."""

    @property
    @abstractmethod
    def coefficients(self) -> Coefficients:
        """c0, c1, c2 and c3."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """Independent values, (size,)."""

    @abstractmethod
    def module(self) -> gpytorch.priors.Prior:
        """The same prior as a GPyTorch module, in float64."""


@dataclass(frozen=True)
class LogNormal(Hyperprior):
    """log(value) is normal."""

    loc: float
    scale: float

    @property
    def mode(self) -> float:
        return math.exp(self.loc - self.scale**2)

    @property
    def coefficients(self) -> Coefficients:
        precision = self.scale**-2
        constant = -math.log(self.scale) - 0.5 * math.log(2 * math.pi)
        return (
            constant - 0.5 * precision * self.loc**2,
            precision * self.loc - 1.0,
            -0.5 * precision,
            0.0,
        )

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        return rng.lognormal(self.loc, self.scale, size)

    def module(self) -> gpytorch.priors.Prior:
        import gpytorch

        return gpytorch.priors.LogNormalPrior(_double(self.loc), _double(self.scale))


@dataclass(frozen=True)
class Gamma(Hyperprior):
    """Density proportional to v^(concentration - 1) exp(-rate v)."""

    concentration: float
    rate: float

    @property
    def mode(self) -> float:
        return max(self.concentration - 1.0, 1e-3) / self.rate

    @property
    def coefficients(self) -> Coefficients:
        shape, rate = self.concentration, self.rate
        return shape * math.log(rate) - math.lgamma(shape), shape - 1.0, 0.0, -rate

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        return rng.gamma(self.concentration, 1.0 / self.rate, size)

    def module(self) -> gpytorch.priors.Prior:
        import gpytorch

        return gpytorch.priors.GammaPrior(_double(self.concentration), _double(self.rate))


@dataclass(frozen=True)
class Range:
    """The values that a hyperparameter may take."""

    low: float
    high: float

    def clip(self, value: float) -> float:
        """The nearest value in the range."""
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class Priors:
    """The priors of a Gaussian process, and the ranges that its fit stays in.

    Needs    shortest: what each lengthscale stays above, within its range; None: nothing more;
             own: the prior of each lengthscale, where they differ; `lengthscale` is then what
             searches start from
    """

    lengthscale: Hyperprior
    outputscale: Hyperprior
    noise: Hyperprior
    # Past the ends of these ranges the function is noise, or flat, to more than six digits.
    lengthscale_range: Range = Range(1e-2, 1e5)
    outputscale_range: Range = Range(1e-3, 1e3)
    # The floor: noiseless problems stall where the noise cannot fall to what they need; at 1e-9 a
    # matrix of some thousand crowded points still has a factor.
    noise_range: Range = Range(1e-9, 1e1)
    shortest: tuple[float, ...] | None = None
    own: tuple[LogNormal, ...] | None = None

    def table(self, d: int) -> Tensor:
        """The coefficients of d lengthscales, the outputscale and the noise: (4, d + 2)."""
        rows = [prior.coefficients for prior in self.own or (self.lengthscale,) * d]
        rows += [self.outputscale.coefficients, self.noise.coefficients]
        return torch.tensor(rows, dtype=torch.float64).T.contiguous()

    def lengthscale_module(self) -> gpytorch.priors.Prior:
        """The prior of all lengthscales as a GPyTorch module, in float64."""
        if self.own is None:
            return self.lengthscale.module()
        import gpytorch

        locs, scales = zip(*((prior.loc, prior.scale) for prior in self.own), strict=True)
        return gpytorch.priors.LogNormalPrior(_double(locs), _double(scales))

    def ranges(self, d: int) -> list[Range]:
        """Those of d lengthscales, the outputscale and the noise."""
        usual = self.lengthscale_range
        ranges = [usual] * d
        if self.shortest is not None:
            ranges = [Range(usual.clip(low), usual.high) for low in self.shortest]
        return [*ranges, self.outputscale_range, self.noise_range]


def default_priors(d: int) -> Priors:
    """Priors for d lengthscales, inputs in the unit cube and standardized targets.

    Some objectives repeat exactly, others do not. So the noise prior says little about how small it
    is, only that more than 0.1 is unlikely; docs/decisions/20-little-noise.md.

    Source   lengthscale: Hvarfner et al. 2024, arXiv:2402.02229: the median grows with sqrt(d);
             outputscale: Optuna 5, GPSampler; the noise prior is our own
    """
    return Priors(
        lengthscale=_lengthscale(d),
        outputscale=Gamma(2.0, 1.0),
        noise=Gamma(1.1, 10.0),
    )


def lengthscales(long: Sequence[bool]) -> tuple[LogNormal, ...]:
    """Of d lengthscales, priors whose mode is at 1.5 sqrt(d) where long, and else at 0.2 sqrt(d).

    The latter is that of `default_priors`: where data leave it open, values are unrelated. The
    median is the same.
    """
    return tuple(_lengthscale(len(long), long=one) for one in long)


def _lengthscale(d: int, *, long: bool = False) -> LogNormal:
    return LogNormal(math.sqrt(2) + 0.5 * math.log(max(d, 1)), 1.0 if long else math.sqrt(3))


def label_priors(d: int) -> Priors:
    """Priors for d lengthscales and labels that are 1 where a trial succeeded and 0 where not.

    A wall between the two, with points crowded along it, draws the most probable lengthscale down
    to nothing; the belief then forgets the failures a step away, and proposals march into them. So
    the lengthscale stays above half of its prior's mode, and the rest at the wall is noise.
    """
    least = 0.1 * math.sqrt(max(d, 1))
    return replace(expecting_noise(default_priors(d)), lengthscale_range=Range(least, 1e5))


def expecting_noise(priors: Priors) -> Priors:
    """The same for what no smooth function explains to the last digit: labels, tables.

    Source   Hvarfner et al. 2024, arXiv:2402.02229, as in BoTorch 0.18
    """
    return replace(priors, noise=LogNormal(-4.0, 1.0), noise_range=Range(1e-6, 1e1))


def _double(value: float | tuple[float, ...]) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
