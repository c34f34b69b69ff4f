"""minimize and maximize: results, failures, and every way to stop."""

from __future__ import annotations

import os
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpbo
from gpbo import errors

SPACE = {"x": gpbo.Float(-1, 1)}


def run(objective: Any, n_trials: int | None = 10, **options: Any) -> gpbo.Result:
    options = {"strategy": "random", "seed": 0, **options}
    return gpbo.minimize(objective, SPACE, n_trials, **options)


def square(params: dict[str, Any]) -> float:
    return float(params["x"] ** 2)


def test_minimize_and_maximize_find_opposite_ends() -> None:
    low, high = run(square, 30), gpbo.maximize(square, SPACE, 30, strategy="random", seed=0)
    assert low.best_value == min(t.value or 0 for t in low.trials) < 0.1
    assert high.best_value == max(t.value or 0 for t in high.trials) > 0.5
    assert (low.stopped, low.direction, high.direction) == ("n_trials", "minimize", "maximize")
    assert square(low.best_params) == low.best_value == low.best.value
    assert "direction='minimize'" in repr(low)


def test_an_exception_is_a_failed_trial_with_its_traceback() -> None:
    def objective(params: dict[str, Any]) -> float:
        if params["x"] > 0:
            raise RuntimeError("CUDA out of memory")
        return square(params)

    result = run(objective, 20)
    failed = [t for t in result.trials if t.state == "failed"]
    assert failed
    assert len(result.trials) == 20
    assert all("CUDA out of memory" in str(t.error) and "Traceback" in str(t.error) for t in failed)


def test_a_result_that_is_no_number_is_a_failed_trial() -> None:
    result = run(lambda p: "0.5" if p["x"] > 0 else 1.0, 12)
    states = {t.state for t in result.trials}
    assert states == {"failed", "complete"}
    assert any("got str '0.5'" in str(t.error) for t in result.trials)


def test_a_dict_with_a_loss_and_a_status_is_understood() -> None:
    result = run(lambda p: {"loss": square(p), "status": "ok" if p["x"] < 0 else "fail"}, 10)
    assert {t.state for t in result.trials} == {"complete", "failed"}


def test_ten_errors_in_a_row_stop_the_run_and_show_the_first() -> None:
    calls: list[dict[str, Any]] = []

    def objective(params: dict[str, Any]) -> float:
        calls.append(params)
        raise KeyError(f"number {len(calls)}")

    with pytest.raises(errors.TooManyFailuresError, match=r"10 times in a row(.|\n)*number 1'"):
        run(objective, 100)
    assert len(calls) == 10


def test_only_exceptions_that_are_caught_are_failures() -> None:
    opt_file: dict[str, Any] = {}

    def objective(params: dict[str, Any]) -> float:
        opt_file["params"] = params
        raise ZeroDivisionError("fault of the code")

    with pytest.raises(ZeroDivisionError, match="fault of the code"):
        run(objective, catch=(OSError,))


def test_a_trial_that_fails_on_purpose_keeps_its_text_and_stops_nothing() -> None:
    def objective(params: dict[str, Any]) -> float:
        raise errors.TrialFailed("diverged at epoch 3")

    result = run(objective, 15)
    assert [t.error for t in result.trials] == ["diverged at epoch 3"] * 15


def test_a_result_stays_as_it_was_and_can_be_pickled(tmp_path: Path) -> None:
    first = run(square, 3, storage=tmp_path / "runs.db")
    before = first.best_value
    run(lambda p: -5.0, 6, storage=tmp_path / "runs.db")
    assert first.best_value == before
    again = pickle.loads(pickle.dumps(first))
    assert (again.best_params, again.trials) == (first.best_params, first.trials)
    assert again.recommend() == first.recommend()  # of the study, which went on


def test_the_objective_may_change_its_params_without_harm() -> None:
    result = run(lambda p: p.pop("x"), 5)
    assert all("x" in t.params for t in result.trials)


def test_an_exhausted_space_ends_the_run() -> None:
    result = gpbo.minimize(lambda p: 0.0, {"b": gpbo.Bool()}, 10, strategy="random", seed=0)
    assert (result.stopped, len(result.trials)) == ("exhausted", 2)


def test_timeout_starts_no_further_trial() -> None:
    assert run(square, None, timeout=0).trials == []
    assert run(square, None, timeout=0).stopped == "timeout"


