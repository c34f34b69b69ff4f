"""The record as tables, for the terminal and for the page."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

from benchmarks.ask.goals import Goal
from benchmarks.ask.table import MET, SKIPPED, Grid
from benchmarks.batches.plan import AGAIN, BATCHES, FREE, OURS, WORKERS
from benchmarks.batches.ratios import LEVELS, SHARES, Score, Studies

Record = dict[str, Any]

MOST = 1.3  # times the sequential number of evaluations
CALLED = {
    AGAIN: "sequential, another seed",
    BATCHES: f"batches of {WORKERS}",
    FREE: f"{WORKERS} workers",
}


def grids(record: Record) -> list[Grid]:
    """Every table of the sections that the record has."""
    made = [asked_and_reached(record)]
    if "reach" in record:
        studies = Studies(record["reach"]["rows"])
        made += [own(studies), against_ours(studies), levels(studies), problems(studies)]
    if "spread" in record:
        made.append(spread(record))
    if "seconds" in record:
        made.append(seconds(record))
    return made


def asked_and_reached(record: Record) -> Grid:
    """The goals."""
    rows = [(goal.asked, goal.reached, MET[goal.met]) for goal in goals(record)]
    return Grid("Asked and reached", ("goal", "reached", "met"), rows)


def goals(record: Record) -> list[Goal]:
    """Each goal; those of sections that the record lacks count as not measured."""
    studies = Studies(record.get("reach", {}).get("rows", []))
    rows = record.get("spread", {}).get("rows", [])
    return [
        *(_evaluations(studies, way) for way in (BATCHES, FREE)),
        _distinct(rows),
        *(_apart(rows, where) for where in ("box", "near")),
    ]


def own(studies: Studies) -> Grid:
    """Each optimizer against its own sequential studies."""
    made = []
    for name in studies.names:
        for way in studies.ways(name):
            scores = [studies.score(name, way, share) for share in SHARES]
            made.append((name, CALLED[way], *_cells(scores)))
    title = "Evaluations needed, in shares of the optimizer's own sequential number"
    notes = [f"{row['name']}, {row['problem']}: {row['skipped']}" for row in studies.skipped]
    return Grid(title, ("optimizer", "asked", *_head()), made, notes)


def against_ours(studies: Studies) -> Grid:
    """Each optimizer against gpbo's sequential studies."""
    made = []
    for name in studies.names:
        for way in studies.ways(name):
            scores = [studies.score(name, way, share, OURS) for share in SHARES]
            if way != AGAIN and scores[0] is not None:
                made.append((name, CALLED[way], *_cells(scores), _per_ask(studies, name, way)))
    title = f"The same against {OURS}'s sequential studies"
    return Grid(title, ("optimizer", "asked", *_head(), "s a trial"), made)


def levels(studies: Studies) -> Grid:
    """Each optimizer's evaluations until a fixed regret, against its own sequential studies."""
    made = []
    for name in studies.names:
        for way in studies.ways(name):
            found = [studies.level(name, way, left) for left in LEVELS]
            cells = [
                SKIPPED if one is None else f"{_times(one.ratio)} ({one.late} of {one.studies})"
                for one in found
            ]
            made.append((name, CALLED[way], *cells))
    head = ("optimizer", "asked", *(f"{left:g}" for left in LEVELS))
    notes = ["In brackets: how many do not reach it within n, of those whose sequential study does"]
    title = "Evaluations until a share of what random params lose is left, in sequential ones"
    return Grid(title, head, made, notes)


def problems(studies: Studies) -> Grid:
    """gpbo's median ratios on each problem."""
    made = []
    ways = studies.ways(OURS)
    for problem in dict.fromkeys(row["problem"] for row in studies.rows.values()):
        cells = []
        for way in ways:
            scores = [studies.score(OURS, way, share, problem=problem) for share in SHARES]
            cells += [SKIPPED if one is None else f"{one.ratio[0]:.2f}" for one in scores]
        made.append((problem, *cells))
    head = [f"{CALLED[way]}, {_share(share)}" for way in ways for share in SHARES]
    return Grid(f"{OURS}: median ratio by problem", ("problem", *head), made)


