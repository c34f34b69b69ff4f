"""How much one noisy observation of a point would say, beside how much improvement it promises."""

from __future__ import annotations

from torch import Tensor

from gpbo.acquisition.base import Acquisition, single
from gpbo.surrogate.base import Posterior


class LogNews(Acquisition):
    """Log of the share of a point's uncertainty that one noisy observation of it would remove.

    1 - sd(noise) / sqrt(variance + noise): near 1 on new ground, near 0 where only noise is left.
    Added to a log expected improvement it gives the augmented expected improvement.

    Raises   ShapeError  when called with more than one point a set
    Source   Huang et al. 2006, "Global optimization of stochastic black-box systems via sequential
             kriging meta-models"
    """

    def __init__(self, posterior: Posterior, noise: float) -> None:
        self.posterior, self.noise = posterior, noise

    def __call__(self, x: Tensor) -> Tensor:
        return log_news(self.posterior.mean_variance(single("LogNews", x))[1], self.noise)


def log_news(variance: Tensor, noise: float) -> Tensor:
    """log(1 - sqrt(noise / (variance + noise))), without the difference of near numbers.

    Shapes   (...) -> (...)
    """
    ratio = variance / noise
    root = (1.0 + ratio).sqrt()
    logs: Tensor = (ratio / (root * (1.0 + root))).log()
    return logs
