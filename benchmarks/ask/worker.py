"""Measurements in processes of their own: one thread each, and a limit on the time."""

from __future__ import annotations

import multiprocessing as mp
import os
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

STARTING = threading.Lock()  # processes start one at a time: each changes the environment
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class OverTimeError(Exception):
    """A measurement took longer than it may, and its process was ended."""


class Worker:
    """A process that calls functions of this package, one after the other.

    What a call loads or compiles stays for the next, as in a program that runs a study. The process
    starts with the first call, and anew after one that took too long.
    """

    def __init__(self) -> None:
        self._process: mp.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def call(self, function: Callable[..., Any], *args: Any, limit: float) -> Any:
        """What the function returns; it and its arguments have to pickle.

        Raises   OverTimeError  if it takes more than `limit` seconds
                 RuntimeError   if it raises, with its traceback
        """
        pipe = self._pipe or self._start()
        pipe.send((function, args))
        if not pipe.poll(limit):
            self.close()
            raise OverTimeError(f"more than {limit:g} s")
        try:
            good, result = pipe.recv()
        except EOFError:
            self.close()
            raise RuntimeError("the process ended without an answer") from None
        if not good:
            raise RuntimeError(result)
        return result

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None

    def _start(self) -> Connection:
        # Thread pools read these when their libraries are loaded, so before the process begins.
        with STARTING:
            before = {name: os.environ.get(name) for name in THREADS}
            os.environ.update(dict.fromkeys(THREADS, "1"))
            try:
                context = mp.get_context("spawn")
                self._pipe, theirs = context.Pipe()
                self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
                self._process.start()
                theirs.close()
            finally:
                for name, value in before.items():
                    os.environ.pop(name) if value is None else os.environ.update({name: value})
        return self._pipe


def _end_with_parent() -> None:
    """A measurement does not outlive the program, however that was ended."""
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _serve(pipe: Connection) -> None:
    """Answer calls until the other end is closed."""
    os.dup2(2, 1)  # what libraries print is no part of the tables
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            function, args = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            pipe.send((True, function(*args)))
        except Exception:
            pipe.send((False, traceback.format_exc(limit=-3)))
