"""Running worker.py, and being somebody without rights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gpbo.storage import sqlite_file

pytest.register_assert_rewrite("gpbo.testing")

WORKER = Path(__file__).with_name("worker.py")
ROOT = WORKER.parents[2]
NOBODY = 65534

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def _rollback_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test the same on every SQLite: a rollback journal, unless a test asks for a WAL."""
    monkeypatch.setattr(sqlite_file, "WAL_IS_SAFE_SINCE", (99, 0, 0))


@pytest.fixture
def start() -> Iterator[Start]:
    """Start worker.py with these words; what still runs after the test is killed."""
    running: list[subprocess.Popen[str]] = []

    def start(*words: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(WORKER), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder of a user without special rights, who is the one that runs the test."""
    was = os.geteuid()
    with TemporaryDirectory() as folder:
        if was == 0:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        yield Path(folder)
        os.chmod(folder, 0o700)
        os.seteuid(was)
