"""Who works on a trial: this process by name, and whether another one is known to be gone.

A pending trial whose worker is gone can be handed out again. Only a process on this machine can be
known to be gone; one elsewhere counts as alive.
"""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path
from typing import Any


def this_worker() -> dict[str, Any]:
    """This process in JSON terms, told apart from a later one with the same process number."""
    return dict(_worker(os.getpid()))


def is_gone(worker: dict[str, Any] | None) -> bool:
    """Whether a worker has certainly ended, or gave its trial up; None never has."""
    if worker is None:
        return False
    if worker.get("released"):
        return True
    if worker.get("host") != _host():
        return False
    pid = int(worker["pid"])
    return not _exists(pid) or _started(pid) != worker["started"]


@functools.cache  # asked for at every trial; a forked child has another number
def _worker(pid: int) -> dict[str, Any]:
    return {"host": _host(), "pid": pid, "started": _started(pid)}


@functools.cache  # the same as long as this process lives
def _host() -> str:
    """The machine since its last start."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        return f"{socket.gethostname()}/{boot.read_text().strip()}"
    except OSError:
        return socket.gethostname()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it exists and belongs to somebody else
        return True
    return True


def _started(pid: int) -> str:
    """When a process started, in the kernel's own unit; empty where it cannot be known."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, start = after_name[0], after_name[19]
    return "" if state == "Z" else start  # a zombie has ended
