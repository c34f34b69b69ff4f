"""How hard the maximizer looks: every count, and where it comes from, if it was measured.

"A/B" is a comparison over 90 posteriors (3 to 48 coordinates, 40 or 150 observations drawn from
the prior, lengthscales of 0.1 to 0.4 sqrt(p) spread by a factor of 4): how far the log expected
improvement that is found lies below the best of four searches with 8192 candidates and 60 starts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How many points are looked at, and how long they climb."""

    # A/B: 512 + 512 candidates with steps of 0.05 lose 0.012 on average, 1024 + 1024 0.011, 2048 +
    # 1024 with 0.1 (Optuna's and BoTorch's counts) 0.023; log-uniform steps are no better.
    sobol: int = 512  # quasi-random candidates
    local: int = 512  # candidates near the best known points
    sigma: float = 0.05  # standard deviation of a local step
    best_share: float = 0.05  # of the known points are "best"; BoTorch's sample_around_best
    moved: int = 20  # coordinates that half of the local steps change, where p is larger (TuRBO)
    # A/B: 4 starts lose 0.025, 6 0.018, 10 0.011, 16 0.008; the best 10 candidates, which are
    # mostly on one hill, 0.024.
    starts: int = 10
    eta: float = 1.0  # inverse temperature of the draw of starts; BoTorch's; A/B: 2, 4 lose more
    steps: int = 200  # L-BFGS iterations of one climb
    # A/B: of 1e-9 | 1e-5, 1e-5 | 1e-2 and 1e-3 | 1e-1 the first two lose the same, at 35 and 27
    # calls, the last 0.001 more, at 19.
    value_tolerance: float = 1e-5  # a step that gains less, relative to the value, is the last
    gradient_tolerance: float = 1e-2  # log units a lengthscale: a slope below is the top
    exhaustive: int = 4096  # a finite domain of at most so many points is evaluated whole
    scan: int = 16  # a discrete coordinate with at most so many levels is tried on each of them
    fills: int = 4  # ways to fill in the coordinates that a category's new level activates
    rounds: int = 4  # of climbing and discrete moves in turn
    sweeps: int = 8  # of discrete moves in one round
    moves: int = 4096  # discrete moves looked at in one sweep, the best rows' first
    chunk: int = 2048  # points handed to the acquisition at once
