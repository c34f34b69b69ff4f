"""gpbo ask and gpbo tell: a study step by step, from any language."""

from __future__ import annotations

import csv
import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gpbo as package
from gpbo.cli.signals import signals_deferred
from gpbo.optimizer import Optimizer
from tests.cli.conftest import SPACE, Gpbo, Shell, environment


def trials(gpbo: Gpbo, file: str = "study.db") -> list[dict[str, Any]]:
    """All trials of a study, as JSON."""
    return gpbo(f"trials {file} --json").lines


def test_a_study_is_made_once_and_then_known_by_its_file(gpbo: Gpbo) -> None:
    options = "--space space.json --strategy sobol --seed 7 --direction maximize"
    assert gpbo(f"ask study.db {options}").code == 0
    assert gpbo("ask study.db").code == 0
    assert gpbo("ask study.db --space space.json").code == 0
    (study,) = gpbo("studies study.db --json").lines
    kept = {name: study[name] for name in ("study", "direction", "strategy", "seed", "trials")}
    assert kept == {
        "study": "default",
        "direction": "maximize",
        "strategy": "sobol",
        "seed": 7,
        "trials": 3,
    }


def test_ask_hands_out_what_the_optimizer_would(gpbo: Gpbo) -> None:
    space = package.Space.from_json(json.dumps(SPACE))
    opt = package.Optimizer(space, strategy="random", seed=3)
    gpbo("ask study.db --space space.json --strategy random --seed 3")
    gpbo("ask study.db -n 4")
    gpbo("ask study.db")
    assert [t["params"] for t in trials(gpbo)] == [t.params for t in opt.ask(6)]


def test_a_trial_waits_for_its_tell_though_the_process_that_asked_has_ended(
    gpbo: Gpbo, shell: Shell
) -> None:
    for _ in range(3):
        done = shell("gpbo ask study.db --space space.json --strategy random --seed 0")
        assert done.returncode == 0, done.stderr
    found = trials(gpbo)
    assert [t["number"] for t in found] == [0, 1, 2]
    assert len({json.dumps(t["params"]) for t in found}) == 3
    for number in (2, 0, 1):
        assert gpbo(f"tell study.db {number} {number / 2}").code == 0
    assert [t["value"] for t in trials(gpbo)] == [0, 0.5, 1]


def test_text_shows_the_number_and_every_param(gpbo: Gpbo) -> None:
    said = gpbo("ask study.db --space space.json --strategy random --seed 2")
    (trial,) = trials(gpbo)
    first, *lines = said.out.splitlines()
    assert first == "trial 0"
    shown = dict(line.split(None, 1) for line in lines)
    assert list(shown) == list(trial["params"])
    assert float(shown["lr"]) == trial["params"]["lr"]


def test_json_has_number_and_params_with_their_own_types(study: Gpbo) -> None:
    lines = study("ask study.db -n 20 --json").lines
    assert [set(line) for line in lines] == [{"number", "params"}] * 20
    assert [line["params"] for line in lines] == [t["params"] for t in trials(study)[1:]]
    assert {type(line["params"]["layers"]) for line in lines} == {int}
    assert None in {line["params"]["act"] for line in lines}


def test_shell_assignments_survive_a_shell_and_leave_nothing_of_the_trial_before(
    study: Gpbo, shell: Shell
) -> None:
    out = study("ask study.db -n 12 --format shell").out
    Path("batch").write_text(out)
    script = """
    while read -r line; do
      eval "$line"
      printf '%s|' "$GPBO_TRIAL" "$lr" "$layers" "$act" "$opt" "$momentum" "$epochs"
      echo
    done < batch
    """
    rows = [line.split("|")[:-1] for line in shell(script).stdout.splitlines()]
    expected = trials(study)[1:]
    assert len(rows) == len(expected)
    for row, trial in zip(rows, expected, strict=True):
        params = trial["params"]
        assert int(row[0]) == trial["number"]
        assert float(row[1]) == params["lr"]
        assert row[2:5] == [str(params["layers"]), params["act"] or "null", params["opt"]]
        assert row[5] == ("" if "momentum" not in params else row[5])
        assert float(row[5] or -1) == params.get("momentum", -1)
        assert row[6] == "10"
    assert {row[4] for row in rows} == {"adam", "sgd"}


