"""Who owns a pending trial, and what happens when that process has ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gpbo
from gpbo import worker
from gpbo.dispatch import DEATHS
from gpbo.worker import is_gone, this_worker

ASK = """
import sys, gpbo
opt = gpbo.Optimizer({"x": gpbo.Float(0, 1)}, strategy="random", seed=0, storage=sys.argv[1],
                     keep_trials=sys.argv[2] == "keep")
trial = opt.ask()
print(trial.number, trial["x"])
"""


def ask_in_a_process_that_ends(file: Path, keep: str) -> tuple[int, float]:
    command = [sys.executable, "-c", ASK, str(file), keep]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(out[0]), float(out[1])


def study(file: Path) -> gpbo.Optimizer:
    return gpbo.Optimizer({"x": gpbo.Float(0, 1)}, strategy="random", seed=0, storage=file)


def test_this_process_is_not_gone() -> None:
    assert not is_gone(this_worker())
    assert not is_gone(None)


def test_a_process_that_ended_is_gone_even_where_its_number_is_used_again() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    worker = {**this_worker(), "pid": child.pid}
    assert is_gone(worker)  # alive, but it started at another time than the record says
    child.communicate(b"\n")
    assert is_gone(worker)


def test_a_process_on_another_machine_counts_as_alive() -> None:
    assert not is_gone({"host": "elsewhere", "pid": 1, "started": "1"})


def test_the_trial_of_a_process_that_ended_comes_again(tmp_path: Path) -> None:
    number, x = ask_in_a_process_that_ends(tmp_path / "runs.db", "lose")
    trial = study(tmp_path / "runs.db").ask()
    assert trial is not None
    assert (trial.number, trial["x"]) == (number, x)
    assert trial.state == "pending"


def test_a_trial_with_which_every_process_ends_fails_in_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "runs.db"
    assert {ask_in_a_process_that_ends(file, "lose")[0] for _ in range(DEATHS)} == {0}
    opt = study(file)
    trial = opt.ask()
    assert trial is not None
    assert (trial.number, opt.trial(0).state) == (1, "failed")
    assert opt.trial(0).error == f"{DEATHS} processes that evaluated it ended without a word"
    assert "trial 0 counts as failed" in caplog.text
    opt.amend(0, 0.5)


def test_a_trial_that_was_given_back_did_not_end_a_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "runs.db"
    for _ in range(DEATHS - 1):
        ask_in_a_process_that_ends(file, "lose")
    opt = study(file)
    for _ in range(3):
        trial = opt.ask()
        assert trial is not None
        assert trial.number == 0
        opt.release(trial)
    assert f"handed out again: {DEATHS - 1} processes" in caplog.text


def test_a_trial_that_is_kept_waits_for_its_tell(tmp_path: Path) -> None:
    number, _ = ask_in_a_process_that_ends(tmp_path / "runs.db", "keep")
    opt = study(tmp_path / "runs.db")
    trial = opt.ask()
    assert trial is not None
    assert trial.number == number + 1
    assert opt.tell(number, 0.5)


def test_who_worked_before_this_machine_was_started_again_is_gone() -> None:
    here = this_worker()
    before = {**here, "host": "same name/another boot"}
    assert is_gone(before) == (here["machine"] is not None)
    assert not is_gone({**before, "machine": "same name/another installation"})
    assert not is_gone({**before, "machine": None})


def test_a_process_counted_in_another_namespace_is_gone_only_with_this_container(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = {**this_worker(), "namespace": "pid:[1]", "pid": 2**22 + 1}
    assert not is_gone({**elsewhere, "container": None})
    assert not is_gone({**elsewhere, "container": "/containers/a/hostname"})
    monkeypatch.setattr("gpbo.worker._container", lambda: "/containers/a/hostname")
    assert is_gone({**elsewhere, "container": "/containers/a/hostname"})
    assert not is_gone({**elsewhere, "container": "/containers/b/hostname"})


def test_a_record_of_an_earlier_version_is_read_as_before() -> None:
    here = this_worker()
    old = {key: here[key] for key in ("host", "pid", "started")}
    assert not is_gone(old)
    assert is_gone({**old, "started": "1"})
    assert not is_gone({**old, "host": "same name/another boot"})


ROOT = "1 0 0:9 / / rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/layers/c,xino=off"


@pytest.mark.parametrize(
    ("mounts", "container"),
    [
        (f"{ROOT}\n2 1 0:9 / /proc rw - proc proc rw\n", "/layers/c"),
        ("2 1 8:1 / / rw - ext4 /dev/sda1 rw\n", None),
        ("2 1 8:1 /pod/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n", None),
    ],
)
def test_a_container_is_known_by_what_it_alone_writes_to(
    monkeypatch: pytest.MonkeyPatch, mounts: str, container: str | None
) -> None:
    monkeypatch.setattr("gpbo.worker.Path.read_text", lambda path: mounts)
    assert worker._container.__wrapped__() == container
