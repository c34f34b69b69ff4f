"""The command `gpbo`: ask, tell, run and look at studies from a shell, for any language.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 an error of gpbo, 2 a wrong
call, 3 nothing left to ask, 130 Ctrl-C (and 128 + n for signal n).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from gpbo.cli.messages import complain, messages_on_stderr
from gpbo.cli.parser import parse
from gpbo.errors import GpboError

ERROR, INTERRUPTED, PIPE_CLOSED = 1, 130, 141  # 128 + SIGINT, 128 + SIGPIPE

_HOMES = {  # imported when called: `gpbo --help` and `gpbo best` start in a moment
    "ask": "gpbo.cli.trial",
    "tell": "gpbo.cli.trial",
    "run": "gpbo.cli.run",
    "best": "gpbo.cli.show",
    "trials": "gpbo.cli.show",
    "studies": "gpbo.cli.show",
    "doctor": "gpbo.cli.doctor",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, `argv` or that of the process, and return its exit code."""
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
    except SystemExit as stop:  # argparse has said what is wrong, or printed the help
        return int(stop.code or 0)
    with messages_on_stderr(args.command):
        try:
            command = getattr(importlib.import_module(_HOMES[args.command]), args.command)
            code: int = command(args)
            if sys.stdout is not None:  # closed by the shell: what was to be done is done
                sys.stdout.flush()
        except GpboError as error:
            complain(f"error: {error}")
            return ERROR
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:  # such as `gpbo trials study.db | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
    return code