def test_args_are_the_number_and_what_run_would_append(study: Gpbo, shell: Shell) -> None:
    out = study("ask study.db -n 12 --format args").out
    for line, trial in zip(out.splitlines(), trials(study)[1:], strict=True):
        number, *words = shlex.split(line)
        assert int(number) == trial["number"]
        assert words[::2] == [f"--{name}" for name in trial["params"]]
        Path("line").write_text(line)
        done = shell('eval "set -- $(cat line)"; printf "%s\\n" "$@"')
        assert done.stdout.splitlines() == [number, *words]


def test_names_that_no_shell_can_have_become_some_that_it_can(gpbo: Gpbo, folder: Path) -> None:
    entry = {"type": "float", "low": 0, "high": 1}
    (folder / "odd.json").write_text(json.dumps({"learning-rate": entry, "2x": entry, "größe": 1}))
    out = gpbo("ask odd.db --space odd.json --strategy random --format shell").out
    assert [word.partition("=")[0] for word in out.split()] == [
        "GPBO_TRIAL", "learning_rate", "_2x", "gr__e"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["GPBO_TRIAL", "PATH", "é"])
def test_names_that_mean_something_else_to_a_shell_are_refused(
    name: str, gpbo: Gpbo, folder: Path
) -> None:
    (folder / "taken.json").write_text(json.dumps({name: [1, 2]}))
    said = gpbo("ask taken.db --space taken.json --strategy random --format shell")
    assert said.code == 1
    assert "which has another meaning" in said.err
    assert not (folder / "taken.db").exists()


def test_names_that_would_become_one_are_refused_before_a_trial_is_asked(
    gpbo: Gpbo, folder: Path
) -> None:
    (folder / "twins.json").write_text('{"a-b": [1, 2], "a.b": [1, 2]}')
    said = gpbo("ask twins.db --space twins.json --strategy random --format shell")
    assert said.code == 1
    assert "'a-b' and 'a.b' become the same variable 'a_b'" in said.err
    assert not (folder / "twins.db").exists()


def test_ask_has_code_3_once_the_study_has_its_budget(gpbo: Gpbo, folder: Path) -> None:
    (folder / "space.json").write_text('{"x": {"type": "float", "low": 0, "high": 1}}')
    command = "ask budget.db --strategy random --budget 3 --json"
    said = gpbo(f"{command} --space space.json -n 2")
    assert [line["number"] for line in said.lines] == [0, 1]
    assert [line["number"] for line in gpbo(command).lines] == [2]
    said = gpbo(command)
    assert (said.code, said.out) == (3, "")
    assert [line["number"] for line in gpbo("ask budget.db --json").lines] == [3]


def test_at_the_end_of_a_grid_ask_has_code_3_and_prints_nothing(gpbo: Gpbo, folder: Path) -> None:
    (folder / "grid.json").write_text('{"x": [1, 2, 3], "y": {"type": "bool"}}')
    said = gpbo("ask grid.db --space grid.json --strategy grid -n 4 --json")
    assert [line["params"]["x"] for line in said.lines] == [1, 1, 2, 2]
    last = gpbo("ask grid.db -n 4 --json")
    assert (last.code, [line["number"] for line in last.lines]) == (0, [4, 5])
    assert "2 points are left, 4 were asked for" in last.err
    for form in ("text", "json", "shell", "args"):
        said = gpbo(f"ask grid.db --format {form}")
        assert (said.code, said.out) == (3, "")
        assert "nothing is left to ask: study 'default' has 6 trials, 6 of them wait" in said.err


@pytest.mark.parametrize(
    ("written", "value"),
    [("0.31", 0.31), ("-1e-5", -1e-5), ("-2", -2.0), ("1e300", 1e300), (" 7 ", 7.0), ("-.5", -0.5)],
)
def test_tell_takes_any_number_negative_ones_too(written: str, value: float, study: Gpbo) -> None:
    study("ask study.db")
    said = study("tell", "study.db", 1, written, "--json")
    assert (said.code, said.err) == (0, "")
    assert said.json == {
        "number": 1, "state": "complete", "value": value, "noise": None, "error": None,
        "recorded": True,
    }  # fmt: skip
    assert trials(study)[1]["value"] == value


