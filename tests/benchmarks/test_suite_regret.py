"""What the suite makes of its runs: regrets, ranks, wins, bands, tables, and the page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import wilcoxon

from benchmarks.suite import __main__ as program
from benchmarks.suite import page, table
from benchmarks.suite.plan import Plan
from benchmarks.suite.regret import CEILING, FLOOR, POINTS, Scores, band


def row(peer: str, best: float, problem: str = "a", seed: int = 0, **more: Any) -> dict[str, Any]:
    """A run that found `best` at trial 10 of 20, over an optimum of 1 and a typical value of 11."""
    return {
        "problem": problem,
        "peer": peer,
        "seed": seed,
        "kind": "synthetic",
        "optimum": 1.0,
        "median": 11.0,
        "planned": 20,
        "trials": 20,
        "steps": [[1, 11.0], [10, best]],
        "seconds": 2.0,
        "repeats": 0,
        "version": "1",
        "machine": "m",
        "commit": "c",
        **more,
    }


def test_a_regret_is_measured_against_random_params() -> None:
    scores = Scores([row("random", 11.0), row("gpbo", 2.0)])
    curve = scores.curves["a", 0]["gpbo"]
    assert len(curve) == len(POINTS)
    np.testing.assert_allclose(curve[:9], 0.0, atol=1e-12)  # up to trial 9
    np.testing.assert_allclose(curve[9:], -1.0, atol=1e-12)


def test_the_scale_is_that_of_the_random_peer() -> None:
    scores = Scores([row("random", 11.0), row("gpbo", 2.0, median=1e9)])
    assert scores.curves["a", 0]["gpbo"][-1] == pytest.approx(-1.0)


def test_a_regret_has_a_floor_and_a_ceiling() -> None:
    scores = Scores([row("random", 1.0), row("gpbo", 5.0, steps=[])])
    assert scores.curves["a", 0]["random"][-1] == pytest.approx(math.log10(FLOOR))
    assert scores.curves["a", 0]["gpbo"][-1] == pytest.approx(math.log10(CEILING))


def test_an_unknown_optimum_is_the_best_value_found() -> None:
    rows = [row("random", 5.0, optimum=None), row("gpbo", 2.0, optimum=None, seed=1)]
    rows += [row("random", 5.0, optimum=None, seed=1)]
    scores = Scores(rows)
    assert scores.curves["a", 0]["random"][-1] == pytest.approx(math.log10(3 / 9))
    assert scores.curves["a", 1]["gpbo"][-1] == pytest.approx(-3.0)


def test_ranks_are_means_over_seeds_with_ties_shared() -> None:
    rows = [row("a", 2.0), row("b", 2.0), row("c", 3.0)]
    rows += [row("a", 2.0, seed=1), row("b", 1.5, seed=1), row("c", 3.0, seed=1)]
    ranks = Scores(rows).ranks(1.0)
    assert ranks == {"a": {"a": 1.75}, "b": {"a": 1.25}, "c": {"a": 3.0}}
    assert Scores(rows).peers == ["b", "a", "c"]


def test_only_problems_that_all_can_do_are_common() -> None:
    rows = [row("a", 2.0), row("b", 3.0), row("a", 2.0, problem="z")]
    rows.append({"problem": "z", "peer": "b", "seed": 0, "cannot": "no categories"})
    scores = Scores(rows)
    assert set(scores.common().curves) == {("a", 0)}
    assert set(scores.curves) == {("a", 0), ("z", 0)}
    assert scores.cannot == {"b": {"no categories": {"z"}}}


def test_who_has_few_of_the_runs_does_not_say_which_problems_are_common() -> None:
    rows = [row(peer, 2.0, problem=p) for peer in "ab" for p in "wxyz"]
    rows += [row("half", 3.0, problem=p) for p in "wx"] + [row("few", 1.0, problem="w")]
    common = Scores(rows).common()
    assert set(common.curves) == {("w", 0), ("x", 0)}
    assert common.peers == ["a", "b", "half"]


def test_ranks_are_among_those_with_the_most_seeds() -> None:
    rows = [row(peer, 2.0, problem=p, seed=k) for peer in "ab" for p in "yz" for k in range(3)]
    rows += [row("slow", 1.5), row("slow", 1.5, problem="z")]
    rows += [row("slow", 1.5, problem="y", seed=k) for k in range(3)]  # of one problem of three
    rows += [row("a", 2.0, problem="long", seed=k) for k in range(3)]
    rows += [row("b", 3.0, problem="long")]
    rows += [row("a", 2.0, problem="hers", seed=k) for k in range(3)]
    rows.append({"problem": "hers", "peer": "b", "seed": 0, "cannot": "no categories"})
    level = Scores(rows).level()
    assert level.peers == ["a", "b"]
    pairs = [(p, k) for p in ("y", "z", "hers") for k in range(3)]
    assert set(level.curves) == {*pairs, ("long", 0)}  # what only one can do stays
    assert all("slow" not in found for found in level.curves.values())
    kinds = table.kinds(level)
    assert kinds.head == ("kind", "problems", "seeds", "a", "b")
    assert kinds.rows[0][:3] == ("synthetic", "4", "3")


def test_who_has_some_problems_or_seeds_of_a_kind_only_is_left_out_there() -> None:
    rows = [row(peer, 2.0, problem=p, seed=k) for peer in "ab" for p in "xy" for k in range(3)]
    rows += [row("a", 2.0, problem=p, seed=k, kind="noisy") for p in "vw" for k in range(3)]
    level = Scores([*rows, row("b", 3.0, problem="v", kind="noisy")]).level()
    assert set(level.curves) == {(p, k) for p in "xyvw" for k in range(3)}
    assert {p for (p, _), found in level.curves.items() if "b" in found} == {"x", "y"}
    failed = [{"problem": "w", "peer": "b", "seed": k, "error": "ValueError: y"} for k in range(3)]
    seeds = [row("b", 3.0, problem="v", seed=k, kind="noisy") for k in range(3)]
    level = Scores([*rows, *seeds, *failed]).level()
    assert "b" in level.curves["v", 0]  # it was run on all of them
    level = Scores([*rows, seeds[0], failed[0]]).level()
    assert len(level.curves) == 12  # all seeds of the others, since it has one
    assert "b" not in level.curves["v", 0]


def test_a_duel_counts_ties_half_and_tests_the_problems() -> None:
    rng = np.random.default_rng(0)
    rows, gaps = [], []
    for k in range(12):
        ours, theirs = (1 + 10 ** rng.uniform(-3, 0, 2)).tolist()
        rows += [row("gpbo", ours, f"p{k}"), row("b", theirs, f"p{k}")]
        gaps.append(math.log10(ours - 1) - math.log10(theirs - 1))
    rows += [row("gpbo", 2.0, "tie"), row("b", 2.0, "tie")]
    duel = Scores(rows).duel("gpbo", "b")
    assert duel is not None
    assert duel.pairs == 13
    assert duel.seeds == (1, 1)
    several = [row(peer, 2.0, "p0", seed=k) for peer in ("gpbo", "b") for k in (1, 2)]
    assert Scores([*rows, *several]).duel("gpbo", "b").seeds == (1, 3)
    assert duel.wins == pytest.approx((sum(gap < 0 for gap in gaps) + 0.5) / 13)
    assert duel.gap == pytest.approx(sum(gaps) / 13)
    assert duel.p == pytest.approx(wilcoxon([*gaps, 0.0]).pvalue, rel=1e-6)
    assert Scores(rows).duel("gpbo", "nobody") is None


def test_a_band_holds_the_mean_and_narrows_with_more_problems() -> None:
    rng = np.random.default_rng(0)
    curves = list(rng.standard_normal((200, 20)))
    mean, low, high = band(curves)
    np.testing.assert_allclose(mean, np.mean(curves, 0))
    assert (low < mean).all()
    assert (mean < high).all()
    _, few_low, few_high = band(curves[:20])
    assert (few_high - few_low).mean() > 2 * (high - low).mean()
    np.testing.assert_allclose(high - low, 2 * 1.96 / 200**0.5, rtol=0.25)


def test_tables_say_what_is_missing_and_why() -> None:
    rows = [row("random", 5.0), row("gpbo", 2.0), row("b", 3.0, ended="9 s were over")]
    rows.append({"problem": "z", "peer": "b", "seed": 0, "cannot": "no categories"})
    rows.append({"problem": "z", "peer": "c", "seed": 0, "error": "killed"})
    grids = table.grids(Scores(rows))
    text = "\n".join(grid.markdown() for grid in grids)
    assert "b cannot do 1 problems: no categories" in text
    assert "c failed in 1 runs, first with: killed" in text
    assert "b ended 1 runs early: 9 s were over" in text
    assert [cells[0] for cells in grids[0].rows] == ["gpbo", "b", "random"]


def test_late_failures_are_counted() -> None:
    rows = [
        row("gpbo", 2.0, kind="failing", problem="a", failed=[1, 2, 11, 15]),
        row("gpbo", 2.0, kind="failing", problem="b", failed=[3]),
        row("random", 2.0, kind="failing", problem="b", failed=[20]),
    ]
    grid = table.failures(Scores(rows))
    assert grid.head[-2:] == ("a", "b")
    assert grid.rows == [
        ("gpbo", "2", "10%", "50%", "20%", "0%"),
        ("random", "1", "10%", "0%", "–", "10%"),
    ]


def test_recommendations_are_compared_with_the_best_that_was_told() -> None:
    rows = [row("gpbo", 2.0, recommended=1.5), row("gpbo", 2.0, seed=1, recommended=2.0)]
    assert table.noise(Scores(rows)).rows == [("gpbo", "2", "50%", "0%")]


def test_the_page_shows_the_tables_of_the_results() -> None:
    if not page.PAGE.exists():
        pytest.skip("no results are published yet")
    rows = program.selected(page.PLAN, everybody=True)
    assert page.generated(rows) in page.PAGE.read_text()


def test_the_command_line_makes_a_plan() -> None:
    plan, given = program.read(
        ["--half", "tune", "--problems", "ackley-*,levy-*", "--peers", "gpbo,cma", "--seeds", "3"]
    )
    assert plan == Plan(
        half="tune", patterns=("ackley-*", "levy-*"), peers=("gpbo", "cma"), seeds=(0, 1, 2)
    )
    assert not given.table


def test_the_command_line_refuses_a_peer_it_does_not_know(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        program.read(["--peers", "nobody"])
    assert "'nobody' is none of gpbo" in capsys.readouterr().err
