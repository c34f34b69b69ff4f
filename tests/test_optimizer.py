"""Ask and tell: states of trials, order, repetition, resume, and refused calls."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpbo
from gpbo import errors

LINE = {"x": gpbo.Float(0, 1), "k": gpbo.Int(1, 9)}


def study(**options: Any) -> gpbo.Optimizer:
    return gpbo.Optimizer(LINE, **{"strategy": "random", "seed": 0, **options})


def loss(params: dict[str, Any]) -> float:
    return (params["x"] - 0.3) ** 2 + params["k"]


# ---- the ordinary course of a study


def test_a_trial_is_pending_until_it_is_told() -> None:
    opt = study()
    trial = opt.ask()
    assert trial is not None
    assert (trial.number, trial.state, trial.value) == (0, "pending", None)
    assert opt.pending == [trial]
    assert opt.tell(trial, 0.5) is True
    (told,) = opt.trials
    assert (told.state, told.value, opt.pending) == ("complete", 0.5, [])
    assert told.started is not None
    assert told.finished is not None
    assert told.started <= told.finished


def test_params_can_be_read_by_name_and_are_plain_values() -> None:
    trial = study().ask()
    assert trial is not None
    assert trial["k"] == trial.params["k"]
    assert type(trial["k"]) is int
    assert type(trial["x"]) is float


def test_ask_n_gives_a_list_of_distinct_pending_trials() -> None:
    opt = study()
    trials = opt.ask(8)
    assert [t.number for t in trials] == list(range(8))
    assert len({tuple(t.params.items()) for t in trials}) == 8
    assert opt.ask(1)[0].number == 8


def test_asking_in_one_batch_or_one_by_one_gives_the_same_random_points() -> None:
    one_by_one = study()
    singles = [one_by_one.ask() for _ in range(5)]
    assert [t.params for t in study().ask(5)] == [t.params for t in singles if t]


def test_a_trial_may_be_told_by_number_and_out_of_order() -> None:
    opt = study()
    opt.ask(3)
    opt.tell(2, 0.2)
    opt.tell(np.int64(0), 0.7)
    assert [t.state for t in opt.trials] == ["complete", "pending", "complete"]
    assert opt.best.number == 2


def test_best_follows_the_direction_and_keeps_the_first_of_equals() -> None:
    for direction, best in (("minimize", 1), ("maximize", 0)):
        opt = study(direction=direction)
        for value in (0.9, 0.1, 0.9, 0.1):
            opt.tell(opt.ask(), value)
        assert opt.best.number == best
        assert opt.best_params == opt.best.params
        assert opt.best_value == opt.best.value
        assert opt.recommend() == opt.best.params


def test_best_without_results_tells_how_things_stand() -> None:
    opt = study()
    opt.tell(opt.ask(), failed=True, error="out of memory")
    opt.ask()
    expected = r"0 complete, 1 failed, 1 pending; the last reason: out of memory"
    with pytest.raises(errors.NoResultsError, match=expected):
        _ = opt.best


def test_failed_trials_are_data_with_a_reason() -> None:
    opt = study()
    opt.ask(3)
    opt.tell(0, failed=True)
    opt.tell(1, failed=True, error="diverged")
    with pytest.warns(errors.NonFiniteObjectiveWarning):
        opt.tell(2, math.nan)
    assert [t.error for t in opt.trials] == ["failed", "diverged", "nan"]
    assert {t.state for t in opt.trials} == {"failed"}
    assert opt.ask() is not None


def test_nothing_in_global_random_state_is_read_or_touched() -> None:
    np.random.seed(1)
    before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    first = [t.params for t in study().ask(3)]
    np.random.seed(2)
    assert [t.params for t in study().ask(3)] == first
    np.random.seed(1)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]


def test_seed_none_draws_one_and_keeps_it() -> None:
    a, b = study(seed=None), study(seed=None)
    assert a.seed != b.seed
    assert [t.params for t in study(seed=a.seed).ask(3)] == [t.params for t in a.ask(3)]


# ---- telling again, amending, releasing


def test_telling_the_same_again_is_a_no_op() -> None:
    opt = study()
    opt.tell(opt.ask(), 0.31)
    before = opt.trials
    assert opt.tell(0, 0.31) is False
    assert opt.trials == before


def test_telling_something_else_is_refused_and_amend_is_named() -> None:
    opt = study()
    opt.tell(opt.ask(), 0.31)
    before = opt.trials
    with pytest.raises(errors.TrialStateError, match=r"complete with 0.31.*opt.amend\(0"):
        opt.tell(0, 0.32)
    with pytest.raises(errors.TrialStateError, match=r"complete with 0\.31"):
        opt.tell(0, failed=True)
    assert opt.trials == before


def test_amend_corrects_a_value_and_the_best_with_it() -> None:
    opt = study()
    for value in (0.1, 0.5):
        opt.tell(opt.ask(), value)
    opt.amend(0, 0.9)
    assert opt.best.number == 1
    opt.ask()
    with pytest.raises(errors.TrialStateError, match="trial 2 is pending"):
        opt.amend(2, 1.0)


def test_amend_keeps_the_noise_unless_another_is_given_and_the_time() -> None:
    opt = study()
    opt.tell(opt.ask(), 0.1, noise=0.3)
    told = opt.trial(0)
    opt.amend(0, 0.2)
    assert (opt.trial(0).noise, opt.trial(0).finished) == (0.3, told.finished)
    opt.amend(0, 0.2, noise=0.0)
    assert opt.trial(0).noise == 0.0
    opt.amend(0, failed=True)
    assert opt.trial(0).noise is None


def test_add_refuses_values_without_an_order_and_params_that_are_none() -> None:
    opt, rows = study(), [{"x": 0.1, "k": 1}, {"x": 0.2, "k": 1}]
    for params, values in (
        (rows, {1.0, 2.0}),
        (rows, {"a": 1.0, "b": 2.0}),
        (rows, np.array(1.0)),
        (iter(rows), [1.0, 2.0]),
        (3, 1.0),
    ):
        with pytest.raises(TypeError, match="add: n"):
            opt.add(params, values)
    opt.add(rows, [1.0, 2.0], noise=np.array(0.1))
    assert [trial.noise for trial in opt.trials] == [0.1, 0.1]


def test_a_released_trial_is_handed_out_again_under_its_number() -> None:
    opt = study()
    first, second = opt.ask(2)
    opt.release(first)
    again = opt.ask()
    assert again is not None
    assert (again.number, again.params) == (first.number, first.params)
    assert again.started > first.started  # type: ignore[operator]
    opt.tell(first, 1.0)
    with pytest.raises(errors.TrialStateError, match="complete, not pending"):
        opt.release(first)
    assert opt.pending == [second]


def test_amend_can_turn_a_result_into_a_failure_and_back() -> None:
    opt = study()
    opt.tell(opt.ask(), 0.1)
    opt.amend(0, failed=True, error=RuntimeError("wrong data"))
    assert (opt.trial(0).state, opt.trial(0).error) == ("failed", "RuntimeError: wrong data")
    opt.amend(0, 0.2)
    assert (opt.trial(0).state, opt.best_value) == ("complete", 0.2)


def test_other_noise_for_the_same_value_is_no_repetition() -> None:
    opt = study()
    opt.tell(opt.ask(), 0.1, noise=0.5)
    assert opt.tell(0, 0.1) is False
    assert opt.tell(0, 0.1, noise=0.5) is False
    with pytest.raises(errors.TrialStateError, match=r"opt.amend\(0"):
        opt.tell(0, 0.1, noise=0.7)


def test_an_exception_may_say_why_a_trial_failed() -> None:
    opt = study()
    opt.tell(opt.ask(), failed=True, error=ValueError("no such file"))
    assert opt.trial(0).error == "ValueError: no such file"
    with pytest.raises(TypeError, match="neither a text nor an exception, got 5"):
        opt.tell(opt.ask(), failed=True, error=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"an error without failed=True"):
        opt.tell(1, 0.5, error="odd")


# ---- what a caller holds is the caller's


def test_changing_what_the_study_handed_out_changes_nothing_in_it() -> None:
    opt = study()
    opt.tell(opt.ask(), 0.1)
    expected = dict(opt.best_params)
    for params in (opt.best_params, opt.trials[0].params, opt.recommend(), opt.trial(0).params):
        params.clear()
    assert opt.best_params == expected


def test_a_trial_reads_like_its_params() -> None:
    trial = study().ask()
    assert trial is not None
    assert dict(trial) == dict(trial.items()) == trial.params
    assert (len(trial), list(trial.values())) == (len(trial.params), list(trial.params.values()))
    assert "x" in trial
    assert "momentum" not in trial
    assert trial.get("momentum") is None
    assert len({trial, trial.copy()}) == 1


def test_an_optimizer_says_why_it_does_not_pickle_and_a_trial_does() -> None:
    opt = study()
    trial = opt.ask()
    assert pickle.loads(pickle.dumps(trial)) == trial
    assert pickle.loads(pickle.dumps(opt.space)) == opt.space
    with pytest.raises(TypeError, match="open the study from its file"):
        pickle.dumps(opt)


# ---- a budget


def test_a_study_with_its_budget_of_trials_is_done(tmp_path: Path) -> None:
    one, other = (study(storage=tmp_path / "runs.db", budget=5) for _ in range(2))
    assert len(one.ask(3)) == 3
    with pytest.warns(errors.SpaceExhaustedWarning, match="2 points are left"):
        assert len(other.ask(3)) == 2
    assert one.ask() is None
    assert one.done
    one.release(0)
    assert not one.done
    assert other.ask().number == 0  # type: ignore[union-attr]


# ---- points from elsewhere


def test_an_enqueued_point_is_asked_next_with_the_rest_filled_in() -> None:
    opt = study()
    opt.enqueue({"k": 7})
    opt.enqueue({"x": 0.25, "k": 2})
    first, second, third = opt.ask(3)
    assert first["k"] == 7
    assert second.params == {"x": 0.25, "k": 2}
    assert [t.provenance["strategy"] for t in (first, second, third)] == [
        "enqueued",
        "enqueued",
        "random",
    ]


def test_enqueued_points_are_asked_together_in_their_order_and_then_the_strategys() -> None:
    opt = study()
    points = [{"x": k / 10, "k": 1} for k in (5, 2, 7)]
    for point in points:
        opt.enqueue(point)
    turns = opt._journal.history.turns
    assert opt.ask()["x"] == 0.5
    trials = opt.ask(4)
    assert [trial.params for trial in trials[:2]] == points[1:]
    assert [trial.provenance["strategy"] for trial in trials] == ["enqueued"] * 2 + ["random"] * 2
    assert [trial.number for trial in trials] == [1, 2, 3, 4]
    assert opt._journal.history.turns == turns + 5
    assert not opt._journal.history.queue


def test_enqueueing_twice_asks_once_unless_again_is_wanted() -> None:
    opt = study()
    assert opt.enqueue({"x": 0.25, "k": 2})
    assert not opt.enqueue({"x": 0.25, "k": 2})
    assert opt.ask().provenance["strategy"] == "enqueued"  # type: ignore[union-attr]
    assert not opt.enqueue({"x": 0.25, "k": 2})
    assert opt.enqueue({"k": 7})
    assert not opt.enqueue({"k": 7})
    assert opt.enqueue({"x": 0.25, "k": 2}, again=True)
    assert [t.params["k"] for t in opt.ask(2)] == [7, 2]


def test_added_results_are_complete_trials() -> None:
    opt = study()
    trial = opt.add({"x": 0.5, "k": 3}, 0.42, noise=0.1)
    assert (trial.state, trial.value, trial.noise) == ("complete", 0.42, 0.1)
    assert opt.best == trial


def test_many_results_are_added_together_or_not_at_all() -> None:
    opt = study()
    params = [{"x": i / 10, "k": 1} for i in range(5)]
    params[3] = {"x": 7.0, "k": 1}
    with pytest.raises(errors.BatchObservationError, match=r"1 of 5 rows.*\n  row 3: 'x'"):
        opt.add(params, [0.0] * 5)
    assert opt.trials == []
    with pytest.warns(errors.LeftOutWarning, match=r"1 of 5 rows.*\n  row 3: 'x'"):
        assert len(opt.add(params, [0.0] * 5, errors="skip")) == 4
    with pytest.raises(errors.ObservationError, match="5 params, 2 values"):
        opt.add(params, [0.0, 1.0])


def test_the_trials_of_another_study_are_added_with_all_that_was_told_of_them() -> None:
    old = study()
    for k, told in enumerate([(0.5, {"noise": 0.1}), (None, {"failed": True, "error": "why"})]):
        old.tell(old.ask(), told[0], **told[1])
        assert len(old.trials) == k + 1
    old.ask()
    new = study()
    added = new.add(old.trials)
    assert [trial.params for trial in added] == [trial.params for trial in old.trials[:2]]
    assert [(t.state, t.value, t.noise, t.error) for t in new.trials] == [
        ("complete", 0.5, 0.1, None),
        ("failed", None, None, "why"),
    ]
    wider = gpbo.Optimizer({"x": gpbo.Float(0, 2), "k": gpbo.Int(1, 3)}, strategy="random", seed=0)
    wider.add({"x": 1.5, "k": 1}, 0.0)
    with pytest.warns(errors.LeftOutWarning, match="1 of 1 rows"):
        assert new.add(wider.trials, errors="skip") == []
    with pytest.raises(TypeError, match="add: params without values"):
        new.add([{"x": 0.5, "k": 1}])
    with pytest.raises(TypeError, match="'status': 'fail'"):
        new.add({"x": 0.5, "k": 1}, None)


@pytest.mark.parametrize("method", ["enqueue", "add"])
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"x": 5.0, "k": 1}, r"'x': out of bounds, got 5.0"),
        ({"x": 0.5, "k": 1, "y": 2}, r"unknown name 'y'"),
        ({"x": "a", "k": 1}, r"'x': not a number, got 'a'"),
        ({"x": 0.5, "k": 1.5}, r"'k': not a whole number, got 1.5"),
    ],
)
def test_points_outside_the_space_are_refused(
    method: str, params: dict[str, Any], message: str
) -> None:
    opt = study()
    value = [0.1] if method == "add" else []
    with pytest.raises(errors.ObservationError, match=message):
        getattr(opt, method)(params, *value)
    assert opt.trials == []
    assert opt.ask().provenance["strategy"] == "random"  # type: ignore[union-attr]


def test_clip_moves_a_point_into_the_space() -> None:
    opt = study()
    assert opt.add({"x": 5.0, "k": -3}, 0.1, clip=True).params == {"x": 1.0, "k": 1}


# ---- finite spaces


@pytest.mark.parametrize("strategy", ["random", "sobol", "grid", "bayes", "trust_region"])
def test_sixteen_points_are_proposed_once_each_and_then_no_more(
    strategy: str, small_space: gpbo.Space
) -> None:
    opt = gpbo.Optimizer(small_space, strategy=strategy, seed=3)
    assert opt.size == 16
    seen = []
    for k in range(200):
        trial = opt.ask()
        if trial is not None:
            seen.append(tuple(trial.params.items()))
            opt.tell(trial, float(k % 5))
    assert len(seen) == len(set(seen)) == 16
    assert opt.done
    assert opt.ask() is None
    assert opt.ask(3) == []


def test_asking_for_more_than_is_left_gives_the_rest_with_a_warning(
    small_space: gpbo.Space,
) -> None:
    opt = gpbo.Optimizer(small_space, strategy="random", seed=0)
    opt.ask(9)
    with pytest.warns(errors.SpaceExhaustedWarning, match="7 points are left, 100 were asked for"):
        assert len(opt.ask(100)) == 7


# ---- refused calls


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"direction": "maximise"}, ValueError, r"'maximise'. Did you mean 'maximize'\?"),
        ({"seed": 1.5}, TypeError, r"seed: not a whole number, got 1.5"),
        ({"seed": True}, TypeError, r"seed: not a whole number"),
        ({"seed": -1}, ValueError, r"0 <= seed < 2\*\*63"),
        ({"seed": 2**70}, ValueError, r"0 <= seed < 2\*\*63"),
        ({"strategy": "bayess"}, ValueError, r"Did you mean 'bayes'\?"),
        ({"strategy": 3}, TypeError, r"strategy: not a strategy, got 3"),
        ({"on_nan": "ignore"}, ValueError, r"on_nan: unknown, got 'ignore'"),
        ({"study": ""}, TypeError, r"study: not a name"),
        ({"directoin": "minimize"}, TypeError, r"unknown argument.*mean 'direction'\?"),
        ({"storage": 3}, TypeError, r"storage"),
        ({"resume": "no"}, TypeError, r"resume: not a bool, got 'no'"),
        ({"keep_trials": 1}, TypeError, r"keep_trials: not a bool"),
        ({"budget": "a"}, TypeError, r"budget: not a whole number"),
        ({"budget": -1}, ValueError, r"budget: out of range"),
        ({"strategy": gpbo.Random(), "device": "cpu"}, ValueError, r"not for a Strategy object"),
        ({"device": "mps", "strategy": "bayes"}, errors.DeviceError, r"float64"),
        ({"device": "gpu", "strategy": "bayes"}, errors.DeviceError, r"'gpu'"),
        ({"device": "cuda:99", "strategy": "bayes"}, errors.DeviceError, r"cuda:99"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        study(**options)


@pytest.mark.parametrize(
    ("n", "error"), [(0, ValueError), (-1, ValueError), (2.5, TypeError), (10**6, ValueError)]
)
def test_ask_refuses_a_number_that_is_no_count(n: Any, error: type[Exception]) -> None:
    opt = study()
    with pytest.raises(error, match=r"n: "):
        opt.ask(n)
    assert opt.trials == []


@pytest.mark.parametrize(
    ("trial", "error", "message"),
    [
        (5, errors.UnknownTrialError, r"study 'default' has trials 0 .. 0"),
        (-1, errors.UnknownTrialError, r"trial -1 is unknown"),
        (0.0, TypeError, r"trial: not a trial, got 0.0"),
        (None, TypeError, r"trial: not a trial, got None"),
        (True, TypeError, r"trial: not a trial"),
    ],
)
def test_tell_refuses_a_trial_it_never_asked(
    trial: Any, error: type[Exception], message: str
) -> None:
    opt = study()
    opt.ask()
    before = opt.trials
    with pytest.raises(error, match=message):
        opt.tell(trial, 0.5)
    assert opt.trials == before


def test_a_trial_of_another_study_is_refused_by_name() -> None:
    a, b = study(study="left"), study(study="right")
    trial = a.ask()
    b.ask()
    with pytest.raises(errors.UnknownTrialError, match=r"'left'.*'right'"):
        b.tell(trial, 0.5)


def test_a_failed_trial_has_no_value() -> None:
    opt = study()
    opt.ask()
    with pytest.raises(TypeError, match=r"a failed trial has no value, got 0\.5"):
        opt.tell(0, 0.5, failed=True)


# ---- one file


def test_a_study_is_resumed_where_it_stopped(
    tmp_path: Path, drive: Callable[..., list[gpbo.Trial]]
) -> None:
    whole = drive(study(), loss, 12)
    file = tmp_path / "runs.db"
    for _ in range(4):
        drive(study(storage=file), loss, 3)
    resumed = study(storage=str(file)).trials
    assert [(t.params, t.value) for t in resumed] == [(t.params, t.value) for t in whole]


def test_resuming_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    opt = study(storage=tmp_path / "runs.db", study="digits")
    opt.tell(opt.ask(), 1.0)
    assert caplog.text == ""
    study(storage=tmp_path / "runs.db", study="digits")
    assert "'digits'" in caplog.text
    assert "resumed with 1 trials" in caplog.text


def test_a_changed_study_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    study(storage=file)
    changed = {"x": gpbo.Float(0, 2), "z": gpbo.Bool()}
    with pytest.raises(errors.StudyError, match=r"'z' is new; 'k' is gone; 'x' was .*1.0.* is"):
        gpbo.Optimizer(changed, strategy="random", seed=0, storage=file)
    with pytest.raises(errors.StudyError, match=r"direction='minimize', got 'maximize'"):
        study(storage=file, direction="maximize")
    with pytest.raises(errors.StudyError, match=r"seed=0, got 5"):
        study(storage=file, seed=5)
    with pytest.raises(errors.StudyError, match=r"pass resume=True or another name"):
        study(storage=file, resume=False)
    assert study(storage=file, seed=None).seed == 0


def test_two_optimizers_on_one_file_see_each_other_and_never_repeat(tmp_path: Path) -> None:
    a, b = study(storage=tmp_path / "runs.db"), study(storage=tmp_path / "runs.db")
    trials = [t for _ in range(5) for t in (a.ask(), b.ask())]
    assert [t.number for t in trials if t] == list(range(10))
    assert len({tuple(t.params.items()) for t in trials if t}) == 10
    b.tell(0, 0.5)
    assert a.trials[0].value == 0.5
    assert a.tell(0, 0.5) is False


def test_an_order_of_names_that_changed_does_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    first = study(storage=file).ask()
    turned = dict(reversed(LINE.items()))
    again = gpbo.Optimizer(turned, strategy="random", seed=0, storage=file)
    assert again.trials == [first]


# ---- a study that exists


def test_a_study_goes_on_with_the_strategy_it_was_made_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "runs.db"
    study(storage=file, strategy="sobol")
    again = gpbo.Optimizer(LINE, storage=file)
    assert again.strategy.name == "sobol"
    assert "strategy 'sobol'" in caplog.text
    assert study(storage=file, strategy="tpe").strategy.name == "tpe"
    assert gpbo.Optimizer(LINE).strategy.name == "bayes"
    assert gpbo.minimize(loss, LINE, 2, storage=file).optimizer.strategy.name == "sobol"  # type: ignore[union-attr]


def test_all_that_an_optimizer_asked_is_given_back_at_once(tmp_path: Path) -> None:
    one = study(storage=tmp_path / "runs.db")
    other = study(storage=tmp_path / "runs.db")
    kept = study(storage=tmp_path / "runs.db", keep_trials=True)
    mine, _, _ = one.ask(2), other.ask(), kept.ask()
    one.tell(mine[0], 1.0)
    for opt in (one, kept):
        opt.release_all()
    assert other.ask().number == mine[1].number
    assert other.ask().number == 4


def test_switches_may_be_numpys_and_unknown_words_are_answered() -> None:
    opt = study()
    trial = opt.ask()
    assert opt.tell(trial, failed=np.bool_(True))
    with pytest.raises(TypeError, match=r"^Optimizer.tell: unknown argument 'fail'. Did you mean"):
        opt.tell(trial, fail=True)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^Optimizer.ask: unknown argument 'count'"):
        opt.ask(count=2)  # type: ignore[call-overload]


def test_a_failed_trial_has_no_noise_here_or_elsewhere() -> None:
    opt, other = study(), study()
    with pytest.warns(errors.NonFiniteObjectiveWarning):
        opt.tell(opt.ask(), math.nan, noise=0.3)
    other.add(opt.trials)
    assert [o.trials[0].noise for o in (opt, other)] == [None, None]


def test_a_value_of_another_type_is_another_point() -> None:
    branches = {"a": {"v": gpbo.Bool()}, "b": {"v": gpbo.Int(0, 3)}}
    opt = gpbo.Optimizer({"c": gpbo.Choice(branches)}, strategy="random", seed=0)
    assert opt.enqueue({"v": True})
    assert opt.enqueue({"v": 1})
    assert not opt.enqueue({"v": 1})


@pytest.mark.parametrize("seed", range(12))
def test_what_is_enqueued_decides_among_branches_that_share_names(seed: int) -> None:
    x = gpbo.Float(0, 1)
    mlp = {"opt": gpbo.Choice({"sgd": {}, "adam": {"b": x}})}
    cnn = {"opt": gpbo.Choice({"sgd": {"b": x}, "adam": None})}
    space = {"m": gpbo.Choice({"mlp": mlp, "cnn": cnn})}
    opt = gpbo.Optimizer(space, strategy="random", seed=seed)
    assert opt.enqueue({"opt": "sgd", "b": 0.5})
    assert opt.ask()["m"] == "cnn"
    two = gpbo.Choice({"a": {"p": x}, "b": {"q": x}})
    space = {"o": gpbo.Choice({"A": {"i": two}, "B": {"p": x, "q": x}})}
    opt = gpbo.Optimizer(space, strategy="random", seed=seed)
    assert opt.enqueue({"p": 0.1, "q": 0.2})
    assert opt.ask()["o"] == "B"


class Mine(gpbo.Random):
    """A strategy that only this program knows."""

    name = "mine"


def test_a_strategy_that_only_its_program_knows_must_be_given(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    study(storage=file, strategy=Mine())
    with pytest.raises(errors.StudyError, match=r"'mine'.*Give the Strategy object"):
        gpbo.Optimizer(LINE, storage=file)
    assert gpbo.Optimizer.load(file, strategy=Mine()).strategy.name == "mine"


def test_a_study_of_a_strategy_object_is_looked_at_without_it(tmp_path: Path) -> None:
    grid, mine = tmp_path / "grid.db", tmp_path / "mine.db"
    for file, strategy in ((grid, gpbo.Grid(n=5)), (mine, Mine())):
        opt = study(storage=file, strategy=strategy)
        opt.tell(opt.ask(), 1.0)
        loaded = gpbo.Optimizer.load(file)
        assert (loaded.best_value, loaded.done) == (1.0, False)
        assert loaded.add({"x": 0.123, "k": 1}, 0.5).number == 1
        for needs in (loaded.ask, loaded.recommend):
            with pytest.raises(errors.StudyError, match=r"load\(\.\.\., strategy=\.\.\.\)"):
                needs()
    with pytest.raises(errors.StudyError, match=r"made with strategy=Grid\(n=5\): give it again"):
        gpbo.Optimizer(LINE, storage=grid)
    with pytest.raises(errors.SpaceError, match="a range is not a list"):
        gpbo.Optimizer.load(grid, strategy="grid")
    assert gpbo.Optimizer.load(grid, strategy=gpbo.Grid(n=5)).ask() is not None


def test_a_study_that_goes_on_with_other_settings_says_so(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    study(storage=file, strategy=gpbo.Bayes(start=3))
    with pytest.warns(errors.GpboWarning, match=r"was made with strategy=Bayes\(.*start=3"):
        gpbo.Optimizer.load(file)
    with pytest.warns(errors.GpboWarning, match="pass strategy= to keep its settings"):
        gpbo.Optimizer(LINE, storage=file)
    study(storage=tmp_path / "usual.db", strategy=gpbo.Bayes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gpbo.Optimizer.load(file, strategy=gpbo.Bayes(start=3))
        gpbo.Optimizer.load(file, strategy="bayes")
        gpbo.Optimizer.load(tmp_path / "usual.db")


def test_what_a_strategy_of_ones_own_proposes_becomes_the_spaces_own_types() -> None:
    class Rounding(gpbo.Strategy):
        name = "rounding"

        def propose(self, history: Any, n: int, seed: int) -> list[gpbo.Proposal]:
            k = len(history) + 1
            return [gpbo.Proposal({"k": np.int64(k) if k % 2 else float(k)})][:n]

    opt = gpbo.Optimizer({"k": gpbo.Int(1, 9)}, strategy=Rounding())
    assert [type(opt.ask()["k"]) for _ in range(2)] == [int, int]


def test_what_is_changed_in_a_returned_trial_changes_no_proposal() -> None:
    found = []
    for change in (False, True):
        opt = gpbo.Optimizer({"x": gpbo.Float(0, 1)}, seed=0, device="cpu")
        for _ in range(8):
            trial = opt.ask()
            opt.tell(trial, (trial["x"] - 0.3) ** 2)
            for one in opt.trials if change else []:
                one.provenance.get("memory", {}).get("values", {}).clear()
                one.provenance.clear()
        found.append([trial.params for trial in opt.trials])
    assert found[0] == found[1]


def test_a_study_is_loaded_without_its_space(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    opt = study(storage=file, study="digits", direction="maximize", strategy="sobol")
    opt.tell(opt.ask(), 1.0)
    loaded = gpbo.Optimizer.load(str(file))
    assert (loaded.study, loaded.direction, loaded.seed) == ("digits", "maximize", 0)
    assert loaded.strategy.name == "sobol"
    assert loaded.space == opt.space
    assert loaded.trials == opt.trials
    assert loaded.ask() == opt.trials[1]
    study(storage=file, study="more")
    assert gpbo.Optimizer.load(file, "more", budget=0).done
    with pytest.raises(errors.StudyError, match=r"it holds 2 studies, got \['digits', 'more'\]"):
        gpbo.Optimizer.load(file)
    study(storage=file, study="default")
    assert gpbo.Optimizer.load(file).study == "default"
    with pytest.raises(errors.StudyError, match="no such study"):
        gpbo.Optimizer.load(file, "fashion")
    with pytest.raises(TypeError, match=r"unknown argument 'space'"):
        gpbo.Optimizer.load(file, space=LINE)  # type: ignore[call-arg]


def test_a_study_without_a_model_is_loaded_without_torch(tmp_path: Path) -> None:
    study(storage=tmp_path / "runs.db")
    program = """
