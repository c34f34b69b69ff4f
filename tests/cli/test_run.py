"""gpbo run: a whole study around a command, its failures, and every way to stop and go on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gpbo as package
from tests.cli.conftest import SPACE, Gpbo, environment, script

LOSS = "echo \"$GPBO_PARAM_LR $GPBO_PARAM_LAYERS\" | awk '{ print ($1 - 0.01)^2 + $2 }'"
START = "--space space.json --strategy random --seed 0"


def trials(gpbo: Gpbo, file: str = "study.db") -> list[dict[str, Any]]:
    """All trials of a study, as JSON."""
    return gpbo(f"trials {file} --json").lines


def told(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What must be equal however often a run was interrupted."""
    return [(r["number"], r["state"], r["value"], r["error"], r["params"]) for r in records]


def test_a_run_is_the_same_study_as_minimize_in_python(gpbo: Gpbo, folder: Path) -> None:
    def objective(params: dict[str, Any]) -> float:
        return float(f"{(params['lr'] - 0.01) ** 2 + params['layers']:.6g}")

    space = package.Space.from_json(json.dumps(SPACE))
    expected = package.minimize(objective, space, 12, strategy="random", seed=0)
    said = gpbo(f"run study.db {START} -n 12 --json -- {script(folder, LOSS)}")
    assert said.code == 0
    assert said.json == {
        "study": "default",
        "direction": "minimize",
        "stopped": "n_trials",
        "trials": 12,
        "complete": 12,
        "failed": 0,
        "pending": 0,
        "best": {
            "number": expected.best.number,
            "value": expected.best_value,
            "params": expected.best_params,
        },
    }
    assert [(t["params"], t["value"]) for t in trials(gpbo)] == [
        (t.params, t.value) for t in expected.trials
    ]


def test_the_command_is_called_with_the_params_of_its_own_trial(gpbo: Gpbo, folder: Path) -> None:
    body = 'echo "$GPBO_TRIAL $* $GPBO_PARAMS" >> calls; echo $GPBO_TRIAL'
    gpbo(f"run study.db {START} -n 6 -- {script(folder, body)} -o {{opt}} {{momentum}}")
    calls = (folder / "calls").read_text().splitlines()
    for call, trial in zip(calls, trials(gpbo), strict=True):
        params = trial["params"]
        head, _, rest = call.partition("{")
        number, *words = head.split()
        assert json.loads("{" + rest) == params
        assert int(number) == trial["number"] == trial["value"]
        assert words[:2] == ["-o", params["opt"]]
        assert [float(w) for w in words[2:]] == [params[k] for k in ("momentum",) if k in params]


def test_maximize_is_kept_by_the_study(gpbo: Gpbo, folder: Path) -> None:
    job = script(folder, "echo {layers}; echo $1")
    gpbo(f"run study.db {START} --direction maximize -n 8 -- {job} {{layers}}")
    said = gpbo(f"run study.db -n 9 --json -- {job} {{layers}}")
    assert said.json["direction"] == "maximize"
    assert said.json["best"]["value"] == max(t["value"] for t in trials(gpbo))


def test_n_counts_the_study_and_not_the_run(gpbo: Gpbo, folder: Path) -> None:
    job = script(folder, LOSS)
    for n, total in ((3, 3), (5, 5), (4, 5)):
        said = gpbo(f"run study.db {START} -n {n} -- {job}")
        assert said.code == 0
        assert len(trials(gpbo)) == total
    assert "resumed with 5 trials" in said.err


