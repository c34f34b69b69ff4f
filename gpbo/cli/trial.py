"""`gpbo ask` and `gpbo tell`: one step of a study."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from gpbo.cli.messages import complain
from gpbo.cli.signals import signals_deferred
from gpbo.cli.study import names_of, open_study, set_up
from gpbo.cli.text import as_table, print_json, print_params, shell_variables
from gpbo.errors import GpboError, TrialStateError
from gpbo.optimizer import Optimizer
from gpbo.options import Options
from gpbo.text import one_line
from gpbo.trial import Trial

NOTHING_LEFT = 3


def ask(args: argparse.Namespace) -> int:
    """Hand out trials that belong to no process: this one ends at once, they wait for their tell.

    Raises   StorageError, StudyError, SpaceError, DeviceError
    """
    setup = set_up(args, args.budget)
    names = names_of(setup.space)
    if args.format == "shell":
        shell_variables(names)  # refused before a trial is handed out that could not be printed
    if sys.stdout is None:
        raise GpboError("ask: stdout is closed, so nobody would learn of the trial")
    opt = Optimizer.from_journal(setup.journal(), replace(setup.options, keep_trials=True))
    with signals_deferred(once=True):  # a trial that nobody saw would wait for ever
        trials = opt.ask(args.n)
        _print(opt, trials, args.format, names)
    if not trials:
        complain(f"nothing is left to ask: {_why_nothing(opt)}")
        return NOTHING_LEFT
    return 0


def _print(opt: Optimizer, trials: list[Trial], form: str, names: Sequence[str]) -> None:
    """Print trials; those that cannot be are given back."""
    try:
        for trial in trials:
            if form == "text":
                print(f"trial {trial.number}\n{as_table(trial.params)}")
            else:
                print_params(form, trial.params, names, trial.number)
        sys.stdout.flush()
    except BaseException as error:
        for trial in trials:
            opt.release(trial)
        if isinstance(error, BrokenPipeError) or not isinstance(error, (OSError, UnicodeError)):
            raise
        raise GpboError(f"ask: the trial cannot be printed and was given back: {error}") from error


def _why_nothing(opt: Optimizer) -> str:
    waiting = len(opt.pending)
    tail = f", {waiting} of them wait for their tell" if waiting else ""
    return f"study {opt.study!r} has {len(opt.trials)} trials{tail}"


def tell(args: argparse.Namespace) -> int:
    """Record what became of a trial.

    Raises   StorageError, StudyError, UnknownTrialError, TrialStateError, ObservationError
    """
    opt = Optimizer.from_journal(open_study(args), Options("random"))  # nothing is proposed
    recorded = True
    if args.release:
        opt.release(args.number)
    elif args.amend and args.failed:
        opt.amend(args.number, failed=True, error=args.error)
    elif args.amend:
        opt.amend(args.number, args.value, noise=args.noise)
    else:
        recorded = _tell(opt, args)
    trial = opt.trials[args.number]
    if args.json:
        record = {"number": trial.number, "state": trial.state, "value": trial.value}
        print_json(record, noise=trial.noise, error=trial.error, recorded=recorded)
    else:
        print(_became(trial, recorded))
    return 0


def _tell(opt: Optimizer, args: argparse.Namespace) -> bool:
    """Tell a value or a failure; the advice of the error is put in the words of a shell."""
    try:
        if args.failed:
            return opt.tell(args.number, failed=True, error=args.error)
        return opt.tell(args.number, args.value, noise=args.noise)
    except TrialStateError as error:
        what = str(error).partition(";")[0]
        raise TrialStateError(f"{what}; to correct it add --amend") from None


def _became(trial: Trial, recorded: bool) -> str:
    what: str = trial.state
    if trial.value is not None:
        what += f", value {trial.value!r}"
    elif trial.error:
        what += f" ({one_line(trial.error)})"
    return f"trial {trial.number}: {what}" + ("" if recorded else " (as told before)")
