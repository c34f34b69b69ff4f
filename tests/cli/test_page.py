"""The page docs/guide/command-line.md: what it shows can be typed, and what it says is so."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import gpbo
from tests.cli.conftest import ROOT, Gpbo

PAGE = (ROOT / "docs/guide/command-line.md").read_text()


def blocks(language: str) -> list[str]:
    """The code blocks of the page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_every_sh_block_of_the_page_runs_in_an_empty_folder(
    folder: Path, shell: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    (folder / "space.json").unlink()
    for block in blocks("sh"):
        done = shell(block)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
    (found,) = shell("gpbo studies study.db --json").stdout.splitlines()
    study = json.loads(found)
    assert study["trials"] == 18 + 2 + 4 + 1
    assert study["pending"] == 0
    assert study["best"] < 0.1
    best = json.loads(shell("gpbo best grid.db --study default --json").stdout)
    assert (best["direction"], best["value"], best["params"]) == ("maximize", 5, {"x": 1, "y": 5})


def test_the_space_file_of_the_page_is_a_space() -> None:
    (text,) = blocks("json")
    space = gpbo.Space.from_json(text)
    assert gpbo.Space.from_json(space.to_json()) == space
    kinds = {type(space[name]).__name__ for name in space}
    assert kinds == {
        "Float", "Int", "Bool", "Categorical", "Ordinal", "Distribution", "Choice", "Constant"
    }  # fmt: skip


def documented(command: str) -> set[str]:
    """The keys that the page promises for a command's --json."""
    (row,) = re.findall(rf"^\| `{command}`.*? \| (.*) \|$", PAGE, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row))


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("ask", "ask study.db --json"),
        ("tell", "tell study.db 0 0.5 --json"),
        ("run", "run study.db -n 2 --json -- echo 3"),
        ("best", "best study.db --json"),
        ("best --recommend", "best study.db --recommend --json"),
        ("trials", "trials study.db --json"),
        ("studies", "studies study.db --json"),
        ("doctor", "doctor study.db --json"),
    ],
)
def test_json_has_the_keys_of_the_page(command: str, line: str, study: Gpbo) -> None:
    said = study(line)
    assert said.code == 0
    for record in said.lines:
        assert set(record) == documented(command)
