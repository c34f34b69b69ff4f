"""Which paths and specs are taken, which are refused, and with what words."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gpbo.errors import (
    SchemaVersionError,
    StorageCorruptError,
    StorageError,
    StorageUnavailableError,
    StudyError,
)
from gpbo.storage import MemoryStorage, SqliteStorage, mounts, open_storage, sqlite_file
from gpbo.storage.tables import TABLES
from tests.storage.files import events, filled, sql, tree


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


def test_a_table_whose_definition_is_damaged_is_a_damaged_file(tmp_path: Path) -> None:
    filled(tmp_path / "runs.db")
    content = bytearray((tmp_path / "runs.db").read_bytes())
    content[content.index(b"CREATE TABLE studies") + 5] |= 0x80
    (tmp_path / "runs.db").write_bytes(content)
    with pytest.raises(StorageCorruptError, match="damaged"):
        open_storage(tmp_path / "runs.db").studies()
