"""The user's command as an objective: params in, the last number that it prints out."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import IO, Any, final

from gpbo.cli.signals import signals_deferred
from gpbo.cli.study import names_of
from gpbo.cli.text import PREFIX, as_arguments, variable_names
from gpbo.errors import GpboError, TrialFailed, explain
from gpbo.space import Params, Space
from gpbo.text import word

GRACE = 5.0  # seconds from "please end" to "end now", and for output that is still on its way
TAIL = 2000  # characters of stderr that a failed trial keeps
PIECE = 1 << 16  # characters read at once where the lines are longer
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class CommandError(GpboError, RuntimeError):
    """The command cannot be started at all, whatever the params."""


class CommandFailed(TrialFailed):
    """One run of the command gave no result; the text says why."""

    at_fault = True


@final
class Command:
    """Runs a command for params: as its arguments, and in its environment.

    Raises   CommandError  if there is no such command
             SpaceError    if two names would become one variable of the environment
    """

    def __init__(self, words: Sequence[str], space: Space) -> None:
        self._words = tuple(words)
        self._names = names_of(space)
        variables = variable_names(self._names, upper=True)
        self._variables = {name: PREFIX + variable for name, variable in variables.items()}
        placed = [name for text in words for name in PLACEHOLDER.findall(text)]
        self._filled = any(name in self._names for name in placed)
        self.suspects = _suspects(placed, self._names)
        if not PLACEHOLDER.search(words[0]):
            _check_program(words[0])

    def arguments(self, params: Params) -> list[str]:
        """The command's words for params; a placeholder without a value becomes empty."""

        def fill(found: re.Match[str]) -> str:
            name = found[1]
            if name not in self._names:
                return found[0]  # braces that mean something to the command
            return word(params[name]) if name in params else ""

        words = [PLACEHOLDER.sub(fill, text) for text in self._words]
        return words if self._filled else [*words, *as_arguments(params)]

    def environment(self, number: int, params: Params) -> dict[str, str]:
        """The environment of this process, and the params in it."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        own |= {self._variables[name]: word(value) for name, value in params.items()}
        return {**own, "GPBO_TRIAL": str(number), "GPBO_PARAMS": json.dumps(params)}

    def __call__(self, number: int, params: Params) -> float | dict[str, Any]:
        """What the command prints last, as a number or an object of JSON.

        Raises   CommandFailed  if it exits with another code than 0, or prints no result
                 CommandError   if it cannot be started
        """
        run: _Run | None = None
        try:
            with signals_deferred():  # no signal can come between the process and its name
                run = _Run(self.arguments(params), self.environment(number, params))
            code = run.process.wait()
        except BaseException:
            if run is not None:
                run.end()
            raise
        run.drain(GRACE)
        return _read(code, run)


@final
class _Run:
    """A running command, and the ends of what it printed.

    Raises   CommandError   if it cannot be started
             CommandFailed  if params hold what no command can be passed
    """

    def __init__(self, words: Sequence[str], environment: dict[str, str]) -> None:
        self.lines: deque[str] = deque(maxlen=1)  # of stdout: the last with something in it
        self.errors: deque[str] = deque(maxlen=50)  # of stderr
        self.process = process = _start(words, environment)
        self._readers = [
            threading.Thread(target=_forward, args=ends, daemon=True)
            for ends in ((process.stdout, self.lines), (process.stderr, self.errors))
        ]
        for reader in self._readers:
            reader.start()

    def drain(self, seconds: float) -> bool:
        """Wait for the end of its output; False if something that it left behind holds it open."""
        deadline = time.monotonic() + seconds
        for reader in self._readers:
            reader.join(max(deadline - time.monotonic(), 0.0))
        return not any(reader.is_alive() for reader in self._readers)

    def end(self) -> None:
        """End the command and all that it started: first politely, then for certain."""
        ended = False
        try:
            self._signal(signal.SIGTERM)
            self.process.wait(GRACE)
            ended = self.drain(GRACE)
        except subprocess.TimeoutExpired:
            pass
        finally:  # a second Ctrl-C does not wait
            if not ended:
                self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
                self.process.wait()
                self.drain(GRACE)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)


def _start(words: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # so that what it starts can be ended together with it
        )
    except ValueError as error:  # of the params: the words that the user gave hold no NUL
        raise CommandFailed(f"the params cannot be passed to a command: {error}") from error
    except OSError as error:
        reason = getattr(error, "strerror", None) or str(error)
        fix = "A script begins with #!/bin/sh or the like." if "format" in reason else ""
        raise CommandError(explain(words[0], f"cannot be started: {reason}", fix=fix)) from error


def _forward(stream: IO[str], kept: deque[str]) -> None:
    """Pass output on to stderr line by line, as it comes, and keep the end of it."""
    shown = sys.stderr is not None
    with stream:
        for piece in iter(lambda: stream.readline(PIECE), ""):
            if piece.strip():
                kept.append(piece)
            try:
                if shown:
                    sys.stderr.write(piece)
                    sys.stderr.flush()
            except (OSError, ValueError):  # nobody reads it; the command shall not wait for that
                shown = False


def _read(code: int, run: _Run) -> float | dict[str, Any]:
    tail = "".join(run.errors).strip()[-TAIL:]
    last = run.lines[-1].strip() if run.lines else ""
    if code != 0:
        raise CommandFailed(_with(_status(code), tail))
    if not last:
        raise CommandFailed(_with("it printed nothing on stdout; expected a number at last", tail))
    try:
        return _result(last)
    except ValueError:
        expected = 'a number, or JSON such as {"loss": 0.31}'
        text = explain("the last line of stdout", "no result", last, expected=expected)
        raise CommandFailed(_with(text, tail)) from None


def _result(line: str) -> float | dict[str, Any]:
    """The number or the object of JSON in a line.

    Raises   ValueError  if it is neither
    """
    try:
        if "_" not in line:  # Python takes 1_000 for a number
            return float(line)
    except ValueError:
        pass
    told = json.loads(line)
    if not isinstance(told, dict):
        raise ValueError("neither a number nor an object")
    return told


def _status(code: int) -> str:
    if code > 0:
        return f"exit status {code}"
    try:
        return f"ended by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"ended by signal {-code}"


def _with(reason: str, tail: str) -> str:
    return f"{reason}\n{tail}" if tail else reason


def _suspects(placed: Sequence[str], names: Sequence[str]) -> list[str]:
    """Words in braces that are no parameter, but look like one that was mistyped."""
    out = []
    known = {name.casefold(): name for name in names}
    for name in dict.fromkeys(placed):
        close = [] if name in names else get_close_matches(name.casefold(), known, n=1)
        out += [
            f"{{{name}}} is no parameter and stays as it is; did you mean {{{known[c]}}}?"
            for c in close
        ]
    return out


def _check_program(program: str) -> None:
    """Refuse a command that no trial could ever start.

    Raises   CommandError
    """
    if shutil.which(program) is not None:
        return
    if os.path.isdir(program):
        why = "is a folder"
    elif os.path.exists(program) and os.sep in program:
        why = f"may not be executed. Try chmod +x {program}, or name its interpreter before it"
    elif os.path.exists(program):
        why = f"no such command. There is a file of this name here: try ./{program}"
    else:
        why = "no such command"
    raise CommandError(f"{program}: {why}")
