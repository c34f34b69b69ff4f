"""Which trials an ask hands out, where several optimizers share a study."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gpbo
from gpbo.dispatch import PATIENCE
from gpbo.errors import SpaceExhaustedWarning, StrategyError
from gpbo.history import History
from gpbo.strategy.random import Random

SPACE = {"x": gpbo.Float(0, 1), "k": gpbo.Int(1, 3)}

ASK_TEN = """
import sys, gpbo
opt = gpbo.Optimizer({"x": gpbo.Float(0, 1), "k": gpbo.Int(1, 3)}, strategy="random", seed=0,
                     storage=sys.argv[1])
for _ in range(10):
    trial = opt.ask()
    opt.tell(trial, trial["x"])
    print(trial.number, trial["x"])
"""


class Overtaken(gpbo.Strategy):
    """Random search that lets another optimizer ask while it thinks, so many times."""

    name = "overtaken"

    def __init__(self, rival: gpbo.Optimizer, times: int) -> None:
        self.rival, self.times, self.thoughts = rival, times, 0

    def propose(self, history: History, n: int, seed: int) -> list[gpbo.Proposal]:
        self.thoughts += 1
        if self.times:
            self.times -= 1
            self.rival.ask()
        return Random().propose(history, n, seed)


def study(file: Path, strategy: str | gpbo.Strategy = "random") -> gpbo.Optimizer:
    return gpbo.Optimizer(SPACE, strategy=strategy, seed=0, storage=file)


def test_a_proposal_that_was_overtaken_is_made_again(tmp_path: Path) -> None:
    rival = study(tmp_path / "runs.db")
    slow = Overtaken(rival, times=3)
    trial = study(tmp_path / "runs.db", slow).ask()
    assert trial is not None
    assert (trial.number, slow.thoughts) == (3, 4)
    assert len({t["x"] for t in rival.trials}) == 4


def test_a_tell_in_between_does_not_make_a_proposal_again(tmp_path: Path) -> None:
    rival = study(tmp_path / "runs.db")
    rival.ask()

    class Interrupted(Overtaken):
        def propose(self, history: History, n: int, seed: int) -> list[gpbo.Proposal]:
            self.thoughts += 1
            rival.tell(0, 0.5)
            return Random().propose(history, n, seed)

    slow = Interrupted(rival, times=0)
    opt = study(tmp_path / "runs.db", slow)
    assert opt.ask() is not None
    assert slow.thoughts == 1
    assert opt.trials[0].value == 0.5


def test_processes_on_one_file_never_get_the_same_trial(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", ASK_TEN, str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # all but one say that they resumed
            text=True,
        )
        for _ in range(8)
    ]
    lines = [line.split() for child in crowd for line in child.communicate()[0].splitlines()]
    assert sorted(int(number) for number, _ in lines) == list(range(80))
    assert len({x for _, x in lines}) == 80
    assert [t.params for t in study(file).trials] == [
        t.params for t in gpbo.Optimizer(SPACE, strategy="random", seed=0).ask(80)
    ]


def test_changing_the_params_of_a_trial_changes_nothing_else() -> None:
    opt = gpbo.Optimizer(SPACE, strategy="random", seed=0)
    trial = opt.ask()
    assert trial is not None
    x = trial.params.pop("x")
    opt.tell(trial, 1.0)
    assert opt.best_params["x"] == x


def test_an_ask_that_is_always_overtaken_ends_with_a_new_point(tmp_path: Path) -> None:
    class Another(Overtaken):
        """With points of its own: those of two random searches with one seed are the same."""

        def propose(self, history: History, n: int, seed: int) -> list[gpbo.Proposal]:
            return super().propose(history, n, seed + 1)

    rival = study(tmp_path / "runs.db")
    slow = Another(rival, times=100)
    trial = study(tmp_path / "runs.db", slow).ask()
    assert trial is not None
    assert slow.thoughts == PATIENCE + 1
    assert trial.number == PATIENCE + 1
    assert len({t["x"] for t in rival.trials}) == len(rival.trials)


def test_what_others_tried_meanwhile_and_the_budget_hold_in_the_end_too(tmp_path: Path) -> None:
    class Next(gpbo.Strategy):
        """Proposes the lowest of ten points that is left, while a rival takes one of them."""

        name = "next"

        def __init__(self, rival: gpbo.Optimizer) -> None:
            self.rival, self.thoughts = rival, 0

        def propose(self, history: History, n: int, seed: int) -> list[gpbo.Proposal]:
            self.thoughts += 1
            left = sorted(set(range(10)) - {trial["k"] for trial in history.trials})
            if left:
                self.rival.add({"k": left[0]}, 0.5)
            return [gpbo.Proposal({"k": k}) for k in left[:n]]

    space = {"k": gpbo.Int(0, 9)}
    rival = gpbo.Optimizer(space, strategy="random", seed=0, storage=tmp_path / "runs.db")
    slow = Next(rival)
    opt = gpbo.Optimizer(space, strategy=slow, seed=0, storage=tmp_path / "runs.db")
    assert opt.ask() is None  # each time the rival had it first
    assert len(rival.trials) == 10
    assert len({t["k"] for t in rival.trials}) == 10
    slow = Next(gpbo.Optimizer(space, strategy="random", seed=0, storage=tmp_path / "more.db"))
    few = gpbo.Optimizer(space, strategy=slow, seed=0, storage=tmp_path / "more.db", budget=5)
    with pytest.warns(SpaceExhaustedWarning):
        few.ask(2)
    assert len(few.trials) == 5


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([gpbo.Proposal({"x": 5.0, "k": 1})], "out of bounds, got 5.0"),
        ([gpbo.Proposal({"x": 0.5})], "'k'"),
        ([gpbo.Proposal({"x": 0.5, "k": 1, "z": 3})], "'z'"),
        ([gpbo.Proposal({"x": "0.5", "k": 1})], "'0.5'"),
        ([{"x": 0.5, "k": 1}], "no proposal, got"),
        ([gpbo.Proposal({"x": 0.5, "k": 1})] * 3, "not what was asked for"),
        (None, "not what was asked for, got None"),
        ([gpbo.Proposal({"x": 0.5, "k": 1}, None)], "no provenance, got None"),  # type: ignore[arg-type]
        ([gpbo.Proposal({"x": 0.5, "k": 1}, {"y": {1, 2}})], "provenance: .*not JSON"),
        ([gpbo.Proposal({"x": 0.5, "k": 1}, {"y": float("nan")})], "provenance: .*not JSON"),
    ],
)
def test_a_proposal_that_does_not_fit_is_refused_and_nothing_is_written(
    made: Any, message: str
) -> None:
    class Bad(gpbo.Strategy):
        name = "bad"

        def propose(self, history: History, n: int, seed: int) -> list[gpbo.Proposal]:
            return made  # type: ignore[no-any-return]  # what a strategy should not return

    opt = gpbo.Optimizer(SPACE, strategy=Bad(), seed=0)
    with pytest.raises(StrategyError, match=f"bad: .*{message}"):
        opt.ask()
    assert opt.trials == []


@pytest.mark.parametrize("memory", [3, "values", {"values": 3}, {"values": {"lengthscale": "x"}}])
@pytest.mark.parametrize("strategy", ["bayes", "trust_region"])
def test_provenance_of_somebody_elses_strategy_harms_no_other(memory: Any, strategy: str) -> None:
    class Mine(gpbo.Strategy):
        name = "mine"

        def propose(self, history: History, n: int, seed: int) -> list[gpbo.Proposal]:
            made = Random().propose(history, n, seed)
            return [gpbo.Proposal(one.params, {"memory": memory, "phase": 7}) for one in made]

    storage = gpbo.MemoryStorage()
    opt = gpbo.Optimizer(SPACE, strategy=Mine(), seed=0, storage=storage)
    for trial in opt.ask(12):
        opt.tell(trial, trial["x"])
    other = gpbo.Optimizer(SPACE, strategy=strategy, seed=0, storage=storage, device="cpu")
    assert other.ask().provenance["phase"] == "model"
