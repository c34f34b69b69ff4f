"""The benchmark of batches: its clock, its contestants, its distances, its program and its page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpbo
from benchmarks.ask.worker import Worker
from benchmarks.batches import __main__ as program
from benchmarks.batches import page, reach, spread
from benchmarks.batches.clock import Study, duration
from benchmarks.batches.contestant import CONTESTANTS, Asked
from benchmarks.batches.plan import (
    AGAIN,
    BATCHES,
    FREE,
    PROBLEMS,
    SEQUENTIAL,
    SPREAD,
    WORKERS,
    Plan,
)
from benchmarks.suite import catalog


class Counting:
    """Asks for 0, 1, 2 ... and remembers what was pending at each ask."""

    def __init__(self, most: int = 1000) -> None:
        self.most, self.number = most, 0
        self.pending: set[int] = set()
        self.beside: list[int] = []
        self.told: list[int] = []

    def ask_for(self, count: int) -> list[Asked]:
        numbers = range(self.number, min(self.number + count, self.most))
        self.number += len(numbers)
        self.beside.append(len(self.pending))
        self.pending.update(numbers)
        return [Asked({"x": number}, number) for number in numbers]

    def tell_of(self, asked: Asked, value: float | None) -> None:
        self.pending.remove(asked.handle)
        self.told.append(asked.handle)


def on_the_clock(way: str, count: int, most: int = 1000) -> tuple[Study, Counting]:
    """A study of `count` evaluations whose values fall from 0 on."""
    one = Counting(most)
    study = Study(one, lambda params: -float(params["x"]), seed=3)
    study.run(way, lambda: study.told >= count)
    return study, one


# clock


def test_trials_last_1_in_the_mean_and_the_same_in_every_study() -> None:
    lasting = [duration(0, number) for number in range(2000)]
    assert lasting == [duration(0, number) for number in range(2000)]
    assert np.mean(lasting) == pytest.approx(1.0, abs=0.05)
    assert np.std(np.log(lasting)) == pytest.approx(0.5, abs=0.05)
    assert duration(1, 0) != duration(0, 0)


def test_one_after_the_other_takes_the_sum_of_their_times() -> None:
    study, one = on_the_clock(SEQUENTIAL, 10)
    assert study.time == pytest.approx(sum(duration(3, number) for number in range(10)))
    assert one.beside == [0] * 10


def test_a_batch_takes_as_long_as_its_longest_trial() -> None:
    study, one = on_the_clock(BATCHES, 2 * WORKERS)
    both = (range(WORKERS), range(WORKERS, 2 * WORKERS))
    longest = [max(duration(3, number) for number in some) for some in both]
    assert study.time == pytest.approx(sum(longest))
    assert one.beside == [0, 0]
    assert [step[0] for step in study.steps] == list(range(1, 2 * WORKERS + 1))
    assert {step[2] for step in study.steps[:WORKERS]} == {round(longest[0], 4)}


def test_a_worker_asks_while_all_others_run() -> None:
    study, one = on_the_clock(FREE, 40)
    assert one.beside[:WORKERS] == list(range(WORKERS))
    assert set(one.beside[WORKERS:]) == {WORKERS - 1}
    assert len(one.told) == 40
    assert one.told != sorted(one.told)
    first = min(range(WORKERS), key=lambda number: duration(3, number))
    assert one.told[0] == first
    assert study.steps[0][2] == pytest.approx(duration(3, first), abs=1e-4)
    assert study.time < on_the_clock(BATCHES, 40)[0].time


@pytest.mark.parametrize("way", [SEQUENTIAL, BATCHES, FREE])
def test_a_study_ends_where_nothing_is_left_to_try(way: str) -> None:
    study, one = on_the_clock(way, 100, most=11)
    assert study.told == 11
    assert not one.pending


def test_a_failed_trial_counts_and_is_no_best() -> None:
    one = Counting()
    study = Study(one, lambda params: None if params["x"] < 2 else 5.0, seed=0)
    study.run(BATCHES, lambda: study.told >= 8)
    assert [step[:2] for step in study.steps] == [(3, 5.0)]


# contestants


def explore(name: str, rounds: int, seed: int) -> list[list[str]]:
    """Batches that a contestant asks for with two trials pending all the time."""
    space = gpbo.Space({"x": gpbo.Float(0.0, 1.0), "y": gpbo.Float(1e-3, 1.0, log=True)})
    kind = CONTESTANTS[name]
    kind.load()
    one, seen = kind(space, seed), []
    waiting = one.ask_for(1) + one.ask_for(1)
    for _ in range(rounds):
        batch = one.ask_for(5)
        assert len(batch) == 5
        assert all(space.check(asked.params) == asked.params for asked in batch)
        seen.append([repr(asked.params) for asked in batch])
        for asked in reversed(batch):  # in another order than they were asked in
            one.tell_of(asked, (asked.params["x"] - 0.3) ** 2 + math.log(asked.params["y"]) ** 2)
    one.tell_of(waiting[1], None)
    one.tell_of(waiting[0], 0.0)
    return seen


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """A process in which the contestants' libraries are loaded."""
    made = Worker()
    yield made
    made.close()


@pytest.mark.parametrize("name", CONTESTANTS)
def test_a_contestant_proposes_what_the_space_allows_beside_pending_trials(
    worker: Worker, name: str
) -> None:
    if CONTESTANTS[name].version() is None:
        pytest.skip(f"{CONTESTANTS[name].package} is not installed")
    seen = worker.call(explore, name, 3, 0, limit=300)
    different = len({params for batch in seen for params in batch})
    assert different == 15 if name in ("gpbo", "random") else different > 9  # corners twice


