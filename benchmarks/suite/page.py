"""The page of the docs and its pictures, made from the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import ROOT
from benchmarks.page import put
from benchmarks.suite.plan import Plan
from benchmarks.suite.record import Row
from benchmarks.suite.regret import POINTS, Scores, band
from benchmarks.suite.table import OURS, grids, problems

PAGE = ROOT / "docs" / "performance" / "suite.md"
PICTURE = PAGE.with_suffix(".png")
PLAN = Plan(half="report")  # what is published
BEGIN, END = "<!-- made from benchmarks/results/suite -->", "<!-- end -->"


def generated(rows: Sequence[Row]) -> str:
    """All that the page takes from the results."""
    scores, parts = Scores(rows), [BEGIN]
    for grid in [*grids(scores), problems(scores.level())]:
        parts += [f"### {grid.title}", grid.markdown()]
    made = sorted({(row["machine"], row["commit"]) for row in rows if row["peer"] == OURS})
    others = sorted({row["machine"] for row in rows})
    commits = ", ".join(commit for _, commit in made)
    parts.append(f"Machines: {', '.join(others)}. gpbo at commit {commits}.")
    return "\n\n".join([*parts, END])


def update(rows: Sequence[Row], page: Path = PAGE) -> None:
    """Put the tables where the page has its old ones, and draw the picture."""
    put(page, generated(rows), BEGIN, END)
    draw(rows, page.with_suffix(".png"))


def draw(rows: Sequence[Row], file: Path = PICTURE) -> None:
    """Log regret over the share of the trials, a panel for each kind of problem."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    scores = Scores(rows).level()
    present = scores.present()
    columns = min(4, len(present))
    lines = -(-len(present) // columns)
    figure, panels = plt.subplots(
        lines, columns, figsize=(3.2 * columns, 2.8 * lines), squeeze=False, layout="constrained"
    )
    colors = plt.get_cmap("tab20").colors
    for panel in panels.flat[len(present) :]:
        panel.set_visible(False)
    for panel, kind in zip(panels.flat, present, strict=False):
        for peer, color in zip(scores.peers, colors, strict=False):
            curves = list(scores.averaged(peer, kind).values())
            if curves:
                middle, low, high = band(curves)
                width = 2.2 if peer == OURS else 1.0
                panel.plot(POINTS, middle, label=peer, lw=width, color=color)
                if peer == OURS:
                    panel.fill_between(POINTS, low, high, color=color, alpha=0.15, lw=0)
        panel.set(title=f"{kind} ({len({n for n, _ in scores.curves if scores.kinds[n] == kind})})")
        panel.grid(alpha=0.3)
    for panel in panels[-1]:
        panel.set_xlabel("share of the trials")
    for panel in panels[:, 0]:
        panel.set_ylabel("log10 regret")
    handles = {}
    for panel in panels.flat:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", fontsize="small")
    figure.savefig(file, dpi=100)
    plt.close(figure)
