"""Trials that crowd around the best one, and when to look past them.

A model's targets are scaled by the better half of the values (surrogate/target.py). Once most
trials refine one optimum, that half differs in the fifth digit, all other ground looks equally
bad, and a study stays where it is, be it a local optimum: Styblinski and Tang's function in two
dimensions ended there in 2 of 5 studies of 50 trials, Goldstein and Price's in 3. So once refining
pays no more, every third proposal is made from targets that are scaled by trials apart, of a batch
every third point.
docs/decisions/15-crowds.md has the measurements.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gpbo.history import History
from gpbo.maximizer import Domain
from gpbo.surrogate.target import standardize

CLOSE = 0.03  # distance, times the root of the number of columns, within which points are a crowd
EVERY = 3  # such proposals; with every second, refinement loses as much as escapes win
WINDOW = 8  # trials that gained nothing, after which refining pays no more
# What counts as nothing, in standard deviations of the values apart: a proposal that looks past the
# crowd is to promise more.
GAIN = 1e-3
MOST = 1000  # points, the best ones, that all others are compared with


def apart(x: Tensor, y: Tensor) -> Tensor:
    """Which points have no better one, of those that are apart themselves, near them.

    Those after the best 1000 are not compared with each other.

    Shapes   x (n, d), y (n,), larger is better -> bool (n,)
    """
    order = y.argsort(descending=True, stable=True)
    best, others = x[order[:MOST]], x[order[MOST:]]
    close = CLOSE * math.sqrt(x.shape[-1])
    near = (torch.cdist(best, best) < close).cpu().numpy()
    kept = np.ones(len(best), dtype=bool)
    for k in range(len(best)):
        kept[k] = not (near[k, :k] & kept[:k]).any()
    alone = torch.from_numpy(kept).to(y.device)
    result = torch.empty(len(y), dtype=torch.bool, device=y.device)
    result[order] = torch.cat([alone, ~(torch.cdist(others, best[alone]) < close).any(1)])
    return result


def looking_past(turn: int, n: int) -> int:
    """How many of n points look past a crowd, if there is one and `turn` asks came before."""
    return len(range(-turn % EVERY, n, EVERY))


def overview(history: History, domain: Domain) -> Tensor | None:
    """Which trials the targets are scaled by to look past a crowd: those apart. None where refining
    still gains something.

    Shapes   -> bool (n,), in the order of `History.complete`, on the CPU
    """
    complete = history.complete
    if len(complete) <= WINDOW:
        return None
    values = history.sign * np.array([trial.value or 0.0 for trial in complete])
    with np.errstate(over="ignore"):  # infinity compares as it should
        gain, reach = values.max() - values[:-WINDOW].max(), np.ptp(values)
    if gain > GAIN * reach:  # no scale is longer than that, and most gains are larger
        return None
    rows = history.rows[[trial.number for trial in complete]]
    z = domain.snap(torch.from_numpy(rows).to(domain.kind.device))
    y = torch.from_numpy(values)
    alone = apart(domain.embed(z), y.to(z.device)).cpu()
    if int((~alone).sum()) < WINDOW // 2:
        return None
    return alone if gain < GAIN * standardize(y, alone)[1].scale else None
