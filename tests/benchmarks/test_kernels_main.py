"""The kernel benchmark as a command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kernels.__main__ import main
from benchmarks.kernels.cases import OPS


@pytest.mark.slow
def test_a_quick_run_finishes_and_records_every_op(tmp_path: Path) -> None:
    file = tmp_path / "quick.json"
    command = [sys.executable, "-m", "benchmarks.kernels", "--quick", "--record", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Asked and reached" in done.stdout
    record = json.loads(file.read_text())
    assert {row["op"] for row in record["rows"]} == set(OPS)
    assert {row["allocator"] for row in record["rows"]} == {"default", "kept"}
    assert all(check["again"] for check in record["checks"] if check["check"] == "bits")


def test_only_a_full_run_is_recorded_without_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--quick", "--record"])
    assert "for a full run" in capsys.readouterr().err


def test_no_threads_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--threads", "0"])
    assert "at least 1, got 0" in capsys.readouterr().err
