"""The Parzen strategy as a user meets it: better than random, nested, never twice, reproducible."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpbo
from gpbo.history import History
from gpbo.strategy.tpe import TPE, ages, goodness

Objective = Callable[[dict[str, Any]], float]
Drive = Callable[..., list[gpbo.Trial]]
SQUARE = gpbo.Space({"x": gpbo.Float(0, 1), "y": gpbo.Float(0, 1)})


def study(space: Any = SQUARE, **options: Any) -> gpbo.Optimizer:
    return gpbo.Optimizer(space, **{"strategy": "tpe", "seed": 0, **options})


def bowl(p: dict[str, Any]) -> float:
    return float((p["x"] - 0.3) ** 2 + (p["y"] - 0.6) ** 2)


# ---- problems


def branin(p: dict[str, Any]) -> float:
    """Branin 1972; the minimum is 0.397887."""
    x, y = p["x"], p["y"]
    bent = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return float(bent**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14],
     [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)  # fmt: skip
P = 1e-4 * np.array(
    [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
     [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]
)  # fmt: skip


def hartmann6(p: dict[str, Any]) -> float:
    """Hartmann 1973 in six dimensions; the minimum is -3.32237."""
    x = np.array([p[f"x{i}"] for i in range(6)])
    return float(-np.array([1, 1.2, 3, 3.2]) @ np.exp(-(A * (x - P) ** 2).sum(1)))


def mixed(p: dict[str, Any]) -> float:
    """A bowl whose center depends on one category, above a floor that depends on another."""
    center = {"a": 0.2, "b": 0.7, "c": 0.9}[p["kind"]]
    floor = {"a": 0.3, "b": 0.0, "c": 0.5}[p["kind"]] + (0.2 if p["flag"] else 0.0)
    return float((p["x"] - center) ** 2 + (p["k"] - 6) ** 2 / 50 + floor)


def nested(p: dict[str, Any]) -> float:
    """Another landscape in each branch; the best value is in the smaller one."""
    if p["opt"] == "sgd":
        return float(0.3 + (p["momentum"] - 0.9) ** 2 + (math.log10(p["lr"]) + 1) ** 2 / 10)
    decay = 0.2 if p["decay"] == "none" else (p["wd"] - 0.3) ** 2
    return float((p["beta"] - 0.6) ** 2 + (math.log10(p["lr"]) + 3) ** 2 / 10 + decay)


MIXED = {
    "x": gpbo.Float(0, 1), "kind": ["a", "b", "c"], "k": gpbo.Int(1, 20), "flag": gpbo.Bool()
}  # fmt: skip
NESTED = {
    "lr": gpbo.Float(1e-5, 1.0, log=True),
    "opt": gpbo.Choice(
        {
            "sgd": {"momentum": gpbo.Float(0, 0.99)},
            "adam": {
                "beta": gpbo.Float(0, 1),
                "decay": gpbo.Choice({"none": None, "l2": {"wd": gpbo.Float(0, 1)}}),
            },
        }
    ),
}
PROBLEMS: dict[str, tuple[Objective, dict[str, Any], float]] = {
    "branin": (branin, {"x": gpbo.Float(-5, 10), "y": gpbo.Float(0, 15)}, 0.397887),
    "hartmann6": (hartmann6, {f"x{i}": gpbo.Float(0, 1) for i in range(6)}, -3.32237),
    "mixed": (mixed, MIXED, 0.0),
    "nested": (nested, NESTED, 0.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("multivariate", [True, False])
@pytest.mark.parametrize("name", PROBLEMS)
def test_tpe_beats_random_clearly(name: str, multivariate: bool) -> None:
    """The median gap to the optimum, of five seeds after 80 trials, is at most half of random's."""
    objective, space, optimum = PROBLEMS[name]
    gaps = {}
    for strategy in (TPE(multivariate=multivariate), gpbo.Random()):
        best = [
            gpbo.minimize(objective, space, 80, strategy=strategy, seed=seed).best_value
            for seed in range(5)
        ]
        gaps[strategy.name] = np.median(best) - optimum
    assert gaps["tpe"] < 0.5 * gaps["random"], gaps