def test_a_study_of_a_problem_is_recorded_with_what_it_reached() -> None:
    way = reach.Run("camel6", "random", 0, SEQUENTIAL, -math.inf, 60.0)
    row = reach.run(way)
    assert reach.key_of(row) == way.key
    assert (row["n"], row["told"]) == (50, 50)
    values = [value for _, value, _ in row["steps"]]
    assert values == sorted(values, reverse=True)
    assert row["optimum"] < values[-1] < row["typical"]
    again = reach.run(reach.Run("camel6", "random", 0, AGAIN, values[-1], 60.0))
    assert again["steps"][0][1] != values[0]
    assert 50 <= again["told"] <= 100
    assert again["told"] in (50, 100) or again["steps"][-1][1] <= values[-1]


def test_a_study_ends_when_its_time_is_over() -> None:
    row = reach.run(reach.Run("camel6", "random", 0, BATCHES, -math.inf, 0.0))
    assert (row["told"], row["steps"]) == (0, [])


# distances


def test_distances_are_the_least_and_the_median_of_all_pairs() -> None:
    assert spread.distances(np.array([[0.0], [1.0], [3.0]])) == {"least": 1.0, "median": 2.0}


def test_a_batch_is_compared_with_sobol_points_in_both_boxes() -> None:
    row = spread.measure("camel6", 0, seen=7, batch=4, scrambles=3)
    assert (row["points"], row["distinct"], row["d"]) == (4, 4, 2)
    assert len(row["lengthscale"]) == len(row["sides"]) == 2
    assert max(row["sides"]) <= 1.0
    for of in ("batch", "box", "near"):
        assert 0 < row[of]["least"] <= row[of]["median"]
    assert row["near"]["median"] <= row["box"]["median"]


# program


def test_every_default_problem_is_in_its_half_without_noise_and_of_its_dimensions() -> None:
    for usual in (PROBLEMS, SPREAD):
        for half, names in usual.items():
            for name in names:
                one = catalog.summary(name)
                assert (one.half, one.noisy, one.known) == (half, False, True)
                assert 2 <= len(catalog.make(name, 0).space) <= 10


def test_patterns_choose_problems_of_the_half_whose_regret_is_known() -> None:
    found = Plan(patterns=("levy-*", "ackley-*", "mlp-*")).problems()
    assert {"levy-d4", "levy-d10"} <= set(found)
    assert not [name for name in found if name.startswith(("ackley", "mlp")) or "noise" in name]


def test_the_command_line_makes_a_plan() -> None:
    args = ["reach", "--half", "tune", "--peers", "gpbo,botorch", "--seeds", "2", "--record"]
    plan, sections, record = program.read(args)
    assert plan == Plan(half="tune", names=("gpbo", "botorch"), seeds=(0, 1))
    assert (sections, record) == (["reach"], True)
    assert program.read(["--sizes", "1,8"])[1] == ["reach", "spread", "seconds"]
    assert program.read(["--table"])[1] == []


def test_the_command_line_refuses_a_peer_it_does_not_know(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        program.read(["--peers", "hyperopt"])
    assert "'hyperopt' is none of gpbo" in capsys.readouterr().err


def test_others_go_on_until_they_are_as_good_as_both_sequential_studies() -> None:
    wanted: list[reach.Run] = []

    def call(section: str, key: tuple[Any, ...], function: Any, run: reach.Run) -> dict[str, Any]:
        wanted.append(run)
        best = {"gpbo": 1.0, "random": 4.0}[run.name]
        row = dict(zip(program.KEYS["reach"], key, strict=True))
        return row | {"n": 2, "optimum": 0.0, "typical": 9.0, "steps": [(1, best, 1.0)]}

    plan = Plan(names=("gpbo", "random"), patterns=("camel6",), seeds=(0,))
    list(program.run_reach(plan, call, []))
    assert [(run.name, run.way) for run in wanted] == [
        *(("gpbo", way) for way in (SEQUENTIAL, AGAIN, BATCHES, FREE)),
        *(("random", way) for way in (SEQUENTIAL, BATCHES, FREE)),
    ]
    assert {run.enough for run in wanted if run.way == SEQUENTIAL} == {-math.inf}
    assert {run.enough for run in wanted if run.way != SEQUENTIAL} == {1.0}


def test_a_row_takes_the_place_of_an_earlier_one() -> None:
    record: dict[str, Any] = {}
    for problem, q, took in (("a", 1, 1.0), ("a", 8, 2.0), ("a", 1, 3.0)):
        program._merge(record, "seconds", {"problem": problem, "q": q, "seconds": took})
    assert [row["seconds"] for row in record["seconds"]["rows"]] == [3.0, 2.0]
    assert json.loads(program._text(record)) == record


def test_a_measurement_that_fails_is_a_row_that_says_so(worker: Worker) -> None:
    row = program._caller(worker)("seconds", ("a", 8), int, "one")
    assert "invalid literal" in row["skipped"]
    assert (row["problem"], row["q"]) == ("a", 8)


def test_the_page_keeps_what_was_written_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "batches.md"
    file.write_text(f"# Before\n\n{page.BEGIN}\nold\n{page.END}\n\nAfter\n")
    rows = [{"problem": "a", "q": 8, "seen": 30, "points": 8, "rounds": 1, "seconds": 0.4}]
    rows[0] |= {"machine": "m", "commit": "c"}
    page.update({"seconds": {"rows": rows}}, file)
    text = file.read_text()
    assert text.startswith("# Before\n")
    assert text.endswith("After\n")
    assert "| 8 | 0.400 | 50.0 | 1 |" in text
    assert "old" not in text


def test_the_page_shows_the_tables_of_the_result_file() -> None:
    if not program.RESULT.exists():
        pytest.skip("no results are published yet")
    record = json.loads(program.RESULT.read_text())
    assert page.generated(record) in page.PAGE.read_text()
