"""`gpbo doctor`: what is installed and how it works here, and whether a study file is sound."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import platform
import sqlite3
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

from gpbo.cli.study import open_file
from gpbo.cli.text import print_json
from gpbo.errors import GpboError, StorageCorruptError
from gpbo.journal import load_journal
from gpbo.storage import Storage, is_there
from gpbo.storage.sqlite_file import WAL_IS_SAFE_SINCE
from gpbo.text import one_line
from gpbo.worker import is_elsewhere

RESTORE = "restore the file from a backup, or go on in a new one; sound studies stay usable"
ALLOW = "make the file usable for you as the message says, then look again"
PACKAGES = ("numpy", "scipy", "torch", "gpytorch", "rich")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Findings:
    """What was found, in the words of JSON, and what of it must be mended."""

    def __init__(self) -> None:
        self.record: dict[str, Any] = {}
        self.problems: list[dict[str, str]] = []
        self.notes: list[str] = []

    def problem(self, what: str, do: str) -> None:
        """Something is wrong that the user must mend."""
        self.problems.append({"what": what, "do": do})

    def note(self, text: str) -> None:
        """Something is worth knowing, and nothing is wrong."""
        self.notes.append(text)


def doctor(args: argparse.Namespace) -> int:
    """Look at the installation, and at a study file if it is named; 1 if there is a problem."""
    found = Findings()
    found.record["versions"] = _versions(found)
    torch = _import_torch(found)
    found.record["library"] = _library(found) if torch else None
    found.record["devices"] = _devices(torch, found) if torch else []
    found.record["threads"] = _threads(torch)
    found.record["sqlite"] = _sqlite()
    found.record["file"] = None if args.file is None else _file(args.file, found)
    record = {"ok": not found.problems, **found.record}
    if args.json:
        print_json(record, problems=found.problems, notes=found.notes)
    else:
        _print(found)
    return 1 if found.problems else 0


def _versions(found: Findings) -> dict[str, str | None]:
    own = getattr(sys.modules["gpbo"], "__version__", None)
    versions: dict[str, str | None] = {"gpbo": own, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
            found.problem(f"{name} is not installed", f"pip install {name}")
    versions["sqlite"] = sqlite3.sqlite_version
    return versions


def _import_torch(found: Findings) -> Any:
    """The module torch, None where it cannot be imported; gpytorch is tried with it."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # what they have to say about themselves
            torch = importlib.import_module("torch")
            importlib.import_module("gpytorch")
    except Exception as error:  # whatever a broken installation throws
        found.problem(
            f"the model cannot be loaded: {type(error).__name__}: {error}",
            "reinstall torch and gpytorch; until then use strategy tpe, random, grid or sobol",
        )
        return None
    return torch


def _library(found: Findings) -> dict[str, Any]:
    from gpbo.ops.library import describe

    state = describe()
    for kind in ("cpu", "cuda"):
        part = state[kind]
        if part["compiled"]:
            continue
        if part["path"] and "cannot be used" in part["note"]:
            found.problem(f"the compiled {kind} library {part['note']}", "reinstall gpbo")
    if state["forced_reference"]:
        found.note("GPBO_REFERENCE is set: compiled code is not used")
    elif not state["cpu"]["compiled"]:
        found.note("no compiled library for the CPU: results are the same, only slower; "
                   "with a C++ compiler, reinstall gpbo to get it")  # fmt: skip
    return state


def _devices(torch: Any, found: Findings) -> list[dict[str, Any]]:
    devices: list[dict[str, Any]] = [{"name": "cpu", "what": platform.machine(), "memory": None}]
    if torch.cuda.is_available():
        for k in range(torch.cuda.device_count()):
            gpu = torch.cuda.get_device_properties(k)
            devices.append({"name": f"cuda:{k}", "what": gpu.name, "memory": gpu.total_memory})
    elif Path("/proc/driver/nvidia/version").exists():
        why = "is built without CUDA" if torch.version.cuda is None else "does not see it"
        found.note(f"there is an NVIDIA driver, but torch {why}: the model runs on the CPU")
    return devices


def _threads(torch: Any) -> dict[str, Any]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": os.cpu_count(),
        "usable": usable,
        "torch": torch.get_num_threads() if torch else None,
        "environment": {name: os.environ[name] for name in THREADS if name in os.environ},
    }


