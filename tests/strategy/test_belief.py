"""What a model is made of where memory is short, and that everything else stays whole."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

import gpbo
from gpbo.errors import FallbackWarning
from gpbo.strategy import bayes, device
from gpbo.strategy.bayes import Bayes
from gpbo.strategy.belief import believe
from gpbo.surrogate.gp import GaussianProcess

CPU = torch.device("cpu")


def study(n: int, **settings) -> gpbo.Optimizer:
    opt = gpbo.Optimizer({"x": gpbo.Float(0, 1), "y": gpbo.Float(0, 1)}, seed=0, **settings)
    for x, y in np.random.default_rng(0).random((n, 2)):
        opt.add({"x": float(x), "y": float(y)}, float((x - 0.3) ** 2 + y))
    return opt


def test_a_long_history_is_seen_through_inducing_points(monkeypatch):
    opt = study(30)
    monkeypatch.setattr(device, "EXACT", 12)
    trials = [opt.ask() for _ in range(3)]
    assert [trial.provenance["fit"]["inducing"] for trial in trials] == [6, 6, 6]
    assert trials[0].provenance["fallback"] is None
    known = [other.params for other in opt.trials]
    assert all(known.count(trial.params) == 1 for trial in trials)


def test_a_surrogate_of_some_trials_says_so_and_proposes_nothing_known(monkeypatch):
    opt = study(30, strategy=Bayes(surrogate=GaussianProcess()))
    monkeypatch.setattr(bayes, "most_rows", lambda device, n: 12)
    with pytest.warns(FallbackWarning, match="the model is of 12 of 30 trials: memory"):
        trial = opt.ask()
    assert trial.provenance["fallback"] == "the model is of 12 of 30 trials: memory"
    assert trial.params not in [other.params for other in opt.trials[:30]]


def test_with_memory_at_hand_nothing_is_left_out():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trial = study(30).ask()
    assert trial.provenance["fallback"] is None
    assert device.most_rows(CPU, 10**9) >= 2000
    assert device.most_rows(CPU, 30) == 30


def test_where_the_free_memory_is_unknown_a_modest_amount_is_assumed(monkeypatch):
    def unreadable(path):
        raise OSError

    monkeypatch.setattr(device.Path, "read_text", unreadable)
    rows = device.most_rows(CPU, 10**9)
    assert 1 << 30 < 5 * 8 * rows**2 < 4 << 30  # five matrices fit


def lengthscales(space: dict[str, object]) -> list[float]:
    """After 60 trials at random whose values alternate from one level of n to the next."""
    opt, rng = gpbo.Optimizer(space, seed=0), np.random.default_rng(0)
    for _ in range(60):
        params = opt.space.sample(rng)
        opt.add(params, float((-1) ** params["n"]))
    return opt.ask().provenance["memory"]["values"]["lengthscale"]


def test_where_all_have_levels_no_lengthscale_is_shorter_than_two_steps():
    ordered = {"n": gpbo.Int(1, 10), "m": gpbo.Int(1, 30)}
    assert lengthscales(ordered)[0] == pytest.approx(0.2, rel=1e-6)
    assert lengthscales({**ordered, "x": gpbo.Float(0, 1)})[0] < 0.1


def rivals(space: dict[str, object]) -> list[bool]:
    """Whether two models competed, at each ask that had one."""
    opt = gpbo.Optimizer(space, seed=0, device="cpu")
    for k in range(16):
        opt.tell(opt.ask(), float(k % 5))
    memories = (trial.provenance.get("memory") for trial in opt.trials)
    return ["rivals" in memory["values"] for memory in memories if memory]


def test_two_models_compete_among_categories_and_while_one_of_their_values_is_untried():
    many = {"c": gpbo.Categorical(list("abcdefghijklmnopqrstuvwxyz"))}
    two = {"c": gpbo.Categorical(["a", "b"])}
    line, whole = {"x": gpbo.Float(0, 1)}, {"n": gpbo.Int(1, 99)}
    branches = {"b": gpbo.Choice({"p": whole, "q": None})}
    for space in (many, {**two, **whole}, {**many, **branches}, {**many, **line}):
        assert all(rivals(space))
    for space in (whole, line, branches, {**two, **line}):
        assert not any(rivals(space))


def test_a_category_that_only_failed_is_tried_again():
    """Nothing but failures was known of the better one, and studies left it alone for 40 trials."""
    space = {"x": gpbo.Float(0, 1), "y": gpbo.Float(1e-3, 1, log=True), "c": ["a", "b"]}
    opt = gpbo.Optimizer(space, seed=6, device="cpu")
    for _ in range(30):
        trial = opt.ask()
        if trial["x"] > 0.5:
            opt.tell(trial, failed=True)
        else:
            away = abs(math.log10(trial["y"]) + 2)
            opt.tell(trial, (trial["x"] - 0.3) ** 2 + away + (trial["c"] == "b"))
    assert opt.best_value < 0.1


# noise ------------------------------------------------------------------------------------


def learned_noise(space: dict, *, fail: bool = False) -> float:
    """Of twenty trials of a smooth function that repeats exactly."""
    opt = gpbo.Optimizer(space, seed=0, strategy=Bayes(device="cpu"))
    for x, y in np.random.default_rng(1).random((20, 2)):
        x, y = (round(8 * x), round(8 * y)) if isinstance(space["x"], gpbo.Int) else (x, y)
        opt.add({"x": x, "y": y}, float((x - 0.3) ** 2 + y**2))
    if fail:
        opt.tell(opt.ask(), failed=True)
    return opt.ask().provenance["memory"]["values"]["noise"]


def test_a_function_that_repeats_exactly_is_fitted_with_next_to_no_noise():
    assert learned_noise({"x": gpbo.Float(0, 1), "y": gpbo.Float(0, 1)}) < 1e-6


def test_noise_is_expected_where_all_have_levels_and_where_trials_fail():
    assert learned_noise({"x": gpbo.Int(0, 8), "y": gpbo.Int(0, 8)}) > 1e-6
    assert learned_noise({"x": gpbo.Float(0, 1), "y": gpbo.Float(0, 1)}, fail=True) > 1e-6


def test_one_told_noise_does_not_stand_for_those_that_were_not_told():
    """A single trial told without noise made a noisy study count as one that repeats exactly."""
    noises = []
    for told in (None, 0.0):
        opt = gpbo.Optimizer({"x": gpbo.Float(0, 1)}, seed=0, device="cpu")
        for k, x in enumerate(np.random.default_rng(2).random(30)):
            value = (x - 0.3) ** 2 + 0.3 * np.random.default_rng(k).standard_normal()
            opt.add({"x": float(x)}, float(value), noise=told if k == 3 else None)
        belief = believe(opt._journal.history, 0, CPU, None)
        noises.append(belief.noise)
    assert min(noises) > 0.1
    for x in (0.2, 0.8):
        opt.add({"x": x}, 0.1, noise=0.0)
    assert believe(opt._journal.history, 0, CPU, None).noise > 0.1


def test_where_every_noise_is_told_their_median_counts():
    opt = gpbo.Optimizer({"x": gpbo.Float(0, 1)}, seed=0, device="cpu")
    for k in range(9):
        opt.add({"x": k / 9}, float(k), noise=0.1 * (k + 1))
    belief = believe(opt._journal.history, 0, CPU, None)
    assert belief.noise == pytest.approx((0.5 / belief.target.scale) ** 2)
