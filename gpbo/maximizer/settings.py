"""How hard the maximizer looks: every count, with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How many points are looked at, and how long they climb."""

    sobol: int = 2048  # quasi-random candidates; Optuna's GPSampler takes as many
    local: int = 1024  # candidates near the best known points
    best_share: float = 0.05  # of the known points are "best"; BoTorch's sample_around_best
    sigma: float = 0.1  # standard deviation of a local step
    moved: int = 20  # coordinates that half of the local steps change, on average, where p > moved
    starts: int = 10
    eta: float = 1.0  # temperature of the draw of starts; BoTorch's initialize_q_batch
    steps: int = 200  # L-BFGS iterations of one climb
    exhaustive: int = 4096  # a finite domain of at most so many points is evaluated whole
    scan: int = 16  # a discrete coordinate with at most so many levels is tried on each of them
    fills: int = 4  # ways to fill in the coordinates that a category's new level activates
    rounds: int = 4  # of climbing and discrete moves in turn
    sweeps: int = 8  # of discrete moves in one round
    moves: int = 4096  # discrete moves looked at in one sweep, the best rows' first
    chunk: int = 2048  # points handed to the acquisition at once