def spread(record: Record) -> Grid:
    """Distances in a batch beside those of Sobol points."""
    made = []
    for row in record["spread"]["rows"]:
        cells = [
            f"{row[of]['least']:.3g} / {row[of]['median']:.3g}" for of in ("batch", "box", "near")
        ]
        sides = f"{median(row['sides']):.2f}"
        points = f"{row['distinct']} of {row['points']}"
        made.append((row["problem"], str(row["d"]), str(row["seed"]), points, *cells, sides))
    head = (
        "problem",
        "d",
        "seed",
        "distinct",
        "batch",
        "Sobol, whole box",
        "Sobol, batch's box",
        "side",
    )
    return Grid("Distance of two points in lengthscales: least / median", head, made)


def seconds(record: Record) -> Grid:
    """How long an ask for q trials takes."""
    made, notes = [], []
    for row in record["seconds"]["rows"]:
        if "skipped" in row:
            notes.append(f"q = {row['q']}: {row['skipped']}")
            continue
        each = f"{1e3 * row['seconds'] / row['points']:.1f}"
        made.append((str(row["q"]), f"{row['seconds']:.3f}", each, str(row["rounds"])))
    rows = record["seconds"]["rows"]
    title = f"ask(q) after {rows[0]['seen']} observations of {rows[0]['problem']}"
    return Grid(title, ("q", "seconds", "ms a trial", "rounds"), made, notes)


def _evaluations(studies: Studies, way: str) -> Goal:
    asked = f"{CALLED[way]} need at most {MOST:g} times the sequential number of evaluations"
    parts, within = [], True
    for share in SHARES:
        score, luck = (studies.score(OURS, one, share) for one in (way, AGAIN))
        if score is None:
            return Goal(asked, "not measured", None)
        within = within and score.ratio[0] <= MOST
        by_luck = f" ({luck.ratio[0]:.2f} and {luck.ratio[1]:.2f} by luck)" if luck else ""
        parts.append(
            f"{score.ratio[0]:.2f} in the median, {score.ratio[1]:.2f} in the 75th percentile"
            f"{by_luck} at {_share(share)}"
        )
    return Goal(asked, "; ".join(parts), within)


def _distinct(rows: list[Record]) -> Goal:
    asked = "all points of a batch are distinct"
    if not rows:
        return Goal(asked, "not measured", None)
    fewest = min(row["distinct"] for row in rows)
    most = rows[0]["points"]
    return Goal(asked, f"{fewest} at least, of {most}", fewest == most)


def _apart(rows: list[Record], where: str) -> Goal:
    what = {"box": "Sobol's in the whole box", "near": "Sobol's in the batch's own box"}[where]
    asked = f"the least distance of two is not below {what}"
    if not rows:
        return Goal(asked, "not measured", None)
    shares = [row["batch"]["least"] / row[where]["least"] for row in rows]
    good = sum(share >= 1 for share in shares)
    reached = f"{good} of {len(shares)} batches, {median(shares):.2g} times it in the median"
    return Goal(asked, f"{reached}, {min(shares):.2g} at least", good == len(shares))


def _head() -> list[str]:
    head = []
    for share in SHARES:
        where = _share(share)
        head += [f"median (75 %) at {where}", f"never at {where}", f"log regret at {where}"]
    return [*head, *(f"time at {_share(share)}" for share in SHARES), "studies"]


def _cells(scores: list[Score | None]) -> list[str]:
    cells, times = [], []
    for one in scores:
        assert one is not None
        error = "" if math.isnan(one.error) else f" ± {one.error:.2f}"
        cells += [f"{one.ratio[0]:.2f} ({one.ratio[1]:.2f})", f"{one.never:.0%}"]
        cells.append(f"{one.gap:+.2f}{error}")
        times.append(f"÷ {one.faster:.1f}")
    return [*cells, *times, str(scores[0].studies if scores[0] else 0)]


def _per_ask(studies: Studies, name: str, way: str) -> str:
    rows = [row for row in studies.rows.values() if (row["name"], row["way"]) == (name, way)]
    return f"{median(row['seconds'] / row['told'] for row in rows):.3f}"


def _times(ratio: float) -> str:
    return "never" if math.isinf(ratio) else f"{ratio:.2f}"


def _share(share: float) -> str:
    return "n" if share == 1 else f"n / {1 / share:g}"
