"""A small exact Gaussian process, written independently of gpbo.surrogate, to ask for beliefs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gpbo.surrogate.base import Posterior


class Belief(Posterior):
    """Squared exponential kernel, unit variance; textbook formulas with an explicit inverse."""

    def __init__(self, x: Tensor, y: Tensor, lengthscale: float = 0.4, noise: float = 1e-4) -> None:
        self.x, self.y, self.lengthscale, self.noise = x, y, lengthscale, noise
        eye = torch.eye(x.shape[0], dtype=x.dtype)
        self.inverse = torch.linalg.inv(self.kernel(x, x) + noise * eye)

    def kernel(self, a: Tensor, b: Tensor) -> Tensor:
        r2 = (a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(-1)
        return torch.exp(-0.5 * r2 / self.lengthscale**2)

    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        cross = self.kernel(x, self.x)
        covariance = self.kernel(x, x) - cross @ self.inverse @ cross.mT
        return (cross @ self.inverse @ self.y), covariance

    def mean_variance(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, covariance = self.joint(x.unsqueeze(-2))
        return mean.squeeze(-1), covariance[..., 0, 0]

    def condition(self, x: Tensor, y: Tensor | None) -> Belief:
        y = self.mean_variance(x)[0] if y is None else y
        return Belief(torch.cat([self.x, x]), torch.cat([self.y, y]), self.lengthscale, self.noise)


@pytest.fixture
def belief() -> Belief:
    """What is believed of a wavy function of two columns after eight looks at it."""
    rng = np.random.default_rng(3)
    x = torch.from_numpy(rng.random((8, 2)))
    return Belief(x, torch.sin(5 * x[:, 0]) + torch.cos(4 * x[:, 1]))


@pytest.fixture
def points() -> Callable[..., Tensor]:
    """Random points in the unit cube: points(shape, seed)."""

    def draw(*shape: int, seed: int = 0) -> Tensor:
        return torch.from_numpy(np.random.default_rng(seed).random(shape))

    return draw
