"""Both stores keep what every store promises."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gpbo.storage import MemoryStorage, SqliteStorage, sqlite_file
from gpbo.testing import StorageSuite


class TestMemoryStorage(StorageSuite):
    def make(self, folder: Path) -> MemoryStorage:
        return MemoryStorage()


class TestSqliteStorage(StorageSuite):
    def make(self, folder: Path) -> SqliteStorage:
        return SqliteStorage(folder / "runs.db")

    def reopen(self) -> SqliteStorage:
        return SqliteStorage(self.folder / "runs.db")


class TestSqliteStorageWithAWal(TestSqliteStorage):
    """As it is with an SQLite whose WAL is safe."""

    def setup_method(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(sqlite_file, "WAL_IS_SAFE_SINCE", (3, 0, 0))
        super().setup_method()

    def teardown_method(self) -> None:
        super().teardown_method()
        self.patch.undo()

    def test_the_file_has_a_wal(self) -> None:
        assert self.storage.mode == f"WAL, synchronous=FULL, SQLite {sqlite3.sqlite_version}"
