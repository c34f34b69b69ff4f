"""`gpbo run`: the loop of gpbo.minimize around a command."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

from gpbo.cli.command import Command
from gpbo.cli.messages import complain
from gpbo.cli.signals import STOPPING
from gpbo.cli.study import set_up
from gpbo.cli.text import as_table, print_json
from gpbo.errors import NoResultsError
from gpbo.optimizer import Optimizer
from gpbo.runner import Limits, Result
from gpbo.runner import run as run_trials
from gpbo.trial import Trial


def run(args: argparse.Namespace) -> int:
    """Ask, run the command, tell, until the study has `-n` trials; then show the best.

    Raises   StorageError, StudyError, SpaceError, DeviceError
             CommandError          if the command cannot be started
             TooManyFailuresError  after 10 failures in a row
    """
    setup = set_up(args, budget=args.n)
    command = Command(args.words, setup.space)
    for suspect in command.suspects:
        complain(f"warning: {suspect}")
    opt = Optimizer(
        setup.space,
        setup.direction,
        setup.options.strategy,
        setup.seed,
        setup.open(),
        setup.study,
        device=setup.options.device,
        budget=setup.options.budget,
    )
    limits = Limits(args.n, args.timeout, catch=())  # CommandFailed is a failed trial anyway
    stopping = _Stopping()
    with stopping.on_signals():
        result = run_trials(opt, lambda trial: command(trial.number, trial.params), limits, False)
    _show(args, setup.study, result)
    if result.stopped == "interrupted":
        complain("stopped; the same call goes on")
        return 128 + stopping.signal
    return 0 if any(trial.state == "complete" for trial in result.trials) else 1


@final
class _Stopping:
    """Lets kill and a closed terminal stop the run as Ctrl-C does: the command ends with it."""

    def __init__(self) -> None:
        self.signal: int = signal.SIGINT

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may
            return
        before = {number: signal.getsignal(number) for number in STOPPING}
        # What is ignored stays ignored, as under nohup.
        before = {n: old for n, old in before.items() if callable(old) or old == signal.SIG_DFL}
        try:
            for number in before:
                signal.signal(number, self._stop)
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)

    def _stop(self, number: int, frame: Any) -> None:
        self.signal = number
        raise KeyboardInterrupt


def _show(args: argparse.Namespace, study: str, result: Result) -> None:
    """What the run found, on stdout."""
    states = [trial.state for trial in result.trials]
    counts = {state: states.count(state) for state in ("complete", "failed", "pending")}
    try:
        best: Trial | None = result.best
    except NoResultsError:
        best = None
    if args.json:
        found = best and {"number": best.number, "value": best.value, "params": best.params}
        what = {"study": study, "direction": result.direction, "stopped": result.stopped}
        print_json(what, trials=len(states), **counts, best=found)
    elif best is None:
        print(f"no result in {len(states)} trials ({result.direction}): {counts['failed']} failed")
    else:
        print(f"best of {len(states)} trials ({result.direction}): {best.value!r}, "
              f"trial {best.number}\n{as_table(best.params)}")  # fmt: skip
