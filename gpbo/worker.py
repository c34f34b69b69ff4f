"""Who works on a trial: this process by name, and whether another one is known to be gone.

A pending trial whose worker is gone can be handed out again. Only a process whose number means
something here can be known to be gone: one on this machine and in this container, or one from
before the machine or the container was started again. Any other counts as alive.
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
        machine = worker.get("machine")
        return machine is not None and machine == _machine()  # it has been started since
    if worker.get("namespace", _namespace()) != _namespace():  # it may live, unseen from here
        container = worker.get("container")
        return container is not None and container == _container()  # this one, started again
    pid = int(worker["pid"])
    return not _exists(pid) or _started(pid) != worker["started"]


def is_elsewhere(worker: dict[str, Any] | None) -> bool:
    """Whether nobody here can say if a worker has ended."""
    if worker is None or is_gone(worker):
        return False
    here = this_worker()
    return any(worker.get(key, here[key]) != here[key] for key in ("host", "namespace"))


@functools.cache  # asked for at every trial; a forked child has another number
def _worker(pid: int) -> dict[str, Any]:
    return {
        "host": _host(),
        "machine": _machine(),
        "namespace": _namespace(),
        "container": _container(),
        "pid": pid,
        "started": _started(pid),
    }


@functools.cache  # the same as long as this process lives
def _host() -> str:
    """The machine since its last start."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        return f"{socket.gethostname()}/{boot.read_text().strip()}"
    except OSError:
        return socket.gethostname()


@functools.cache
def _machine() -> str | None:
    """The machine, whenever it was started; None where it has no name of its own."""
    try:
        identity = Path("/etc/machine-id").read_text().strip()
    except OSError:
        return None
    return f"{socket.gethostname()}/{identity}" if identity else None


@functools.cache
def _namespace() -> str | None:
    """Where numbers of processes are counted, as in a container; None where it cannot be known."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


@functools.cache
def _container() -> str | None:
    """The container, whenever it was started: where its files are, which no other one writes to;
    None where it cannot be known, and outside of any.
    """
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return None
    root = next((mount for mount in mounts if mount[4] == "/"), [""])
    options = dict(option.partition("=")[::2] for option in root[-1].split(","))
    return options.get("upperdir")


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
