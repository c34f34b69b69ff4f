"""Which trials are apart from better ones, and when the next proposal looks past a crowd."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import gpbo
from gpbo.history import History
from gpbo.strategy.belief import domain_of
from gpbo.strategy.crowd import CLOSE, EVERY, GAIN, MOST, WINDOW, apart, looking_past, overview


def test_points_apart_are_the_best_of_their_neighbourhoods() -> None:
    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(rng.random((60, 2)) ** 2), torch.from_numpy(rng.standard_normal(60))
    x[40:] = x[int(y.argmax())] + 1e-3 * torch.from_numpy(rng.standard_normal((20, 2)))
    alone = apart(x, y)
    near = torch.cdist(x, x) < CLOSE * math.sqrt(2)
    for i in range(60):
        better = [j for j in range(60) if near[i, j] and alone[j] and y[j] > y[i]]
        assert bool(alone[i]) == (not better)
    assert alone[y.argmax()]
    assert int(alone[40:].sum()) <= 1


def test_equal_points_count_once_and_no_points_are_no_crowd() -> None:
    assert apart(torch.zeros(5, 3), torch.zeros(5)).tolist() == [True] + [False] * 4
    assert apart(torch.zeros(0, 3), torch.zeros(0)).tolist() == []


def test_a_crowd_of_any_size_counts_as_one() -> None:
    rng = np.random.default_rng(0)
    few = torch.from_numpy(rng.random((30, 2)))
    crowd = 0.5 + 1e-4 * torch.from_numpy(rng.standard_normal((MOST + 500, 2)))
    y = torch.from_numpy(np.concatenate([np.arange(30.0), 40 + rng.random(MOST + 500)]))
    alone = apart(torch.cat([few, crowd]), y)
    assert int(alone[30:].sum()) == 1
    assert int(alone[:30].sum()) > 20


def study(values: list[float], crowd: int, direction: str = "minimize") -> History:
    """`values` far from each other, and as many trials as `crowd` beside the best of them."""
    space = gpbo.Space({"x": gpbo.Float(0, 1), "kind": ["a", "b", "c"]})
    opt = gpbo.Optimizer(space, strategy="random", seed=0, direction=direction)
    sign = 1.0 if direction == "minimize" else -1.0
    for k, value in enumerate(values):
        opt.add({"x": k / len(values), "kind": "b"}, sign * value)
    at = values.index(min(values)) / len(values)
    for k in range(crowd):
        opt.add({"x": at + 1e-4 * (k + 1), "kind": "b"}, sign * (min(values) - 1e-9 * k))
    return opt._journal.history


def looks(history: History) -> bool:
    found = overview(history, domain_of(history.space, torch.device("cpu")))
    if found is not None:  # the crowd counts as its best, those of `values` for themselves
        best = history.best.number
        beside = {t.number for t in history.complete if abs(t["x"] - history.best["x"]) < 0.01}
        assert [k for k, alone in enumerate(found.tolist()) if not alone] == sorted(beside - {best})
    return found is not None


def test_a_crowd_that_gains_nothing_is_looked_past() -> None:
    values = [3.0, 1.0, 2.0, 0.5, 2.5, 4.0, 1.5]
    for direction in ("minimize", "maximize"):
        assert all(looks(study(values, crowd, direction)) for crowd in range(WINDOW, WINDOW + 6))


def test_every_third_point_looks_past_it_in_asks_of_any_size() -> None:
    for n in range(1, 3 * EVERY):
        assert sum(looking_past(turn, n) for turn in range(6)) == 6 * n // EVERY


def test_while_trials_gain_or_lie_apart_none_does() -> None:
    values = [3.0, 1.0, 2.0, 0.5, 2.5, 4.0, 1.5]
    opt = gpbo.Optimizer({"x": gpbo.Float(0, 1)}, strategy="random", seed=0)
    for k, value in enumerate(values):
        opt.add({"x": k / len(values)}, value)
    for k in range(WINDOW):
        opt.add({"x": 3 / 7 + 1e-4 * (k + 1)}, 0.5 - 10 * GAIN * k)
    assert not looks(opt._journal.history)
    apart_all = study([float((7 * k) % 15) for k in range(15)], 0)
    assert not looks(apart_all)


def test_a_study_leaves_a_local_optimum_that_it_has_refined() -> None:
    """The least of Styblinski and Tang's function has three rivals; the worst is 28 above it."""

    def objective(p: dict[str, float]) -> float:
        return sum(0.5 * (x**4 - 16 * x**2 + 5 * x) for x in p.values()) + 78.33233

    found = []
    for seed in range(4):
        opt = gpbo.Optimizer({name: gpbo.Float(-5, 5) for name in "xy"}, seed=seed, device="cpu")
        rng = np.random.default_rng(seed)
        few = rng.uniform(-5, 5, (6, 2))
        crowd = 2.7468 + 1e-3 * rng.standard_normal((25, 2))
        for x, y in (*few, *crowd):
            opt.add({"x": x, "y": y}, objective({"x": x, "y": y}))
        while len(opt.trials) < 61:
            trial = opt.ask()
            assert trial is not None
            opt.tell(trial, objective(trial.params))
        found.append(opt.best_value)
    assert max(found) < 5  # without looking past the crowd, three of the four stay at 28


