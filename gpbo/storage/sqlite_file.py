"""How the SQLite file of gpbo is opened and made, and told from the files of others."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from gpbo.errors import SchemaVersionError, StorageCorruptError, StorageError, StorageLockedError
from gpbo.storage.failure import BUSY, UNUSABLE, result_code, unavailable, why_not_opened
from gpbo.storage.mounts import network_file_system
from gpbo.storage.tables import TABLES, Tables

APPLICATION_ID = 0x6770626F  # "gpbo"
SCHEMA = 1
# Before it, a WAL reset could lose a commit where several processes write (sqlite.org/wal.html).
WAL_IS_SAFE_SINCE = (3, 51, 3)
# Seconds between looks at a lock, the longest at first, the shortest after about 5 s of waiting.
LONGEST_PAUSE, SHORTEST_PAUSE, IMPATIENCE = 0.01, 0.001, 500
POLL = 0.005  # seconds between attempts to switch the journal mode, which need not wait by itself

# EXTRA syncs the folder too after a commit: a journal that came back after a power cut would undo
# it (in WAL mode it is the same as FULL). No mmap: a file cut short while mapped kills the process.
SETTINGS = (
    "PRAGMA synchronous = EXTRA",
    "PRAGMA fullfsync = ON",
    "PRAGMA checkpoint_fullfsync = ON",
    "PRAGMA mmap_size = 0",
    "PRAGMA cell_size_check = ON",
    "PRAGMA trusted_schema = OFF",
)


def check_place(path: Path, allow_network_fs: bool) -> None:
    """Refuse a path where no study file can be.

    Raises   StorageUnavailableError  if it is a folder, has no folder or may not be written
             StorageError             if it lies on a network file system
    """
    reason = why_not_opened(path)
    if reason is not None:
        raise unavailable(path, reason)
    network = None if allow_network_fs else network_file_system(path)
    if network is not None:
        kind, point = network
        raise StorageError(
            f"{path}: SQLite is not safe on a network file system, got {kind} ({point}). "
            f"Put the file on a local disk or pass SqliteStorage(path, allow_network_fs=True)"
        )


def connect(path: Path, timeout: float, *, create: bool) -> sqlite3.Connection:
    """A connection with our settings, in autocommit, to a file with our tables.

    Raises   StorageError and its children, sqlite3.Error
    """
    _refuse_foreign(path)
    db = _open(path, "rwc" if create else "rw", timeout)
    try:
        for setting in SETTINGS:
            db.execute(setting)
        if not _is_ours(db, path):
            _make(db, path, timeout)
        _settle_journal(db, path, timeout)
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection, begin: str = "BEGIN") -> Iterator[None]:
    """A transaction that is committed at the end, or rolled back by any exception."""
    try:
        db.execute(begin)
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            with suppress(sqlite3.Error):  # a failing file has been reported by now
                db.execute("ROLLBACK")


def begin_write(db: sqlite3.Connection, timeout: float) -> None:
    """Begin a transaction that may write, once the others that do so have ended.

    SQLite itself looks ever more seldom, so that the longer one waits the less one's chance: of 32
    busy processes on a slow disk, 11 got no turn in 30 s. Here it is the other way round.

    Raises   sqlite3.OperationalError  if it is still locked after `timeout` seconds
    """
    began = time.monotonic()
    db.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                db.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                waited = time.monotonic() - began
                if result_code(error) != BUSY or waited >= timeout:
                    raise
            time.sleep(max(SHORTEST_PAUSE, LONGEST_PAUSE - waited / IMPATIENCE))
    finally:
        db.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")


def journal_mode(db: sqlite3.Connection) -> str:
    """The journal mode of the file: "delete" (a rollback journal) or "wal"."""
    mode: bytes = db.execute("PRAGMA journal_mode").fetchone()[0]
    return mode.decode()


def _open(path: Path, options: str, timeout: float) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.as_uri()}?mode={options}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,  # the store has a lock
    )
    db.text_factory = bytes  # the checksum is over the bytes, and damaged ones need not be UTF-8
    return db


def _refuse_foreign(path: Path) -> None:
    """Refuse a file of another program before anything in it, even after a crash, is set right.

    An immutable connection takes no lock and replays no journal.
    """
    if path.is_file() and path.stat().st_size == 1:  # SQLite takes that for an empty file
        raise StorageCorruptError(f"{path}: not a gpbo study file, but one byte long. {UNUSABLE}")
    with (
        suppress(sqlite3.Error, SchemaVersionError),  # left to the connection that may see more
        closing(_open(path, "ro&immutable=1", 0)) as db,
    ):
        if _pragma(db, "application_id") != APPLICATION_ID:
            _is_ours(db, path)


def _is_ours(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has our tables; False if it is still empty.

    Raises   StorageCorruptError  if it is another program's, or the tables are not as we make them
             SchemaVersionError   if another version of gpbo made it
    """
    with transaction(db):
        owner, version = _pragma(db, "application_id"), _pragma(db, "user_version")
        found = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    if owner == version == 0 and not found:
        return False
    if owner != APPLICATION_ID:
        names = b", ".join(sorted(found)).decode(errors="replace")
        raise StorageCorruptError(
            f"{path}: not a gpbo study file, but an SQLite file of another program "
            f"(application_id {owner}, tables {names:.80}). {UNUSABLE}"
        )
    if version != SCHEMA:
        advice = "Upgrade gpbo" if version > SCHEMA else "Open it with the gpbo that made it"
        raise SchemaVersionError(
            f"{path}: the file has schema v{version}, this gpbo knows v{SCHEMA}. {advice}"
        )
    for name, made in TABLES.items():
        if found.get(name.encode()) != made.encode():
            raise StorageCorruptError(
                f"{path}: the study file is damaged: table {name!r} is not as it was made. "
                f"{UNUSABLE}"
            )
    return True


def _make(db: sqlite3.Connection, path: Path, timeout: float) -> None:
    """Make the tables, all or nothing, unless another process does so first."""
    if sqlite3.sqlite_version_info >= WAL_IS_SAFE_SINCE:
        _switch_journal(db, "wal", timeout)  # where it cannot, the file has a rollback journal
    with transaction(db, "BEGIN IMMEDIATE"):
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            Tables(db, path).make()
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA}")
    _is_ours(db, path)


def _settle_journal(db: sqlite3.Connection, path: Path, timeout: float) -> None:
    """Keep the journal mode that the file was made with, unless it is not safe with this SQLite.

    An SQLite that could use a WAL does not force it on the others that have the file open.

    Raises   StorageLockedError  if it has a WAL, this SQLite is too old for that, and it is in use
    """
    if sqlite3.sqlite_version_info >= WAL_IS_SAFE_SINCE or journal_mode(db) != "wal":
        return
    if not _switch_journal(db, "delete", timeout):
        raise StorageLockedError(
            f"{path}: in use, in WAL mode, by a process with a newer SQLite. SQLite "
            f"{sqlite3.sqlite_version} could lose results in that mode: end that process, or use a "
            f"Python with SQLite {'.'.join(map(str, WAL_IS_SAFE_SINCE))} or later"
        )


def _switch_journal(db: sqlite3.Connection, mode: str, timeout: float) -> bool:
    """Whether the file is now in this journal mode."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            db.execute(f"PRAGMA journal_mode = {mode}").fetchone()
        except sqlite3.OperationalError as error:
            if result_code(error) != BUSY:
                raise
        if journal_mode(db) == mode:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)


def _pragma(db: sqlite3.Connection, name: str) -> int:
    value: int = db.execute(f"PRAGMA {name}").fetchone()[0]
    return value