def test_a_pickled_result_recommends_what_the_study_did_and_not_the_luckiest_draw() -> None:
    def noisy(params: dict[str, float]) -> float:
        return (params["x"] - 0.3) ** 2 + 0.3 * np.random.default_rng(
            int(1e9 * params["x"])
        ).normal()

    for seed in range(20):
        space = {"x": gpbo.Float(0, 1)}
        result = gpbo.minimize(noisy, space, 12, seed=seed, device="cpu", progress=False)
        again = pickle.loads(pickle.dumps(result))
        assert again.recommend() == result.recommend()
        assert pickle.loads(pickle.dumps(again)).recommend() == result.recommend()
        if result.recommend() != result.best_params:
            return
    raise AssertionError("the luckiest draw was always the best one")


def test_a_result_can_be_pickled_when_its_file_is_gone(tmp_path: Path) -> None:
    result = run(square, 3, storage=tmp_path / "runs.db")
    (tmp_path / "runs.db").rename(tmp_path / "elsewhere.db")
    assert pickle.loads(pickle.dumps(result)).recommend() == result.best_params


def test_only_true_of_a_callback_stops() -> None:
    answers = [1, 1.0, "yes", np.array([1, 2]), np.True_]
    result = run(square, 10, callbacks=[lambda opt, trial: answers[trial.number]])
    assert (result.stopped, len(result.trials)) == ("callback", 5)


def test_a_callback_sees_every_trial_and_can_stop() -> None:
    seen: list[int] = []

    def stop_after_three(opt: gpbo.Optimizer, trial: gpbo.Trial) -> bool:
        seen.append(trial.number)
        assert opt.trials[-1] == trial
        return len(seen) == 3

    result = run(square, 10, callbacks=[stop_after_three])
    assert (result.stopped, seen) == ("callback", [0, 1, 2])


@pytest.mark.usefixtures("signals_of_a_terminal")
def test_ctrl_c_keeps_everything_told_and_the_trial_comes_again(tmp_path: Path) -> None:
    def objective(params: dict[str, Any]) -> float:
        if len(done) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        done.append(params)
        return square(params)

    done: list[dict[str, Any]] = []
    file = tmp_path / "runs.db"
    stopped = run(objective, 10, storage=file)
    assert stopped.stopped == "interrupted"
    assert [t.state for t in stopped.trials] == ["complete"] * 4 + ["pending"]
    resumed = run(square, 10, storage=file)
    assert len(resumed.trials) == 10
    assert [t.params for t in resumed.trials] == [t.params for t in run(square, 10).trials]


def test_n_trials_counts_the_study_and_not_the_run(tmp_path: Path) -> None:
    for n, total in ((4, 4), (10, 10), (7, 10)):
        assert len(run(square, n, storage=tmp_path / "runs.db").trials) == total


def test_no_result_at_all_is_said() -> None:
    result = run(lambda p: {"status": "fail"}, 3)
    assert "best_value=None" in repr(result)
    with pytest.raises(errors.NoResultsError, match="0 complete, 3 failed"):
        _ = result.best_params


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_trials": -1}, ValueError, "n_trials: out of range"),
        ({"n_trials": 2.5}, TypeError, "n_trials: not a whole number"),
        ({"workers": 4}, ValueError, "workers: only one here, got 4"),
        ({"timeout": -3}, ValueError, "timeout: out of range"),
        ({"callbacks": [3]}, TypeError, "callbacks: not callable"),
        ({"callbacks": print}, TypeError, "callbacks: not a list"),
        ({"timeout": "10"}, TypeError, "timeout: not a number, got '10'"),
        ({"catch": [ValueError]}, TypeError, "catch: not exceptions"),
        ({"catch": "x"}, TypeError, "catch: not exceptions"),
        ({"progress": "yes"}, ValueError, "progress: unknown"),
        ({"progress": 3}, TypeError, "progress: not a name"),
        ({"n_trial": 3}, TypeError, r"unknown argument 'n_trial'. Did you mean 'n_trials'\?"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(square, **options)


def test_an_objective_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="objective: not callable, got 3"):
        run(3)


def test_the_progress_bar_shows_the_direction_and_the_best(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(square, 3, progress=True)
    shown = capsys.readouterr().err
    assert "gpbo minimize" in shown
    assert "3/3" in shown
    assert "best" in shown
