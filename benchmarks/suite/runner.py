"""Runs in processes of their own, each finished one written at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue

from benchmarks.ask.worker import OverTimeError, Worker
from benchmarks.suite import record, study
from benchmarks.suite.plan import Plan, Run
from benchmarks.suite.record import Row

# The cap stops a study between two asks. One that hangs is ended with its process, later than any
# study of theirs and the objective's own time would take.
HANGING, OBJECTIVE = 3.0, 1800.0


def missing(plan: Plan, retry: bool = False) -> list[Run]:
    """The runs of the plan that the results lack; with `retry` those that failed as well."""
    known = record.read(plan.out)
    return [
        run for run in plan.runs() if not record.is_done(known.get(run.key), run.planned, retry)
    ]


def execute(plan: Plan, runs: Sequence[Run], say: Callable[[Row], None], about: Row) -> None:
    """Make the runs, `plan.jobs` at a time, and write each with what `about` says."""
    idle: SimpleQueue[Worker] = SimpleQueue()
    workers = [Worker() for _ in range(plan.jobs)]
    for worker in workers:
        idle.put(worker)

    def one(run: Run) -> Row:
        worker = idle.get()
        try:
            return _call(worker, run)
        finally:
            idle.put(worker)

    waiting = list(reversed(runs))
    try:
        with ThreadPoolExecutor(plan.jobs) as pool:
            busy: set[Future[Row]] = set()
            try:
                while waiting or busy:
                    while waiting and len(busy) < plan.jobs:
                        busy.add(pool.submit(one, waiting.pop()))
                    done, busy = wait(busy, return_when=FIRST_COMPLETED)
                    for future in done:
                        row = future.result() | about
                        record.append(plan.out, row)
                        say(row)
            finally:  # Ctrl-C: the threads wait for their processes no longer
                for worker in workers:
                    worker.close()
    finally:
        for worker in workers:
            worker.close()


def _call(worker: Worker, run: Run) -> Row:
    """The row of a run; of one that hung or died, a row that says so."""
    row: Row = {"problem": run.problem, "peer": run.label, "seed": run.seed, "planned": run.planned}
    try:
        limit = HANGING * run.cap + OBJECTIVE
        return worker.call(study.run, run, limit=limit) | row
    except OverTimeError as error:
        return row | {"error": str(error)}
    except RuntimeError as error:
        return row | {"error": str(error).strip().splitlines()[-1]}
