"""What a whole study costs: the optimizer's seconds of many trials, and its memory."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ask.latency import ready
from benchmarks.ask.problem import Problem, hartmann

STUDIES = 10  # short ones, for memory: one after the other in one process
MARKS = 20  # how often memory is read in a long one


def whole(name: str, trials: int, d: int, seed: int) -> dict[str, Any]:
    """A study from its first trial on, begun as the contestant does; the objective is free."""
    one, problem = ready(name), hartmann(d, seed)
    one.begin(np.empty((0, d)), np.empty(0), seed)
    values = []
    seconds = 0.0
    for _ in range(trials):
        began = time.perf_counter()
        point = one.ask()
        seconds += time.perf_counter() - began
        values.append(float(problem(point)[0]))
        began = time.perf_counter()
        one.tell(point, values[-1])
        seconds += time.perf_counter() - began
    return {"contestant": name, "seed": seed, "seconds": seconds, "best": min(values)}


def resident(asks: int, d: int) -> dict[str, Any]:
    """MiB that the process holds after each of STUDIES studies with `asks` asks in all."""
    problem = hartmann(d, 0)
    marks = [_mebibytes()]
    for seed in range(STUDIES):
        _study(problem, asks // STUDIES, seed)
        marks.append(_mebibytes())
    return {"asks": asks, "d": d, "studies": STUDIES, "resident": marks}


def resident_in_one(asks: int, d: int) -> dict[str, Any]:
    """MiB that the process holds while one study grows; the matrices of its model grow with it."""
    marks = [_mebibytes()]
    step = max(1, asks // MARKS)
    _study(hartmann(d, 0), asks, 0, lambda k: marks.append(_mebibytes()) if k % step == 0 else None)
    return {"asks": asks, "d": d, "step": step, "resident": marks}


def _study(problem: Problem, asks: int, seed: int, after: Any = None) -> None:
    import gpbo

    space = {f"x{j}": gpbo.Float(0.0, 1.0) for j in range(problem.d)}
    opt = gpbo.Optimizer(space, strategy=gpbo.Bayes(device="cpu"), seed=seed)
    for number in range(1, asks + 1):
        trial = opt.ask()
        assert trial is not None
        opt.tell(trial, float(problem(np.array(list(trial.params.values())))[0]))
        if after is not None:
            after(number)


def _mebibytes() -> float:
    """The resident memory of this process, from Linux's accounts."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
