"""Where a figure was measured: what a result file says about machine, versions and commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from gpbo.ops import library

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "gpytorch", "numpy", "scipy", "botorch", "pykeops")
REFERENCE = "torch"
NOT_COMPILED = (
    "gpbo's compiled library is missing here, torch computes in its place: all times of gpbo are"
    " longer than they should be. In a checkout `pip install -e .` puts it where it is found."
)
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def describe() -> dict[str, Any]:
    """The machine, the versions that matter, and the commit, in JSON terms."""
    instruction_set = _instruction_set()
    if instruction_set == REFERENCE:
        print(NOT_COMPILED, file=sys.stderr)
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()).strip(),
        "huge_pages": _chosen(HUGE_PAGES),
        "python": platform.python_version(),
        "packages": {name: number for name in PACKAGES if (number := _version(name))},
        "instruction_set": instruction_set,
        "commit": _commit(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _instruction_set() -> str:
    """What gpbo's library for the CPU computes with, or REFERENCE where there is none."""
    compiled = library.on(torch.device("cpu"))
    return REFERENCE if compiled is None else compiled.instruction_set()


def _chosen(setting: Path) -> str:
    """The word in brackets in a file of the system; empty where there is no such file."""
    try:
        return setting.read_text().partition("[")[2].partition("]")[0]
    except OSError:
        return ""


def _commit() -> str:
    """The commit of the checkout, marked where the tree differs from it."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
