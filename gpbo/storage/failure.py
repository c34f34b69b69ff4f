"""What an error of SQLite means for a study file: full, locked, out of reach or damaged."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpbo.errors import (
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
)

# Primary result codes (sqlite.org/rescode.html); Python 3.10 hands on their texts alone.
BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL, NOTADB = 5, 6, 8, 10, 13, 14, 15, 26
TEXTS = {
    "database is locked": BUSY,
    "database table is locked": LOCKED,
    "attempt to write a readonly database": READONLY,
    "disk I/O error": IOERR,
    "database or disk is full": FULL,
    "unable to open database file": CANTOPEN,
    "locking protocol": PROTOCOL,
    "file is not a database": NOTADB,
}
NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
PROBE = 1 << 20  # bytes: more than a commit with its journal usually takes
UNUSABLE = "Nothing was changed. Restore the file from a backup, or choose another path."


@contextmanager
def as_storage_error(path: Path, timeout: float) -> Iterator[None]:
    """Turn an error of SQLite into ours; a wrong use of the sqlite3 module stays what it is."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except sqlite3.Error as error:
        raise understand(error, path, timeout) from error
    except UnicodeDecodeError as error:  # of what SQLite says about a damaged table
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> StorageCorruptError:
    """The error for a file whose contents make no sense."""
    return StorageCorruptError(f"{path}: the study file is damaged ({error}). {UNUSABLE}")


def understand(error: sqlite3.Error, path: Path, timeout: float) -> StorageError:
    """The error that says what is wrong with the file, and what to do."""
    code = result_code(error)
    if code in (BUSY, LOCKED, PROTOCOL):
        return StorageLockedError(
            f"{path}: locked by another process for more than {timeout:g} s. Look for a stopped "
            f"process that has it open, or pass SqliteStorage(path, timeout=...)"
        )
    if code == FULL:
        return full(path, os.strerror(errno.ENOSPC))
    if code == IOERR:
        cause = why_not_written(path)
        if cause is not None and cause.errno in NO_SPACE:
            return full(path, cause.strerror or str(cause))
        return unavailable(path, cause.strerror if cause and cause.strerror else str(error))
    if code in (READONLY, CANTOPEN):
        return unavailable(path, why_not_opened(path) or str(error))
    if code == NOTADB:
        return StorageCorruptError(f"{path}: not a gpbo study file ({error}). {UNUSABLE}")
    return damaged(path, error)


def result_code(error: sqlite3.Error) -> int | None:
    """The primary result code of SQLite, None if there is none to be had."""
    code: int | None = getattr(error, "sqlite_errorcode", None)  # since Python 3.11
    return TEXTS.get(str(error)) if code is None else code & 0xFF


def full(path: Path, reason: str) -> StorageFullError:
    """The error for a write that found no space."""
    return StorageFullError(
        f"{path}: {reason}, {free_bytes(path)} bytes free. What was acknowledged is safe, and this "
        f"call stored nothing; make space and call again"
    )


def unavailable(path: Path, reason: str) -> StorageUnavailableError:
    """The error for a file that cannot be opened, read or written."""
    return StorageUnavailableError(f"{path}: cannot be used: {reason}")


def free_bytes(path: Path) -> int | str:
    """How much a normal user may still write to the file system of `path`."""
    import shutil  # only on this path, because it takes longer to import than a study to open

    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return "unknown"


def why_not_written(path: Path) -> OSError | None:
    """What the system says to a file of this size and PROBE bytes more, None if it is written.

    SQLite reports a limit on the size of files, or a quota, as a mere "disk I/O error".
    """
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.seek(os.path.getsize(path))
            probe.write(bytes(PROBE))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error
    return None


def why_not_opened(path: Path) -> str | None:
    """What keeps the file from being written, or from being created; None if nothing does.

    Does not open the file: closing it again would release SQLite's locks on it (fcntl(2)).
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return why_no_journal(path)
    except OSError as error:
        return os.strerror(error.errno or 0)
    if stat.S_ISDIR(mode):
        return os.strerror(errno.EISDIR)
    if not stat.S_ISREG(mode):
        return "not a regular file"
    if not may(path, os.R_OK | os.W_OK):
        return refusal(path)
    return why_no_journal(path)


def why_no_journal(path: Path) -> str | None:
    """What keeps a file from being created beside `path`, or any file from being opened."""
    folder = path.parent
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))  # too many open files
        mode = folder.stat().st_mode
    except OSError as error:
        return f"{os.strerror(error.errno or 0)} (folder {folder})"
    if not stat.S_ISDIR(mode):
        return f"{os.strerror(errno.ENOTDIR)} (folder {folder})"
    if not may(folder, os.W_OK | os.X_OK):
        return f"{refusal(folder)} (folder {folder}, where SQLite keeps its journal)"
    return None


def may(path: Path, what: int) -> bool:
    """Whether this process has the rights `what` (os.R_OK ...) to `path`."""
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)


def refusal(path: Path) -> str:
    """Why a right is missing: a read-only file system, or permissions."""
    if hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY:
        return os.strerror(errno.EROFS)
    return os.strerror(errno.EACCES)
