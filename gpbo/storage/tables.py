"""The rows of the study file, checked as they are read; each call is made inside a transaction.

    studies  id 1, 2, 3 ... and name of each study, the number of its last event, a checksum;
             row 0 is the file itself: no name, and the number of studies in place of the last event
    events   id = study * STRIDE + seq, the JSON text, a checksum; seq 0 is the study's header

SQLite does not notice a changed byte. Here a row vouches for its own content (CRC32), the last
number for the events and row 0 for the studies, so that nothing can change or vanish unnoticed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final
from zlib import crc32

from gpbo.errors import StorageCorruptError
from gpbo.storage.base import no_such_study
from gpbo.storage.failure import UNUSABLE
from gpbo.storage.record import checksum, stem

STRIDE = 1 << 40  # more events than a study can have
TABLES = {
    "studies": "CREATE TABLE studies (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
    "last INTEGER NOT NULL, crc INTEGER NOT NULL)",
    "events": "CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT NOT NULL, "
    "crc INTEGER NOT NULL)",
}


@dataclass(frozen=True)
class Study:
    """A row of the table `studies`."""

    key: int
    name: str
    last: int

    @property
    def base(self) -> int:
        """The id of the header; the event number seq has the id base + seq."""
        return self.key * STRIDE


@final
class Tables:
    """Reads and writes the rows of one connection, whose text comes back as bytes."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self.db, self.path = db, path

    def make(self) -> None:
        """Make the tables of an empty file."""
        for statement in TABLES.values():
            self.db.execute(statement)
        self._insert_study(Study(0, "", 0))

    def studies(self) -> dict[str, Study]:
        """All studies by name, the oldest first."""
        found = [
            self._checked(*row)
            for row in self.db.execute("SELECT name, id, last, crc FROM studies ORDER BY id")
        ]
        if not found or [study.key for study in found] != list(range(found[0].last + 1)):
            raise self._damage("a study is missing")
        return {study.name: study for study in found[1:]}

    def find(self, name: str) -> Study:
        """The row of a study.

        Raises   StudyError           if there is none
                 StorageCorruptError  if it, or what could hide it, is damaged
        """
        query = "SELECT id, last, crc FROM studies WHERE name = ?"
        row = self.db.execute(query, (name,)).fetchone()
        if row is not None:
            return self._checked(name.encode(), *row)
        known = self.studies()
        if name in known:
            raise self._damage(f"study {name!r}: its name is not in the index")
        raise no_such_study(str(self.path), name, known)

    def header(self, study: Study) -> bytes:
        """The text of a study's header."""
        return self._bodies(study, 0, study.base + 1)[0]

    def events(self, study: Study, after: int) -> list[bytes]:
        """The texts of the events after `after`."""
        if not 0 <= after <= study.last:
            wrong = f"it ends with event {study.last}, got a reader at event {after}"
            raise self._damage(f"study {study.name!r}: {wrong}")
        # To the end of the stride: an event beyond the last one is damage too.
        return self._bodies(study, after + 1, study.base + STRIDE)

    def create(self, name: str, header: bytes) -> None:
        """Add a study at the end."""
        study = Study(len(self.studies()) + 1, name, 0)
        self._insert_study(study)
        self._set_last(Study(0, "", 0), study.key)
        self._insert(study, 0, [header])

    def append(self, study: Study, bodies: Sequence[bytes]) -> None:
        """Add events at the end of a study."""
        if bodies:
            self._insert(study, study.last + 1, bodies)
            self._set_last(study, study.last + len(bodies))

    def _bodies(self, study: Study, first: int, end: int) -> list[bytes]:
        """The texts of the records from number `first` to the last one, below the id `end`."""
        query = "SELECT id, body, crc FROM events WHERE id >= ? AND id < ? ORDER BY id"
        rows = self.db.execute(query, (study.base + first, end))
        start = stem(study.name)
        bodies: list[bytes] = []
        for seq, (key, body, crc) in enumerate(rows, first):
            if seq > study.last:
                raise self._broken(study, seq, "it comes after the last one")
            if key != study.base + seq:
                raise self._broken(study, seq, f"record {key - study.base} is in its place")
            if not isinstance(body, bytes) or crc != checksum(start, seq, body):
                raise self._broken(study, seq, "it fails its checksum")
            bodies.append(body)
        last = study.last if first else 0
        if len(bodies) != last - first + 1:
            raise self._broken(study, first + len(bodies), "it is missing")
        return bodies

    def _checked(self, name: object, key: object, last: object, crc: object) -> Study:
        if not (isinstance(name, bytes) and isinstance(key, int) and isinstance(last, int)):
            raise self._damage(f"study {name!r}: its row has values of a wrong type")
        if crc != _crc(key, name, last):
            raise self._damage(
                f"study {name.decode(errors='replace')!r}: its row fails its checksum"
            )
        return Study(key, name.decode(), last)

    def _insert_study(self, study: Study) -> None:
        row = (study.key, study.name, study.last, _crc(study.key, study.name.encode(), study.last))
        self.db.execute("INSERT INTO studies VALUES (?, ?, ?, ?)", row)

    def _set_last(self, study: Study, last: int) -> None:
        row = (last, _crc(study.key, study.name.encode(), last), study.key)
        if self.db.execute("UPDATE studies SET last = ?, crc = ? WHERE id = ?", row).rowcount != 1:
            raise self._damage(f"study {study.name!r}: its row is missing")

    def _insert(self, study: Study, first: int, bodies: Sequence[bytes]) -> None:
        start = stem(study.name)
        rows = (
            (study.base + seq, body.decode(), checksum(start, seq, body))
            for seq, body in enumerate(bodies, first)
        )
        self.db.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)

    def _broken(self, study: Study, seq: int, why: str) -> StorageCorruptError:
        where = f"study {study.name!r}, {'event' if seq else 'header, event'} {seq}"
        return self._damage(f"{where}: {why}")

    def _damage(self, what: str) -> StorageCorruptError:
        return StorageCorruptError(f"{self.path}: the study file is damaged: {what}. {UNUSABLE}")


def _crc(key: int, name: bytes, last: int) -> int:
    return crc32(b"%d\0%s\0%d" % (key, name, last))
