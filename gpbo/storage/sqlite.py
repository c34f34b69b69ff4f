"""Studies in one SQLite file that processes and threads share, and that survives their death.

Writes happen in BEGIN IMMEDIATE transactions, are synced when they return, and none stays open.
What the rows hold is told in tables.py, how the file is opened in sqlite_file.py, and what an error
of SQLite means in failure.py.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, final

from gpbo.check import seconds
from gpbo.errors import StorageCorruptError, StorageError, StorageLockedError, StudyError, explain
from gpbo.storage import fork, sqlite_file
from gpbo.storage.base import Decide, Event, Storage, check_study, no_reentry
from gpbo.storage.failure import as_storage_error, unavailable
from gpbo.storage.record import decode, encode
from gpbo.storage.tables import Tables

LONGEST_WAIT = 1e6  # seconds; SQLite counts milliseconds in 32 bits

# Connections of a parent that forked unseen by Python; to close them here could harm it.
_inherited: list[sqlite3.Connection] = []


@final
class SqliteStorage(Storage):
    """Studies in one SQLite file, made if there is none; `timeout` seconds to wait for its lock.

    Raises   StorageUnavailableError  if the path cannot be used, with what the system says
             StorageCorruptError      if it is not a study file, or is damaged
             SchemaVersionError       if another version of gpbo made it
             StorageError             if it lies on a network file system, where SQLite is not safe
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 30.0,
        allow_network_fs: bool = False,
    ) -> None:
        self._db: sqlite3.Connection | None = None
        self.path = _absolute(path)
        self.location = str(self.path)
        self.timeout = seconds("timeout", timeout, LONGEST_WAIT)
        self._lock = threading.RLock()
        self._deciding = self._closed = False
        self._pid = os.getpid()
        sqlite_file.check_place(self.path, allow_network_fs)
        with self._errors():
            self._db = sqlite_file.connect(self.path, timeout, create=True)
        self._file = self._identity()
        fork.protect(self)

    @property
    def mode(self) -> str:
        """How the file is written, for `gpbo doctor`."""
        with self._lock, self._errors():
            journal = sqlite_file.journal_mode(self._connection())
        kind = {"wal": "WAL, synchronous=FULL", "delete": "rollback journal, synchronous=EXTRA"}
        return f"{kind[journal]}, SQLite {sqlite3.sqlite_version}"

    def studies(self) -> list[str]:
        """The names of all studies, the oldest first."""
        with self._transaction() as tables, self._errors():
            return list(tables.studies())

    def create(self, study: str, header: dict[str, Any]) -> dict[str, Any]:
        """The header that now holds: the existing one if there is one, else this one."""
        body = encode(header, "header")
        held = self.header(study)  # most often it is there, and reading needs no write lock
        if held is not None:
            return held
        with self._transaction(write=True) as tables, self._errors():
            known = tables.studies()
            if study in known:
                body = tables.header(known[study])
            else:
                tables.create(study, body)
        return self._decode(study, 0, body)

    def header(self, study: str) -> dict[str, Any] | None:
        """The header of a study, None if there is no such study."""
        check_study(study)
        with self._transaction() as tables, self._errors():
            try:
                body = tables.header(tables.find(study))
            except StudyError:
                return None
        return self._decode(study, 0, body)

    def read(self, study: str, after: int = 0) -> list[Event]:
        """The events whose number is greater than `after`, in order."""
        check_study(study)
        with self._transaction() as tables, self._errors():
            bodies = tables.events(tables.find(study), after)
        return self._events(study, after, bodies)

    def transact(self, study: str, after: int, decide: Decide) -> list[Event]:
        """The events after `after`: those that were there, then those that `decide` adds."""
        check_study(study)
        with self._transaction(write=True) as tables:
            with self._errors():
                row = tables.find(study)
                news = self._events(study, after, tables.events(row, after))
            self._deciding = True
            try:
                added = [encode(event, "event") for event in decide(list(news))]
            finally:
                self._deciding = False
            with self._errors():
                tables.append(row, added)
        return news + decode(added)

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        with self._lock:
            self._closed = True
            self._drop()

    def __del__(self) -> None:
        if getattr(self, "_db", None) is not None:
            self._drop()

    @contextmanager
    def _transaction(self, write: bool = False) -> Iterator[Tables]:
        """The tables, in a transaction that is synced at the end, or undone by any exception."""
        with self._lock:
            no_reentry(self._deciding)
            try:
                with self._errors():
                    db = self._connection()
                    if write:
                        sqlite_file.begin_write(db, self.timeout)
                    else:
                        db.execute("BEGIN")
                yield Tables(db, self.path)
                with self._errors():
                    db.execute("COMMIT")
            except BaseException as error:
                self._undo(error)
                raise

    def _undo(self, error: BaseException) -> None:
        """Roll back what is open; after a failure of the file, the next call connects afresh."""
        if self._db is not None and self._db.in_transaction:
            with suppress(sqlite3.Error):  # SQLite may have done so by itself
                self._db.execute("ROLLBACK")
        if isinstance(error, StorageError) and not isinstance(error, StorageLockedError):
            self._drop()

    def _connection(self) -> sqlite3.Connection:
        """This process's connection to the file that was opened first.

        Raises   StorageUnavailableError  if the store is closed, or the file was moved or replaced
        """
        if self._closed:
            raise unavailable(self.path, "the storage was closed")
        if self._identity() != self._file:  # SQLite would go on writing to a file without a name
            raise unavailable(self.path, "the file was moved or replaced after it was opened")
        if self._pid != os.getpid():
            self._drop()
        if self._db is None:
            self._db = sqlite_file.connect(self.path, self.timeout, create=False)
            self._pid = os.getpid()
        return self._db

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _drop(self) -> None:
        """Close the connection, or forget it where it is a parent's."""
        db, self._db = self._db, None
        if db is not None and self._pid != os.getpid():
            _inherited.append(db)
        elif db is not None:
            with suppress(sqlite3.Error):
                db.close()

    def _let_go(self) -> None:
        """Before a fork: close, so that the child inherits nothing of SQLite's state."""
        if not self._deciding:
            self._drop()

    def _errors(self) -> AbstractContextManager[None]:
        return as_storage_error(self.path, self.timeout)

    def _events(self, study: str, after: int, bodies: list[bytes]) -> list[Event]:
        try:
            return decode(bodies)
        except ValueError:  # look for the one
            return [self._decode(study, seq, body) for seq, body in enumerate(bodies, after + 1)]

    def _decode(self, study: str, seq: int, body: bytes) -> dict[str, Any]:
        try:
            return decode([body])[0]
        except ValueError as error:
            where = f"study {study!r}, {'event' if seq else 'header, event'} {seq}"
            raise StorageCorruptError(f"{self.path}: {where}: not JSON: {error}") from error


def _absolute(path: str | os.PathLike[str]) -> Path:
    """The path from the root, so that a later chdir does not move the study."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(explain("storage", "not a path", path, expected="a str or Path"))
    name = os.fsdecode(path)
    if not name or "\0" in name:
        raise StudyError(explain("storage", "not a path that a file can have", name))
    return Path(os.path.abspath(os.path.expanduser(name)))
