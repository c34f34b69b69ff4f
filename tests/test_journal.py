"""The history in step with a storage that fails at the wrong moment."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import gpbo
from gpbo.errors import (
    SchemaVersionError,
    StorageCorruptError,
    StorageFullError,
    StorageLockedError,
    StudyError,
)
from gpbo.history import Event, History
from gpbo.journal import load_journal
from gpbo.storage import Storage
from gpbo.storage.memory import MemoryStorage
from tests.storages import Failing, Locked


def study(storage: Storage, **options: Any) -> gpbo.Optimizer:
    return gpbo.Optimizer(
        {"x": gpbo.Float(0, 1)}, strategy="random", seed=0, storage=storage, **options
    )


@contextmanager
def another_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where nobody knows what could not be written in this one."""
    with monkeypatch.context() as patch:
        patch.setattr("gpbo.journal._unwritten", {})
        yield


def test_a_result_that_could_not_be_written_is_written_by_the_next_call() -> None:
    storage = Failing()
    opt = study(storage)
    trial = opt.ask()
    storage.full = True
    with pytest.raises(StorageFullError):
        opt.tell(trial, 0.5)
    storage.full = False
    assert [t.value for t in opt.trials] == [0.5]
    assert [t.value for t in study(storage).trials] == [0.5]


def test_telling_again_after_a_full_disk_is_no_conflict() -> None:
    storage = Failing()
    opt = study(storage)
    trial = opt.ask()
    storage.full = True
    for _ in range(2):
        with pytest.raises(StorageFullError):
            opt.tell(trial, 0.5)
    storage.full = False
    opt.tell(trial, 0.5)
    assert [(t.state, t.value) for t in study(storage).trials] == [("complete", 0.5)]


def test_a_result_that_somebody_else_told_meanwhile_is_not_told_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = Failing()
    one, other = study(storage), study(storage)
    trial = one.ask()
    storage.full = True
    with pytest.raises(StorageFullError):
        one.tell(trial, 0.5)
    storage.full = False
    with another_process(monkeypatch):
        other.tell(0, 0.7)
    assert [t.value for t in one.trials] == [0.7]


def test_a_study_that_does_not_exist_is_named_with_those_that_do() -> None:
    storage = MemoryStorage()
    study(storage, study="digits")
    assert load_journal(storage, "digits").history.study == "digits"
    with pytest.raises(StudyError, match=r"no such study, got 'digit'; expected one of \['digits'"):
        load_journal(storage, "digit")


@pytest.mark.parametrize(
    "event",
    [
        {"event": "complete", "trial": 3, "value": 1.0, "at": 0.0},
        {"event": "ask", "trial": 5, "params": {"x": 0.5}, "at": 0.0, "provenance": {}},
        {"event": "explode"},
        {},
    ],
)
def test_events_that_do_not_follow_are_refused(event: Event) -> None:
    history = History(gpbo.Space({"x": gpbo.Float(0, 1)}))
    with pytest.raises(StorageCorruptError, match="makes no sense"):
        history.apply(event)


def test_a_header_that_makes_no_sense_is_refused() -> None:
    storage = MemoryStorage()
    storage.create("odd", {"space": {"x": {"type": "florin"}}, "seed": 1, "direction": "up"})
    with pytest.raises(StorageCorruptError, match="header of study 'odd' makes no sense"):
        load_journal(storage, "odd")


def test_a_study_of_a_later_format_is_not_taken_for_damaged() -> None:
    storage = MemoryStorage()
    storage.create("later", {"format": 2, "space": "of another kind"})
    with pytest.raises(SchemaVersionError, match="study 'later' has format 2, this gpbo knows 1"):
        load_journal(storage, "later")


def test_a_result_is_kept_where_the_storage_fails_before_anything_is_decided() -> None:
    storage = Locked()
    opt = study(storage)
    first, second = opt.ask(2)
    storage.locked = True
    with pytest.raises(StorageLockedError):
        opt.tell(first, 1.0)
    with pytest.raises(StorageLockedError):
        opt.tell(second, 2.0)  # and the first is not forgotten over it
    with pytest.raises(StorageLockedError):
        opt.tell(first, 1.0)  # nor written twice
    with pytest.raises(StorageLockedError):
        opt.ask()
    assert len(opt.pending) == 2  # who reads does not fail for what waits
    storage.locked = False
    opt.ask()
    assert [(t.state, t.value) for t in opt.trials][:2] == [("complete", 1.0), ("complete", 2.0)]
    assert opt.best_value == 1.0
    events = storage.read(opt.study)
    assert [e["trial"] for e in events if e["event"] == "complete"] == [0, 1]