# ---- proposals


@pytest.mark.parametrize("multivariate", [True, False])
def test_every_kind_of_parameter_is_proposed_in_bounds_and_never_twice(
    multivariate: bool, rich_space: gpbo.Space, drive: Drive
) -> None:
    opt = study(rich_space, strategy=TPE(multivariate=multivariate))
    drive(opt, lambda p: p["layers"] + p["dropout"] + p.get("wd", 1.0), 60)
    opt.ask(20)
    for trial in opt.trials:
        assert rich_space.check(trial.params) == trial.params
    assert len({str(trial.params) for trial in opt.trials}) == 80
    assert {t.params["opt"] for t in opt.trials} == {"sgd", "adam"}
    assert min(t["layers"] for t in opt.trials[40:]) == 1


@pytest.mark.parametrize("multivariate", [True, False])
def test_a_finite_space_is_proposed_once_each_and_then_no_more(
    multivariate: bool, small_space: gpbo.Space
) -> None:
    opt = study(small_space, strategy=TPE(start=3, multivariate=multivariate))
    seen = []
    while (trial := opt.ask()) is not None:
        seen.append(str(trial.params))
        opt.tell(trial, float(trial["a"] + 2 * trial["b"]))
    assert len(seen) == len(set(seen)) == 16
    assert opt.done
    assert opt.ask(3) == []


def test_a_batch_takes_what_is_left_of_a_finite_space(small_space: gpbo.Space) -> None:
    opt = study(small_space, strategy=TPE(start=4))
    for trial in opt.ask(5):
        opt.tell(trial, float(trial["a"]))
    with pytest.warns(gpbo.errors.SpaceExhaustedWarning, match="11 points are left"):
        batch = opt.ask(100)
    assert len({str(t.params) for t in opt.trials}) == len(batch) + 5 == 16


def test_the_first_trials_are_random_and_provenance_says_what_came_after(drive: Drive) -> None:
    opt = study(strategy=TPE(start=5))
    trials = drive(opt, bowl, 8)
    assert [t.provenance["phase"] for t in trials] == ["start"] * 5 + ["model"] * 3
    assert {t.provenance["strategy"] for t in trials} == {"tpe"}
    assert all(math.isfinite(t.provenance["log_ratio"]) for t in trials[5:])
    json.dumps([t.provenance for t in trials])


def test_a_proposal_without_a_fresh_candidate_says_so() -> None:
    opt = study({"a": [1, 2, 3], "b": [1, 2, 3, 4]}, strategy=TPE(start=1, candidates=2))
    for trial in iter(opt.ask, None):
        opt.tell(trial, float(trial["a"] + trial["b"]))
    made = [t.provenance for t in opt.trials[1:]]
    unlucky = [p["log_ratio"] is None for p in made]
    assert unlucky == ["fallback" in p for p in made]
    assert 0 < sum(unlucky) < len(made) == 11


def test_later_proposals_gather_around_the_optimum(drive: Drive) -> None:
    trials = drive(study(), bowl, 80)
    early = np.median([bowl(t.params) for t in trials[:10]])
    late = np.median([bowl(t.params) for t in trials[40:]])
    assert late < early / 10


def test_the_better_branch_is_proposed_more_often_and_its_parameters_improve(drive: Drive) -> None:
    trials = drive(study(NESTED), nested, 80)
    late = trials[40:]
    adam = [t for t in late if t["opt"] == "adam"]
    assert len(adam) > 0.6 * len(late)
    assert 0 < abs(np.median([t["beta"] for t in adam]) - 0.6) < 0.15
    for trial in trials:
        names = {"sgd": {"momentum"}, "adam": {"beta", "decay"}}[trial["opt"]]
        names |= {"wd"} if trial.params.get("decay") == "l2" else set()
        assert trial.params.keys() == {"lr", "opt"} | names


def test_a_branch_without_a_trial_is_still_drawn() -> None:
    space = gpbo.Space(
        {"opt": gpbo.Choice({"a": {"x": gpbo.Float(0, 1)}, "b": {"y": gpbo.Bool()}})}
    )
    opt = study(space)
    for k in range(12):
        opt.add({"opt": "a", "x": k / 12}, float(k))
    seen = {t["opt"] for t in opt.ask(30)}
    assert seen == {"a", "b"}