import sys, gpbo
opt = gpbo.Optimizer.load(sys.argv[1])
opt.tell(opt.ask(), 0.5)
assert "torch" not in sys.modules
"""
    command = [sys.executable, "-c", program, str(tmp_path / "runs.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_loading_makes_no_file(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    with pytest.raises(errors.StorageUnavailableError, match="there is no such study file"):
        gpbo.Optimizer.load(file)
    with pytest.raises(errors.SpaceError, match="Grid n"):
        study(storage=file, strategy=gpbo.Grid(n={"z": 3}))
    assert list(tmp_path.iterdir()) == []


# ---- questions


def test_a_state_that_is_none_and_a_number_that_is_none_are_refused() -> None:
    opt = study()
    with pytest.raises(
        ValueError, match=r"state: unknown, got 'completed'. Did you mean 'complete'"
    ):
        opt.count("completed")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"trial: not a whole number, got 0.5"):
        opt.trial(0.5)  # type: ignore[arg-type]


def test_threads_may_look_while_another_asks() -> None:
    opt = gpbo.Optimizer(LINE, strategy="random", seed=0, keep_trials=False)
    wrong: list[BaseException] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            try:
                assert not opt.done
                assert len(opt.pending) <= 20
                assert opt.count("complete") <= len(opt.trials)
            except BaseException as error:
                wrong.append(error)
                return

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=look) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        for _ in range(15):
            for trial in opt.ask(20):
                opt.tell(trial, loss(trial.params))
    finally:
        over.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(before)
    assert wrong == []


def test_an_enqueued_point_beside_a_known_one_is_not_known() -> None:
    """Of more than 2**50 whole numbers, several have the same coordinate."""
    opt = gpbo.Optimizer({"n": gpbo.Int(0, 2**53)}, strategy="random", seed=0)
    opt.add({"n": 5}, 1.0)
    assert opt.enqueue({"n": 6})
    assert not opt.enqueue({"n": 5})
    assert opt.ask()["n"] == 6


def test_whose_trial_it_is_comes_before_what_is_told_of_it() -> None:
    """A nan of another study's trial is not recorded, so nothing says that it is."""
    opt, other = (gpbo.Optimizer({"x": gpbo.Float(0, 1)}, strategy="random") for _ in range(2))
    trial = other.ask()
    for method in (opt.tell, opt.amend):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(errors.UnknownTrialError):
                method(trial, float("nan"))
            with pytest.raises(errors.ObservationError, match="noise"):
                method(0, float("nan"), noise=-1.0)
