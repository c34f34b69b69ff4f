"""kill -9 at random moments: nothing acknowledged is lost, and the study goes on as planned."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

CHILD = Path(__file__).with_name("crash_child.py")


def load_child() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crash_child", CHILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kill_at_random_moments(
    file: Path, acknowledged: Path, strategy: str, total: int, kills: int, latest: float
) -> int:
    """Start the child, and kill it `kills` times; returns how often it was killed in the middle."""
    moments = Random(kills)
    command = [sys.executable, str(CHILD), str(file), str(acknowledged), strategy, str(total)]
    killed = 0
    for _ in range(kills):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            child.wait(moments.uniform(0.05, latest))
        except subprocess.TimeoutExpired:
            killed += 1
        child.kill()
        child.wait()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return killed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "total", "kills", "latest"),
    [("random", 1500, 40, 0.5), ("bayes", 30, 12, 3.0)],
)
def test_a_killed_study_loses_nothing_and_proposes_what_it_would_have(
    tmp_path: Path, strategy: str, total: int, kills: int, latest: float
) -> None:
    child = load_child()
    file, acknowledged = tmp_path / "runs.db", tmp_path / "acknowledged"
    killed = kill_at_random_moments(file, acknowledged, strategy, total, kills, latest)
    assert killed > kills / 4  # else the moments are too late to prove anything

    after = child.study(str(file), strategy).trials
    for line in acknowledged.read_text().splitlines():
        number, value = line.split()
        assert after[int(number)].value == float(value)

    uninterrupted = child.study(None, strategy)
    for _ in range(total):
        trial = uninterrupted.ask()
        uninterrupted.tell(trial, child.objective(trial.params))
    expected = [(t.number, t.params, t.value) for t in uninterrupted.trials]
    assert [(t.number, t.params, t.value) for t in after] == expected
