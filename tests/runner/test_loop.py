"""minimize and maximize: results, failures, and every way to stop."""

from __future__ import annotations

import logging
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpbo
from gpbo import errors
from gpbo.runner import Limits
from gpbo.runner import run as run_trials
from gpbo.runner import trials as module
from tests.storages import Locked

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

    with pytest.raises(
        errors.TooManyFailuresError, match=r"10 times in a row(.|\n)*number 1'"
    ) as caught:
        run(objective, 100)
    assert len(calls) == 10
    assert caught.value.result.stopped == "failures"
    assert [trial.params for trial in caught.value.result.trials] == calls


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
        ({"workers": 0}, ValueError, "workers: out of range, got 0"),
        ({"workers": 2.0}, TypeError, "workers: not a whole number, got 2.0"),
        ({"timeout": -3}, ValueError, "timeout: out of range"),
        ({"callbacks": [3]}, TypeError, "callbacks: not callable"),
        ({"callbacks": print}, TypeError, "callbacks: not a list"),
        ({"timeout": "10"}, TypeError, "timeout: not a number, got '10'"),
        ({"catch": [ValueError]}, TypeError, "catch: not exceptions"),
        ({"catch": "x"}, TypeError, "catch: not exceptions"),
        ({"progress": "yes"}, ValueError, "progress: unknown, got 'yes'; expected 'auto', True"),
        ({"progress": 3}, TypeError, "progress: unknown, got 3"),
        ({"n_trial": 3}, TypeError, r"unknown argument 'n_trial'. Did you mean 'n_trials'\?"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(square, storage=tmp_path / "runs.db", **options)
    assert not (tmp_path / "runs.db").exists()


def test_more_pending_trials_than_the_run_may_have_are_not_the_end_of_the_space() -> None:
    opt = gpbo.Optimizer(SPACE, strategy="random", seed=0, keep_trials=True, budget=10)
    opt.ask(10)
    result = run_trials(opt, square, Limits(n_trials=5))  # type: ignore[arg-type]  # never called
    assert (result.stopped, len(result.trials)) == ("n_trials", 10)


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


def test_workers_evaluate_side_by_side_and_each_trial_is_told_once() -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def objective(params: dict[str, Any]) -> float:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.05)
        with lock:
            at_once -= 1
        return square(params)

    result = run(objective, 12, workers=3)
    assert most == 3
    assert result.stopped == "n_trials"
    assert [t.number for t in result.trials] == list(range(12))
    assert all(t.value == square(t.params) for t in result.trials)


def test_workers_take_a_finite_space_to_its_end() -> None:
    result = gpbo.minimize(lambda p: p["k"], {"k": gpbo.Int(0, 6)}, 50, workers=4, progress=False)
    assert (result.stopped, len(result.trials), result.best_value) == ("exhausted", 7, 0.0)


def test_an_error_that_is_not_caught_ends_all_workers_and_gives_their_trials_back() -> None:
    def objective(params: dict[str, Any]) -> float:
        time.sleep(0.02)
        if params["x"] > 0:
            raise KeyError("no such file")
        return square(params)

    opt = gpbo.Optimizer(SPACE, strategy="random", seed=0)
    limits = Limits(30, catch=ValueError, workers=4)
    with pytest.raises(KeyError):
        run_trials(opt, lambda trial: objective(dict(trial.params)), limits, False)
    pending = {trial.number for trial in opt.pending}
    assert pending
    assert {trial.number for trial in opt.ask(len(pending))} == pending


def test_what_ended_beside_an_error_that_ends_the_run_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def objective(trial: gpbo.Trial) -> float:
        if trial.number == 0:
            raise KeyError("no such file")
        return 1.0

    monkeypatch.setattr(module, "wait", lambda running, return_when: wait(running))  # for all
    opt = gpbo.Optimizer(SPACE, strategy="random", seed=0)
    with pytest.raises(KeyError):
        run_trials(opt, objective, Limits(30, catch=ValueError, workers=3), False)
    assert [trial.state for trial in opt.trials] == ["pending", "complete", "complete"]
    assert opt.ask().number == 0


def test_ctrl_c_in_a_callback_loses_no_result_that_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(opt: gpbo.Optimizer, trial: gpbo.Trial) -> None:
        raise KeyboardInterrupt

    def until_all_have_ended(running: Any, return_when: str) -> Any:
        ended, _ = wait(running)
        first = next(iter(ended))
        return {first}, ended - {first}

    monkeypatch.setattr(module, "wait", until_all_have_ended)
    result = run(square, None, workers=4, callbacks=[interrupt])
    assert result.stopped == "interrupted"
    assert [trial.state for trial in result.trials] == ["complete"] * 4


