"""What an error of SQLite is taken for."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from gpbo.errors import (
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
)
from gpbo.storage import failure
from gpbo.storage.failure import as_storage_error, understand


def sqlite_error(text: str, code: int | None = None) -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    if code is not None:
        error.sqlite_errorcode = code  # what Python 3.11 and later add
    return error


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("database is locked", 5, StorageLockedError),
        ("database is locked", 261, StorageLockedError),  # BUSY_RECOVERY
        ("database table is locked", 6, StorageLockedError),
        ("locking protocol", 15, StorageLockedError),
        ("database or disk is full", 13, StorageFullError),
        ("attempt to write a readonly database", 8, StorageUnavailableError),
        ("unable to open database file", 14, StorageUnavailableError),
        ("disk I/O error", 10, StorageUnavailableError),
        ("file is not a database", 26, StorageCorruptError),
        ("database disk image is malformed", 11, StorageCorruptError),
        ("no such table: events", 1, StorageCorruptError),
    ],
)
@pytest.mark.parametrize("old_python", [False, True])
def test_the_code_or_the_text_alone_tells_the_kind(
    text: str, code: int, expected: type[StorageError], old_python: bool, tmp_path: Path
) -> None:
    path = tmp_path / "runs.db"
    path.touch()
    error = understand(sqlite_error(text, None if old_python else code), path, 30)
    assert type(error) is expected
    assert str(error).startswith(f"{path}: ")


def test_a_wrong_use_of_the_module_is_not_an_error_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.ProgrammingError), as_storage_error(tmp_path, 1):
        raise sqlite3.ProgrammingError("Cannot operate on a closed database.")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("ENOSPC", StorageFullError),
        ("EDQUOT", StorageFullError),
        ("EFBIG", StorageFullError),
        ("EIO", StorageUnavailableError),
    ],
)
def test_what_the_system_says_tells_a_full_disk_from_a_broken_one(
    number: str, expected: type[StorageError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = getattr(failure.errno, number)
    refusal = OSError(code, os.strerror(code))
    monkeypatch.setattr(failure, "why_not_written", lambda path: refusal)
    error = understand(sqlite_error("disk I/O error", 778), tmp_path / "runs.db", 30)
    assert type(error) is expected
    assert os.strerror(code) in str(error)


def test_a_file_that_can_be_written_is_given_no_reason(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    path.touch()
    assert failure.why_not_written(path) is None
    assert failure.why_not_opened(path) is None
    assert [file.name for file in tmp_path.iterdir()] == ["runs.db"]


def test_a_file_that_cannot_be_written_gives_the_reason_of_the_system(tmp_path: Path) -> None:
    reason = failure.why_not_written(tmp_path / "none" / "runs.db")
    assert isinstance(reason, FileNotFoundError)


def test_too_many_open_files_are_named(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of this kind exist on Unix alone")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        reason = failure.why_not_opened(tmp_path / "runs.db")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Too many open files" in str(reason)
