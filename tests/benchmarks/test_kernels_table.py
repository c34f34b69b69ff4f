"""The tables of the kernel benchmark: what was asked, and the page that shows the result file."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import machine
from benchmarks.kernels import asked, table

FILE = machine.RESULTS / table.FILES["cpu"]


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def line(record: dict[str, Any], start: str) -> dict[str, Any]:
    return next(line for line in asked.answers(record) if line["asked"].startswith(start))


@pytest.mark.parametrize("device", table.FILES)
def test_the_page_shows_the_tables_of_the_result_file(device: str) -> None:
    file = machine.RESULTS / table.FILES[device]
    start, end = table.block(device)
    shown = table.PAGE.read_text().partition(start)[2].partition(end)[0]
    if file.exists():
        assert shown == f"\n{table.markdown(json.loads(file.read_text()))}\n"
    else:
        assert shown == "\nNo run is recorded yet.\n"


def test_a_page_is_written_between_its_marks_and_nowhere_else(
    record: dict[str, Any], tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    start, end = table.block("cpu")
    page.write_text(f"before\n{start}\nold\n{end}\nafter\n")
    table.write(record, "cpu", page)
    first = page.read_text()
    table.write(record, "cpu", page)
    assert page.read_text() == first == f"before\n{start}\n{table.markdown(record)}\n{end}\nafter\n"


def test_a_page_without_marks_is_refused(record: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(ValueError, match=r"page\.md has no lines"):
        table.write(record, "cpu", page)
    assert page.read_text() == "nothing\n"


def test_a_terminal_gets_every_case(record: dict[str, Any]) -> None:
    out = io.StringIO()
    table.show(record, Console(file=out, width=300))
    for row in record["rows"]:
        assert f" {row['n']} " in out.getvalue()
    for answer in record["asked"]:
        assert answer["asked"] in out.getvalue()


def test_the_answers_of_the_result_file_are_those_of_its_rows(record: dict[str, Any]) -> None:
    assert record["asked"] == asked.answers(record)


def test_every_bar_of_a_cpu_is_measured_in_a_full_run(record: dict[str, Any]) -> None:
    open_lines = [line["asked"] for line in record["asked"] if line["reached"] is None]
    assert all(name.startswith("GPU") for name in open_lines)


def test_one_case_below_its_bar_is_not_reached(record: dict[str, Any]) -> None:
    changed = copy.deepcopy(record)
    for row in changed["rows"]:
        if row["op"] == "likelihood" and row["contestant"] == "GPyTorch":
            row["ratio"]["median"] = 20.0 if row["n"] == 20 else 4.99
    assert line(changed, "likelihood and gradient, n=20:")["reached"] is True
    assert line(changed, "likelihood and gradient, n=1000:")["reached"] is False
    assert "4.99x (n=1000)" in line(changed, "likelihood and gradient, n=1000:")["measured"]


def test_bits_that_differ_and_memory_beyond_the_points_are_told(record: dict[str, Any]) -> None:
    changed = copy.deepcopy(record)
    for check in changed["checks"]:
        if check["check"] == "bits" and check["op"] == "posterior":
            check["threads"] = False
        if check["check"] == "memory":
            check["bytes"] = 8 * check["n"] ** 2
    assert line(changed, "1, 2 and 8 threads")["measured"] == "differ in posterior"
    assert line(changed, "1, 2 and 8 threads")["reached"] is False
    assert line(changed, "contraction: memory")["reached"] is False


def test_what_was_not_measured_is_neither_reached_nor_missed(record: dict[str, Any]) -> None:
    empty = {**record, "rows": [], "checks": []}
    assert {line["reached"] for line in asked.answers(empty)} == {None}
    assert {line["measured"] for line in asked.answers(empty)} == {"not measured"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.0, "2 s"), (0.99999, "1 s"), (0.0123, "12.3 ms"), (3.4e-6, "3.4 us"), (2e-8, "0.02 us")],
)
def test_a_duration_has_the_unit_that_fits(seconds: float, text: str) -> None:
    assert table.duration(seconds) == text
