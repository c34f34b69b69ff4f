"""The page of the docs, made from the record."""

from __future__ import annotations

from pathlib import Path

from benchmarks.batches.table import Record, grids
from benchmarks.machine import ROOT
from benchmarks.page import put

PAGE = ROOT / "docs" / "performance" / "batches.md"
BEGIN, END = "<!-- made from benchmarks/results/batches.json -->", "<!-- end -->"


def generated(record: Record) -> str:
    """All that the page takes from the record."""
    parts = [BEGIN]
    for grid in grids(record):
        parts += [f"### {grid.title}", grid.markdown()]
    for name, section in record.items():
        where = sorted({(row["machine"], row["commit"]) for row in section["rows"]})
        said = "; ".join(f"{machine}, commit {commit}" for machine, commit in where)
        parts.append(f"Section `{name}`: {said}.")
    versions = {
        f"{row['name']} {row['version']}"
        for row in record.get("reach", {}).get("rows", [])
        if "version" in row
    }
    if versions:
        parts.append(f"Versions: {', '.join(sorted(versions))}.")
    return "\n\n".join([*parts, END])


def update(record: Record, page: Path = PAGE) -> None:
    """Put the record's tables where the page has its old ones."""
    put(page, generated(record), BEGIN, END)
