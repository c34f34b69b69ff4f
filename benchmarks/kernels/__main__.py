"""Kernel matrices beside their peers: every op of gpbo.ops, one run, one thread.

python -m benchmarks.kernels                 print what was measured
python -m benchmarks.kernels --record        also benchmarks/results and docs/performance
python -m benchmarks.kernels --quick         a few small cases, to see that it works
python -m benchmarks.kernels --ops contract --sizes 1000
python -m benchmarks.kernels --device cuda   with the cases that only a GPU can do
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from benchmarks import machine
from benchmarks.kernels import cases, launches, memory, repeats, table
from benchmarks.kernels.allocator import rows_with_kept_memory
from benchmarks.kernels.asked import answers
from benchmarks.kernels.contestant import COMPILED, KEOPS
from benchmarks.kernels.lineup import PEERS
from benchmarks.kernels.measure import Settings, measure
from benchmarks.kernels.race import Rules

SHORT = Rules(sample=2e-4, seconds=0.1, fewest=3, most=3)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show, and record if asked to."""
    args = _arguments(argv)
    os.environ["OMP_NUM_THREADS"] = str(args.threads)  # KeOps brings an OpenMP of its own
    torch.set_num_threads(args.threads)
    settings = Settings(
        device=args.device,
        threads=args.threads,
        # Quick: what has to be compiled anew for every size takes seconds before it starts.
        without={*args.without, *((COMPILED, KEOPS) if args.quick else ())},
        rules=SHORT if args.quick else Rules(),
    )
    record = run(args, settings)
    table.show(record, Console(width=None if os.isatty(1) else 200))
    if args.record is not None:
        complete = args.record == Path()
        file = machine.RESULTS / table.FILES[args.device] if complete else args.record
        file.write_text(json.dumps(record, indent=1) + "\n")
        if complete:
            table.write(record, args.device)


def run(args: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Everything that is measured, as JSON."""
    start = time.monotonic()
    chosen = cases.plan(args.device, quick=args.quick, sizes=args.sizes, ops=args.ops)
    rows: list[dict[str, Any]] = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=len(chosen))
        for case in chosen:
            progress.update(bar, description=f"{case.op}, n={case.n}, d={case.d}, b={case.b}")
            rows += measure(case, settings)
            progress.advance(bar)
        if args.device == "cpu":
            progress.update(bar, description="again, with memory in use")
            rows += rows_with_kept_memory(_large(chosen), args.threads, asdict(settings.rules))
        progress.update(bar, description="bits and memory")
        checks = _checks(args, chosen)
    record = {
        "machine": machine.describe(),
        "run": {
            "device": args.device,
            "threads": args.threads,
            "quick": args.quick,
            "minutes": (time.monotonic() - start) / 60,
            "rules": asdict(settings.rules),
        },
        "rows": rows,
        "checks": checks,
    }
    return {**record, "asked": answers(record)}


def _large(chosen: Sequence[cases.Case]) -> list[cases.Case]:
    """The matrices for which it matters where memory comes from, or the first one there is."""
    matrices = [c for c in chosen if c.op == "matrix" and c.b == 1 and c.dtype == "float64"]
    return [c for c in matrices if c.n >= 1000 and c.d == 10] or matrices[:1]


def _checks(args: argparse.Namespace, chosen: Sequence[cases.Case]) -> list[dict[str, Any]]:
    ops = {case.op for case in chosen}
    found = [
        repeats.same_bits(case, args.device)
        for case in repeats.cases(100 if args.quick else 1000)
        if case.op in ops
    ]
    if "contract" in ops:
        for n in (200,) if args.quick else (1000, 2000, 4000):
            found.append(memory.beyond_input(cases.Case("contract", n, 20), args.device))
    if args.device == "cuda":
        found += [
            launches.launches(case) for case in chosen if case.op == "matrix" and case.b == 64
        ]
    return found


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kernels", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="a few small cases")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=(), help="only these n")
    parser.add_argument("--ops", nargs="+", choices=cases.OPS, default=(), metavar="OP")
    parser.add_argument(
        "--without", nargs="+", choices=PEERS, default=(), metavar="PEER", help=", ".join(PEERS)
    )
    parser.add_argument(
        "--record",
        type=Path,
        nargs="?",
        const=Path(),
        help="write a JSON file; without a name, the one in benchmarks/results, and the page",
    )
    args = parser.parse_args(argv)
    if args.record == Path() and (args.quick or args.sizes or args.ops or args.without):
        parser.error("--record without a file is for a full run")
    if args.threads < 1:
        parser.error(f"--threads has to be at least 1, got {args.threads}")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU")
    return args


if __name__ == "__main__":
    main()
