"""The tables of a record, on a terminal and in docs/performance/kernels.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks import machine
from benchmarks.kernels.cases import OPS
from benchmarks.kernels.contestant import (
    COMPILED,
    DROP_IN,
    EXP,
    FRESH,
    GPBO,
    GPYTORCH,
    HUGE,
    KEOPS,
    REFERENCE,
    TORCH,
    WARM,
)
from benchmarks.page import put

Row = dict[str, Any]
PAGE = machine.ROOT / "docs" / "performance" / "kernels.md"
FILES = {"cpu": "kernels.json", "cuda": "kernels_cuda.json"}  # in benchmarks/results
KEY = ("op", "n", "m", "d", "b", "dtype", "allocator")
MANY_PAIRS = 10**6  # below, what a call costs hides the limits
OTHERS = (GPYTORCH, TORCH, COMPILED, KEOPS, REFERENCE, DROP_IN)


@dataclass(frozen=True)
class Table:
    """Headings and cells, all of them text."""

    title: str
    headings: tuple[str, ...]
    cells: list[tuple[str, ...]]


def tables(record: Row) -> list[Table]:
    """What was asked, every case, and the limits."""
    groups = list(_groups(record["rows"]).values())
    usual = [group for group in groups if group[GPBO]["allocator"] == "default"]
    limited = [group for group in groups if FRESH in group and _pairs(group[GPBO]) >= MANY_PAIRS]
    return [
        Table(
            "Asked and reached",
            ("asked", "wanted", "measured", "reached"),
            [
                (line["asked"], line["wanted"], line["measured"], _said(line["reached"]))
                for line in record["asked"]
            ],
        ),
        Table(
            "Every case: gpbo's time, and how many times longer the others take",
            ("case", "n", "d", "b", GPBO, *OTHERS),
            [_case(group) for group in usual],
        ),
        Table(
            "Matrices beside the limits of the machine",
            ("case", "n", "d", "b", "memory", GPBO, FRESH, HUGE, WARM, EXP, "over the limit"),
            [_limits(group) for group in limited],
        ),
        _failures(groups),
    ]


def show(record: Row, console: Console) -> None:
    """Print the tables."""
    for table in tables(record):
        if not table.cells:
            continue
        drawn = RichTable(title=table.title)
        for heading in table.headings:
            left = heading in ("asked", "case", "measured", "reason", "contestant", "reached")
            drawn.add_column(heading, justify="left" if left else "right", overflow="fold")
        for cells in table.cells:
            drawn.add_row(*cells)
        console.print(drawn)


def markdown(record: Row) -> str:
    """The same tables for a page, with the machine they were measured on."""
    parts = [_machine(record)]
    for table in tables(record):
        if not table.cells:
            continue
        lines = [f"### {table.title}", "", _joined(table.headings)]
        lines += [_joined(["---"] * len(table.headings)), *map(_joined, table.cells)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def block(device: str) -> tuple[str, str]:
    """The lines of the page between which the tables of a device stand."""
    name = f"kernel tables: benchmarks/results/{FILES[device]}"
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


def write(record: Row, device: str, page: Path = PAGE) -> None:
    """Put the tables of a record into the page."""
    start, end = block(device)
    put(page, f"{start}\n{markdown(record)}\n{end}", start, end)


def duration(seconds: float) -> str:
    """In the unit that leaves it between 1 and 1000."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= 0.9995 * size or unit == "us":
            return f"{seconds / size:.3g} {unit}"
    return ""


def _groups(rows: Sequence[Row]) -> dict[tuple[Any, ...], dict[str, Row]]:
    """Rows by case, and within a case by contestant."""
    groups: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in KEY), {})[row["contestant"]] = row
    return groups


def _name(group: dict[str, Row]) -> tuple[str, str, str, str]:
    row = group[GPBO]
    second = f" x {row['m']}" if row["m"] else ""
    dtype = "" if row["dtype"] == "float64" else f", {row['dtype']}"
    return f"{OPS[row['op']]}{dtype}", f"{row['n']}{second}", str(row["d"]), str(row["b"])


def _case(group: dict[str, Row]) -> tuple[str, ...]:
    own = group[GPBO]
    time = duration(own["seconds"]["median"]) if own["status"] == "ok" else own["status"]
    return *_name(group), time, *(_times(group.get(name)) for name in OTHERS)


def _times(row: Row | None) -> str:
    if row is None:
        return "–"
    if row.get("status") != "ok":
        return str(row.get("status", "–"))
    return f"{row['ratio']['median']:.3g}x"


def _limits(group: dict[str, Row]) -> tuple[str, ...]:
    own = group[GPBO]
    times = [
        duration(group[name]["seconds"]["median"]) if name in group else "–"
        for name in (GPBO, FRESH, HUGE, WARM, EXP)
    ]
    over = f"{own['over_limit']['median']:.2f}x" if "over_limit" in own else "–"
    memory = {"default": "as it comes"}.get(own["allocator"], "in use")
    return *_name(group), memory, *times, over


def _pairs(row: Row) -> int:
    return int(row["b"] * row["n"] * (row["m"] or row["n"]))


def _failures(groups: Sequence[dict[str, Row]]) -> Table:
    """What has no time, and why; cases with the same reason in one line."""
    found: dict[tuple[str, str], list[str]] = {}
    for group in groups:
        case, n, d, b = _name(group)
        for name, row in group.items():
            if row["status"] == "failed":
                where = f"{case} (n={n}, d={d}, b={b})"
                found.setdefault((name, row["reason"]), []).append(where)
    cells: list[tuple[str, ...]] = [
        (name, reason, "; ".join(cases)) for (name, reason), cases in found.items()
    ]
    return Table("What failed, and why", ("contestant", "reason", "case"), cells)


def _machine(record: Row) -> str:
    where, run = record["machine"], record["run"]
    versions = ", ".join(f"{name} {number}" for name, number in where["packages"].items())
    threads = "one thread" if run["threads"] == 1 else f"{run['threads']} threads"
    place = where["gpu"] if run["device"] == "cuda" else where["cpu"]
    return (
        f"{place}, {where['cores']} cores, {where['system']}, {threads}; gpbo's library uses "
        f"{where['instruction_set']}; {versions}; commit {where['commit']}; "
        f"{run['minutes']:.0f} minutes."
    )


def _said(reached: bool | None) -> str:
    return {True: "yes", False: "no", None: "–"}[reached]


def _joined(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
