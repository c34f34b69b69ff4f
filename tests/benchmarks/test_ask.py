"""The benchmark of an ask: its data, its clock, its judgment, and the page made from its record."""

from __future__ import annotations

import json
import os
import signal
from itertools import count
from typing import Any

import numpy as np
import pytest

from benchmarks.ask import __main__ as program
from benchmarks.ask import contestant, latency, page, quality
from benchmarks.ask.goals import goals
from benchmarks.ask.problem import PROBLEMS, TOP, hartmann, study
from benchmarks.ask.table import ask_table, quality_table
from benchmarks.ask.worker import OverTimeError, Worker


def row(name: str, n: int, d: int, seconds: float) -> dict[str, Any]:
    """One contestant's medians, all of them the same."""
    parts = ("ask", "fit", "maximize", "cold_ask", "cold_fit", "mean")
    return {"contestant": name, "n": n, "d": d} | dict.fromkeys(parts, seconds)


def quality_row(ours: float, theirs: float) -> dict[str, Any]:
    """One data set on which everybody but gpbo reaches `theirs`."""

    def found(value: float) -> dict[str, float]:
        return {"value": value, "seconds": 0.1}

    fit = {"gpbo": found(ours), "botorch": found(theirs), "reference": found(theirs)}
    maximize = {"gpbo": found(ours), "botorch": found(theirs), "optuna": found(theirs)}
    case = {"problem": "levy", "n": 10, "d": 2, "seed": 0}
    return case | {"fit": fit, "steady": fit, "maximize": maximize}


# data


def test_hartmann_has_its_known_minimum() -> None:
    assert hartmann(6, 0)(TOP)[0] == pytest.approx(-3.32237, abs=1e-5)
    assert hartmann(9, 0)(np.append(TOP, [0.1, 0.5, 0.9]))[0] == pytest.approx(-3.32237, abs=1e-5)
    assert hartmann(2, 0)(TOP[:2])[0] == pytest.approx(-3.32237, abs=1e-5)


@pytest.mark.parametrize("name", ["levy", "ackley"])
@pytest.mark.parametrize("d", [1, 2, 20])
def test_levy_and_ackley_are_zero_at_an_optimum_off_the_center(name: str, d: int) -> None:
    optimum = np.random.default_rng([3, d]).uniform(0.2, 0.8, d)
    problem = PROBLEMS[name](d, 3)
    assert problem(optimum)[0] == pytest.approx(0.0, abs=1e-12)
    assert (problem(np.random.default_rng(0).random((100, d))) > 0).all()


@pytest.mark.parametrize("n", [1, 2, 9, 10, 200])
@pytest.mark.parametrize("d", [2, 100])
def test_a_study_has_n_distinct_points_and_is_the_same_each_time(n: int, d: int) -> None:
    problem = PROBLEMS["levy"](d, 0)
    x, y = study(problem, n, 1)
    assert x.shape == (n, d)
    assert len(np.unique(x, axis=0)) == n
    assert ((x >= 0) & (x <= 1)).all()
    np.testing.assert_array_equal(y, problem(x))
    np.testing.assert_array_equal(x, study(problem, n, 1)[0])


def test_the_second_half_of_a_study_was_tried_near_the_best() -> None:
    _, y = study(PROBLEMS["levy"](6, 0), 200, 0)
    assert np.median(y[100:]) < np.quantile(y[:100], 0.1)


# clock


def test_a_stopwatch_counts_the_calls_of_a_wrapped_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = count()
    monkeypatch.setattr(contestant.time, "perf_counter", lambda: float(next(ticks)))

    class Peer:
        def fit(self, x: int) -> int:
            return x + 1

    watch = contestant.Stopwatch()
    watch.wrap(Peer, "fit", "fit")
    assert [Peer().fit(1), Peer().fit(2)] == [2, 3]
    assert watch.seconds == {"fit": 2.0}
    watch.reset()
    assert watch.seconds == {}


def test_a_worker_has_one_thread_and_leaves_the_environment_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    worker = Worker()
    try:
        assert worker.call(os.getenv, "OMP_NUM_THREADS", limit=120) == "1"
        assert worker.call(os.getenv, "MKL_NUM_THREADS", limit=120) == "1"
    finally:
        worker.close()
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_worker_ends_what_takes_too_long_and_starts_anew() -> None:
    worker = Worker()
    try:
        with pytest.raises(OverTimeError):
            worker.call(signal.pause, limit=0.01)
        assert worker.call(abs, -1, limit=120) == 1
        with pytest.raises(RuntimeError, match="invalid literal"):
            worker.call(int, "one", limit=120)
    finally:
        worker.close()


