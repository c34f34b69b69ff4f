"""What only a study file promises: its place, its connections, and what it says when it cannot."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gpbo.errors import (
    SchemaVersionError,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
    StudyError,
)
from gpbo.storage import MemoryStorage, SqliteStorage, Storage, mounts, open_storage, sqlite_file
from gpbo.storage.tables import TABLES

ROOT = Path(__file__).parents[2]


def events(count: int) -> list[dict]:
    return [{"n": n} for n in range(count)]


def filled(path: Path, count: int = 3) -> SqliteStorage:
    storage = SqliteStorage(path)
    storage.create("s", {"seed": 1})
    storage.transact("s", 0, lambda old: events(count))
    return storage


def sql(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in sorted(folder.rglob("*"))
    }


# what is refused ---------------------------------------------------------------------------------


def write(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "runs.db").write_bytes(content)
        return folder / "runs.db"

    return make


def database(*statements: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        sql(folder / "runs.db", *statements)
        return folder / "runs.db"

    return make


def altered(*statements: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        filled(folder / "runs.db").close()
        return database(*statements)(folder)

    return make


def in_a_file(folder: Path) -> Path:
    (folder / "file").write_text("x")
    return folder / "file" / "runs.db"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "runs.db")
    return folder / "runs.db"


def loop(folder: Path) -> Path:
    (folder / "runs.db").symlink_to(folder / "runs.db")
    return folder / "runs.db"


def read_only_file(folder: Path) -> Path:
    filled(folder / "runs.db").close()
    (folder / "runs.db").chmod(0o400)
    return folder / "runs.db"


def read_only_folder(folder: Path) -> Path:
    filled(folder / "runs.db").close()
    folder.chmod(0o500)
    return folder / "runs.db"


def closed_folder(folder: Path) -> Path:
    folder.chmod(0o500)
    return folder / "runs.db"


OURS = f"PRAGMA application_id = {sqlite_file.APPLICATION_ID}"
REFUSED = {
    "folder missing": (
        lambda folder: folder / "no" / "runs.db",
        StorageUnavailableError,
        r"runs\.db: cannot be used: No such file or directory \(folder .*/no\)",
    ),
    "in a file": (in_a_file, StorageUnavailableError, r"Not a directory"),
    "a folder": (lambda folder: folder, StorageUnavailableError, r": Is a directory"),
    "a pipe": (pipe, StorageUnavailableError, r"not a regular file"),
    "a device": (lambda folder: Path(os.devnull), StorageUnavailableError, r"not a regular file"),
    "a long name": (
        lambda folder: folder / ("x" * 300),
        StorageUnavailableError,
        r"File name too long",
    ),
    "a link to itself": (loop, StorageUnavailableError, r"Too many levels of symbolic links"),
    "a read-only file": (read_only_file, StorageUnavailableError, r"runs\.db: .*Permission denied"),
    "a read-only folder": (
        read_only_folder,
        StorageUnavailableError,
        r"Permission denied \(folder .*, where SQLite keeps its journal\)",
    ),
    "a new file in a read-only folder": (
        closed_folder,
        StorageUnavailableError,
        r"Permission denied \(folder",
    ),
    "text": (
        write(b"lr,loss\n" * 1000),
        StorageCorruptError,
        r"runs\.db: not a gpbo study file \(file is not a database\)\. Nothing was changed\. .+",
    ),
    "a short text": (write(b"hello"), StorageCorruptError, r"not a gpbo study file"),
    "one byte": (write(b"x"), StorageCorruptError, r"not a gpbo study file, but one byte long"),
    "zeros": (write(bytes(4096)), StorageCorruptError, r"not a gpbo study file"),
    "a JPEG": (
        write(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) * 20),
        StorageCorruptError,
        r"not a gpbo study file",
    ),
    "another program's": (
        database("CREATE TABLE trials (id)", "CREATE TABLE a (id)"),
        StorageCorruptError,
        r"not a gpbo study file.*another program \(application_id 0, tables a, trials\)",
    ),
    "another program's with a mark": (
        database("PRAGMA application_id = 7", "CREATE TABLE a (id)"),
        StorageCorruptError,
        r"application_id 7, tables a",
    ),
    "another program's with our tables": (
        database(*TABLES.values()),
        StorageCorruptError,
        r"application_id 0, tables events, studies",
    ),
    "another program's with a WAL": (
        database("PRAGMA journal_mode = wal", "CREATE TABLE a (id)"),
        StorageCorruptError,
        r"application_id 0, tables a",
    ),
    "a newer schema": (
        altered("PRAGMA user_version = 7"),
        SchemaVersionError,
        r"the file has schema v7, this gpbo knows v1\. Upgrade gpbo",
    ),
    "an older schema": (
        altered("PRAGMA user_version = 0"),
        SchemaVersionError,
        r"the file has schema v0, this gpbo knows v1\. Open it with the gpbo that made it",
    ),
    "a table is missing": (
        altered("DROP TABLE events"),
        StorageCorruptError,
        r"damaged: table 'events' is not as it was made",
    ),
    "our mark alone": (
        database(OURS, "PRAGMA user_version = 1"),
        StorageCorruptError,
        r"table 'studies' is not as it was made",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_path_that_is_no_study_file_is_refused_and_left_as_it_is(case: str, nobody: Path) -> None:
    make, error, message = REFUSED[case]
    path = make(nobody)
    before = tree(nobody)
    for spec in (path, str(path)):
        with pytest.raises(error, match=message) as caught:
            open_storage(spec)
        assert type(caught.value) is error
        assert str(path) in str(caught.value)
    assert tree(nobody) == before


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (":memory:", StudyError, r"got ':memory:'; expected None .*pass storage=None"),
        ("sqlite:///:memory:", StudyError, r"pass storage=None"),
        ("sqlite://", StudyError, r"storage: "),
        ("sqlite:///", StudyError, r"no file is named"),
        ("sqlite://host/runs.db", StudyError, r"a URL with a host"),
        ("sqlite:///runs.db?timeout=5", StudyError, r"a URL with options.*\?\*\*\*'"),
        ("file:runs.db?mode=ro", StudyError, r"notations"),
        ("", StudyError, r"no file is named"),
        ("a\0b", StudyError, r"not a path"),
        ("postgresql://me:secret@host/db", StudyError, r"got 'postgresql://\*\*\*@host/db'; expec"),
        (
            "mysql+pymysql://me:se@ret:secret@host",
            StudyError,
            r"got 'mysql\+pymysql://\*\*\*@host'",
        ),
        ("redis://host?password=secret", StudyError, r"got 'redis://host\?\*\*\*'"),
        (3, TypeError, r"storage: not a storage, got 3; expected None \(memory\), a file path"),
        (b"runs.db", TypeError, r"not a storage, got b'runs.db'"),
        (SqliteStorage, TypeError, r"not a storage"),
    ],
)
def test_a_spec_that_names_no_store_is_refused(
    spec: object,
    error: type[Exception],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        open_storage(spec)  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(-1, ValueError), (float("nan"), ValueError), (1e7, ValueError), ("5", TypeError)],
)
def test_a_timeout_that_is_no_time_is_refused(
    timeout: object, error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error, match=r"timeout: .*got .*; expected seconds"):
        SqliteStorage(tmp_path / "runs.db", timeout=timeout)  # type: ignore[arg-type]
    assert tree(tmp_path) == {}


def test_a_network_file_system_is_refused_unless_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        f"27 1 254:0 / / rw - ext4 /dev/vda rw\n28 27 0:40 / {tmp_path} rw - nfs4 h:/ rw\n"
    )
    monkeypatch.setattr(mounts, "MOUNTS", table)
    path = tmp_path / "runs.db"
    with pytest.raises(StorageError, match=r"not safe .*got nfs4 .*local disk or pass SqliteStor"):
        SqliteStorage(path)
    assert not path.exists()
    with SqliteStorage(path, allow_network_fs=True) as storage:
        assert storage.studies() == []


# what is accepted --------------------------------------------------------------------------------


def test_a_spec_may_be_none_a_path_a_url_or_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert isinstance(open_storage(None), MemoryStorage)
    filled(tmp_path / "runs.db").close()
    absolute = tmp_path / "runs.db"
    for spec in (
        absolute,
        str(absolute),
        "runs.db",
        Path("runs.db"),
        "~/runs.db",
        "sqlite:///runs.db",
        f"sqlite:///{absolute}",
        f"SQLite:///{absolute}",
    ):
        with open_storage(spec) as storage:
            assert storage.location == str(absolute)
            assert storage.read("s") == events(3)
            assert open_storage(storage) is storage


@pytest.mark.parametrize(
    "name", ["a b", "50%25", "what?mode=ro", "x#y", "é-\N{ROCKET}", "a'b;--", "-"]
)
def test_any_file_name_will_do(name: str, tmp_path: Path) -> None:
    filled(tmp_path / name).close()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with SqliteStorage(tmp_path / name) as storage:
        assert storage.read("s") == events(3)


def test_an_empty_file_is_a_new_study_file(tmp_path: Path) -> None:
    (tmp_path / "runs.db").touch()
    with filled(tmp_path / "runs.db") as storage:
        assert storage.read("s") == events(3)


def test_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = filled(Path("runs.db"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    storage._drop()  # connect again
    assert storage.read("s") == events(3)
    assert storage.location == str(tmp_path / "runs.db")
    storage.close()


# while it is open --------------------------------------------------------------------------------


def test_a_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    with filled(tmp_path / "runs.db") as storage:
        assert storage._db is not None
        assert storage._db.execute("PRAGMA synchronous").fetchone() == (3,)  # EXTRA
        version = sqlite3.sqlite_version
        modes = {
            f"rollback journal, synchronous=EXTRA, SQLite {version}",
            f"WAL, synchronous=FULL, SQLite {version}",
        }
        assert storage.mode in modes
        wal_is_safe = sqlite3.sqlite_version_info >= (3, 51, 3)
        assert storage.mode.startswith("WAL") == wal_is_safe


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


# damage is named ---------------------------------------------------------------------------------


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


# WAL ---------------------------------------------------------------------------------------------


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


# manners -----------------------------------------------------------------------------------------


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
