"""Events folded into trials, and the questions that strategies ask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpbo
from gpbo.errors import StorageCorruptError
from gpbo.history import RELEASED, History

SPACE = gpbo.Space({"x": gpbo.Float(0, 1), "c": gpbo.Choice({"a": {"m": [1, 2, 3]}, "b": None})})


def ask(number: int, **params: Any) -> dict[str, Any]:
    return {
        "event": "ask",
        "trial": number,
        "params": params,
        "at": 1.0,
        "provenance": {"strategy": "test"},
        "owner": {"host": "h", "pid": 1, "started": "1"},
    }


def complete(number: int, value: float, kind: str = "complete") -> dict[str, Any]:
    return {"event": kind, "trial": number, "value": value, "at": 2.0}


def fold(*events: dict[str, Any], direction: Any = "minimize") -> History:
    history = History(SPACE, direction)
    for event in events:
        history.apply(event)
    return history


def test_trials_move_from_pending_to_complete_or_failed() -> None:
    history = fold(
        ask(0, x=0.1, c="b"),
        ask(1, x=0.2, c="b"),
        ask(2, x=0.3, c="b"),
        complete(1, 5.0),
        {"event": "fail", "trial": 0, "error": "nan", "at": 3.0},
    )
    assert [t.number for t in history.pending] == [2]
    assert [t.number for t in history.complete] == [1]
    assert [(t.number, t.error) for t in history.failed] == [(0, "nan")]
    assert list(history.owners) == [2]


def test_rows_have_a_coordinate_for_each_leaf_and_nan_where_inactive() -> None:
    history = fold(*(ask(k, x=k / 100, c="b") for k in range(99)), ask(99, x=0.5, c="a", m=2))
    assert history.rows.shape == (100, 3)
    np.testing.assert_allclose(history.rows[:99, 0], np.arange(99) / 100, atol=1e-12)
    assert np.isnan(history.rows[:99, 2]).all()
    np.testing.assert_allclose(history.rows[99], [0.5, 0.25, 0.5])


def test_the_same_point_is_found_again() -> None:
    history = fold(ask(0, x=0.1, c="a", m=1), ask(1, x=0.1, c="b"), ask(2, x=0.1, c="a", m=1))
    assert history.distinct == 2
    assert history.trials_at(SPACE.to_row({"x": 0.1, "c": "a", "m": 1})) == [0, 2]
    assert history.trials_at(SPACE.to_row({"x": 0.1, "c": "a", "m": 3})) == []


def test_an_amended_best_gives_way_to_the_next() -> None:
    events = [ask(0, x=0.1, c="b"), ask(1, x=0.2, c="b"), complete(0, 1.0), complete(1, 2.0)]
    assert fold(*events).best.number == 0
    assert fold(*events, complete(0, 3.0, "amend")).best.number == 1
    assert fold(*events, direction="maximize").best.number == 1


def test_to_correct_the_noise_of_a_trial_moves_it_nowhere() -> None:
    amended = {"event": "amend", "trial": 0, "value": 1.0, "noise": 0.1, "at": 9.0}
    history = fold(ask(0, x=0.1), ask(1, x=0.2), complete(0, 1.0), complete(1, 1.0), amended)
    assert history.best.number == 0
    assert [trial.number for trial in history.complete] == [0, 1]
    assert history.best.noise == 0.1


def test_values_are_turned_so_that_larger_is_better() -> None:
    assert (fold().sign, fold(direction="maximize").sign) == (-1.0, 1.0)


def waiting(history: History) -> list[Any]:
    return [one.params for one in history.queue]


A, B = {"x": 0.1, "c": "b"}, {"x": 0.2, "c": "b"}


def enqueue(params: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"event": "enqueue", "params": params, **more}


def served(number: int, params: dict[str, Any]) -> dict[str, Any]:
    return ask(number, **params) | {"provenance": {"strategy": "enqueued"}}


def test_the_queue_is_served_in_order() -> None:
    assert waiting(fold(enqueue(A), enqueue(B))) == [A, B]
    assert waiting(fold(enqueue(A), enqueue(B), served(0, A))) == [B]


def test_what_is_known_meanwhile_waits_no_longer_unless_it_shall_be_asked_again() -> None:
    again = enqueue(A, again=True)
    assert waiting(fold(enqueue(A), ask(0, **A))) == []
    assert waiting(fold(enqueue(A), again, ask(0, **A))) == [A]
    assert waiting(fold(enqueue(A), ask(0, **B))) == [A]
    assert waiting(fold(enqueue(A), again, enqueue(B), served(0, A))) == [A, B]
    assert waiting(fold(enqueue(A), again, enqueue(B), served(0, A), served(1, A))) == [B]


def test_the_queue_of_an_older_log_loses_nothing() -> None:
    """It does not say what is to be asked again, and asks what is known meanwhile."""
    assert waiting(fold(enqueue(A), enqueue(A), enqueue(B), served(0, A), served(1, A))) == [B]
    assert waiting(fold(enqueue(A), enqueue(B), ask(0, **A), served(1, A))) == [B]


def test_owners_come_and_go() -> None:
    release = {"event": "release", "trial": 0}
    adopt = {"event": "adopt", "trial": 0, "owner": None, "at": 7.0}
    assert fold(ask(0, x=0.1, c="b"), release).owners == {0: RELEASED}
    adopted = fold(ask(0, x=0.1, c="b"), release, adopt)
    assert adopted.owners == {}
    assert adopted.trials[0].started == 7.0


def test_params_that_do_not_fit_the_space_are_corruption() -> None:
    history = fold(ask(0, x=0.1, c="a"))
    with pytest.raises(StorageCorruptError, match="params of trial 0 do not fit the space"):
        _ = history.rows


def test_a_countable_space_has_a_lattice_and_another_has_none() -> None:
    assert History(SPACE).lattice is None
    lattice = History(gpbo.Space({"b": gpbo.Bool(), "k": gpbo.Int(1, 3)})).lattice
    assert lattice is not None
    assert lattice.size == 6


def test_ctrl_c_while_points_are_counted_counts_none_twice() -> None:
    history = fold(ask(0, x=0.1, c="b"), ask(1, x=0.2, c="b"))
    to_row, calls = history.space.to_row, iter([None, KeyboardInterrupt])

    def interrupted(params: Any) -> Any:
        stop = next(calls, None)
        if stop:
            raise stop
        return to_row(params)

    history.space.to_row = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        history.trials_at(np.zeros(2))
    assert history.trials_at(to_row({"x": 0.1, "c": "b"})) == [0]
    assert history.trials_at(to_row({"x": 0.2, "c": "b"})) == [1]