def test_stdout_has_the_result_alone_and_stderr_a_line_for_each_trial(
    gpbo: Gpbo, folder: Path
) -> None:
    job = script(folder, "echo noise; echo 4")
    said = gpbo(f"run study.db {START} -n 2 -- {job}")
    assert said.out.startswith("best of 2 trials (minimize): 4.0, trial 0\n  lr ")
    lines = [line for line in said.err.splitlines() if line.startswith("gpbo: ")]
    assert lines == [
        "gpbo: trial 0: 4.0 (1/2, best 4.0 in trial 0)",
        "gpbo: trial 1: 4.0 (2/2, best 4.0 in trial 0)",
    ]
    assert said.err.count("noise\n") == 2


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("echo broken >&2; exit 4", "exit status 4\nbroken"),
        ('echo \'{"loss": "x"}\'', "value: not a number, got str 'x'; pass a number"),
        ("echo '{\"accuracy\": 0.5}'", "exactly one of 'loss' and 'value'"),
        ("echo -inf", "would be best for ever"),
    ],
)
def test_a_failure_keeps_its_reason_in_plain_words(
    body: str, error: str, gpbo: Gpbo, folder: Path
) -> None:
    job = script(folder, f'if [ "$GPBO_TRIAL" = 1 ]; then {body}; else echo 1; fi')
    said = gpbo(f"run study.db {START} -n 3 --json -- {job}")
    assert (said.code, said.json["complete"], said.json["failed"]) == (0, 2, 1)
    failed = trials(gpbo)[1]
    assert failed["state"] == "failed"
    assert error in failed["error"]
    assert "Traceback" not in failed["error"]
    assert "gpbo: trial 1: failed: " in said.err


@pytest.mark.parametrize("printed", ["nan", '{"status": "fail"}', '{"loss": NaN}', "inf"])
def test_a_result_that_says_failed_is_no_fault_of_the_command(
    printed: str, gpbo: Gpbo, folder: Path
) -> None:
    said = gpbo(f"run study.db {START} -n 12 --json -- {script(folder, f'echo {printed!r}')}")
    assert (said.code, said.json["failed"], said.json["best"]) == (1, 12, None)
    assert said.err.count("gpbo: warning: ") in (0, 12)
    text = gpbo("run study.db -n 12 -- true")
    assert (text.code, text.out) == (1, "no result in 12 trials (minimize): 12 failed\n")


def test_ten_failures_in_a_row_stop_the_run_and_show_the_first(gpbo: Gpbo, folder: Path) -> None:
    body = 'echo "number $GPBO_TRIAL" >&2; [ "$GPBO_TRIAL" = 4 ] && echo 1 && exit; exit 9'
    said = gpbo(f"run study.db {START} -n 100 -- {script(folder, body)}")
    assert (said.code, said.out) == (1, "")
    assert said.err.endswith(
        "these points count as failed. The first time:\nexit status 9\nnumber 5\n"
    )
    assert [t["state"] for t in trials(gpbo)] == ["failed"] * 4 + ["complete"] + ["failed"] * 10


@pytest.mark.parametrize(
    ("options", "words", "message"),
    [
        (START, "no-such-command", "no-such-command: no such command"),
        ("--space twins.json --strategy random", "true", "become the same variable 'A'"),
        ("--space none.json", "true", "none.json: cannot be read"),
        ("--space space.json --strategy grid", "true", "a range is not a list"),
        ("--space space.json --strategy random --study ''", "true", "the name is empty"),
    ],
)
def test_what_cannot_work_is_refused_before_a_file_is_made(
    options: str, words: str, message: str, gpbo: Gpbo, folder: Path
) -> None:
    (folder / "twins.json").write_text('{"a": [1, 2], "A": [1, 2]}')
    said = gpbo(f"run study.db {options} -n 3 -- {words}")
    assert (said.code, said.out) == (1, "")
    assert message in said.err
    assert not (folder / "study.db").exists()


def test_a_command_that_cannot_be_started_costs_no_trial(gpbo: Gpbo, folder: Path) -> None:
    (folder / "plain").write_text("echo 1")
    (folder / "plain").chmod(0o755)
    said = gpbo(f"run study.db {START} -n 3 -- ./plain")
    assert said.code == 1
    assert "Exec format error" in said.err
    assert [t["state"] for t in trials(gpbo)] == ["pending"]
    assert gpbo("run study.db -n 3 --json -- echo 1").json["trials"] == 3


