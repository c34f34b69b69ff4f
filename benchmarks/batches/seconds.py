"""How long one ask for q trials takes."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from benchmarks.batches.spread import observed
from benchmarks.suite import catalog

ROUNDS = 5
ENOUGH = 20.0  # seconds past which no further round is begun


def measure(name: str, q: int, seen: int) -> dict[str, Any]:
    """The median over rounds, each in a study of its own: a batch that is asked for stays pending.

    The first round is of one trial and not counted: it loads what is loaded once.
    """
    observed(catalog.make(name, ROUNDS), seen, ROUNDS).ask()
    taken: list[float] = []
    points = 0
    for seed in range(ROUNDS):
        opt = observed(catalog.make(name, seed), seen, seed)
        began = time.perf_counter()
        points = len(opt.ask(q))
        taken.append(time.perf_counter() - began)
        if sum(taken) > ENOUGH:
            break
    row = {"problem": name, "seen": seen, "q": q, "points": points, "rounds": len(taken)}
    return row | {"seconds": round(median(taken), 5), "slowest": round(max(taken), 5)}