@pytest.mark.parametrize("workers", [1, 3])
def test_a_trial_that_somebody_else_told_does_not_end_the_run(
    tmp_path: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    other = gpbo.Optimizer(SPACE, strategy="random", seed=0, storage=tmp_path / "runs.db")
    lock = threading.Lock()

    def objective(params: dict[str, Any]) -> float:
        with lock:
            for trial in other.pending:
                if trial.params == params and trial.number < 2:
                    other.tell(trial, 5.0)
        return square(params)

    result = run(objective, 6, workers=workers, storage=tmp_path / "runs.db")
    assert [trial.value for trial in result.trials[:2]] == [5.0, 5.0]
    assert (result.stopped, len(result.trials)) == ("n_trials", 6)
    assert caplog.text.count("what this run found for a trial is dropped: trial") == 2


def test_ctrl_c_beside_a_trial_that_somebody_else_told_gives_the_others_back() -> None:
    opt = gpbo.Optimizer(SPACE, strategy="random", seed=0)
    started = threading.Barrier(3)

    def evaluate(trial: gpbo.Trial) -> float:
        started.wait()
        if trial.number == 0:
            opt.tell(0, 5.0)
        if trial.number == 2:
            while opt.trial(0).state == "pending":
                time.sleep(0.01)
            raise KeyboardInterrupt
        time.sleep(600)
        return 1.0

    assert run_trials(opt, evaluate, Limits(9, workers=3), False).stopped == "interrupted"
    assert {trial.number for trial in opt.ask(2)} == {1, 2}


def test_a_process_ends_though_an_evaluation_goes_on(tmp_path: Path) -> None:
    script = """
import signal, sys, threading, time, gpbo
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
def objective(params):
    if params["x"] > 0.5:  # to the main thread: it may be waiting, and no other signal wakes it
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    time.sleep(600)
result = gpbo.minimize(objective, {"x": gpbo.Float(0, 1)}, 8, strategy="random", seed=0, workers=8,
                       storage=sys.argv[1], progress=False)
print(result.stopped)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "runs.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
    opt = gpbo.Optimizer.load(tmp_path / "runs.db")
    given_back = {trial.number for trial in opt.pending}
    assert {trial.number for trial in opt.ask(len(given_back))} == given_back != set()


def test_a_callback_stops_workers_and_loses_no_result_that_is_there() -> None:
    result = run(square, None, workers=2, callbacks=[lambda opt, trial: trial.number >= 5])
    assert result.stopped == "callback"
    assert all(t.state == "complete" for t in result.trials[:5])


def test_the_first_failure_is_a_warning_in_the_log_and_every_trial_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def objective(params: dict[str, Any]) -> float:
        if params["x"] > 0:
            raise RuntimeError("CUDA out of memory")
        return square(params)

    with caplog.at_level(logging.INFO, "gpbo"):
        result = run(objective, 20)
    assert len(caplog.records) == 20
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert len(warned) == 1
    first = failed[0].number
    assert f"trial {first}: failed: RuntimeError: CUDA out of memory" in warned[0].getMessage()
    assert f"({first + 1}/20)" in warned[0].getMessage()
    told = next(t for t in result.trials if t.state == "complete").number
    assert f"best {result.trials[told].value!r} in trial {told}" in caplog.text
    assert f"failed={len(failed)}" in repr(result)


def test_a_dict_may_hold_the_noise_of_a_value_and_the_reason_of_a_failure() -> None:
    def objective(params: dict[str, Any]) -> dict[str, Any]:
        if params["x"] > 0.5:
            return {"status": "fail", "error": "diverged"}
        if params["x"] > 0:
            return {"loss": square(params), "loss_variance": 0.25}
        return {"value": square(params), "noise": 0.1}

    result = run(objective, 20)
    for trial in result.trials:
        if trial["x"] > 0.5:
            assert trial.error == "diverged"
        else:
            assert trial.noise == (0.5 if trial["x"] > 0 else 0.1)


class Interrupted(gpbo.MemoryStorage):
    """A storage in which Ctrl-C comes right after so many writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.writes = writes

    def transact(self, study: str, after: int, decide: Any) -> Any:
        events = super().transact(study, after, decide)
        self.writes -= 1
        if self.writes == 0:
            raise KeyboardInterrupt
        return events


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("writes", range(1, 12))
def test_ctrl_c_after_any_write_leaves_no_trial_behind(workers: int, writes: int) -> None:
    storage = Interrupted(writes)
    run(square, 6, storage=storage, workers=workers)
    result = run(square, 6, storage=storage, workers=workers)
    assert [trial.state for trial in result.trials] == ["complete"] * 6


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("release unlocked lock")])
def test_ctrl_c_while_a_thread_starts_leaves_no_trial_behind(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    if isinstance(error, RuntimeError):
        error.__context__ = KeyboardInterrupt()
    start, calls = threading.Thread.start, iter([None, None, error])

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        stop = next(calls, None)
        if stop:
            raise stop

    storage = gpbo.MemoryStorage()
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    assert run(square, 6, storage=storage, workers=3).stopped == "interrupted"
    result = run(square, 6, storage=storage, workers=3)
    assert [trial.state for trial in result.trials] == ["complete"] * 6


@pytest.mark.parametrize("workers", [1, 3])
def test_what_a_run_could_not_write_is_written_by_the_next_one(
    monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    storage, told = Locked(), []

    def objective(params: dict[str, Any]) -> float:
        told.append(params)
        storage.locked = len(told) == 3
        return square(params)

    monkeypatch.setattr(module, "wait", lambda running, return_when: wait(running))  # for all
    with pytest.raises(errors.StorageLockedError):
        run(objective, 6, storage=storage, workers=workers)
    storage.locked = False
    result = run(objective, 6, storage=storage, workers=workers)
    assert [trial.state for trial in result.trials] == ["complete"] * 6
    assert len(told) == 6  # none was evaluated twice


def test_a_stderr_without_a_terminals_ways_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (None, object()):
        monkeypatch.setattr(sys, "stderr", stream)
        assert run(square, 2, progress="auto").stopped == "n_trials"


def test_a_time_limit_may_be_numpys() -> None:
    assert Limits(timeout=np.float32(3)).timeout == 3.0  # type: ignore[arg-type]
    assert Limits(timeout=10**400).timeout == math.inf
