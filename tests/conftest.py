"""What many tests share: spaces, and how a study is driven."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest

import gpbo

hypothesis.settings.register_profile("gpbo", deadline=None)  # no test times anything
hypothesis.settings.load_profile("gpbo")


@pytest.fixture
def rich_space() -> gpbo.Space:
    """Every kind of parameter, nested choices included."""
    return gpbo.Space(
        {
            "lr": gpbo.Float(1e-5, 1e-1, log=True),
            "dropout": gpbo.Float(0.0, 0.5, step=0.05),
            "layers": gpbo.Int(1, 8),
            "width": gpbo.Int(16, 1024, log=True),
            "act": gpbo.Categorical(["relu", "tanh", None]),
            "nesterov": gpbo.Bool(),
            "batch": gpbo.Ordinal([16, 32, 64, 128]),
            "opt": gpbo.Choice(
                {
                    "sgd": {"momentum": gpbo.Float(0.0, 0.99)},
                    "adam": {
                        "beta1": gpbo.Float(0.8, 0.999),
                        "decay": gpbo.Choice({"none": None, "l2": {"wd": gpbo.Float(0, 1)}}),
                    },
                }
            ),
            "epochs": 10,
        }
    )


@pytest.fixture
def small_space() -> gpbo.Space:
    """Sixteen points: three booleans and a category of two."""
    return gpbo.Space(
        {"a": gpbo.Bool(), "b": gpbo.Bool(), "c": gpbo.Bool(), "d": gpbo.Categorical(["x", "y"])}
    )


@pytest.fixture
def drive() -> Callable[..., list[gpbo.Trial]]:
    """A function that runs ask, objective, tell so many times and returns the study's trials."""

    def run(
        opt: gpbo.Optimizer, objective: Callable[[dict[str, Any]], float], n: int
    ) -> list[gpbo.Trial]:
        for _ in range(n):
            trial = opt.ask()
            assert trial is not None
            opt.tell(trial, objective(trial.params))
        return opt.trials

    return run


@pytest.fixture
def signals_of_a_terminal() -> Iterator[None]:
    """Signals act as in a terminal, also where these tests run in the background or under nohup."""
    actions = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, action) for number, action in actions.items()}
    yield
    for number, action in before.items():
        signal.signal(number, action)
