"""Grid search: order, size, failures."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpbo
from gpbo.errors import SpaceError


def run(space: dict[str, Any], strategy: Any = "grid") -> list[dict[str, Any]]:
    opt = gpbo.Optimizer(space, strategy=strategy)
    seen = []
    while (trial := opt.ask()) is not None:
        seen.append(trial.params)
        opt.tell(trial, 0.0)
    assert opt.done
    return seen


def test_the_grid_of_two_lists_is_their_product_in_order() -> None:
    estimators, depths = [10, 50, 100, 200], [3, 10, 20, 40]
    expected = [{"n_estimators": n, "max_depth": d} for n, d in product(estimators, depths)]
    assert run({"n_estimators": estimators, "max_depth": depths}) == expected


def test_three_parameters_start_with_the_first_of_each_and_end_with_the_last() -> None:
    space: dict[str, Any] = {name: [0, 1, 2, 3, 4, 5] for name in ("a1", "a2", "a3")}
    points = run(space)
    assert len(points) == 216
    assert points[0] == {"a1": 0, "a2": 0, "a3": 0}
    assert points[-1] == {"a1": 5, "a2": 5, "a3": 5}


def test_the_size_is_known_before_anything_runs() -> None:
    space = gpbo.Space({"a": [1, 2, 3], "b": gpbo.Bool(), "c": gpbo.Float(0, 1)})
    assert gpbo.Optimizer(space, strategy=gpbo.Grid(n=7)).size == 42
    assert gpbo.Grid(n={"c": 2}).size(space) == 12


def test_a_branch_contributes_its_own_points_only() -> None:
    space = {"opt": gpbo.Choice({"sgd": {"m": [0.0, 0.9]}, "adam": None}), "b": gpbo.Bool()}
    assert run(space) == [
        {"opt": "sgd", "m": 0.0, "b": False},
        {"opt": "sgd", "m": 0.0, "b": True},
        {"opt": "sgd", "m": 0.9, "b": False},
        {"opt": "sgd", "m": 0.9, "b": True},
        {"opt": "adam", "b": False},
        {"opt": "adam", "b": True},
    ]


def test_a_range_takes_n_values_with_both_ends_on_its_own_scale() -> None:
    points = run({"lr": gpbo.Float(1e-4, 1e-2, log=True)}, gpbo.Grid(n=3))
    assert [p["lr"] for p in points] == pytest.approx([1e-4, 1e-3, 1e-2])
    assert [p["lr"] for p in points[::2]] == [1e-4, 1e-2]
    assert [p["k"] for p in run({"k": gpbo.Int(0, 1000)}, gpbo.Grid(n=5))] == [
        0,
        250,
        500,
        750,
        1000,
    ]


def test_a_range_without_n_is_refused_when_the_study_starts() -> None:
    for parameter in (gpbo.Float(0, 1), gpbo.Int(1, 1000)):
        with pytest.raises(SpaceError, match=r"'x': a range.*Give it a step, or use gpbo.Grid"):
            gpbo.Optimizer({"x": parameter}, strategy="grid")


def test_a_grid_that_nobody_can_finish_is_refused_with_its_size() -> None:
    space = {f"p{i}": gpbo.Int(1, 100) for i in range(5)}
    with pytest.raises(SpaceError, match=r"1\.0e10 points; expected at most 10\*\*7"):
        gpbo.Optimizer(space, strategy="grid")
    wide = {f"p{i}": gpbo.Float(0, 1) for i in range(100)}
    with pytest.raises(SpaceError, match=r"1\.0e600 points"):
        gpbo.Optimizer(wide, strategy=gpbo.Grid(n=10**6))


def test_an_unknown_name_in_n_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"unknown name 'lrr'. Did you mean 'lr'"):
        gpbo.Optimizer({"lr": gpbo.Float(0, 1)}, strategy=gpbo.Grid(n={"lrr": 3}))


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (2.5, TypeError), (True, TypeError)])
def test_n_must_be_a_count(n: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="Grid n"):
        gpbo.Grid(n=n)


def test_a_failed_point_is_not_done_and_comes_again_once_at_the_end() -> None:
    opt = gpbo.Optimizer({"a": [1, 2, 3]}, strategy="grid")
    opt.tell(opt.ask(), failed=True)
    opt.tell(opt.ask(), 0.0)
    opt.tell(opt.ask(), 0.0)
    assert not opt.done
    again = opt.ask()
    assert again is not None
    assert again.params == {"a": 1}
    opt.tell(again, failed=True)
    assert opt.done
    assert opt.ask() is None


def test_points_that_are_known_from_elsewhere_are_left_out() -> None:
    opt = gpbo.Optimizer({"a": [1, 2, 3]}, strategy="grid")
    opt.add({"a": 2}, 0.5)
    assert [t.params["a"] for t in opt.ask(2)] == [1, 3]
    assert opt.done


def test_a_batch_continues_where_the_last_one_ended() -> None:
    opt = gpbo.Optimizer({"a": [1, 2, 3, 4, 5, 6]}, strategy="grid")
    assert [t.params["a"] for t in [*opt.ask(2), *opt.ask(3)]] == [1, 2, 3, 4, 5]


def test_another_grid_of_the_same_size_is_another_grid(tmp_path: Path) -> None:
    space = {"a": gpbo.Float(0, 1), "b": gpbo.Float(0, 1)}
    first, second = gpbo.Grid(n={"a": 2, "b": 3}), gpbo.Grid(n={"a": 3, "b": 2})
    for grid, new in ((first, 6), (second, 2)):
        opt = gpbo.Optimizer(space, strategy=grid, seed=0, storage=tmp_path / "runs.db")
        before = len(opt.trials)
        while (trial := opt.ask()) is not None:
            opt.tell(trial, 0.0)
        assert len(opt.trials) - before == new
    assert {(0.5, 0.0), (0.5, 1.0)} <= {(t["a"], t["b"]) for t in opt.trials}


def test_counts_of_numpy_are_counts() -> None:
    count: Any = np.int64(3)
    space = {"x": gpbo.Float(0, 1), "y": gpbo.Float(0, 1)}
    for strategy in (gpbo.Grid(n=count), gpbo.Grid(n={"x": count, "y": count})):
        opt = gpbo.Optimizer(space, strategy=strategy)
        assert opt.ask().provenance["size"] == 9


def test_equal_grids_have_equal_hashes() -> None:
    one, other = gpbo.Grid(n={"x": 3, "y": 4}), gpbo.Grid(n={"y": 4, "x": 3})
    assert one == other
    assert hash(one) == hash(other)


def test_a_name_with_a_slash_is_a_name() -> None:
    inner = {"x": {"d/e": gpbo.Float(0, 1)}, "y/e": None}
    space = {"c": gpbo.Choice(inner), "e": gpbo.Float(0, 1)}
    assert gpbo.Optimizer(space, strategy=gpbo.Grid(n={"d/e": 3, "e": 2})).size == (3 + 1) * 2
    one = gpbo.Optimizer({"c": space["c"]}, strategy=gpbo.Grid(n={"d/e": 3}))
    assert one.size == 4
