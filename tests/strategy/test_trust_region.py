"""The trust-region strategy as a user meets it: near the best, never twice, reproducible."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gpbo
from gpbo.errors import DeviceError, FallbackWarning, GpboError, SpaceExhaustedWarning
from gpbo.strategy import trust_region as module
from gpbo.strategy.region import region_of
from gpbo.strategy.trust_region import FEW, TrustRegion

Drive = Callable[..., list[gpbo.Trial]]
SQUARE = gpbo.Space({"x": gpbo.Float(0, 1), "y": gpbo.Float(0, 1)})


def study(space: Any = SQUARE, **options: Any) -> gpbo.Optimizer:
    return gpbo.Optimizer(space, **{"strategy": "trust_region", "seed": 0, **options})


def wide(d: int) -> gpbo.Space:
    return gpbo.Space({f"x{k}": gpbo.Float(0, 1) for k in range(d)})


def bowl(p: dict[str, Any]) -> float:
    return float(sum((v - 0.3 - 0.4 * (k % 2)) ** 2 for k, v in enumerate(p.values())))


def told(n: int, space: Any = SQUARE, **options: Any) -> gpbo.Optimizer:
    opt = study(space, **options)
    for trial in opt.ask(n):
        opt.tell(trial, bowl(trial.params))
    return opt


def points(trials: list[gpbo.Trial]) -> set[str]:
    return {str(t.params) for t in trials}


# ---- how good it is


@pytest.mark.slow
def test_it_beats_random_by_far_in_thirty_dimensions() -> None:
    """Every seed ends at a tenth of random's loss, singly and in batches."""

    def ravine(p: dict[str, Any]) -> float:
        x = np.array(list(p.values())) * 3 - 1
        return float((10 * (x[1:] - x[:-1] ** 2) ** 2 + (x[:-1] - 1) ** 2).sum())

    for seed in range(2):
        random = gpbo.minimize(ravine, wide(30), 120, strategy="random", seed=seed).best_value
        for q in (1, 40):
            opt = study(wide(30), seed=seed)
            for _ in range(120 // q):
                for trial in opt.ask(q):
                    opt.tell(trial, ravine(trial.params))
            assert opt.best_value < 0.5 * random if q > 1 else opt.best_value < 0.1 * random


def test_later_proposals_gather_around_the_optimum(drive: Drive) -> None:
    trials = drive(study(), bowl, 30)
    assert np.median([bowl(t.params) for t in trials[20:]]) < 1e-3


# ---- the region


def test_provenance_holds_the_state_and_the_state_is_the_history_s(drive: Drive) -> None:
    opt = study()
    for _ in range(40):
        state = region_of(opt._journal.history)
        (trial,) = drive(opt, bowl, 1)[-1:]
        made = trial.provenance
        assert made["region"] == state.began
        if made["phase"] == "model":
            assert made["length"] == state.length
            assert made["batch"] == trial.number
    assert {t.provenance["phase"] for t in opt.trials[:5]} == {"start"}


def test_proposals_lie_in_the_region() -> None:
    """With no success the region is halved; proposals stay within its sides around the best."""
    opt = study(wide(3))
    for trial in opt.ask(8):
        opt.tell(trial, bowl(trial.params))
    best, least = coordinates(opt.best), opt.best_value
    short = 0
    while (trial := opt.ask()) is not None and trial.provenance["region"] == 0:
        away = np.abs(coordinates(trial) - best)
        opt.tell(trial, least + 5 * float(np.linalg.norm(away)))
        if trial.provenance["length"] <= 0.1:
            short += 1
            side = np.exp(np.log(away + 1e-12).mean())  # of a box that reaches so far
            assert side <= trial.provenance["length"] / 2 + 1e-9
    assert short == 4 * 4  # 0.1, 0.05, 0.025, 0.0125


def coordinates(trial: gpbo.Trial) -> np.ndarray[Any, Any]:
    return np.array(list(trial.params.values()), dtype=float)


def test_a_run_that_ends_begins_anew_with_a_start_design_and_the_best_is_kept() -> None:
    opt = study(strategy=TrustRegion(start=4))
    values = iter([3.0, 1.0, 2.0, 4.0] + [5.0] * 200)
    while (trial := opt.ask()) is not None and trial.provenance["region"] == 0:
        opt.tell(trial, next(values))
    assert trial is not None
    assert trial.number == trial.provenance["region"] == 4 + 7 * 4
    assert (trial.provenance["phase"], opt.best.number) == ("start", 1)
    for k in range(6):
        opt.tell(trial, 50.0 + (k - 4) ** 2)
        trial = opt.ask()
        assert trial is not None
    phases = [t.provenance["phase"] for t in opt.trials[32:]]
    assert phases == ["start"] * 4 + ["model"] * 3
    made = opt.trials[36].provenance
    assert made["length"] == 0.8
    assert made["mean"] > 40  # the local model knows nothing of the first run
    assert opt.best_value == 1.0
    assert opt.recommend() in [t.params for t in opt.trials[:32]]


def test_a_study_begun_by_another_strategy_goes_on_without_a_start_design() -> None:
    opt = study(strategy="sobol")
    for trial in opt.ask(9):
        opt.tell(trial, bowl(trial.params))
    made = TrustRegion().propose(opt._journal.history, 3, 0)
    assert [p.provenance["phase"] for p in made] == ["model"] * 3
    assert [p.provenance["region"] for p in made] == [0] * 3


# ---- batches, pending trials, failures


@pytest.mark.parametrize("n", [2, FEW, FEW + 1, 200])
def test_a_batch_is_of_distinct_points_chosen_together(n: int) -> None:
    opt = told(10, wide(4))
    batch = opt.ask(n)
    assert len(points(opt.trials)) == 10 + n
    rules = [t.provenance["rule"] for t in batch]
    assert rules == ["log_ei"] * min(n, FEW) + ["thompson"] * (n - FEW)
    assert {t.provenance["batch"] for t in batch} == {10}
    assert [("memory" in t.provenance) for t in batch] == [True] + [False] * (n - 1)
    assert all(t.provenance["fallback"] is None for t in batch)
    assert all(math.isfinite(t.provenance["acquisition"]) for t in batch)


def test_a_thousand_points_at_once_and_more_beside_them() -> None:
    opt = told(12, wide(6))
    opt.ask(1000)
    opt.ask()
    opt.ask(40)
    assert len(points(opt.trials)) == 12 + 1000 + 1 + 40
    for trial in reversed(opt.pending[::2]):
        opt.tell(trial, bowl(trial.params))
    trial = opt.ask()
    assert trial is not None
    assert trial.provenance["length"] == 0.8 * 2.0 ** -(trial.provenance["length"] < 0.8)


def test_a_thousand_points_before_anything_is_known_fill_the_space() -> None:
    trials = study(wide(3)).ask(1000)
    assert len(points(trials)) == 1000
    assert {t.provenance["phase"] for t in trials} == {"start"}


def test_the_design_and_the_model_share_a_batch() -> None:
    opt = told(3)
    batch = opt.ask(6)
    assert [t.provenance["phase"] for t in batch] == ["start"] * 2 + ["model"] * 4
    assert {t.provenance["batch"] for t in batch[2:]} == {5}
    assert len(points(opt.trials)) == 9


def test_draws_keep_away_from_pending_points() -> None:
    """Where much is pending already, a batch spreads as one that was asked at once does."""
    opt = told(12)
    opt.ask(100)
    opt.ask(100)
    xs = np.array([list(t.params.values()) for t in opt.pending], dtype=float)
    assert len(np.unique(xs.round(4), axis=0)) > 190


def test_failures_are_avoided_singly_and_in_batches() -> None:
    for q in (1, 40):
        opt = study()
        failed = []
        while len(failed) < 120:
            for trial in opt.ask(q):
                failed.append(trial["x"] > 0.6)
                if failed[-1]:
                    opt.tell(trial, failed=True)
                else:
                    opt.tell(trial, (trial["x"] - 0.55) ** 2 + (trial["y"] - 0.5) ** 2)  # type: ignore[operator]
        assert len(points(opt.trials)) == 120
        assert sum(failed[80:]) <= 10
        assert opt.best_value < 1e-3


def test_a_study_in_which_everything_fails_goes_on() -> None:
    opt = study()
    for _ in range(12):
        opt.tell(opt.ask(), failed=True)
    assert len(points(opt.trials)) == 12


# ---- spaces of every kind


@pytest.mark.parametrize("n", [1, 4, FEW + 8])
def test_every_kind_of_parameter_is_proposed_and_never_twice(
    n: int, rich_space: gpbo.Space
) -> None:
    opt = study(rich_space)
    while len(opt.trials) < 24 + 2 * n:
        for trial in opt.ask(n):
            assert rich_space.check(trial.params) == trial.params
            opt.tell(trial, trial["layers"] + trial["dropout"] + trial.params.get("wd", 1.0))  # type: ignore[operator]
    assert opt.trials[-1].provenance["phase"] == "model"
    assert len(points(opt.trials)) == len(opt.trials)
    assert {t["opt"] for t in opt.trials} == {"sgd", "adam"}


@pytest.mark.parametrize("n", [1, 3])
def test_a_finite_space_is_proposed_once_each_and_then_no_more(
    n: int, small_space: gpbo.Space
) -> None:
    opt = study(small_space)
    seen = []
    while not opt.done:
        for trial in opt.ask(min(n, 16 - len(seen))):
            seen.append(str(trial.params))
            opt.tell(trial, float(trial["a"] + 2 * trial["b"]))
    assert len(seen) == len(set(seen)) == 16
    assert opt.ask(3) == []


def test_a_large_batch_takes_what_is_left_of_a_finite_space() -> None:
    opt = study({"a": gpbo.Int(1, 9), "b": gpbo.Int(1, 9), "c": ["x", "y", "z"]})
    for trial in opt.ask(20):
        opt.tell(trial, float(trial["a"] + trial["b"]))  # type: ignore[operator]
    with pytest.warns(SpaceExhaustedWarning, match="223 points are left"):
        batch = opt.ask(1000)
    assert len(batch) == 223
    assert len(points(opt.trials)) == 243
    rules = [t.provenance["rule"] for t in batch]
    assert rules == ["log_ei"] * FEW + ["thompson"] * (223 - FEW)


def test_runs_follow_one_another_until_a_finite_space_is_used_up() -> None:
    opt = study({"a": gpbo.Int(1, 10), "b": gpbo.Int(1, 10)})
    for trial in iter(opt.ask, None):
        opt.tell(trial, 1.0 + (trial.number - 40) ** 2 / 1e4)
    assert len(points(opt.trials)) == 100
    assert len({t.provenance["region"] for t in opt.trials}) > 1
    # what earlier runs tried is known to the search: it finds something else by itself
    assert not any(t.provenance.get("fallback") for t in opt.trials)


def test_points_that_are_one_value_of_a_long_range_are_told_from_new_ones() -> None:
    opt = study({"n": gpbo.Int(1, 3000), "m": gpbo.Int(1, 5)})
    for trial in opt.ask(8):
        opt.tell(trial, abs(trial["n"] - 1500) + trial["m"])  # type: ignore[operator,arg-type]
    for n in (30, 400):
        opt.ask(n)
    assert len(points(opt.trials)) == 438
    random = [t.provenance for t in opt.trials[8:] if t.provenance["acquisition"] is None]
    assert all(p["fallback"] == "no candidate was new: random" for p in random)


# ---- degenerate data


DEGENERATE: dict[str, list[float]] = {
    "constant": [1.0] * 12,
    "one huge": [0.1, 0.2, 0.3, 1e300, 0.4, 0.2, 0.1],
    "tiny scale": [k * 1e-300 for k in range(10)],
    "huge offset": [1e16 + 2.0 * k for k in range(10)],
    "decades": [10.0**k for k in range(-5, 12)],
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_values_give_valid_proposals_without_a_warning(name: str) -> None:
    opt = study()
    trials = opt.ask(len(DEGENERATE[name]))
    for trial, value in zip(trials, DEGENERATE[name], strict=True):
        opt.tell(trial, value)
    for n in (1, FEW + 2):
        for trial in opt.ask(n):
            assert opt.space.contains(trial.params)
            assert trial.provenance.get("fallback") is None


def test_five_hundred_dimensions_are_survived() -> None:
    opt = told(21, wide(500))
    trial = opt.ask()
    assert trial is not None
    assert trial.provenance["phase"] == "model"


def test_only_the_direction_changes_when_values_are_turned_over() -> None:
    low, high = study(), study(direction="maximize")
    for _ in range(14):
        a, b = low.ask(), high.ask()
        assert a is not None
        assert b is not None
        assert a.params == b.params
        low.tell(a, bowl(a.params))
        high.tell(b, -bowl(b.params))
    assert low.trials[-1].provenance["mean"] == -high.trials[-1].provenance["mean"]


# ---- recommend


def test_recommend_is_not_the_lucky_draw() -> None:
    rng = np.random.default_rng(3)
    opt = study({"x": gpbo.Float(0, 1)})
    for x in np.linspace(0, 1, 41):
        opt.add({"x": float(x)}, (x - 0.5) ** 2 + 0.02 * rng.standard_normal())
    opt.add({"x": 0.95}, -0.3)
    assert opt.best_params == {"x": 0.95}
    assert abs(opt.recommend()["x"] - 0.5) < 0.2  # type: ignore[operator]


def test_with_one_result_that_is_recommended() -> None:
    opt = study()
    trial = opt.ask()
    opt.tell(trial, 1.0)
    assert opt.recommend() == trial.params  # type: ignore[union-attr]


# ---- determinism


def stuck(trial: gpbo.Trial) -> float:
    """What never improves after the start, so that runs end early."""
    return bowl(trial.params) + (trial.number > 8) * 9.0


@pytest.mark.parametrize("q", [1, 3, 9])
def test_a_study_resumed_at_every_ask_equals_the_uninterrupted_one(
    tmp_path: Path, q: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """State, runs and proposals come back from the file, through at least one restart."""
    monkeypatch.setattr(module, "FEW", 4)

    def step(opt: gpbo.Optimizer) -> None:
        for trial in reversed(opt.ask(q)):
            opt.tell(trial, stuck(trial))

    whole = study()
    for _ in range({1: 45, 3: 20, 9: 11}[q]):
        step(whole)
        step(study(storage=tmp_path / "runs.db"))
    resumed = study(storage=tmp_path / "runs.db").trials
    keys = ("region", "batch", "length", "mean", "sd", "acquisition", "memory")
    for a, b in zip(resumed, whole.trials, strict=True):
        assert a.params == b.params
        assert [a.provenance.get(k) for k in keys] == [b.provenance.get(k) for k in keys]
    assert len({t.provenance["region"] for t in resumed}) > 1


def test_the_state_is_the_same_whatever_the_order_of_tells() -> None:
    states = []
    for order in (1, -1):
        opt = told(8)
        for trial in opt.ask(20)[::order]:
            opt.tell(trial, stuck(trial))
        states.append(region_of(opt._journal.history))
    assert states[0] == states[1]


def test_the_same_seed_gives_the_same_proposals_and_another_seed_others(drive: Drive) -> None:
    runs = [[t.params for t in drive(study(seed=seed), bowl, 14)] for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0][8:] != runs[2][8:]
    batches = [[t.params for t in told(9, seed=seed).ask(50)] for seed in (1, 1, 2)]
    assert batches[0] == batches[1] != batches[2]


def test_global_generators_and_the_number_of_threads_are_left_alone() -> None:
    np.random.seed(0)  # the global one is what the test is about
    before, state = np.random.get_state()[1].copy(), torch.get_rng_state()  # type: ignore[index]
    threads = torch.get_num_threads()
    opt = told(8)
    opt.ask()
    opt.ask(FEW + 1)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # type: ignore[index]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_provenance_is_json() -> None:
    opt = told(8)
    for trial in [*opt.ask(2), *opt.ask(FEW + 1)]:
        assert json.loads(json.dumps(trial.provenance)) == trial.provenance
        assert trial.provenance["strategy"] == "trust_region"
        assert trial.provenance["device"] == "cpu"
        assert trial.provenance["sd"] > 0


# ---- trouble


@pytest.mark.parametrize("error", [GpboError("factorization"), RuntimeError("x"), MemoryError()])
@pytest.mark.parametrize("n", [1, 3, FEW + 1])
def test_a_model_that_dies_falls_back_to_sobol_and_says_so(
    n: int, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    opt = told(4)

    def die(*args: Any, **settings: Any) -> None:
        raise error

    monkeypatch.setattr(module, "believe", die)
    with pytest.warns(FallbackWarning, match="the model failed on cpu") as caught:
        trials = opt.ask(n + 1)
    assert len(caught) == 1
    assert len(points(opt.trials)) == 5 + n
    assert "fallback" not in trials[0].provenance  # the last of the design
    assert all("the model failed on cpu" in t.provenance["fallback"] for t in trials[1:])
    with pytest.warns(FallbackWarning, match="recommend: the model failed on cpu"):
        assert opt.recommend() == opt.best_params
    monkeypatch.undo()
    for trial in trials:
        opt.tell(trial, bowl(trial.params))
    assert opt.ask().provenance["phase"] == "model"  # type: ignore[union-attr]


def test_a_fault_of_the_code_is_not_hidden_by_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    opt = told(6)
    monkeypatch.setattr(module, "believe", lambda *args, **settings: args.missing)
    with pytest.raises(AttributeError):
        opt.ask()


# ---- settings


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"start": 0}, ValueError, "TrustRegion start"),
        ({"start": 2.5}, TypeError, "TrustRegion start"),
        ({"device": "tpu"}, DeviceError, "device"),
        ({"device": 1}, TypeError, "device"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        TrustRegion(**settings)


def test_a_small_budget_starts_on_fewer_points() -> None:
    assert TrustRegion().starts(wide(30)) == 20
    assert TrustRegion(budget=12).starts(wide(30)) == 3
    assert TrustRegion(start=7).starts(wide(30)) == 7


def test_the_name_makes_it_and_hands_on_the_device_and_the_budget() -> None:
    made = gpbo.strategy.make("trust_region", device="cpu", budget=40)
    assert made == TrustRegion(device="cpu", budget=40)
    assert gpbo.TrustRegion is TrustRegion
