"""What only a study file promises: its connections, its checks, its manners."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gpbo.errors import (
    StorageCorruptError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
)
from gpbo.storage import MemoryStorage, SqliteStorage, Storage, sqlite_file
from tests.storage.files import events, filled, sql

ROOT = Path(__file__).parents[2]


def test_a_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    with filled(tmp_path / "runs.db") as storage:
        assert storage._db is not None
        assert storage._db.execute("PRAGMA synchronous").fetchone() == (3,)  # EXTRA
        mode = f"rollback journal, synchronous=EXTRA, SQLite {sqlite3.sqlite_version}"
        assert storage.mode == mode


def test_a_locked_file_is_said_to_be_locked_and_works_when_it_is_free_again(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    filled(path).close()
    storage = SqliteStorage(path, timeout=0.02)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for call in (
        lambda: storage.read("s"),
        lambda: storage.create("t", {}),
        lambda: storage.transact("s", 0, lambda old: [{"n": 3}]),
        lambda: SqliteStorage(path, timeout=0.02),
    ):
        with pytest.raises(
            StorageLockedError, match=r"runs\.db: locked .* more than 0\.02 s\. Look"
        ):
            call()
    other.execute("ROLLBACK")
    other.close()
    assert len(storage.transact("s", 0, lambda old: [{"n": 3}])) == 4
    assert storage.studies() == ["s"]
    storage.close()


def test_a_reader_that_stays_locks_out_a_commit_which_is_then_undone(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    filled(path).close()
    storage = SqliteStorage(path, timeout=0.02)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM studies").fetchall()
    with pytest.raises(StorageLockedError):
        storage.transact("s", 3, lambda old: [{"n": 3}])
    reader.close()
    assert storage.transact("s", 3, lambda old: [{"n": "again"}]) == [{"n": "again"}]
    assert storage.read("s") == [*events(3), {"n": "again"}]
    storage.close()


def test_no_space_in_sqlite_itself_is_a_full_disk(tmp_path: Path) -> None:
    with filled(tmp_path / "runs.db") as storage:
        assert storage._db is not None
        storage._db.execute("PRAGMA max_page_count = 5")
        with pytest.raises(StorageFullError, match=r"No space left on device, \d+ bytes free"):
            storage.transact("s", 3, lambda old: [{"text": "x" * 50_000}])
        storage.transact("s", 3, lambda old: [{"text": "x" * 50_000}])
        assert len(storage.read("s")) == 4


def test_a_file_that_was_moved_is_missed_and_taken_up_again_when_it_is_back(tmp_path: Path) -> None:
    path, away = tmp_path / "runs.db", tmp_path / "away.db"
    storage = filled(path)
    path.rename(away)
    for replace in (lambda: None, path.touch):
        replace()
        for call in (
            lambda: storage.read("s"),
            lambda: storage.transact("s", 3, lambda old: [{"n": 3}]),
        ):
            with pytest.raises(StorageUnavailableError, match="moved or replaced"):
                call()
    assert path.stat().st_size == 0
    away.rename(path)
    assert storage.transact("s", 3, lambda old: [{"n": 3}]) == [{"n": 3}]
    storage.close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    storage = filled(tmp_path / "runs.db")
    storage.close()
    with pytest.raises(StorageUnavailableError, match="the storage was closed"):
        storage.read("s")


def test_threads_with_a_store_each_share_the_file(tmp_path: Path) -> None:
    """Closing one must not release the locks of the other, as closing a file does (fcntl(2))."""
    filled(tmp_path / "runs.db", 0).close()

    def work() -> None:
        for _ in range(30):
            with SqliteStorage(tmp_path / "runs.db") as storage:
                storage.transact("s", 0, lambda old: [{"n": len(old)}])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with SqliteStorage(tmp_path / "runs.db") as storage:
        assert storage.read("s") == events(120)


def test_after_a_fork_that_python_did_not_see_the_parents_connection_is_left_alone(
    tmp_path: Path,
) -> None:
    with filled(tmp_path / "runs.db") as storage:
        parents = storage._db
        assert parents is not None
        storage._pid = -1  # as if this were the child
        storage.transact("s", 3, lambda old: [{"n": 3}])
        assert storage._db is not parents
        assert parents.execute("SELECT count(*) FROM events").fetchone() == (5,)
        parents.close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE events SET body = '{}' WHERE id & 255 = 2",
            r"study 's', event 2: it fails its ch",
        ),
        ("DELETE FROM events WHERE id & 255 = 2", r"study 's', event 2: record 3 is in its place"),
        ("DELETE FROM events WHERE id & 255 = 3", r"study 's', event 3: it is missing"),
        (
            "INSERT INTO events SELECT id + 4, body, crc FROM events",
            r"study 's', event 4: it comes after the last",
        ),
        ("UPDATE events SET id = id + (1 << 40)", r"study 's', event 1: it is missing"),
        ("UPDATE studies SET last = 2 WHERE id = 1", r"study 's': its row fails its checksum"),
        ("UPDATE studies SET last = 'x' WHERE id = 1", r"values of a wrong type"),
        ("UPDATE studies SET name = 't' WHERE id = 1", r"study 't': its row fails its checksum"),
        ("UPDATE studies SET id = 2 WHERE id = 1", r"study 's': its row fails its checksum"),
        ("DELETE FROM studies WHERE id = 1", r"a study is missing"),
        ("DELETE FROM studies", r"a study is missing"),
    ],
)
def test_damage_to_a_row_is_named_and_not_read_over(
    statement: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "runs.db"
    filled(path).close()
    sql(path, statement)
    before = path.read_bytes()
    with SqliteStorage(path) as storage:
        for call in (
            lambda: (storage.read("s"), storage.studies()),
            lambda: (storage.transact("s", 0, lambda old: [{"n": 4}]), storage.create("t", {})),
        ):
            with pytest.raises(StorageCorruptError, match=message) as caught:
                call()
            assert str(path) in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("body", ["", "{", "[1", "not json", "{} {}", "{},{}"])
def test_a_header_or_event_that_is_not_json_is_named(body: str, tmp_path: Path) -> None:
    from gpbo.storage.record import checksum, stem

    path = tmp_path / "runs.db"
    filled(path, 1).close()
    base = 1 << 40
    for seq in (0, 1):
        crc = checksum(stem("s"), seq, body.encode())
        sql(path, f"UPDATE events SET body = '{body}', crc = {crc} WHERE id = {base + seq}")
    with SqliteStorage(path) as storage:
        with pytest.raises(StorageCorruptError, match=r"study 's', header, event 0: not JSON"):
            storage.header("s")
        with pytest.raises(StorageCorruptError, match=r"study 's', event 1: not JSON"):
            storage.read("s")


def test_a_file_keeps_its_journal_mode_unless_this_sqlite_is_too_old_for_a_wal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def this_sqlite_is(old: bool) -> None:
        limit = (99, 0, 0) if old else (3, 0, 0)
        monkeypatch.setattr(sqlite_file, "WAL_IS_SAFE_SINCE", limit)

    path = tmp_path / "runs.db"
    this_sqlite_is(old=False)
    newer = filled(path)
    assert newer.mode.startswith("WAL")
    this_sqlite_is(old=True)
    with pytest.raises(StorageLockedError, match=r"in WAL mode, by a process with a newer SQLite"):
        SqliteStorage(path, timeout=0.02)
    newer.close()
    with SqliteStorage(path) as older:
        assert older.mode.startswith("rollback journal")
        assert older.read("s") == events(3)
        this_sqlite_is(old=False)
        with SqliteStorage(path) as other:
            assert other.mode.startswith("rollback journal")


def python(code: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_importing_storage_imports_neither_torch_nor_numpy_nor_sqlite3(tmp_path: Path) -> None:
    code = "import sys, gpbo.storage; print({'torch', 'numpy', 'sqlite3'} & set(sys.modules))"
    assert python(code, tmp_path) == "set()\n"
    code = "import sys, gpbo.storage.sqlite; print({'torch', 'numpy'} & set(sys.modules))"
    assert python(code, tmp_path) == "set()\n"


def test_a_store_that_nobody_closed_goes_quietly(tmp_path: Path) -> None:
    code = """
from gpbo.storage import open_storage
class Cycle: pass
kept, cycle = open_storage("a.db"), Cycle()
cycle.itself, cycle.storage = cycle, open_storage("b.db")
for storage in (kept, cycle.storage, open_storage("c.db")):
    storage.create("s", {})
print("done")
"""
    assert python(code, tmp_path) == "done\n"


def test_the_store_is_abstract_and_its_kinds_are_final() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Storage()  # type: ignore[abstract]
    assert all(kind.__final__ for kind in (MemoryStorage, SqliteStorage))
