"""Problems that several tests of the surrogate look at."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gpbo.surrogate.hyperparameters import Hyperparameters


def problem(n: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points in the unit cube and standardized targets of a smooth, noisy function."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, d))
    weights = np.exp(-np.arange(d) / 2)
    y = np.sin(5 * x @ weights / weights.sum()) + 2 * (x[:, 0] - 0.4) ** 2
    y = y + 0.05 * rng.standard_normal(n)
    if n > 0:
        y = (y - y.mean()) / (y.std() if n > 1 else 1.0)
    return torch.from_numpy(x), torch.from_numpy(y)


def values(groups: int, seed: int = 0) -> Hyperparameters:
    """Some hyperparameters of a usual size."""
    rng = np.random.default_rng(seed)
    return Hyperparameters(
        lengthscale=tuple(np.exp(rng.normal(-0.5, 0.4, groups)).tolist()),
        outputscale=float(np.exp(rng.normal(0, 0.3))),
        noise=float(np.exp(rng.normal(-4, 0.3))),
    )