def test_a_mistyped_placeholder_is_warned_of(gpbo: Gpbo) -> None:
    said = gpbo(f"run study.db {START} -n 1 -- echo {{layer}} {{layers}} 3 '\n' 1")
    assert "gpbo: warning: {layer} is no parameter" in said.err
    assert said.code == 0


def test_a_finite_space_ends_the_run(gpbo: Gpbo, folder: Path) -> None:
    (folder / "grid.json").write_text('{"x": [1, 2, 3]}')
    line = "run study.db --space grid.json --strategy grid -n 10 --json -- echo"
    said = gpbo(f"{line} {{x}}")
    assert (said.code, said.json["stopped"], said.json["trials"]) == (0, "exhausted", 3)


def test_after_the_timeout_no_trial_starts(gpbo: Gpbo) -> None:
    gpbo(f"run study.db {START} -n 2 -- echo {{layers}}")
    said = gpbo("run study.db --timeout 0 --json -- echo {layers}")
    assert (said.code, said.json["stopped"], said.json["trials"]) == (0, "timeout", 2)


INTERRUPT = """
if [ "$GPBO_TRIAL" = 3 ] && [ ! -e interrupted ]; then
  echo > interrupted
  kill -{signal} $PPID
  exec sleep 600
fi
"""


@pytest.mark.usefixtures("signals_of_a_terminal")
@pytest.mark.parametrize(("name", "code"), [("INT", 130), ("TERM", 143), ("HUP", 129)])
def test_a_run_that_is_stopped_by_a_signal_goes_on_as_if_it_was_not(
    name: str, code: int, gpbo: Gpbo, folder: Path
) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    job = script(folder, INTERRUPT.format(signal=name) + LOSS)
    said = gpbo(f"run study.db {START} -n 6 --json -- {job}")
    assert (said.code, said.json["stopped"], said.json["pending"]) == (code, "interrupted", 1)
    assert "gpbo: stopped; the same call goes on" in said.err
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == before
    assert gpbo(f"run study.db {START} -n 6 -- {job}").code == 0
    gpbo(f"run whole.db {START} -n 6 -- {job}")
    assert told(trials(gpbo)) == told(trials(gpbo, "whole.db"))


@pytest.mark.parametrize("strategy", ["random", pytest.param("bayes", marks=pytest.mark.slow)])
def test_a_run_that_is_killed_goes_on_as_if_it_was_not(
    strategy: str, gpbo: Gpbo, folder: Path
) -> None:
    kill = INTERRUPT.format(signal="KILL").replace("exec sleep 600", "exit")
    job = script(folder, kill + '[ "$GPBO_TRIAL" = 5 ] && exit 7\n' + LOSS)
    options = f"--space space.json --strategy {strategy} --seed 0 -n 9"

    def run(file: str) -> int:
        words = f"-m gpbo.cli run {file} {options} -- {job}".split()
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, env=environment(), capture_output=True
        )
        return done.returncode

    assert run("study.db") == -signal.SIGKILL
    assert [t["state"] for t in trials(gpbo)] == ["complete"] * 3 + ["pending"]
    assert run("study.db") == 0
    assert run("whole.db") == 0
    assert told(trials(gpbo)) == told(trials(gpbo, "whole.db"))
    assert [t["state"] for t in trials(gpbo)].count("failed") == 1


def test_two_runs_share_a_file_and_no_trial(gpbo: Gpbo, folder: Path) -> None:
    job = script(folder, f'echo "$GPBO_TRIAL" >> calls; {LOSS}')
    words = f"-m gpbo.cli run study.db {START} -n 20 -- {job}".split()
    runs = [
        subprocess.Popen(
            [sys.executable, *words], cwd=folder, env=environment(), stderr=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    records = trials(gpbo)
    assert len(records) in (20, 21)
    assert {r["state"] for r in records} == {"complete"}
    calls = sorted(int(line) for line in (folder / "calls").read_text().split())
    assert calls == list(range(len(records)))
