"""Results of the suite on disk: resumed, cut, and mended where a line is torn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.suite import record, runner
from benchmarks.suite.plan import Plan


def row(peer: str = "gpbo", planned: int = 10, **more: Any) -> dict[str, Any]:
    """A finished run."""
    steps = [[1, 5.0], [4, 2.0], [9, 1.0]]
    return {
        "problem": "branin",
        "peer": peer,
        "seed": 0,
        "planned": planned,
        "trials": planned,
        "steps": steps,
        "seconds": 1.0,
        **more,
    }


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    record.append(tmp_path, row())
    record.append(tmp_path, row("random"))
    assert record.read(tmp_path) == {
        ("branin", "gpbo", 0): row(),
        ("branin", "random", 0): row("random"),
    }
    assert list(record.read(tmp_path, ["random"])) == [("branin", "random", 0)]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["gpbo.jsonl", "random.jsonl"]


def test_a_torn_line_is_no_run_and_spoils_no_other(tmp_path: Path) -> None:
    record.append(tmp_path, row())
    file = tmp_path / "gpbo.jsonl"
    file.write_text(file.read_text() + '{"problem": "bra')
    record.append(tmp_path, row(seed=1))
    assert sorted(key[2] for key in record.read(tmp_path)) == [0, 1]


def test_the_longest_run_counts(tmp_path: Path) -> None:
    for planned in (10, 30, 20):
        record.append(tmp_path, row(planned=planned))
    record.append(tmp_path, row(planned=40, error="killed"))
    (found,) = record.read(tmp_path).values()
    assert found["planned"] == 30


def test_a_run_is_done_once_it_went_as_far_as_planned() -> None:
    assert not record.is_done(None, 10)
    assert record.is_done(row(planned=10), 10)
    assert not record.is_done(row(planned=10), 11)
    assert record.is_done({"cannot": "no categories"}, 10)
    assert record.is_done({"error": "killed"}, 10)
    assert not record.is_done({"error": "killed"}, 10, retry=True)


def test_a_longer_run_is_cut_to_a_shorter_one() -> None:
    cut = record.cut(row(failed=[2, 8], ended="60 s were over", recommended=1.0), 5)
    assert cut["steps"] == [[1, 5.0], [4, 2.0]]
    assert cut["failed"] == [2]
    assert (cut["trials"], cut["planned"], cut["seconds"]) == (5, 5, 0.5)
    assert "ended" not in cut
    assert "recommended" not in cut
    assert record.cut(row(), 10) == row()


def small(folder: Path, **more: Any) -> Plan:
    """Runs that take no time."""
    peers = ("random", "grid")
    return Plan(peers=peers, patterns=("branin",), seeds=(0, 1), trials=3, out=folder, **more)


def test_a_second_start_makes_only_what_is_missing(tmp_path: Path) -> None:
    plan, seen = small(tmp_path), []
    runs = runner.missing(plan)
    assert len(runs) == 4
    runner.execute(plan, runs[:3], seen.append, {"commit": "c", "machine": "m"})
    assert [row["peer"] for row in seen] == ["random", "grid", "random"]
    assert runner.missing(plan) == runs[3:]
    rows = record.read(tmp_path)
    assert rows["branin", "grid", 0]["cannot"].startswith("x0")
    first = rows["branin", "random", 0]
    assert (first["trials"], first["commit"]) == (3, "c")
    assert first["steps"][0][0] == 1
    longer = Plan(**{**vars(plan), "trials": 5})
    assert [run.peer for run in runner.missing(longer)] == ["random", "random", "grid"]


def test_a_run_that_raises_is_kept_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def call(self, *_: Any, limit: float) -> None:
            raise RuntimeError("Traceback\nValueError: no luck\n")

        def close(self) -> None:
            pass

    monkeypatch.setattr(runner, "Worker", Broken)
    plan = small(tmp_path)
    runner.execute(plan, runner.missing(plan)[:1], lambda _: None, {})
    (found,) = record.read(tmp_path).values()
    assert found["error"] == "ValueError: no luck"
    assert len(runner.missing(plan)) == 3
    assert len(runner.missing(plan, retry=True)) == 4


def test_two_processes_make_all_runs(tmp_path: Path) -> None:
    plan = small(tmp_path, jobs=2)
    runner.execute(plan, runner.missing(plan), lambda _: None, {})
    assert not runner.missing(plan)


def test_runs_of_a_version_of_gpbo_are_kept_under_its_name(tmp_path: Path) -> None:
    plan = Plan(peers=("gpbo", "random"), patterns=("branin",), seeds=(0,), label="try1")
    assert [run.key for run in plan.runs()] == [("branin", "try1", 0), ("branin", "random", 0)]
    assert [run.peer for run in plan.runs()] == ["gpbo", "random"]


def test_a_plan_takes_problems_by_pattern_kind_and_half() -> None:
    assert "branin" in Plan().problems()
    ackley = Plan(patterns=("ackley-*",)).problems()
    assert ackley
    assert all(name.startswith("ackley-") for name in ackley)
    noisy = Plan(kinds=("noisy",)).problems()
    assert noisy
    halves = [set(Plan(half=half).problems()) for half in ("tune", "report")]
    assert not halves[0] & halves[1]
    assert halves[0] | halves[1] == set(Plan().problems())