def _sqlite() -> dict[str, Any]:
    """How a new study file would be written, and why."""
    since = ".".join(map(str, WAL_IS_SAFE_SINCE))
    safe = sqlite3.sqlite_version_info >= WAL_IS_SAFE_SINCE
    if safe:
        why = f"SQLite {since} and later keep it sound with several writers"
    else:
        why = f"before SQLite {since} a WAL could lose a result where several processes write"
    return {"journal": "wal" if safe else "rollback", "why": why}


def _file(file: str, found: Findings) -> dict[str, Any]:
    """What is in a study file; every record of it is read, and its checksum compared."""
    record: dict[str, Any] = {"path": file, "bytes": None, "mode": None, "studies": []}
    if not is_there(file):
        found.problem(f"{file}: there is no such study file", "check the path")
        return record
    try:
        storage = open_file(file)
        record["path"] = storage.location
        record["bytes"] = os.path.getsize(storage.location)
        record["mode"] = getattr(storage, "mode", None)
        names = storage.studies()
    except (GpboError, OSError) as error:
        found.problem(str(error), RESTORE if isinstance(error, StorageCorruptError) else ALLOW)
        return record
    record["studies"] = [_study(storage, name, found) for name in names]
    return record


def _study(storage: Storage, name: str, found: Findings) -> dict[str, Any]:
    record: dict[str, Any] = {"study": name, "ok": False, "events": None, "trials": None}
    try:
        events = len(storage.read(name))
        history = load_journal(storage, name).history
    except GpboError as error:
        found.problem(str(error), RESTORE)
        return record
    waiting = [t.number for t in history.pending if t.number not in history.owners]
    if waiting:
        found.note(f"study {name!r}: {len(waiting)} trials wait for their tell and belong to no "
                   f"process, such as trial {waiting[0]}. To give one up: gpbo tell FILE NUMBER "
                   "--failed, or --release")  # fmt: skip
    unseen = [number for number, owner in history.owners.items() if is_elsewhere(owner)]
    if unseen:
        found.note(f"study {name!r}: {len(unseen)} trials belong to processes on other machines or "
                   f"in other containers, such as trial {unseen[0]}. If those have ended, give "
                   "them back: gpbo tell FILE NUMBER --release")  # fmt: skip
    return {**record, "ok": True, "events": events, "trials": len(history)}


def _print(found: Findings) -> None:
    for title, lines in _report(found.record):
        for k, line in enumerate(lines):
            print(f"{title if k == 0 else '':<10}{line}")
    for note in found.notes:
        print(f"note      {one_line(note)}")
    for problem in found.problems:
        print(f"PROBLEM   {one_line(problem['what'])}\n          -> {one_line(problem['do'])}")
    if not found.problems:
        print("ok        nothing needs to be mended")


def _report(record: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Each part of the record as a title and lines."""
    versions = [f"{name} {version or 'is missing'}" for name, version in record["versions"].items()]
    threads = record["threads"]
    torch = "" if threads["torch"] is None else f", torch uses {threads['torch']}"
    environment = "".join(f", {k}={v}" for k, v in threads["environment"].items())
    sqlite = record["sqlite"]
    report = [
        ("versions", [", ".join(versions)]),
        ("library", _library_lines(record["library"])),
        ("devices", [_device_line(device) for device in record["devices"]]),
        ("threads", [f"{threads['usable']} of {threads['cores']} cores{torch}{environment}"]),
        ("sqlite", [f"new files get a {sqlite['journal']} journal: {sqlite['why']}"]),
    ]
    file = record["file"]
    if file is not None:
        size = "" if file["bytes"] is None else f", {file['bytes']:,} bytes"
        lines = [f"{one_line(file['path'])}{size}"]
        lines += [file["mode"]] if file["mode"] else []
        lines += [_study_line(study) for study in file["studies"]]
        report.append(("file", lines))
    return report


def _library_lines(library: dict[str, Any] | None) -> list[str]:
    if library is None:
        return []
    return [
        f"{kind}: {'compiled' if library[kind]['compiled'] else 'torch does the work'}"
        + (f" ({library[kind]['note']})" if library[kind]["note"] else "")
        for kind in ("cpu", "cuda")
    ]


def _device_line(device: dict[str, Any]) -> str:
    memory = "" if device["memory"] is None else f", {device['memory'] / 2**30:.0f} GiB"
    return f"{device['name']}: {device['what']}{memory}"


def _study_line(study: dict[str, Any]) -> str:
    name = one_line(study["study"])
    if not study["ok"]:
        return f"study {name!r}: damaged"
    return f"study {name!r}: sound, {study['trials']} trials, {study['events']} events"
