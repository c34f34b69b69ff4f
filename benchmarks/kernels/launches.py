"""How many kernels a call starts on a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.kernels import with_gpbo
from benchmarks.kernels.cases import Case, Problem
from benchmarks.kernels.contestant import GPBO


def launches(case: Case) -> dict[str, Any]:
    """The check as a row."""
    call = with_gpbo.compete(case.op, Problem(case, torch.device("cuda")), GPBO).call
    call()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as recorded:
        call()
        torch.cuda.synchronize()
    started = [e.name for e in recorded.events() or () if str(e.device_type).endswith("CUDA")]
    kernels = [name for name in started if not name.lower().startswith(("mem", "gpu_memory"))]
    return {"check": "launches", **case.as_dict(), "count": len(kernels)}
