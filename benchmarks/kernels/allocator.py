"""The same cases in a process whose allocator keeps what was freed and hands it out again.

By default glibc gives large blocks back to the system at once, so a call that makes a large matrix
meets new pages every time, and the system clears them: a cost that no op can avoid, and that may be
several times its own. In this child that cost is gone, for everybody.

    python -m benchmarks.kernels.allocator    settings and cases as JSON on stdin, rows on stdout
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.kernels.cases import Case
from benchmarks.kernels.contestant import GPBO, GPYTORCH
from benchmarks.kernels.lineup import PEERS

KEPT = "kept"
KEEPING = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}


def rows_with_kept_memory(cases: Sequence[Case], threads: int, rules: dict[str, Any]) -> list[Any]:
    """Rows of gpbo, GPyTorch and the limits; none where the allocator is not glibc's."""
    if platform.libc_ver()[0] != "glibc":
        return []
    asked = {"threads": threads, "rules": rules, "cases": [asdict(case) for case in cases]}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kernels.allocator"],
        input=json.dumps(asked),
        env={**os.environ, **KEEPING},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the run with kept memory failed: {done.stderr.strip()[-500:]}")
    rows: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return rows


def main() -> None:
    """The child."""
    import torch

    from benchmarks.kernels.measure import Settings, measure
    from benchmarks.kernels.race import Rules

    asked = json.load(sys.stdin)
    torch.set_num_threads(asked["threads"])
    settings = Settings(
        threads=asked["threads"],
        without=set(PEERS) - {GPBO, GPYTORCH},
        allocator=KEPT,
        rules=Rules(**asked["rules"]),
    )
    rows = [row for case in asked["cases"] for row in measure(Case(**case), settings)]
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
