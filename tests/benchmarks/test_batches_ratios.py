"""What the benchmark of batches makes of its studies: ratios, regrets, levels, goals and tables."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.batches import table
from benchmarks.batches.clock import duration
from benchmarks.batches.plan import AGAIN, BATCHES, FREE, SEQUENTIAL
from benchmarks.batches.ratios import Studies, log_regret, needed, until
from benchmarks.batches.reach import best_after
from benchmarks.suite.regret import FLOOR


def study(
    way: str, *steps: tuple[int, float], name: str = "gpbo", problem: str = "a", **more: Any
) -> dict[str, Any]:
    """A study of 20 evaluations, time 1 each, with the optimum 0 and typical value 100."""
    return {
        "problem": problem,
        "name": name,
        "seed": 0,
        "way": way,
        "n": 20,
        "optimum": 0.0,
        "typical": 100.0,
        "steps": [(number, value, float(number)) for number, value in steps],
        "told": 40,
        "time": 40.0,
        "seconds": 4.0,
        "version": "1",
        "machine": "m",
        "commit": "c",
        **more,
    }


BASE = study(SEQUENTIAL, (1, 50.0), (8, 10.0), (16, 1.0))


def test_the_best_of_the_first_evaluations_is_not_below_what_counts_as_the_optimum() -> None:
    assert best_after(BASE, 7) == 50.0
    assert best_after(BASE, 16) == 1.0
    assert best_after(BASE, 0) == math.inf
    assert best_after(study(BATCHES, (3, 0.0)), 20) == pytest.approx(100 * FLOOR)


def test_a_ratio_is_of_the_evaluations_until_the_sequential_regret() -> None:
    row = study(BATCHES, (2, 60.0), (13, 9.0), (26, 0.5))
    assert needed(row, BASE, 0.5) == (13, 13.0)
    assert needed(row, BASE, 1.0) == (26, 26.0)
    score = Studies([BASE, row]).score("gpbo", BATCHES, 0.5)
    assert score is not None
    assert score.ratio == (1.3, 1.3)
    assert score.faster == pytest.approx(sum(duration(0, number) for number in range(10)) / 13)
    assert score.gap == pytest.approx(math.log10(60.0 / 10.0))
    assert math.isnan(score.error)


def test_a_study_that_never_gets_there_counts_as_twice_n() -> None:
    studies = Studies([BASE, study(FREE, (3, 10.0))])
    half, whole = (studies.score("gpbo", FREE, share) for share in (0.5, 1.0))
    assert half is not None
    assert whole is not None
    assert (half.ratio[0], half.never) == (0.3, 0.0)
    assert (whole.ratio[0], whole.never) == (2.0, 1.0)


def test_a_step_beyond_twice_n_is_too_late() -> None:
    assert needed(study(BATCHES, (41, 0.5), told=48, time=48.0), BASE, 1.0) == (40, 48.0)


def test_regrets_have_a_floor_and_a_ceiling() -> None:
    assert log_regret(study(BATCHES, (1, 0.0)), 1.0) == pytest.approx(math.log10(FLOOR))
    assert log_regret(study(BATCHES), 1.0) == 1.0


def test_a_gap_is_a_mean_over_problems_with_its_error() -> None:
    rows = [BASE, study(BATCHES, (1, 10.0))]
    rows += [study(SEQUENTIAL, (1, 1.0), problem="b"), study(BATCHES, (1, 1000.0), problem="b")]
    score = Studies(rows).score("gpbo", BATCHES, 1.0)
    assert score is not None
    assert (score.studies, score.gap, score.error) == pytest.approx((2, 2.0, 1.0))
    one = Studies(rows).score("gpbo", BATCHES, 1.0, problem="a")
    assert one is not None
    assert one.gap == pytest.approx(1.0)


def test_an_optimizer_is_compared_with_its_own_sequential_study_or_with_ours() -> None:
    rows = [BASE, study(SEQUENTIAL, (1, 40.0), name="random")]
    rows.append(study(BATCHES, (4, 40.0), (30, 1.0), name="random"))
    own = Studies(rows).score("random", BATCHES, 1.0)
    ours = Studies(rows).score("random", BATCHES, 1.0, "gpbo")
    assert own is not None
    assert ours is not None
    assert (own.ratio[0], ours.ratio[0]) == (0.2, 1.5)
    assert Studies(rows[1:]).score("random", BATCHES, 1.0, "gpbo") is None


def test_a_level_counts_studies_whose_sequential_one_reaches_it() -> None:
    rows = [BASE, study(BATCHES, (12, 9.0)), study(SEQUENTIAL, (1, 50.0), problem="b")]
    rows.append(study(BATCHES, (1, 0.0), problem="b"))
    studies = Studies(rows)
    tenth, hundredth = (studies.level("gpbo", BATCHES, left) for left in (0.1, 0.01))
    assert tenth is not None
    assert hundredth is not None
    assert (tenth.studies, tenth.ratio, tenth.late) == (1, 1.5, 0)
    assert (hundredth.studies, hundredth.ratio, hundredth.late) == (1, math.inf, 1)
    assert studies.level("gpbo", BATCHES, 1e-4) is None
    assert until(BASE, 0.5) == 1


@pytest.mark.parametrize(("at", "met"), [(13, True), (14, False)])
def test_a_goal_is_met_within_1_3_times_the_evaluations(at: int, met: bool) -> None:
    rows = [BASE, study(BATCHES, (at, 1.0)), study(AGAIN, (15, 1.0))]
    batches, workers, *others = table.goals({"reach": {"rows": rows}})
    assert batches.met is met
    assert "(1.50 and 1.50 by luck) at n / 2" in batches.reached
    assert [goal.met for goal in (workers, *others)] == [None] * 4


@pytest.mark.parametrize(("least", "distinct", "met"), [(1.0, 64, True), (0.9, 63, False)])
def test_a_batch_is_spread_where_no_two_points_are_nearer_than_sobols(
    least: float, distinct: int, met: bool
) -> None:
    far = {"least": 1.0, "median": 2.0}
    row = {"problem": "a", "d": 2, "seed": 0, "points": 64, "distinct": distinct, "sides": [0.5]}
    row |= {"batch": {"least": least, "median": 2.0}, "box": far, "near": far}
    record = {"spread": {"rows": [row]}}
    assert [goal.met for goal in table.goals(record)[2:]] == [met] * 3
    assert table.spread(record).rows[0][4] == f"{least:.3g} / 2"


def test_tables_have_a_cell_for_each_heading_and_say_what_is_missing() -> None:
    rows = [BASE, study(BATCHES, (12, 9.0)), study(AGAIN, (2, 0.1)), study(FREE, (3, 0.1))]
    rows += [study(SEQUENTIAL, (2, 30.0), name="random"), study(BATCHES, (2, 30.0), name="random")]
    rows.append(
        {"problem": "z", "name": "botorch", "seed": 0, "way": BATCHES, "skipped": "no luck"}
    )
    timed = {"problem": "a", "seen": 30, "machine": "m", "commit": "c"}
    sizes = [timed | {"q": 8, "points": 8, "rounds": 5, "seconds": 0.16, "slowest": 0.2}]
    sizes.append(timed | {"q": 1000, "skipped": "more than 600 s"})
    grids = table.grids({"reach": {"rows": rows}, "seconds": {"rows": sizes}})
    for grid in grids:
        assert grid.rows
        assert {len(cells) for cells in grid.rows} == {len(grid.head)}
    text = "\n".join(grid.markdown() for grid in grids)
    assert "botorch, z: no luck" in text
    assert "q = 1000: more than 600 s" in text
    assert "| 8 | 0.160 | 20.0 | 5 |" in text
