"""What stops a command: Ctrl-C, `kill`, and the end of the terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOPPING = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Let the first that comes through at the end of the block, and not within it; the second does
    not wait.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # which signals never interrupt
        return
    came: list[tuple[int, Any]] = []
    handlers: dict[int, Any] = {n: signal.getsignal(n) for n in STOPPING}
    handlers = {n: handler for n, handler in handlers.items() if callable(handler)}

    def defer(number: int, frame: Any) -> None:
        came.append((number, frame))
        if len(came) > 1:
            handlers[number](number, frame)

    for number in handlers:
        signal.signal(number, defer)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number, frame in came:
        handlers[number](number, frame)
