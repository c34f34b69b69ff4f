"""A study that is killed again and again: asks, acknowledges and tells until it has enough trials.

Run as a process of its own by test_crash.py:  crash_child.py FILE ACKNOWLEDGED STRATEGY TRIALS
"""

from __future__ import annotations

import os
import sys
from typing import Any

import gpbo

SPACE = {
    "x": gpbo.Float(-1, 1),
    "lr": gpbo.Float(1e-5, 1e-1, log=True),
    "k": gpbo.Int(1, 6),
    "opt": gpbo.Choice({"sgd": {"m": gpbo.Float(0, 0.9)}, "adam": None}),
}


def objective(params: dict[str, Any]) -> float:
    """A deterministic loss with a value for every branch."""
    return float((params["x"] - 0.3) ** 2 + params["k"] / 10 + params.get("m", 0.5))


def study(file: str | None, strategy: str) -> gpbo.Optimizer:
    """The study, new or resumed."""
    return gpbo.Optimizer(SPACE, strategy=strategy, seed=5, storage=file)


def main() -> None:
    file, acknowledged, strategy, total = sys.argv[1:]
    opt = study(file, strategy)
    log = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while sum(trial.state == "complete" for trial in opt.trials) < int(total):
        trial = opt.ask()
        assert trial is not None
        value = objective(trial.params)
        opt.tell(trial, value)
        os.write(log, f"{trial.number} {value!r}\n".encode())


if __name__ == "__main__":
    main()
