"""The command as a whole: help, exit codes, what is loaded, and what a wrong call gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpbo.strategy import NAMES
from tests.cli.conftest import Gpbo, Shell, environment

COMMANDS = ("ask", "tell", "run", "best", "trials", "studies", "doctor")
HEAVY = {"torch", "gpytorch", "scipy", "rich", "numpy"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help(command: str, gpbo: Gpbo) -> None:
    said = gpbo(f"{command} --help")
    assert said.code == 0
    assert said.err == ""
    assert f"usage: gpbo {command}" in said.out
    assert command in gpbo("--help").out


def test_help_names_every_strategy(gpbo: Gpbo) -> None:
    for name in NAMES:
        assert name in gpbo("ask --help").out


def test_without_a_command_the_help_is_shown_as_a_wrong_call(gpbo: Gpbo) -> None:
    said = gpbo()  # type: ignore[call-arg]  # no words at all
    assert (said.code, said.out) == (2, "")
    assert "usage: gpbo" in said.err


def test_version_is_that_of_the_package(gpbo: Gpbo) -> None:
    import gpbo as package

    assert gpbo("--version").out == f"gpbo {package.__version__}\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tune study.db", "invalid choice: 'tune'"),
        ("ask", "required: FILE"),
        ("ask study.db -n 0", "argument -n: out of range, got 0; expected 1 .. 4096"),
        ("ask study.db -n 5000", "out of range, got 5000"),
        ("ask study.db -n -3", "out of range, got -3"),
        ("ask study.db -n 2.5", "not a whole number, got '2.5'"),
        ("ask study.db --seed -1", "out of range, got -1"),
        ("ask study.db --seed 9223372036854775808", "out of range"),
        ("ask study.db --strategy byes", "unknown strategy 'byes'. Did you mean 'bayes'?"),
        ("ask study.db --direction maximise", "invalid choice: 'maximise'"),
        ("ask study.db --format yaml", "invalid choice: 'yaml'"),
        ("ask study.db --stud x", "unrecognized arguments: --stud"),
        ("tell study.db", "required: NUMBER"),
        ("tell study.db 0", "give exactly one of VALUE, --failed and --release"),
        ("tell study.db 0 1 --failed", "give exactly one of VALUE, --failed and --release"),
        ("tell study.db 0 1 --release", "give exactly one of VALUE, --failed and --release"),
        ("tell study.db 0 --failed --release", "give exactly one of VALUE"),
        ("tell study.db 0 1 --error oom", "--error goes with --failed"),
        ("tell study.db 0 --failed --noise 1", "--noise goes with a VALUE"),
        ("tell study.db 0 --release --amend", "--amend goes with a VALUE or --failed"),
        ("tell study.db 0.0 1", "argument NUMBER: not a whole number, got '0.0'"),
        ("tell study.db two 1", "argument NUMBER: not a whole number, got 'two'"),
        ("tell study.db -1 1", "argument NUMBER: out of range, got -1; expected at least 0"),
        ("tell study.db 0 abc", "argument VALUE: not a number, got 'abc'"),
        ("tell study.db 0 ''", "argument VALUE: not a number, got ''"),
        ("tell study.db 0 1 --noise -1e-3", "got -1e-3; expected a finite number >= 0"),
        ("tell study.db 0 1 --noise nan", "expected a finite number >= 0"),
        ("run study.db -n 3", "give the command to run after --"),
        ("run study.db -n 3 --", "give the command to run after --"),
        ("run study.db -n 3 ./train.sh", "give the command to run after --"),
        ("run study.db -- true", "say when to stop"),
        ("run study.db -n -1 -- true", "out of range, got -1"),
        ("run study.db --timeout inf -- true", "expected a finite number >= 0"),
        ("trials study.db --csv --json", "not allowed with argument"),
        ("trials study.db --state lost", "invalid choice: 'lost'"),
        ("trials study.db --limit -1", "out of range"),
    ],
)
def test_a_wrong_call_has_code_2_and_touches_nothing(
    line: str, message: str, study: Gpbo, folder: Path
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    said = study(line)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert "Traceback" not in said.err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "line",
    [
        "ask study.db",
        "tell study.db 0 1",
        "run study.db -n 1 -- true",
        "best study.db",
        "trials study.db",
        "studies study.db",
        "best sqlite:///study.db",
        "best no/such/folder/study.db",
        "best space.json/study.db",
    ],
)
def test_a_file_that_is_missing_is_said_and_not_made(line: str, gpbo: Gpbo, folder: Path) -> None:
    said = gpbo(line)
    assert (said.code, said.out) == (1, "")
    assert "study.db: there is no such study file. To start a study" in said.err
    assert [path.name for path in folder.iterdir()] == ["space.json"]


def test_an_empty_file_is_as_good_as_none_and_stays_empty(gpbo: Gpbo, folder: Path) -> None:
    (folder / "study.db").touch()
    assert "no such study file" in gpbo("best study.db").err
    assert (folder / "study.db").read_bytes() == b""


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (".", "Is a directory"),
        ("space.json", "not a gpbo study file"),
        ("postgresql://me:secret@host/db", "a kind of database that gpbo does not know"),
    ],
)
@pytest.mark.parametrize("command", ["best", "ask --space space.json"])
def test_a_file_that_is_no_study_file_is_refused_and_kept(
    command: str, file: str, message: str, gpbo: Gpbo, folder: Path
) -> None:
    before = (folder / "space.json").read_bytes()
    verb, *options = command.split()
    said = gpbo(verb, file, *options)
    assert said.code == 1
    assert said.err.startswith("gpbo: error: ")
    assert message in said.err
    assert "secret" not in said.err
    assert (folder / "space.json").read_bytes() == before


def loaded_by(folder: Path, line: str) -> set[str]:
    """The modules that a fresh process has loaded after one command."""
    code = (
        f"import sys\nfrom gpbo.cli import main\nmain({line.split()!r})\n"
        "print('\\n', *sys.modules, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("line", ["--help", "ask --help", "--version", "tell study.db 0"])
def test_help_and_wrong_calls_load_hardly_anything(line: str, folder: Path) -> None:
    assert not loaded_by(folder, line) & {*HEAVY, "sqlite3", "logging.config", "gpbo.optimizer"}


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("tell study.db 0 0.5", {"numpy"}),
        ("best study.db", {"numpy"}),
        ("best study.db --json", {"numpy"}),
        ("trials study.db", {"numpy", "rich"}),
        ("trials study.db --csv", {"numpy"}),
        ("studies study.db", {"numpy", "rich"}),
        ("ask study.db", {"numpy"}),
        ("run study.db -n 2 -- echo 1", {"numpy"}),
    ],
)
def test_looking_and_telling_load_neither_torch_nor_scipy(
    line: str, allowed: set[str], study: Gpbo, folder: Path
) -> None:
    loaded = loaded_by(folder, line)
    assert "gpbo.history" in loaded
    assert loaded & HEAVY <= allowed


def test_python_m_runs_it_and_hands_on_the_exit_code(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gpbo.cli", "best", "nothing.db"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("gpbo: error: nothing.db")


def test_a_reader_that_goes_away_is_no_error(study: Gpbo, folder: Path) -> None:
    for _ in range(3):
        study("ask study.db -n 500")
    command = f"{sys.executable} -m gpbo.cli trials study.db --json"
    script = f"{{ {command}; echo $? >&2; }} | head -n 1"
    done = subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.stdout.startswith('{"number": 0')
    assert done.stderr == "141\n"


def test_ctrl_c_has_code_130_and_no_traceback(study: Gpbo, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gpbo.cli.show.open_study", interrupted)
    said = study("best study.db")
    assert (said.code, said.out, said.err) == (130, "", "")


def test_the_log_and_the_warnings_of_the_caller_are_left_as_they_were(study: Gpbo) -> None:
    import logging
    import warnings

    before = (list(logging.getLogger("gpbo").handlers), warnings.showwarning)
    study("ask study.db")
    assert "gpbo: warning: value: nan" in study("tell study.db 1 nan").err
    assert study("best other.db").code == 1
    assert (list(logging.getLogger("gpbo").handlers), warnings.showwarning) == before


def test_without_a_stdout_what_was_told_is_told(shell: Shell) -> None:
    shell("gpbo ask s.db --space space.json --strategy random >/dev/null")
    done = shell("gpbo tell s.db 0 0.3 >&-")
    assert (done.returncode, done.stderr) == (0, "")
    assert shell("gpbo best s.db --json").stdout.count('"value": 0.3') == 1


def test_without_a_stderr_messages_go_nowhere(shell: Shell) -> None:
    done = shell("gpbo best nofile.db 2>&-")
    assert (done.returncode, done.stdout) == (1, "")
    command = "sh -c 'echo 0.9; sleep 0.1; echo 0.5'"
    done = shell(f"gpbo run s.db --space space.json -n 2 --strategy random -- {command} 2>&-")
    assert done.returncode == 0
    assert "0.5, trial 0" in done.stdout