def test_recommend_gives_the_params_of_the_best_value(drive: Drive) -> None:
    opt = study()
    drive(opt, bowl, 20)
    assert opt.recommend() == opt.best_params


# ---- failures, pending trials, directions


def test_failures_are_avoided_and_failed_points_never_come_again() -> None:
    late = 0
    for seed in range(3):
        opt = study(seed=seed)
        for _ in range(60):
            trial = opt.ask()
            assert trial is not None
            if trial["x"] > 0.5:
                opt.tell(trial, failed=True)
            else:
                opt.tell(trial, bowl(trial.params))
        late += sum(t.state == "failed" for t in opt.trials[30:])
        assert len({str(t.params) for t in opt.trials}) == 60
    assert late < 0.2 * 3 * 30  # half of the space fails


def test_where_everything_fails_proposals_go_elsewhere() -> None:
    opt = study({"x": gpbo.Float(0, 1)})
    for k in range(12):
        opt.enqueue({"x": 0.01 + k / 40})
        opt.tell(opt.ask(), failed=True)
    assert np.median([t["x"] for t in opt.ask(9)]) > 0.45


def test_pending_points_push_others_away() -> None:
    """Without knowing what is pending, the points of several asks would crowd together."""

    def spread(told: bool) -> float:
        opt = study()
        for trial in opt.ask(30):
            opt.tell(trial, bowl(trial.params))
        history = opt._journal.history
        strategy = TPE()
        alone = [strategy.propose(history, 1, seed)[0].params for seed in range(8)]
        params = alone if told else [p.params for p in strategy.propose(history, 8, 0)]
        points = np.array([[p["x"], p["y"]] for p in params])
        gaps = np.linalg.norm(points[:, None] - points, axis=-1)
        return float(np.median(gaps[np.triu_indices(8, 1)]))

    assert spread(told=False) > spread(told=True)


def test_a_trial_asked_before_counts_as_one_of_the_same_batch() -> None:
    one, other = (study(strategy=TPE(start=10)) for _ in range(2))
    for opt in (one, other):
        for trial in opt.ask(12):
            opt.tell(trial, bowl(trial.params))
    singly = [opt.params for opt in (one.ask() for _ in range(6)) if opt is not None]
    assert singly == [t.params for t in other.ask(6)]


def test_only_the_order_of_values_counts(drive: Drive) -> None:
    plain = drive(study(), bowl, 25)
    bent = drive(study(), lambda p: math.exp(50 * bowl(p)), 25)
    turned = drive(study(direction="maximize"), lambda p: -bowl(p), 25)
    assert [t.params for t in plain] == [t.params for t in bent] == [t.params for t in turned]


def test_extreme_and_equal_values_are_no_trouble(drive: Drive) -> None:
    values = iter([0.0] * 20 + [1e300, -1e300, 5e-324] * 5)
    trials = drive(study(), lambda p: next(values), 35)
    assert all(SQUARE.contains(t.params) for t in trials)


def history_of(values: list[float | None], direction: Any = "minimize") -> History:
    """A history with a complete, a failed (nan) or a pending (None) trial for each value."""
    opt = study(direction=direction)
    trials = [opt.ask() for _ in values]
    for trial, value in zip(trials, values, strict=True):
        if value is not None:
            opt.tell(trial, value) if not math.isnan(value) else opt.tell(trial, failed=True)
    return opt._journal.history


@pytest.mark.parametrize(
    ("values", "count", "expected"),
    [
        ([3.0, 1.0, 2.0, None], 2, [0, 1, 1, 0]),
        ([3.0, math.nan, 2.0], 5, [1, 0, 1]),
        ([1.0, 1.0, 0.0, 1.0, 2.0], 2, [1 / 3, 1 / 3, 1, 1 / 3, 0]),
        ([math.nan, None], 3, [0, 0]),
        ([4.0, 4.0], 1, [0.5, 0.5]),
        ([], 1, []),
    ],
)
def test_the_best_are_good_and_ties_for_the_last_place_share_it(
    values: list[float | None], count: int, expected: list[float]
) -> None:
    np.testing.assert_allclose(goodness(history_of(values), count), expected)
    turned = [None if v is None else -v for v in values]
    np.testing.assert_allclose(goodness(history_of(turned, "maximize"), count), expected)


