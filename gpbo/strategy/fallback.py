"""A model that fails on one device goes to the next, and then something simpler takes its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from gpbo.errors import FallbackWarning, GpboError, warn
from gpbo.history import History
from gpbo.space import Params
from gpbo.strategy.base import Proposal
from gpbo.strategy.belief import Belief

# What a model may die of: numerics, memory, a GPU. Anything else is a fault of the code, and shows.
TROUBLE = (RuntimeError, ArithmeticError, MemoryError, GpboError, np.linalg.LinAlgError)

# To be tried in turn, and what provenance says of each.
Devices = Iterable[tuple[torch.device, dict[str, Any]]]


def proposed_on(
    devices: Devices,
    by_model: Callable[[torch.device, dict[str, Any]], list[Proposal]],
    instead: Callable[[], list[Proposal]],
) -> list[Proposal]:
    """The proposals of a model on the first device where it works, else those `instead`.

    `by_model` is given a device and what provenance says of it, with what failed before as its
    "fallback".
    """
    fallback: str | None = None
    for device, about in devices:
        try:
            return by_model(device, {**about, "fallback": fallback})
        except TROUBLE as error:
            fallback = f"the model failed on {device}: {type(error).__name__}: {error}"
            warn_fallback(f"ask: {fallback}; falling back")
    return [Proposal(p.params, {**p.provenance, "fallback": fallback}) for p in instead()]


def best_mean_on(
    devices: Devices, believe: Callable[[torch.device], Belief], history: History
) -> Params | None:
    """The params of the complete trial with the best posterior mean, by a model on the first device
    where it works; None where it works on none.
    """
    for device, _ in devices:
        try:
            return history.complete[int(believe(device).means().argmax())].params
        except TROUBLE as error:
            warn_fallback(f"recommend: the model failed on {device} ({error}); trying the next")
    return None


def warn_fallback(message: str) -> None:
    """Say that something took the place of what was asked for."""
    warn(message, FallbackWarning)
