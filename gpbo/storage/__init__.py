"""Studies that survive a crash: what a store is, one in memory, one in an SQLite file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpbo.errors import StorageUnavailableError, StudyError, explain
from gpbo.storage.base import Decide, Event, Storage
from gpbo.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from gpbo.storage.sqlite import SqliteStorage

__all__ = [
    "Decide",
    "Event",
    "MemoryStorage",
    "SqliteStorage",
    "Storage",
    "is_there",
    "open_existing",
    "open_storage",
]

URL = "sqlite:///"
SUPPORTED = "None (memory), a file path, or sqlite:///relative.db or sqlite:////absolute.db"


def open_storage(spec: str | os.PathLike[str] | Storage | None) -> Storage:
    """The store that a user named: None, a path, an `sqlite:///` URL, or a Storage object itself.

    Raises   StudyError    if it is a URL of another kind, or names no file
             TypeError     if it is none of these
             StorageError  if the file cannot be used
    """
    if spec is None:
        return MemoryStorage()
    if isinstance(spec, Storage):
        return spec
    if not isinstance(spec, (str, os.PathLike)):
        raise TypeError(explain("storage", "not a storage", spec, expected=SUPPORTED))
    from gpbo.storage.sqlite import SqliteStorage  # sqlite3 is imported where it is needed

    return SqliteStorage(_path(spec) if isinstance(spec, str) else spec)


def open_existing(spec: str | os.PathLike[str] | Storage, fix: str) -> Storage:
    """The same for a store that has studies: a file must exist, and none is made.

    Raises   StorageUnavailableError  if there is no such file; `fix` says what to do
             and what open_storage raises
    """
    if isinstance(spec, (str, os.PathLike)) and not is_there(spec):
        raise StorageUnavailableError(
            explain(os.fspath(spec), "there is no such study file", fix=fix)
        )
    return open_storage(spec)


def is_there(file: str | os.PathLike[str]) -> bool:
    """Whether there is a file with something in it; True too for what `open_storage` refuses."""
    text = os.fspath(file)
    if "://" in text and not text.startswith(URL):
        return True
    try:
        return Path(text.removeprefix(URL)).expanduser().stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError, RuntimeError):
        return True


def _path(spec: str) -> str:
    """The path in a path or URL."""
    scheme, rest = re.match(r"(?:([A-Za-z][\w+.-]+):(?=//))?(.*)", spec, re.DOTALL).groups()  # type: ignore[union-attr]
    path = spec if scheme is None else rest.removeprefix("//").removeprefix("/")
    wrong = ""
    if path == ":memory:" or spec.startswith("file:"):
        wrong = "SQLite's own notations are not read here"
    elif scheme is not None and scheme.lower() != "sqlite":
        wrong = "a kind of database that gpbo does not know"
    elif scheme is not None and not rest.startswith("///"):
        wrong = "a URL with a host"
    elif scheme is not None and "?" in rest:
        wrong = "a URL with options"
    elif not path:
        wrong = "no file is named"
    if wrong:
        fix = "For a store in memory pass storage=None." if ":memory:" in spec else ""
        raise StudyError(explain("storage", wrong, _masked(spec), expected=SUPPORTED, fix=fix))
    return path


def _masked(url: str) -> str:
    """The URL without what may be a secret: user and password, and options."""
    url = re.sub(r"://.*@", "://***@", url, flags=re.DOTALL)
    return re.sub(r"\?.*", "?***", url, flags=re.DOTALL)


def __getattr__(name: str) -> Any:
    if name == "SqliteStorage":
        from gpbo.storage.sqlite import SqliteStorage

        return SqliteStorage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