@pytest.mark.parametrize(("written", "reason"), [("nan", "nan"), ("-nan", "nan"), ("inf", "inf")])
def test_a_value_that_is_not_finite_is_a_failed_trial_and_says_so(
    written: str, reason: str, study: Gpbo
) -> None:
    study("ask study.db")
    said = study(f"tell study.db 1 {written}")
    assert (said.code, said.out) == (0, f"trial 1: failed ({reason})\n")
    assert "gpbo: warning: value: " in said.err
    assert "recorded as a failed trial" in said.err


def test_failed_keeps_the_reason(study: Gpbo) -> None:
    study("ask study.db -n 2")
    assert study("tell study.db 1 --failed --error 'out of memory'").code == 0
    assert study("tell study.db 2 --failed").code == 0
    assert [t["error"] for t in trials(study)] == [None, "out of memory", "failed"]


def test_the_same_told_twice_is_no_error_and_something_else_needs_amend(study: Gpbo) -> None:
    again = study("tell study.db 0 0.5 --json")
    assert (again.code, again.json["recorded"]) == (0, False)
    assert "(as told before)" in study("tell study.db 0 0.5").out
    other = study("tell study.db 0 0.7")
    assert (other.code, other.out) == (1, "")
    assert "trial 0 is complete with 0.5; to correct it add --amend" in other.err
    assert study("tell study.db 0 0.7 --amend --noise 0.1").code == 0
    (trial,) = trials(study)
    assert (trial["value"], trial["noise"]) == (0.7, 0.1)


def test_a_value_can_be_amended_to_a_failure(study: Gpbo) -> None:
    said = study("tell study.db 0 --failed --error 'wrong data' --amend")
    assert (said.code, said.out) == (0, "trial 0: failed (wrong data)\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_trial_that_cannot_be_printed_is_given_back(study: Gpbo, folder: Path) -> None:
    command = [sys.executable, "-m", "gpbo.cli", "ask", "study.db", "--json"]
    with open("/dev/full", "w") as full:
        said = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert said.returncode == 1
    assert "was given back" in said.stderr
    assert study("ask study.db --json").json["number"] == 1


def test_released_is_handed_out_again(study: Gpbo) -> None:
    asked = study("ask study.db --json").json
    assert study("tell study.db 1 --release").out == "trial 1: pending\n"
    assert study("ask study.db --json").json == asked


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tell study.db 7 0.3", "trial 7 is unknown: study 'default' has trials 0 .. 1"),
        ("tell study.db 1 -inf", "would be best for ever; pass failed=True"),
        ("tell study.db 0 --release", "trial 0 is complete, not pending"),
        ("tell study.db 1 0.3 --amend", "trial 1 is pending: tell it first"),
        (
            "tell study.db 1 0.3 --study other",
            "no such study, got 'other'; expected one of ['default']",
        ),
        ("tell study.db 1 0.3 --study ''", "the name is empty"),
        ("ask study.db --study other", "one of ['default']. To make it, give --space"),
        ("ask study.db --direction maximize", "has direction='minimize', got 'maximize'"),
        ("ask study.db --seed 5", "has seed=0, got 5"),
        ("ask study.db --space other.json", "the space differs"),
        ("ask study.db --space none.json", "none.json: cannot be read: No such file"),
        ("ask study.db --strategy grid", "'lr': a range is not a list of values"),
        ("ask new.db --space other.json --strategy grid", "'lr': a range is not a list of values"),
        ("ask new.db --space bad.json", "bad.json: Space: not JSON"),
        ("ask new.db --space other.json --study ''", "the name is empty"),
        ("ask no/folder.db --space other.json --strategy random", "No such file or directory"),
    ],
)
def test_an_error_has_code_1_a_message_and_writes_nothing(
    line: str, message: str, study: Gpbo, folder: Path
) -> None:
    study("ask study.db")
    (folder / "other.json").write_text('{"lr": {"type": "float", "low": 0, "high": 1}}')
    (folder / "bad.json").write_text("{")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    said = study(line)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("gpbo: error: ")
    assert message in said.err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_study_of_a_python_program_with_its_own_strategy_needs_one_by_name(
    gpbo: Gpbo, folder: Path
) -> None:
    class Mine(package.Strategy):
        name = "mine"

        def propose(self, history: Any, n: int, seed: int) -> list[package.Proposal]:
            return [package.Proposal({"a": 1})]

    opt = package.Optimizer({"a": package.Int(1, 9)}, strategy=Mine(), storage="mine.db")
    opt.tell(opt.ask(), 3.0)
    said = gpbo("ask mine.db")
    assert said.code == 1
    assert "an object that a name cannot make, got 'mine'" in said.err
    assert gpbo("ask mine.db --strategy random").code == 0
    assert gpbo("best mine.db --json").json["value"] == 3


