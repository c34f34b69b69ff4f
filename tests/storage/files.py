"""Study files and others, made for the tests."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gpbo.storage import SqliteStorage


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