def test_a_study_leaves_a_branch_that_has_nothing_left_to_gain() -> None:
    log = math.log10
    space = gpbo.Space(
        {
            "model": gpbo.Choice(
                {
                    "svm": {
                        "C": gpbo.Float(1e-3, 1e3, log=True),
                        "kernel": gpbo.Choice(
                            {
                                "rbf": {"gamma": gpbo.Float(1e-4, 1, log=True)},
                                "poly": {"degree": gpbo.Int(2, 5)},
                                "linear": None,
                            }
                        ),
                    },
                    "forest": {"trees": gpbo.Int(10, 500, log=True)},
                    "linear": {"C": gpbo.Float(1e-4, 1e2, log=True)},
                }
            )
        }
    )

    def objective(p: dict[str, Any]) -> float:
        if p["model"] == "forest":
            return 0.35 + 1 / p["trees"]
        if p["model"] == "linear":
            return 0.2 + 0.2 * (log(p["C"]) - 1) ** 2
        kernel = {
            "rbf": lambda: 0.3 * (log(p["gamma"]) + 2) ** 2,
            "poly": lambda: p["degree"] / 6 + 0.2,
            "linear": lambda: 0.5,
        }
        return float(0.05 + 0.3 * log(p["C"]) ** 2 + kernel[p["kernel"]]())

    for seed in (3, 6, 8):
        assert gpbo.minimize(objective, space, 100, seed=seed).best_value < 0.15


def stuck(more: int = 0) -> gpbo.Optimizer:
    """A study that gains nothing beside its best trial."""
    opt = gpbo.Optimizer({"x": gpbo.Float(0, 1)}, seed=0, device="cpu")
    for k, value in enumerate([3.0, 1.0, 2.0, 0.5, 2.5, 4.0, 1.5]):
        opt.add({"x": k / 7}, value)
    for k in range(WINDOW + more):
        opt.add({"x": 3 / 7 + 1e-4 * (k + 1)}, 0.5 - 1e-9 * k)
    return opt


@pytest.mark.parametrize("more", range(EVERY))
def test_every_third_ask_looks_past_the_crowd(more: int) -> None:
    opt, looked = stuck(more), []
    for _ in range(2 * EVERY):
        trial = opt.ask()
        looked.append(trial.provenance["memory"]["overview"])
        opt.tell(trial, 0.5 + abs(trial["x"] - 3 / 7))
    assert sum(looked) == 2


@pytest.mark.parametrize("n", [EVERY, 8])
def test_every_third_point_of_a_batch_looks_past_the_crowd(n: int) -> None:
    """Whole batches that do, or do not, learn less: the last points of each have little to gain."""
    opt = stuck()
    for _ in range(2):
        trials = opt.ask(n)
        kinds = [t.provenance["memory"]["overview"] for t in trials if "memory" in t.provenance]
        assert kinds == [False, True]
        second = next(k for k, t in enumerate(trials) if k and "memory" in t.provenance)
        assert n - second in (n // EVERY, n // EVERY + 1)
        assert all(abs(t["x"] - 3 / 7) > 0.01 for t in trials[second:])
        for trial in trials:
            opt.tell(trial, 0.5 + abs(trial["x"] - 3 / 7))


def test_the_points_of_a_large_batch_that_are_drawn_are_of_both_models() -> None:
    trials = stuck().ask(90)
    rules = [trial.provenance["rule"] for trial in trials]
    assert rules == ["log_ei"] * 42 + ["thompson"] * 18 + ["log_ei"] * 21 + ["thompson"] * 9
    assert len({trial["x"] for trial in trials}) == 90