def test_a_kept_result_of_no_trial_or_that_somebody_told_since_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = Locked()
    opt, other = study(storage), study(storage)
    trial = opt.ask()
    storage.locked = True
    for number in (trial.number, 99):
        with pytest.raises(StorageLockedError):
            opt.tell(number, 1.0)
    storage.locked = False
    with another_process(monkeypatch):
        other.tell(trial.number, 2.0)
    assert opt.best_value == 2.0
    opt.ask()


@pytest.mark.parametrize(
    ("old", "new"), [([True, "a"], [1, "a"]), ([1, 2], [1.0, 2.0]), (5, 5.0), (0, False)]
)
def test_a_space_whose_values_have_another_type_is_another_space(old: Any, new: Any) -> None:
    storage = MemoryStorage()
    gpbo.Optimizer({"v": old, "x": gpbo.Float(0, 1)}, storage=storage)
    with pytest.raises(StudyError, match="'v' was"):
        gpbo.Optimizer({"v": new, "x": gpbo.Float(0, 1)}, storage=storage)
    gpbo.Optimizer({"x": gpbo.Float(0.0, 1.0), "v": old}, storage=storage)


def test_an_interrupt_while_an_event_is_taken_in_leaves_the_study_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C may fall between any two lines: here before and after each step of `_finish`."""

    class Interrupting(dict[int, None]):
        def __setitem__(self, key: int, value: None) -> None:
            super().__setitem__(key, value)
            raise KeyboardInterrupt

    opt = study(MemoryStorage())
    first = opt.ask()
    opt.tell(first, 0.25)
    second = opt.ask()
    history = opt._journal.history
    complete = history._of_state["complete"]
    history._of_state["complete"] = Interrupting(complete)
    with pytest.raises(KeyboardInterrupt):
        opt.tell(second, 0.5)
    assert [trial.value for trial in opt.trials] == [0.25, 0.5]
    assert opt.best_value == 0.25
    assert opt.ask().number == 2

    history = opt._journal.history
    history._of_state["pending"] = Interrupting(history._of_state["pending"])
    with pytest.raises(KeyboardInterrupt):
        opt.ask()
    assert [trial.state for trial in opt.trials] == ["complete"] * 2 + ["pending"] * 2
    assert opt.tell(3, 1.0)


def interrupted_ask(storage: Storage) -> gpbo.Optimizer:
    """A study in whose memory Ctrl-C has left four of the ten trials that it asked."""
    opt = study(storage)
    history = opt._journal.history
    whole, taken = history.apply, iter(range(4))

    def apply(event: Event) -> None:
        if next(taken, None) is None:
            raise KeyboardInterrupt
        whole(event)

    history.apply = apply  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        opt.ask(10)
    return opt


def test_what_is_added_after_an_interrupt_follows_all_that_was_written() -> None:
    storage = MemoryStorage()
    opt = interrupted_ask(storage)
    assert opt.add({"x": 0.5}, 1.0).number == 10
    assert [trial.number for trial in load_journal(storage, "default").history.trials] == [
        *range(11)
    ]


def test_after_an_interrupt_nothing_known_is_enqueued() -> None:
    opt = interrupted_ask(MemoryStorage())
    known = load_journal(opt._journal.storage, "default").history.trials[9].params
    assert not opt.enqueue(known)


def test_a_trial_with_a_wrong_number_is_not_written() -> None:
    storage = MemoryStorage()
    journal = study(storage)._journal
    event = {"event": "add", "trial": 3, "params": {"x": 0.5}, "value": 1.0, "at": 0.0}
    with pytest.raises(StudyError, match=r"trials \[3\] would follow trial -1"):
        journal.write(lambda _: [event])
    assert len(load_journal(storage, "default").history) == 0


def test_what_could_not_be_told_is_written_by_whoever_opens_the_study_next() -> None:
    storage = Locked()
    opt = study(storage)
    trial = opt.ask()
    storage.locked = True
    with pytest.raises(StorageLockedError):
        opt.tell(trial, 1.0)
    del opt
    storage.locked = False
    assert study(storage).best_value == 1.0
    assert study(MemoryStorage()).trials == []  # and to no other study


def test_what_could_not_be_told_goes_to_no_copy_of_the_file(tmp_path: Path) -> None:
    gpbo.Optimizer({"x": gpbo.Float(0, 1)}, strategy="random", seed=0, storage=tmp_path / "a.db")
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    one, other = (gpbo.Optimizer.load(tmp_path / name) for name in ("a.db", "b.db"))
    trial, _ = one.ask(), other.ask()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one._journal.storage, "transact", Locked.refuse)
        with pytest.raises(StorageLockedError):
            one.tell(trial, 1.0)
    assert [t.state for t in other.trials] == ["pending"]
    assert one.best_value == 1.0