def test_old_trials_weigh_less_but_never_nothing() -> None:
    np.testing.assert_array_equal(ages(25), np.ones(25))
    weights = ages(100)
    assert weights[0] == pytest.approx(0.01)
    assert (np.diff(weights) >= 0).all()
    assert (weights[-25:] == 1).all()


# ---- determinism


def test_the_same_seed_gives_the_same_proposals_and_another_seed_others(
    rich_space: gpbo.Space, drive: Drive
) -> None:
    def objective(p: dict[str, Any]) -> float:
        return float(p["layers"] + p["dropout"])

    runs = [
        [t.params for t in drive(study(rich_space, seed=seed), objective, 20)] for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0][10:] != runs[2][10:]


def test_a_study_resumed_at_every_trial_equals_the_uninterrupted_one(
    tmp_path: Path, drive: Drive
) -> None:
    uninterrupted = drive(study(NESTED), nested, 20)
    for _ in range(20):
        drive(study(NESTED, storage=tmp_path / "runs.db"), nested, 1)
    resumed = study(NESTED, storage=tmp_path / "runs.db").trials
    assert [t.params for t in resumed] == [t.params for t in uninterrupted]
    ratios = [[t.provenance.get("log_ratio") for t in run] for run in (resumed, uninterrupted)]
    assert ratios[0] == ratios[1]


def test_a_proposal_leaves_the_global_generator_alone(drive: Drive) -> None:
    np.random.seed(0)  # the global one is what the test is about
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    drive(study(), bowl, 15)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # type: ignore[index]


def test_a_model_is_made_without_torch() -> None:
    code = (
        "import sys, gpbo\n"
        "opt = gpbo.Optimizer({'x': gpbo.Float(0, 1)}, strategy=gpbo.TPE(start=2))\n"
        "for t in opt.ask(3): opt.tell(t, t['x'])\n"
        "assert opt.ask().provenance['phase'] == 'model'\n"
        "assert not {'torch', 'gpytorch', 'scipy.stats'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


# ---- settings


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"start": 0}, ValueError, "TPE start"),
        ({"start": 2.5}, TypeError, "TPE start"),
        ({"candidates": 0}, ValueError, "TPE candidates"),
        ({"gamma": 0.0}, ValueError, "TPE gamma: out of range, got 0.0; expected 0 < gamma <= 1"),
        ({"gamma": 1.5}, ValueError, "TPE gamma"),
        ({"gamma": "a"}, TypeError, "TPE gamma"),
        ({"gamma": math.nan}, ValueError, "TPE gamma"),
        ({"multivariate": 1}, TypeError, "TPE multivariate"),
        ({"prior_weight": 0.0}, ValueError, "TPE prior_weight.*a positive number"),
        ({"prior_weight": math.inf}, ValueError, "TPE prior_weight"),
        ({"prior_weight": True}, TypeError, "TPE prior_weight"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        TPE(**settings)


def test_gamma_decides_how_many_trials_are_good() -> None:
    trials = study().ask(30)
    assert len(trials) == 30
    counts = {gamma: TPE(gamma=gamma).count(30) for gamma in (0.01, 0.1, 0.3, 1.0)}
    assert counts == {0.01: 1, 0.1: 3, 0.3: 9, 1.0: 25}
    assert TPE(gamma=0.1).count(70) == 7  # 0.1 * 70 is 7.000000000000001


def test_a_short_range_of_huge_integers_on_a_log_scale_has_its_densities() -> None:
    space = {"n": gpbo.Int(2**52, 2**52 + 3, log=True), "x": gpbo.Float(0, 1)}
    opt = study(space)
    for _ in range(25):
        trial = opt.ask()
        opt.tell(trial, trial["x"])
    assert all(math.isfinite(t.provenance.get("log_ratio") or 0.0) for t in opt.trials)
