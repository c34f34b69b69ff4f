"""What the tests of the command line share: a folder to work in, and ways to call gpbo."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gpbo.cli import main

ROOT = Path(__file__).parents[2]
SPACE = {
    "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "layers": {"type": "int", "low": 1, "high": 8},
    "act": ["relu", "it's $HOME", None],
    "opt": {
        "type": "choice",
        "branches": {"adam": {}, "sgd": {"momentum": {"type": "float", "low": 0, "high": 0.9}}},
    },
    "epochs": 10,
}


@dataclass(frozen=True)
class Said:
    """What one call of gpbo returned and printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The only JSON object on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON objects on stdout, one in each line."""
        return [json.loads(line) for line in self.out.splitlines()]


Gpbo = Callable[..., Said]
Shell = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, but for a space file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.json").write_text(json.dumps(SPACE))
    return tmp_path


@pytest.fixture
def gpbo(folder: Path, capfd: pytest.CaptureFixture[str]) -> Gpbo:
    """Calls gpbo in this process: gpbo("tell study.db 0 0.31") or gpbo("tell", ...)."""

    def call(*words: object) -> Said:
        line = shlex.split(str(words[0])) if len(words) == 1 else [str(w) for w in words]
        capfd.readouterr()
        code = main(line)
        return Said(code, *capfd.readouterr())

    return call


@pytest.fixture
def study(gpbo: Gpbo) -> Gpbo:
    """The same, on a study.db with seed 0 and random search."""
    assert gpbo("ask study.db --space space.json --strategy random --seed 0").code == 0
    gpbo("tell study.db 0 0.5")
    return gpbo


@pytest.fixture
def shell(folder: Path) -> Shell:
    """Runs a script of sh in the folder, where `gpbo` is a command."""
    commands = folder / ".bin"
    commands.mkdir()
    gpbo = commands / "gpbo"
    gpbo.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gpbo.cli "$@"\n')
    gpbo.chmod(0o755)

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-eu", "-c", script],
            env=environment() | {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"},
            cwd=folder,
            capture_output=True,
            text=True,
        )

    return run


def environment() -> dict[str, str]:
    """This environment, in which a fresh interpreter finds the same gpbo."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def script(folder: Path, body: str, name: str = "job.sh") -> str:
    """A script of sh that can be run, as ./job.sh."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return f"./{name}"
