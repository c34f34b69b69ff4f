"""Which trials an ask hands out, where several optimizers share a study."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gpbo
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
