"""The results on disk: one line of JSON a finished run, one file a peer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import machine

RESULTS = machine.RESULTS / "suite"

Row = dict[str, Any]
Key = tuple[str, str, int]  # problem, peer, seed


def key_of(row: Row) -> Key:
    """What makes a run the only one of its kind."""
    return row["problem"], row["peer"], row["seed"]


def append(folder: Path, row: Row) -> None:
    """Add a run to its peer's file, on a line of its own even where the last one is torn."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{row['peer']}.jsonl"
    torn = file.exists() and file.read_bytes()[-1:] not in (b"", b"\n")
    with file.open("a") as out:
        out.write("\n" * torn + json.dumps(row) + "\n")


def read(folder: Path, peers: Iterable[str] | None = None) -> dict[Key, Row]:
    """All runs, of the longest where one was made more than once; a torn line is no run."""
    found: dict[Key, Row] = {}
    names = None if peers is None else set(peers)
    for file in sorted(folder.glob("*.jsonl")):
        if names is not None and file.stem not in names:
            continue
        for line in file.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            before = found.get(key_of(row))
            if before is None or _worth(row) >= _worth(before):
                found[key_of(row)] = row
    return found


def is_done(row: Row | None, planned: int, retry: bool = False) -> bool:
    """Whether a run need not be made: the peer cannot, failed (unless `retry`), or went as far."""
    if row is None:
        return False
    if "error" in row:
        return not retry
    return "cannot" in row or row["planned"] >= planned


def cut(row: Row, planned: int) -> Row:
    """What the row of a longer run would be if it had been planned with fewer trials.

    Its seconds are a share of all, which is somewhat too much.
    """
    if "steps" not in row or row["planned"] <= planned:
        return row
    trials = min(row["trials"], planned)
    out = row | {"planned": planned, "trials": trials}
    out["steps"] = [step for step in row["steps"] if step[0] <= planned]
    out["failed"] = [number for number in row.get("failed", []) if number <= planned]
    out["seconds"] = row["seconds"] * trials / max(row["trials"], 1)
    for name in ("recommended", "ended") if trials == planned else ("recommended",):
        out.pop(name, None)
    return out


def _worth(row: Row) -> int:
    return -1 if "error" in row else int(row.get("planned", 0))
