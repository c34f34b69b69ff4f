"""gpbo best, trials and studies: tables for people, CSV and JSON for programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import gpbo as package
from gpbo.cli.show import print_table
from gpbo.journal import load_journal
from gpbo.storage import open_storage
from tests.cli.conftest import Gpbo

VALUES = (3.0, 1.0, None, 2.0, 1.0)


@pytest.fixture
def five(gpbo: Gpbo, folder: Path) -> Gpbo:
    """A file runs.db whose only study, digits, has five finished trials and a pending one."""
    space = package.Space.from_json((folder / "space.json").read_text())
    opt = package.Optimizer(space, strategy="random", seed=1, storage="runs.db", study="digits")
    for value in VALUES:
        opt.tell(opt.ask(), value, failed=value is None, error=None if value else "first\nlast")
    opt.ask()
    return gpbo


@pytest.mark.parametrize(("direction", "number"), [("minimize", 1), ("maximize", 0)])
def test_best_is_the_best_in_the_direction_of_the_study(
    direction: str, number: int, gpbo: Gpbo
) -> None:
    opt = package.Optimizer(
        {"x": [1, 2, 3, 4]}, direction, strategy="random", seed=0, storage="runs.db"
    )
    for value in (3.0, 1.0, 2.0):
        opt.tell(opt.ask(), value)
    said = gpbo("best runs.db --json").json
    assert (said["direction"], said["number"]) == (direction, number)
    text = gpbo("best runs.db").out
    assert f"best value ({direction}): {opt.best_value!r}, trial {number}" in text
    assert "3 trials (3 complete)" in text


def test_the_only_study_of_a_file_needs_no_name(five: Gpbo) -> None:
    assert five("best runs.db --json").json["study"] == "digits"
    assert five("ask runs.db").code == 0


def test_of_several_studies_the_default_one_is_meant_or_one_must_be_named(five: Gpbo) -> None:
    five("ask runs.db --study other --space space.json --strategy random")
    said = five("best runs.db")
    assert said.code == 1
    assert "it holds 2 studies, got ['digits', 'other']; expected --study and one" in said.err
    five("ask runs.db --space space.json --strategy random")
    five("tell runs.db 0 8")
    assert five("best runs.db --json").json["value"] == 8
    assert five("best runs.db --study digits --json").json["value"] == 1


def test_best_in_forms_for_a_shell(five: Gpbo) -> None:
    args = five("best runs.db --format args").out.split()
    assert args[0] == "--lr"
    shell = five("best runs.db --format shell").out
    assert shell.startswith("GPBO_TRIAL=1 lr=")
    recommended = five("best runs.db --recommend --format shell").out
    assert recommended == shell.removeprefix("GPBO_TRIAL=1 ")


def test_best_of_nothing_says_what_there_is(gpbo: Gpbo) -> None:
    gpbo("ask study.db --space space.json --strategy random")
    said = gpbo("best study.db")
    assert (said.code, said.out) == (1, "")
    assert "no results yet: 0 complete, 0 failed, 1 pending" in said.err


def test_trials_shows_a_table_that_no_window_cuts(five: Gpbo) -> None:
    header, *rows = five("trials runs.db").out.splitlines()
    assert header.split() == [
        "number", "state", "value", "seconds", "lr", "layers", "act", "opt", "momentum", "epochs",
        "error",
    ]  # fmt: skip
    assert [row.split()[:2] for row in rows] == [
        [str(k), state]
        for k, state in enumerate(["complete", "complete", "failed"] + ["complete"] * 2)
    ] + [["5", "pending"]]
    assert rows[2].rstrip().endswith("last")


def test_cells_cannot_move_the_cursor_or_be_taken_for_markup(gpbo: Gpbo, folder: Path) -> None:
    values = ["[bold]x[/bold]", "\x1b[31mred", "two\nlines", ":smile:"]
    (folder / "odd.json").write_text(json.dumps({"[i]a": values}))
    gpbo("ask odd.db --space odd.json --strategy grid -n 4")
    gpbo("tell", "odd.db", 0, "--failed", "--error", "\x1b[2Jcleared")
    out = gpbo("trials odd.db").out
    assert "\x1b" not in out
    for shown in ("[i]a", "[bold]x[/bold]", "\\x1b[31mred", "two\\nlines", ":smile:", "\\x1b[2J"):
        assert shown in out
    assert len(out.splitlines()) == 5
    assert "\x1b" not in gpbo("ask odd.db --strategy random").out


def test_columns_stay_aligned_below_wide_letters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "n"], [["日本", "1"], ["x", "22"], ["", ""]], {"n"})
    assert capsys.readouterr().out.splitlines() == ["name   n", "日本   1", "x     22", ""]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("--limit 2", [0, 1]),
        ("--limit 0", []),
        ("--state complete", [0, 1, 3, 4]),
        ("--state failed", [2]),
        ("--state pending", [5]),
        ("--sort value", [1, 4, 3, 0, 2, 5]),
        ("--sort value --limit 3 --state complete", [1, 4, 3]),
    ],
)
def test_trials_can_be_chosen_and_sorted(options: str, numbers: list[int], five: Gpbo) -> None:
    assert [t["number"] for t in five(f"trials runs.db --json {options}").lines] == numbers
    out = five(f"trials runs.db --csv {options}").out
    assert [int(row["number"]) for row in csv.DictReader(io.StringIO(out))] == numbers
    assert len(five(f"trials runs.db {options}").out.splitlines()) == len(numbers) + 1


def test_the_largest_value_comes_first_where_it_is_the_best(gpbo: Gpbo) -> None:
    opt = package.Optimizer({"x": [1, 2]}, "maximize", strategy="grid", storage="runs.db")
    for value in (1.0, 2.0):
        opt.tell(opt.ask(), value)
    assert [t["number"] for t in gpbo("trials runs.db --json --sort value").lines] == [1, 0]


def test_csv_and_json_hold_every_value_exactly(five: Gpbo) -> None:
    expected = load_journal(open_storage("runs.db"), "digits").history.trials
    records = five("trials runs.db --json").lines
    rows = list(csv.DictReader(io.StringIO(five("trials runs.db --csv").out)))
    for trial, record, row in zip(expected, records, rows, strict=True):
        assert record["params"] == trial.params
        assert {name: record[name] for name in ("value", "error", "started", "finished")} == {
            "value": trial.value, "error": trial.error, "started": trial.started,
            "finished": trial.finished,
        }  # fmt: skip
        assert float(row["params.lr"]) == trial.params["lr"]
        assert row["params.momentum"] == "" if "momentum" not in trial.params else True
        assert row["error"] == (trial.error or "")


def test_studies_lists_all_with_their_state(five: Gpbo) -> None:
    five("ask runs.db --study other --space space.json --strategy sobol --seed 4")
    first, second = five("studies runs.db --json").lines
    shown: dict[str, Any] = {name: first[name] for name in first if name != "created"}
    assert shown == {
        "study": "digits", "direction": "minimize", "strategy": "random", "seed": 1,
        "parameters": 5, "trials": 6, "complete": 4, "failed": 1, "pending": 1, "best": 1.0,
    }  # fmt: skip
    assert (second["study"], second["best"], second["pending"]) == ("other", None, 1)
    table = five("studies runs.db").out.splitlines()
    assert table[0].split()[:3] == ["study", "direction", "strategy"]
    assert [row.split()[0] for row in table[1:]] == ["digits", "other"]
    assert table[1].rstrip().endswith("just now")


def test_csv_has_every_error_even_one_that_is_no_text(study: Gpbo) -> None:
    opt = package.Optimizer.load("study.db")
    opt.tell(opt.ask(), failed=True, error="cannot read caf\udce9.txt")
    said = study("trials study.db --csv")
    assert said.code == 0
    assert "cannot read caf\\udce9.txt" in said.out


def test_a_study_of_another_gpbo_hides_no_other(study: Gpbo) -> None:
    open_storage("study.db").create("later", {"format": 2})
    said = study("studies study.db --json")
    assert [one["study"] for one in said.lines] == ["default"]
    assert "study 'later' has format 2" in said.err
