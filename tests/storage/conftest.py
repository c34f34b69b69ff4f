"""Running worker.py, and being somebody without rights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("gpbo.testing")

WORKER = Path(__file__).with_name("worker.py")
ROOT = WORKER.parents[2]
NOBODY = 65534

Start = Callable[..., "subprocess.Popen[str]"]


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
def nobody(tmp_path: Path) -> Iterator[Path]:
    """A folder of a user without special rights, who is the one that runs the test."""
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    was = os.geteuid()
    if was == 0:
        os.chown(home, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield home
    home.chmod(0o700)
    os.seteuid(was)