def test_a_whole_study_from_sh(gpbo: Gpbo, folder: Path, shell: Shell) -> None:
    (folder / "grid.json").write_text(
        '{"x": {"type": "int", "low": 1, "high": 3}, "z": {"type": "choice", "branches": '
        '{"off": {}, "on": {"k": [1, 2]}}}}'
    )
    done = shell(
        """
        study="loop.db --space grid.json --strategy grid"
        while a=$(gpbo ask $study --format shell); do
          eval "$a"
          if [ "$z" = off ]; then
            gpbo tell loop.db "$GPBO_TRIAL" "$x" > /dev/null
          elif [ "$k" = 2 ]; then
            gpbo tell loop.db "$GPBO_TRIAL" --failed --error "k is $k" > /dev/null
          else
            gpbo tell loop.db "$GPBO_TRIAL" "-$x" > /dev/null
          fi
        done
        test $(gpbo trials loop.db --state complete --json | wc -l) = 6
        gpbo trials loop.db --csv > all.csv
        gpbo best loop.db --format args
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "--x 3 --z on --k 1\n"
    assert done.stderr.count("nothing is left to ask") == 1
    rows = list(csv.DictReader((folder / "all.csv").read_text().splitlines()))
    failed = [row for row in rows if row["state"] == "failed"]
    assert {row["error"] for row in failed} == {"k is 2"}
    assert [row["params.k"] for row in rows if row["params.z"] == "off"] == [""] * 3


def test_with_stdout_closed_no_trial_is_asked(study: Gpbo) -> None:
    command = [sys.executable, "-m", "gpbo.cli", "ask", "study.db"]
    shell = ["sh", "-c", shlex.join(command) + " >&-"]
    said = subprocess.run(shell, stderr=subprocess.PIPE, text=True)
    assert (said.returncode, "stdout is closed" in said.stderr) == (1, True)
    assert len(trials(study)) == 1


def test_ctrl_c_in_an_ask_leaves_no_trial_that_nobody_saw(
    study: Gpbo, monkeypatch: pytest.MonkeyPatch, signals_of_a_terminal: None
) -> None:
    ask = Optimizer.ask

    def interrupted(opt: Optimizer, n: int) -> Any:
        trials = ask(opt, n)
        signal.raise_signal(signal.SIGINT)
        return trials

    monkeypatch.setattr(Optimizer, "ask", interrupted)
    said = study("ask study.db --json")
    assert (said.code, said.json["number"]) == (130, 1)


def test_kill_in_an_ask_comes_after_the_trial_was_printed(study: Gpbo, shell: Shell) -> None:
    script = """
import os, signal, sys
from gpbo.cli import main
from gpbo.optimizer import Optimizer
ask = Optimizer.ask
def killed(opt, n):
    trials = ask(opt, n)
    os.kill(os.getpid(), signal.SIGTERM)
    return trials
Optimizer.ask = killed
main(["ask", "study.db", "--json"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == -signal.SIGTERM
    assert '"number": 1' in done.stdout


@pytest.mark.parametrize(("once", "seen"), [(True, ["first"]), (False, ["first", "second"])])
def test_a_second_signal_waits_as_it_shall(
    once: bool, seen: list[str], signals_of_a_terminal: None
) -> None:
    steps = []

    def interrupted_twice() -> None:
        with signals_deferred(once=once):
            for step in ("first", "second"):
                signal.raise_signal(signal.SIGINT)
                steps.append(step)

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
    assert steps == seen


def test_a_signal_that_ends_nothing_comes_once() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with signals_deferred(once=True):
            for _ in range(3):
                signal.raise_signal(signal.SIGTERM)
            assert len(came) == 2
        assert len(came) == 3
    finally:
        signal.signal(signal.SIGTERM, before)
