"""What stops a command: Ctrl-C, `kill`, and the end of the terminal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOPPING = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


@contextmanager
def signals_deferred(*, once: bool = False) -> Iterator[None]:
    """Let what stops a command come through at the end of the block, and not within it; with `once`
    the second does not wait.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # which signals never interrupt
        return
    came: list[tuple[int, Any]] = []
    handlers: dict[int, Any] = {n: signal.getsignal(n) for n in STOPPING}
    # What is ignored stays ignored, as under nohup.
    handlers = {n: old for n, old in handlers.items() if callable(old) or old == signal.SIG_DFL}

    def defer(number: int, frame: Any) -> None:
        if once and came:
            _deliver(handlers[number], number, frame)
        else:
            came.append((number, frame))

    for number in handlers:
        signal.signal(number, defer)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number, frame in came:
        _deliver(handlers[number], number, frame)


def _deliver(handler: Any, number: int, frame: Any) -> None:
    if callable(handler):
        handler(number, frame)
    else:  # what the system does by default
        signal.signal(number, handler)
        os.kill(os.getpid(), number)
