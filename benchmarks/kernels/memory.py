"""How much memory an op takes beyond what it is given and what it returns.

python -m benchmarks.kernels.memory contract 4000 20    the child: bytes as JSON on stdout
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.kernels import with_gpbo
from benchmarks.kernels.cases import Case, Problem
from benchmarks.kernels.contestant import GPBO

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def beyond_input(case: Case, device: str) -> dict[str, Any]:
    """The check as a row: bytes at the peak beyond those before the call, or why not."""
    row = {"check": "memory", **case.as_dict()}
    if device == "cuda":
        return {**row, "bytes": _on_gpu(case)}
    if not CLEAR.exists():
        return {**row, "bytes": None, "reason": "the system does not tell"}
    command = [sys.executable, "-m", "benchmarks.kernels.memory", case.op, str(case.n), str(case.d)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        return {**row, "bytes": None, "reason": lines[-1][:160]}
    return {**row, "bytes": json.loads(done.stdout.splitlines()[-1])}


def _on_gpu(case: Case) -> int:
    call = with_gpbo.compete(case.op, Problem(case, torch.device("cuda")), GPBO).call
    call()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _on_cpu(case: Case) -> int:
    device = torch.device("cpu")
    small = Case(case.op, 8, case.d)
    with_gpbo.compete(case.op, Problem(small, device), GPBO).call()  # what a first call loads
    call = with_gpbo.compete(case.op, Problem(case, device), GPBO).call
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)  # or the call would be served from what the set-up freed
    CLEAR.write_text("5")  # the peak starts anew
    before = _field("VmRSS")
    call()
    return _field("VmHWM") - before


def _field(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    torch.set_num_threads(1)
    op, n, d = sys.argv[1:]
    print(json.dumps(_on_cpu(Case(op, int(n), int(d)))))
