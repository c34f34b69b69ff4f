"""Processes that die, crowd and fork, and disks that are full."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpbo.errors import StorageCorruptError
from gpbo.storage import SqliteStorage
from tests.storage import damage

STUDY = "s"
KILLS, WRITERS = 40, 4
MODES = [pytest.param([], id="rollback"), pytest.param(["wal"], id="wal")]


@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("mode", MODES)
def test_nothing_acknowledged_is_lost_when_writers_are_killed(
    mode: list[str], tmp_path: Path, start: Callable, seed: int
) -> None:
    draw = random.Random(seed)
    path = tmp_path / "runs.db"
    kills = KILLS if not mode else KILLS // 4

    def begin(who: int) -> tuple:
        acks = tmp_path / f"acks-{who}"
        return start(*mode, "append", path, who, 10**9, acks), who

    writers = [begin(who) for who in range(WRITERS)]
    for kill in range(kills):
        victim, _ = writers.pop(draw.randrange(WRITERS))
        assert victim.stdout.readline() == "started\n"
        time.sleep(draw.random() * 0.05)  # not to wait for anything, but to strike at any moment
        victim.kill()
        assert victim.wait() == -signal.SIGKILL
        writers.append(begin(WRITERS + kill))
    for process, _ in writers:
        process.stdout.readline()
        process.kill()
        process.wait()

    with SqliteStorage(path) as storage:
        events = storage.read(STUDY)
    acknowledged = 0
    for who in range(WRITERS + kills):
        written = {
            event["n"]: seq for seq, event in enumerate(events, 1) if event["by"] == str(who)
        }
        acks = tmp_path / f"acks-{who}"
        told = dict(map(int, line.split()) for line in acks.read_text().splitlines())
        assert told.items() <= written.items()
        assert sorted(written) == list(range(len(written)))
        assert len(written) <= len(told) + 1  # the one under way when it was killed
        acknowledged += len(told)
    assert acknowledged > kills


def test_a_transaction_that_a_dead_process_left_half_written_is_undone(
    tmp_path: Path, start: Callable
) -> None:
    path = tmp_path / "runs.db"
    before = damage.make(path)
    assert start("crash", path, "events").wait() == -signal.SIGKILL
    assert (tmp_path / "runs.db-journal").exists()
    assert path.read_bytes() != before
    with SqliteStorage(path) as storage:
        for study, count in damage.STUDIES.items():
            assert storage.read(study) == [damage.event(study, n) for n in range(count)]
    assert path.read_bytes() == before
    assert not (tmp_path / "runs.db-journal").exists()


def test_the_half_written_file_of_another_program_is_left_alone(
    tmp_path: Path, start: Callable
) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (body)")
        db.executemany("INSERT INTO notes VALUES (?)", [("x" * 3000,)] * 50)
    db.close()
    assert start("crash", path, "notes").wait() == -signal.SIGKILL
    files = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(files) == 2
    with pytest.raises(StorageCorruptError, match="another program"):
        SqliteStorage(path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == files


@pytest.mark.parametrize("mode", MODES)
def test_a_crowd_of_processes_writes_every_event_once(
    mode: list[str], tmp_path: Path, start: Callable
) -> None:
    path = tmp_path / "runs.db"
    writers, count = 16, 25
    crowd = [start(*mode, "append", path, n, count, tmp_path / f"acks-{n}") for n in range(writers)]
    assert [process.wait() for process in crowd] == [0] * writers
    with SqliteStorage(path) as storage:
        events = storage.read(STUDY)
    assert len(events) == writers * count
    for n in range(writers):
        assert [e["n"] for e in events if e["by"] == str(n)] == list(range(count))


@pytest.mark.parametrize("mode", MODES)
def test_of_many_processes_that_create_a_study_at_once_one_wins(
    mode: list[str], tmp_path: Path, start: Callable
) -> None:
    path = tmp_path / "runs.db"
    crowd = [start(*mode, "create", path, n) for n in range(32)]
    for process in crowd:
        assert process.stdout.readline() == "ready\n"
    for process in crowd:
        process.stdin.write("go\n")
        process.stdin.flush()
    winners = {process.stdout.readline().strip() for process in crowd}
    assert [process.wait() for process in crowd] == [0] * 32
    with SqliteStorage(path) as storage:
        assert storage.studies() == [STUDY]
        assert {storage.header(STUDY)["by"]} == winners


@pytest.mark.parametrize("mode", MODES)
def test_parent_and_children_write_on_after_a_fork_amid_writing_threads(
    mode: list[str], tmp_path: Path, start: Callable
) -> None:
    path = tmp_path / "runs.db"
    assert start(*mode, "fork", path).wait() == 0
    with SqliteStorage(path) as storage:
        events = [event["by"] for event in storage.read(STUDY)]
    expected = {**{f"thread {n}": 40 for n in range(3)}, **{f"child {n}": 3 for n in range(10)}}
    assert {who: events.count(who) for who in set(events)} == {**expected, "parent": 10}


@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("mode", MODES)
def test_a_full_disk_is_said_to_be_full_and_is_forgotten_once_there_is_space(
    mode: list[str], tmp_path: Path, start: Callable, seed: int
) -> None:
    count = 30 if not mode else 10
    report, _ = start(*mode, "fill", tmp_path / "runs.db", seed, count).communicate()
    files = [json.loads(line) for line in report.splitlines()]
    assert len(files) == count
    for file in files:
        for error in file["errors"]:
            assert error.startswith(f"{file['path']}: File too large, ")
            assert " bytes free" in error
        with SqliteStorage(file["path"]) as storage:
            assert [event["n"] for event in storage.read(STUDY)] == list(range(file["told"] + 1))
    assert sum(file["told"] for file in files) > count


@pytest.mark.parametrize("first_seed", [0])
def test_no_damage_to_the_file_gives_wrong_data_a_hang_or_a_crash(
    tmp_path: Path, start: Callable, first_seed: int
) -> None:
    path = tmp_path / "runs.db"
    damage.make(path)
    count = 300
    report, _ = start("damage", path, first_seed, count).communicate(timeout=60)
    results = [json.loads(line) for line in report.splitlines()]
    assert [seed for seed, _, _ in results] == list(range(first_seed, first_seed + count))
    errors = {"StorageCorruptError", "SchemaVersionError", "StorageUnavailableError"}
    wrong = [result for result in results if not set(result[2]) <= {"right", *errors}]
    assert wrong == []
    kinds = {kind for _, kind, _ in results}
    assert kinds >= {"flip", "zero", "cut", "junk_inside", "wrong_page", "longer", "other"}
    assert any(set(outcome) == {"right"} for _, kind, outcome in results if kind == "flip")
    assert any("right" not in outcome for _, kind, outcome in results if kind == "flip")
