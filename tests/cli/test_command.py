"""The user's command as an objective: params in, result out, and how it is ended."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import gpbo
from gpbo.cli import command
from gpbo.cli.command import Command, CommandError, CommandFailed
from tests.cli.conftest import SPACE, script

ADAM = {"lr": 1e-5, "layers": 3, "act": None, "opt": "adam", "epochs": 10}
SGD = {"lr": 0.5, "layers": 3, "act": "it's $HOME", "opt": "sgd", "momentum": -0.25, "epochs": 10}


@pytest.fixture
def space() -> gpbo.Space:
    return gpbo.Space.from_json(json.dumps(SPACE))


@pytest.mark.parametrize(
    ("words", "params", "arguments"),
    [
        (["{lr}", "x{layers}y{lr}"], ADAM, ["0.00001", "x3y0.00001"]),
        (["{act}", "{opt}"], ADAM, ["null", "adam"]),
        (["{act}", "--m={momentum}"], SGD, ["it's $HOME", "--m=-0.25"]),
        (["{lr}", "{momentum}", "--m={momentum}"], ADAM, ["0.00001", "", "--m="]),
        (["{print}", "{}", "{{lr}}", "{ lr }"], ADAM, ["{print}", "{}", "{0.00001}", "{ lr }"]),
        (["{epochs}"], ADAM, ["10"]),
        (
            ["-v", "{print}"],
            ADAM,
            ["-v", "{print}", "--lr", "0.00001", "--layers", "3", "--act", "null", "--opt", "adam",
             "--epochs", "10"],
        ),
        (
            [],
            SGD,
            ["--lr", "0.5", "--layers", "3", "--act", "it's $HOME", "--opt", "sgd", "--momentum",
             "-0.25", "--epochs", "10"],
        ),
    ],
)  # fmt: skip
def test_params_go_into_the_arguments(
    words: list[str], params: dict[str, Any], arguments: list[str], space: gpbo.Space
) -> None:
    assert Command(["echo", *words], space).arguments(params) == ["echo", *arguments]


def test_a_value_is_not_searched_for_placeholders_again() -> None:
    space = gpbo.Space({"a": ["{b}", "x"], "b": [1, 2]})
    assert Command(["echo", "{a} {b}"], space).arguments({"a": "{b}", "b": 2}) == ["echo", "{b} 2"]


def test_params_go_into_the_environment_and_none_is_left_from_outside(
    space: gpbo.Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPBO_PARAM_MOMENTUM", "9")
    made = Command(["true"], space).environment(12, ADAM)
    assert made["GPBO_TRIAL"] == "12"
    assert json.loads(made["GPBO_PARAMS"]) == ADAM
    assert {name: made[name] for name in made if name.startswith("GPBO_PARAM_")} == {
        "GPBO_PARAM_LR": "0.00001",
        "GPBO_PARAM_LAYERS": "3",
        "GPBO_PARAM_ACT": "null",
        "GPBO_PARAM_OPT": "adam",
        "GPBO_PARAM_EPOCHS": "10",
    }
    assert made["PATH"] == os.environ["PATH"]


def test_names_that_would_become_one_variable_are_refused() -> None:
    space = gpbo.Space({"lr": [1, 2], "LR": [1, 2]})
    with pytest.raises(gpbo.errors.SpaceError, match="'lr' and 'LR' become the same"):
        Command(["true"], space)


@pytest.mark.parametrize(
    ("words", "suspects"),
    [
        (
            ["{lr}", "{layer}"],
            ["{layer} is no parameter and stays as it is; did you mean {layers}?"],
        ),
        (["{LR}"], ["{LR} is no parameter and stays as it is; did you mean {lr}?"]),
        (["{print}", "{0}", "{x y}"], []),
    ],
)  # fmt: skip
def test_a_placeholder_that_looks_mistyped_is_told(
    words: list[str], suspects: list[str], space: gpbo.Space
) -> None:
    assert Command(["echo", *words], space).suspects == suspects


def test_a_command_that_no_trial_could_start_is_refused(space: gpbo.Space, folder: Path) -> None:
    (folder / "plain").write_text("echo 1")
    for words, message in (
        (["no-such-command"], "no-such-command: no such command"),
        (["./plain"], "may not be executed. Try chmod"),
        (["plain"], "try ./plain"),
        ([str(folder)], "is a folder"),
    ):
        with pytest.raises(CommandError, match=message):
            Command(words, space)


def test_a_script_without_its_first_line_cannot_be_started(space: gpbo.Space, folder: Path) -> None:
    (folder / "plain").write_text("echo 1")
    (folder / "plain").chmod(0o755)
    with pytest.raises(CommandError, match=r"Exec format error\. A script begins with #!/bin/sh"):
        Command(["./plain"], space)(0, ADAM)


def result(body: str, space: gpbo.Space, folder: Path) -> Any:
    return Command([script(folder, body), "{lr}"], space)(0, ADAM)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("echo 0.31", 0.31),
        ("echo 7; echo -1e-3", -1e-3),
        ("echo 3; echo; echo '  '", 3.0),
        ("printf 5", 5.0),
        ("printf 'at 10%%\\rat 100%%\\r\\n 0.5 \\r\\n'", 0.5),
        ("echo 1; echo 2 >&2", 1.0),
        ("echo $1", 1e-5),
        ('echo \'{"loss": 0.25}\'', {"loss": 0.25}),
        ('echo \'{"value": 1, "status": "ok"}\'', {"value": 1, "status": "ok"}),
        ("awk 'BEGIN { for (i = 0; i < 40000; i++) print \"line\", i; print 2 }'", 2.0),
        ("head -c 300000 /dev/zero | tr '\\0' x; echo; echo 4", 4.0),
        ("printf '\\377\\376\\n'; echo 6", 6.0),
        ("read x; echo \"8$x\"", 8.0),
    ],
)  # fmt: skip
def test_the_last_line_of_stdout_is_the_result(
    body: str, value: Any, space: gpbo.Space, folder: Path
) -> None:
    assert result(body, space, folder) == value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 1; exit 3", "exit status 3"),
        ("echo why >&2; echo it >&2; exit 3", "exit status 3\nwhy\nit"),
        ("kill -9 $$", "ended by signal 9 (SIGKILL)"),
        ("true", "it printed nothing on stdout; expected a number at last"),
        ("echo done", "the last line of stdout: no result, got 'done'; expected a number, or JSON "
         'such as {"loss": 0.31}'),
        ("echo 'loss: 0.3'; echo hint >&2", "got 'loss: 0.3'; expected a number, or JSON such as "
         '{"loss": 0.31}\nhint'),
        ("echo '[1]'", "no result, got '[1]'"),
        ("echo true", "no result, got 'true'"),
        ("echo 1_000", "no result, got '1_000'"),
        ("echo '{'", "no result, got '{'"),
    ],
)  # fmt: skip
def test_anything_else_is_a_failure_with_its_reason(
    body: str, reason: str, space: gpbo.Space, folder: Path
) -> None:
    with pytest.raises(CommandFailed) as failure:
        result(body, space, folder)
    assert reason in str(failure.value)


def test_a_failure_keeps_the_end_of_a_long_stderr(space: gpbo.Space, folder: Path) -> None:
    with pytest.raises(CommandFailed) as failure:
        result("seq 1 100000 >&2; exit 1", space, folder)
    text = str(failure.value)
    assert text.endswith("99999\n100000")
    assert len(text) < 2100


def test_all_output_is_passed_on_to_stderr(
    space: gpbo.Space, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result("echo one; echo two >&2; echo 3", space, folder)
    out, err = capfd.readouterr()
    assert out == ""
    assert sorted(err.split()) == ["3", "one", "two"]


def test_a_stderr_that_nobody_reads_does_not_stop_the_command(
    space: gpbo.Space, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed:
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    assert result("seq 1 100000; echo 5", space, folder) == 5


def test_what_the_command_leaves_running_does_not_hold_up_the_result(
    space: gpbo.Space, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "GRACE", 1.0)
    try:
        assert result("sleep 600 & echo $! > pid; echo 3", space, folder) == 3
    finally:
        os.kill(int((folder / "pid").read_text()), signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be buried."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.usefixtures("signals_of_a_terminal")
def test_ctrl_c_ends_the_command_and_what_it_started(space: gpbo.Space, folder: Path) -> None:
    body = """
    trap 'echo > asked; exit' TERM
    sleep 600 & echo $! > pid
    kill -INT $PPID
    wait
    """
    with pytest.raises(KeyboardInterrupt):
        result(body, space, folder)
    assert (folder / "asked").exists()
    assert not is_running(int((folder / "pid").read_text()))


@pytest.mark.usefixtures("signals_of_a_terminal")
def test_a_command_that_does_not_listen_is_ended_for_certain(
    space: gpbo.Space, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "GRACE", 0.2)
    with pytest.raises(KeyboardInterrupt):
        result("trap '' TERM; echo $$ > pid; kill -INT $PPID; sleep 600", space, folder)
    assert not is_running(int((folder / "pid").read_text()))


def test_no_file_or_thread_is_left_open(space: gpbo.Space, folder: Path) -> None:
    fds = Path("/proc/self/fd")
    if not fds.exists():
        pytest.skip("open files can be counted on Linux only")
    result("echo 1", space, folder)
    before = len(list(fds.iterdir())), threading.active_count()
    for _ in range(5):
        result("echo 1; echo 2 >&2", space, folder)
    assert (len(list(fds.iterdir())), threading.active_count()) == before


def test_a_value_that_no_command_can_be_passed_is_a_failed_trial() -> None:
    space = gpbo.Space({"sep": ["\0", ","]})
    command = Command([sys.executable, "-c", "print(1)", "{sep}"], space)
    assert command(0, {"sep": ","}) == 1.0
    with pytest.raises(CommandFailed, match="cannot be passed to a command: embedded null byte"):
        command(1, {"sep": "\0"})
