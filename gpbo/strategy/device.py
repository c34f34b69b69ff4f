"""On which device a model runs: what the user asked for, checked, and what "auto" means."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gpbo.errors import DeviceError, explain
from gpbo.strategy.calibrate import SIZES, measure

# Numbers of n x n that live at once in a fit (the covariance, its factor, the factor's inverse, and
# what torch makes on the way), and the share of the free memory that they may take.
SQUARES, SHARE = 6, 0.5
ALWAYS = 2000  # observations that fit anywhere: 0.2 GB
# Observations of which a model on a CPU is exact: an ask beside 4000 of them took 3 s, beside 7000
# 32 s, and fits 22 and 130 s.
EXACT = 3000


def check_device(device: str) -> None:
    """Refuse a device that does not exist. Only a question for CUDA asks the driver.

    Raises   DeviceError
    """
    if not isinstance(device, str):
        raise TypeError(explain("device", "not a name", device, expected="a str such as 'auto'"))
    if device in ("auto", "cpu"):
        return
    if device == "mps":
        raise DeviceError("device: 'mps' has no float64, which the model needs; use device='cpu'")
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    available = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
    if match is None:
        raise DeviceError(
            explain("device", "unknown", device, expected=f"'auto' or one of {available}")
        )
    if int(match[1] or 0) >= len(available) - 1:
        raise DeviceError(
            explain("device", "not on this machine", device, expected=f"one of {available}")
        )


def devices(
    device: str, observations: int, columns: int
) -> Iterator[tuple[torch.device, dict[str, Any]]]:
    """The devices to try in turn for so large a model, and what provenance says of each.

    "auto" is the GPU where an ask was measured to take less time on it; after a GPU comes the CPU.
    """
    chosen, measured = torch.device("cpu" if device == "auto" else device), None
    # Not asked for less: is_available keeps a process that is forked later from using CUDA.
    if device == "auto" and observations >= SIZES[0] and torch.cuda.is_available():
        measured = measure(observations, columns, torch.device("cuda"))
        if measured is not None and measured.gpu < measured.cpu:
            chosen = torch.device("cuda")
    about = {"device_measured": None if measured is None else str(measured)}
    yield chosen, {"device": str(chosen), **about}
    if chosen.type != "cpu":
        yield torch.device("cpu"), {"device": "cpu", **about}


def most_rows(device: torch.device, n: int) -> int:
    """How many of n observations a model can have in the memory that is free on a device."""
    if n <= ALWAYS:
        return n
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        # What torch keeps for its next tensors counts as taken there.
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    else:
        free = _free_memory()
    return max(ALWAYS, int(math.sqrt(SHARE * free / (8 * SQUARES))))


def exact_rows(device: torch.device, n: int) -> int:
    """Of how many of n observations a Gaussian process on a device is exact: memory, and time."""
    rows = most_rows(device, n)
    return rows if device.type == "cuda" else min(rows, EXACT)


def _free_memory() -> int:
    """Bytes that this machine has left; where it does not say, 4 GiB."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration, ValueError):
        return 4 << 30
