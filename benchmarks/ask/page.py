"""The page of the docs and its picture, made from the record."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ask.goals import Record
from benchmarks.ask.table import ORDER, grids
from benchmarks.machine import ROOT
from benchmarks.page import put

PAGE = ROOT / "docs" / "performance" / "ask.md"
PICTURE = PAGE.with_suffix(".png")
BEGIN, END = "<!-- made from benchmarks/results/ask.json -->", "<!-- end -->"
WITHOUT_GREENLET = "Without greenlet Optuna climbs from its starts one by one, which is slower."


def generated(record: Record) -> str:
    """All that the page takes from the record."""
    parts = [BEGIN]
    for grid in grids(record):
        parts += [f"### {grid.title}", grid.markdown()]
    for name, section in record.items():
        machine = section["machine"]
        packages = ", ".join(f"{key} {value}" for key, value in section["packages"].items())
        packages = packages.replace(" None", " not installed")
        where = f"{machine['cpu']}, {machine['system']}, Python {machine['python']}"
        parts.append(f"Section `{name}`: {where}; commit {machine['commit']}; {packages}.")
        if not section["packages"]["greenlet"]:
            parts.append(WITHOUT_GREENLET)
    return "\n\n".join([*parts, END])


def update(record: Record, page: Path = PAGE) -> None:
    """Put the record's tables where the page has its old ones."""
    put(page, generated(record), BEGIN, END)


def draw(record: Record, file: Path = PICTURE) -> None:
    """How long an ask takes over the number of observations, a panel a dimension."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [row for row in record["latency"]["rows"] if "skipped" not in row]
    dimensions = sorted({row["d"] for row in rows})
    figure, panels = plt.subplots(
        1,
        len(dimensions),
        figsize=(2.6 * len(dimensions), 3),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for panel, d in zip(panels[0], dimensions, strict=True):
        for name in ORDER:
            line = sorted(
                (row["n"], 1e3 * row["ask"])
                for row in rows
                if (row["contestant"], row["d"]) == (name, d)
            )
            if line:
                width = 2.2 if name == "gpbo" else 1.2
                panel.loglog(*zip(*line, strict=True), "o-", label=name, lw=width, ms=3)
        panel.set(title=f"d = {d}", xlabel="observations")
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("one ask, ms")
    panels[0][-1].legend(fontsize="small")
    figure.savefig(file, dpi=100)
    plt.close(figure)