def test_a_peer_that_is_not_installed_is_a_row_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contestant.Skopt, "package", "there_is_no_such_package")
    found = latency.Race(["skopt"], latency.Limits()).row("skopt", 10, 2)
    assert found["skipped"] == "there_is_no_such_package is not installed"


def test_a_slow_peer_is_not_run_with_more_observations(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        def call(self, *_: Any, limit: float) -> dict[str, float]:
            return {"seconds": 121.0}

    monkeypatch.setattr(latency, "Worker", Slow)
    race = latency.Race(["gpbo"], latency.Limits(case=120.0))
    assert "skipped" not in race.row("gpbo", 10, 2)
    assert race.row("gpbo", 20, 2)["skipped"] == "n = 10 took 121 s"
    assert "skipped" not in race.row("gpbo", 20, 6)


# judgment


def test_a_goal_is_met_where_the_slowest_ratio_is_large_enough() -> None:
    rows = [row("gpbo", 20, 6, 1.0), row("optuna", 20, 6, 20.0), row("botorch", 20, 6, 20.0)]
    rows += [row("gpbo", 50, 6, 1.0), row("optuna", 50, 6, 10.0)]
    rows.append({"contestant": "botorch", "n": 50, "d": 6, "skipped": "n = 20 took 121 s"})
    optuna, botorch, *large = goals({"latency": {"rows": rows}})[:4]
    assert optuna.met is True
    assert "least 10.0 (n = 50, d = 6)" in optuna.reached
    assert botorch.met is False
    assert "median of 1" in botorch.reached
    assert [goal.met for goal in large] == [None, None]


@pytest.mark.parametrize(("below", "met"), [(1, True), (2, False)])
def test_a_share_of_95_percent_may_not_lie_below(below: int, met: bool) -> None:
    rows = [quality_row(1.0, 1.0009)] * (20 - below) + [quality_row(1.0, 1.5)] * below
    found = [goal for goal in goals({"quality": {"rows": rows}}) if "within" in goal.asked]
    assert [goal.met for goal in found] == [met] * 5
    assert all("worst gap 0.5" in goal.reached for goal in found)


@pytest.mark.parametrize(("end", "met"), [(305.0, True), (320.0, False)])
def test_memory_is_flat_where_it_stays_after_the_first_study(end: float, met: bool) -> None:
    section = {"asks": 2000, "studies": 3, "resident": [100.0, 300.0, 301.0, end]}
    assert goals({"memory": {"studies": section}})[-1].met is met


def test_a_table_names_under_it_what_it_lacks() -> None:
    rows = [row("gpbo", 20, 6, 0.01), row("optuna", 20, 6, 0.2)]
    rows.append({"contestant": "skopt", "n": 20, "d": 6, "skipped": "skopt is not installed"})
    grid = ask_table({"latency": {"rows": rows}})
    assert grid.rows == [("6", "20", "10.0 (10.0 + 10.0)", "200 (200 + 200), 20.0×", "–")]
    assert grid.notes == ["– skopt: skopt is not installed (n 20 d 6)"]
    assert grid.notes[0] in grid.markdown()


def test_a_mean_far_above_the_median_shows() -> None:
    rows = [row("gpbo", 20, 6, 0.01) | {"mean": 0.05}]
    grid = ask_table({"latency": {"rows": rows}})
    assert grid.rows == [("6", "20", "10.0 (10.0 + 10.0), mean 50.0")]


def test_a_data_set_that_failed_is_named_under_the_table() -> None:
    failed = {"problem": "levy", "n": 10, "d": 2, "seed": 0, "failed": "more than 600 s"}
    grid = quality_table({"quality": {"rows": [quality_row(1.0, 1.0), failed]}})
    assert grid.rows[0][1] == "1/1"
    assert grid.notes == ["n = 10, d = 2, levy: more than 600 s"]


def test_everybody_finds_the_same_top_of_an_easy_problem() -> None:
    found = quality.compare("hartmann", 10, 2, 0)
    for part in ("fit", "steady", "maximize"):
        values = [reached["value"] for reached in found[part].values()]
        assert "gpbo" in found[part]
        assert max(values) - min(values) < 1e-3


# the whole


@pytest.mark.slow
def test_a_quick_run_measures_every_section(capfd: pytest.CaptureFixture[str]) -> None:
    program.main(["--quick", "--n", "10", "--peers", "optuna,botorch"])
    out = capfd.readouterr().out
    for title in ("Asked and reached", "steady state", "unseen data", "time buys", "A study of"):
        assert title in out


def test_the_page_shows_the_tables_of_the_result_file() -> None:
    record = json.loads(program.RESULT.read_text())
    assert page.generated(record) in page.PAGE.read_text()
