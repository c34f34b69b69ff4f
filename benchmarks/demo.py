"""The demo: tune a small network with grid, random and Bayesian search, at the same budget.

    python -m benchmarks.demo            go on from demo-results/demo.db, or start
    python -m benchmarks.demo --fresh    start over
    python -m benchmarks.demo --record   also write the figures to benchmarks/results/demo.json

Kill it at any moment and start it again: it continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import warnings
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import gpbo
from benchmarks import digits, machine
from gpbo.errors import NonFiniteObjectiveWarning

OUT = Path("demo-results")
BUDGET = 30
SEEDS = (0, 1, 2, 3, 4)
# A grid that fits the budget can afford few values: 4 learning rates, 3 activations, 2 optimizers.
GRID = gpbo.Grid(
    n={
        "lr": 4,
        "weight_decay": 1,
        "dropout": 1,
        "width": 1,
        "momentum": 1,
        "nesterov": 1,
        "beta1": 1,
    }
)
STRATEGIES: dict[str, Any] = {"grid": GRID, "random": "random", "bayes": "bayes"}


def tune(strategy: str, seed: int, progress: Progress) -> gpbo.Optimizer:
    """One study: the training code asks for params and tells what they gave."""
    opt = gpbo.Optimizer(
        digits.SPACE,
        direction="minimize",
        strategy=STRATEGIES[strategy],
        seed=seed,
        storage=OUT / "demo.db",
        study=f"{strategy}-{seed}",
        budget=BUDGET,
    )
    done = len(opt.trials) - len(opt.pending)
    total = min(BUDGET, opt.size or BUDGET)  # the grid is a little smaller than the budget
    bar = progress.add_task(f"{strategy}, seed {seed}", total=total, completed=done)
    while done < total:
        trial = opt.ask()
        assert trial is not None
        model = digits.train(trial.params)
        opt.tell(trial, digits.error(model, "validation"))
        done += 1
        progress.update(bar, completed=done)
    return opt


def best_so_far(opt: gpbo.Optimizer) -> list[float]:
    """The best validation error after each of BUDGET trials; a grid that ended keeps its last."""
    curve, best = [], float("inf")
    for trial in opt.trials:
        best = min(best, trial.value if trial.value is not None else best)
        curve.append(best)
    return (curve + [best] * BUDGET)[:BUDGET]


def summarize(studies: dict[str, list[gpbo.Optimizer]]) -> list[dict[str, Any]]:
    """One row a strategy; the test split is used here for the first time, once a winner."""
    rows = []
    for name, opts in studies.items():
        tests = [digits.error(digits.train(opt.best_params), "test") for opt in opts]
        rows.append(
            {
                "strategy": name,
                "trials": len(opts[0].trials),
                "validation_error": mean(opt.best_value for opt in opts),
                "test_error": mean(tests),
                "validation_errors": [opt.best_value for opt in opts],
                "test_errors": tests,
                "curve": [mean(values) for values in zip(*map(best_so_far, opts), strict=True)],
            }
        )
    return rows


def show(rows: list[dict[str, Any]], studies: dict[str, list[gpbo.Optimizer]]) -> None:
    """Print the table and the winner."""
    table = Table(title=f"Best of {BUDGET} trials, mean of {len(SEEDS)} seeds (a grid has none)")
    for heading in ("strategy", "trials", "validation error", "test error"):
        table.add_column(heading, justify="left" if heading == "strategy" else "right")
    for row in rows:
        table.add_row(
            row["strategy"],
            str(row["trials"]),
            f"{row['validation_error']:.2%}",
            f"{row['test_error']:.2%}",
        )
    console = Console()
    console.print(table)
    best = min((opt for opts in studies.values() for opt in opts), key=lambda opt: opt.best_value)
    console.print(f"The best params, found by {best.study} ({best.direction} validation error):")
    console.print_json(json.dumps(best.best_params))


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Save the convergence picture."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    for row, style in zip(rows, (":", "--", "-"), strict=True):
        curve = [100 * value for value in row["curve"]]
        axes.step(range(1, BUDGET + 1), curve, style, where="post", label=row["strategy"], lw=2)
    axes.set(
        xlabel="trials",
        ylabel="best validation error so far, %",
        title=f"A small network on handwritten digits (mean of {len(SEEDS)} seeds)",
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(file, dpi=120)
    plt.close(figure)


def main() -> None:
    """Run the studies, or the rest of them, and show what they found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="forget an earlier run")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/demo.json")
    args = parser.parse_args()
    if args.fresh:
        shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(exist_ok=True)
    torch.set_num_threads(1)  # for a network of this size a second thread costs more than it gives
    warnings.simplefilter("ignore", NonFiniteObjectiveWarning)  # a diverged training is expected

    print(f"Every trial is kept in {OUT / 'demo.db'}: stop with Ctrl-C, start again, it goes on.")
    with Progress(console=Console(stderr=True)) as progress:
        studies = {
            name: [tune(name, seed, progress) for seed in (SEEDS[:1] if name == "grid" else SEEDS)]
            for name in STRATEGIES
        }
    rows = summarize(studies)
    show(rows, studies)
    draw(rows, OUT / "convergence.png")
    print(f"The convergence picture: {OUT / 'convergence.png'}")
    if args.record:
        record = {"machine": machine.describe(), "budget": BUDGET, "seeds": SEEDS, "rows": rows}
        (machine.RESULTS / "demo.json").write_text(json.dumps(record, indent=1) + "\n")
        draw(rows, machine.RESULTS / "demo.png")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\nStopped. Everything told is kept; start the demo again to go on.")
