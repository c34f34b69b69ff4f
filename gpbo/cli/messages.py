"""What is said beside the results: on stderr, where there is one."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gpbo.errors import GpboWarning


def complain(text: str) -> None:
    """A line on stderr, if there is one: print(file=None) would write to stdout."""
    if sys.stderr is not None:
        print(f"gpbo: {text}", file=sys.stderr)


@contextmanager
def messages_on_stderr(command: str) -> Iterator[None]:
    """Show the log and the warnings of gpbo as lines on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("gpbo: %(message)s"))
    # An `ask` in a loop resumes its study every time: only `run` says so, and what trials gave.
    handler.setLevel(logging.INFO if command == "run" else logging.ERROR)
    log = logging.getLogger("gpbo")
    level = log.level
    log.setLevel(handler.level)
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", GpboWarning)
            shown = warnings.showwarning

            def show(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
                if issubclass(category, GpboWarning):
                    complain(f"warning: {message}")
                else:
                    shown(message, category, *rest, **more)

            warnings.showwarning = show
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
