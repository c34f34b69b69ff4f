"""The scores as tables, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median
from typing import Any

from benchmarks.ask.table import Grid
from benchmarks.suite.regret import BUDGETS, Scores

OURS = "gpbo"
NONE = "–"
LATE = 0.5  # proposals after this share of the trials are late ones


def grids(scores: Scores, ours: str = OURS) -> list[Grid]:
    """Every table."""
    level = scores.level()
    made = [overall(level), duels(scores, ours), kinds(level)]
    made += [grid for grid in (noise(scores), failures(scores)) if grid.rows]
    return made


def overall(scores: Scores) -> Grid:
    """Ranks and regrets on what everybody can do, and what it costs."""
    common = scores.common()
    some = common if common.curves else scores
    rows = []
    for peer in some.peers:
        ranks = [mean(some.ranks(budget)[peer].values()) for budget in BUDGETS]
        regret = mean(some.means(peer).values())
        runs = [row for row in scores.rows if row["peer"] == peer]
        per_ask = median(row["seconds"] / max(row["trials"], 1) for row in runs)
        row = (peer, *(f"{rank:.2f}" for rank in ranks), f"{regret:.2f}", _time(per_ask))
        rows.append((*row, str(sum(row["repeats"] for row in runs)), _versions(runs)))
    problems = {problem for problem, _ in some.curves}
    seeds = {seed for _, seed in some.curves}
    head = ("optimizer", *(f"rank at {budget:.0%}" for budget in BUDGETS))
    head = (*head, "log regret", "an ask", "repeats", "version")
    title = f"Mean ranks: {len(problems)} problems that all of them can do, {len(seeds)} seeds"
    return Grid(title, head, rows, _notes(scores))


def duels(scores: Scores, ours: str) -> Grid:
    """Ours against each of the others."""
    rows = []
    for peer in scores.peers:
        cells = []
        found = scores.duel(ours, peer) if peer != ours else None
        if found is None:
            continue
        for budget in BUDGETS:
            duel = scores.duel(ours, peer, budget)
            cells.append(f"{duel.wins:.0%}" if duel else NONE)
        fewest, most = found.seeds
        runs = str(found.pairs), str(most) if fewest == most else f"{fewest} to {most}"
        rows.append((peer, *runs, *cells, f"{found.gap:+.2f}", f"{found.p:.1g}"))
    head = (
        "against",
        "runs",
        "seeds",
        *(f"won at {budget:.0%}" for budget in BUDGETS),
        "log regret",
        "p",
    )
    return Grid(f"{ours} against the others, on all that both can do", head, rows)


def kinds(scores: Scores) -> Grid:
    """The mean rank and the mean log regret on each kind of problem."""
    peers = scores.peers
    rows = []
    for kind in scores.present():
        ranks = scores.ranks(1.0, kind)
        cells = []
        for peer in peers:
            curves = scores.averaged(peer, kind)
            if peer not in ranks:
                cells.append(NONE)
                continue
            regret = mean(float(curve[-1]) for curve in curves.values())
            cells.append(f"{regret:.2f} ({mean(ranks[peer].values()):.1f})")
        pairs = [pair for pair in scores.curves if scores.kinds[pair[0]] == kind]
        problems, seeds = (str(len(set(part))) for part in zip(*pairs, strict=True))
        rows.append((kind, problems, seeds, *cells))
    head = ("kind", "problems", "seeds", *peers)
    return Grid("Log regret (mean rank) at the end, by kind of problem", head, rows)


def problems(scores: Scores) -> Grid:
    """The mean log regret and the mean rank on each problem."""
    peers, ranks = scores.peers, scores.ranks(1.0)
    rows = []
    for problem in dict.fromkeys(problem for problem, _ in scores.curves):
        cells = []
        for peer in peers:
            regret = scores.means(peer).get(problem)
            cells.append(NONE if regret is None else f"{regret:.2f} ({ranks[peer][problem]:.1f})")
        rows.append((problem, *cells))
    return Grid("Log regret (mean rank) at the end, by problem", ("", *peers), rows)


def noise(scores: Scores) -> Grid:
    """On noisy problems: what is recommended in the end, against the best that was told."""
    rows = []
    for peer in scores.peers:
        runs = [row for row in scores.rows if row["peer"] == peer and "recommended" in row]
        pairs = [(row["recommended"], row["steps"][-1][1]) for row in runs]
        if pairs:
            better = sum(a < b for a, b in pairs) / len(pairs)
            worse = sum(a > b for a, b in pairs) / len(pairs)
            rows.append((peer, str(len(pairs)), f"{better:.0%}", f"{worse:.0%}"))
    head = ("optimizer", "runs", "better", "worse")
    return Grid("Noisy problems: recommend() against the best value told", head, rows)


def failures(scores: Scores) -> Grid:
    """On problems that fail: how many of the trials in the later half do."""
    runs = [row for row in scores.rows if row["kind"] == "failing" and row["trials"]]
    problems = sorted({row["problem"] for row in runs})
    rows = []
    for peer in scores.peers:
        shares = [(row["problem"], _late(row)) for row in runs if row["peer"] == peer]
        if not shares:
            continue
        over = sum(share > 0.1 for _, share in shares) / len(shares)
        by_problem = [[share for name, share in shares if name == problem] for problem in problems]
        cells = [f"{mean(found):.0%}" if found else NONE for found in by_problem]
        every = f"{mean(share for _, share in shares):.0%}"
        rows.append((peer, str(len(shares)), every, f"{over:.0%}", *cells))
    head = ("optimizer", "runs", "trials that failed", "runs with more than 10 %", *problems)
    return Grid("Problems that fail: the later half of the trials", head, rows)


def _late(row: dict[str, Any]) -> float:
    """The share of a run's late trials that failed."""
    first = LATE * row["trials"]
    late = sum(number > first for number in row.get("failed", []))
    share: float = late / (row["trials"] - int(first))
    return share


def _notes(scores: Scores) -> list[str]:
    """What is missing, and why."""
    notes = []
    for peer, reasons in sorted(scores.cannot.items()):
        for reason, names in sorted(reasons.items()):
            notes.append(f"{peer} cannot do {len(names)} problems: {reason}")
    for peer in sorted({row["peer"] for row in scores.errors}):
        errors = [row for row in scores.errors if row["peer"] == peer]
        notes.append(f"{peer} failed in {len(errors)} runs, first with: {errors[0]['error']}")
    for peer in scores.peers:
        ended = [row for row in scores.rows if row["peer"] == peer and "ended" in row]
        reasons = sorted({row["ended"] for row in ended})
        if ended:
            notes.append(f"{peer} ended {len(ended)} runs early: {', '.join(reasons)}")
    return notes


def _versions(runs: Sequence[dict[str, str]]) -> str:
    return ", ".join(sorted({str(row["version"]) for row in runs}))


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
