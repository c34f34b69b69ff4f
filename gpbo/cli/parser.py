"""What can be typed after `gpbo`: commands, options, their help, and what is refused at once."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

MAX_ASK = 4096  # as Optimizer.ask
NO_COMMAND = "give the command to run after --, such as: -- python train.py --lr {lr}"
MAX_SEED = 2**63 - 1
STATES = ("pending", "complete", "failed")

ABOUT = """\
Bayesian optimization from the shell: a study lives in one file, which any number of
processes may share, and your program may be written in any language.

  gpbo run study.db --space space.json -n 30 -- ./train.sh    let gpbo call your program
  gpbo ask study.db --space space.json                        or do it yourself: get params,
  gpbo tell study.db 0 0.31                                   tell what came of them
  gpbo best study.db                                          and use the best"""

CODES = """\
exit codes: 0 done, 1 an error (its message on stderr), 2 a wrong call, 3 nothing left to ask,
130 stopped by Ctrl-C. Results go to stdout, everything else to stderr.
"""

SPACE_FILE = """\
a space file is JSON, one entry for each parameter:
  {"lr":     {"type": "float", "low": 1e-5, "high": 0.1, "log": true},
   "layers": {"type": "int", "low": 1, "high": 8},
   "act":    ["relu", "tanh"],
   "opt":    {"type": "choice", "branches": {"adam": {}, "sgd":
              {"momentum": {"type": "float", "low": 0, "high": 0.99}}}},
   "epochs": 10}
"""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command and its options; after a wrong call, SystemExit with code 2."""
    words = [_as_value(word) for word in argv]
    after: list[str] | None = None
    if words[:1] == ["run"] and "--" in words:
        cut = words.index("--")
        words, after = words[:cut], list(argv[cut + 1 :])
    parser, commands = _parser()
    if words[:1] == ["run"] and not after and not {"-h", "--help"} & {*words}:
        commands["run"].error(NO_COMMAND)
    args = parser.parse_args(words)
    if args.command is None:
        parser.print_help(sys.stderr)
        raise SystemExit(2)
    wrong = ""
    if args.command == "tell":
        wrong = _wrong_tell(args)
    elif args.command == "run":
        args.words = after
        wrong = _wrong_run(args)
    if wrong:
        commands[args.command].error(wrong)
    return args


def _as_value(word: str) -> str:
    """A negative number marked as a value: argparse takes -1e-5 and -inf for options."""
    if not word.startswith("-"):
        return word
    try:
        float(word)
    except ValueError:
        return word
    return f" {word}"


def _text(word: str) -> str:
    """The word of an option that is a text, where `_as_value` has marked it."""
    return word[1:] if word.startswith(" -") and _as_value(word[1:]) == word else word


def _wrong_tell(args: argparse.Namespace) -> str:
    given = (args.value is not None) + args.failed + args.release
    if given != 1:
        return "give exactly one of VALUE, --failed and --release"
    if args.error is not None and not args.failed:
        return "--error goes with --failed"
    if args.noise is not None and args.value is None:
        return "--noise goes with a VALUE"
    if args.amend and args.release:
        return "--amend goes with a VALUE or --failed"
    return ""


def _wrong_run(args: argparse.Namespace) -> str:
    if args.n is None and args.timeout is None:
        return "say when to stop: -n TRIALS, --timeout SECONDS or both"
    return ""


# types of arguments --------------------------------------------------------------------------


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Reads a whole number from low to high."""

    def read(text: str) -> int:
        text = text.strip()
        if not re.fullmatch(r"[+-]?[0-9]+", text):
            raise argparse.ArgumentTypeError(f"not a whole number, got {text!r}")
        number = int(text)
        if number < low or (high is not None and number > high):
            rule = f"at least {low}" if high is None else f"{low} .. {high}"
            raise argparse.ArgumentTypeError(f"out of range, got {text}; expected {rule}")
        return number

    return read


def _number(text: str) -> float:
    text = text.strip()
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a number, got {text!r}") from None


def _at_least_zero(text: str) -> float:
    number = _number(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"got {text.strip()}; expected a finite number >= 0")
    return number


def _strategy(name: str) -> str:
    from gpbo.errors import did_you_mean
    from gpbo.strategy import NAMES

    if name not in NAMES:
        hint = did_you_mean(name, NAMES)
        raise argparse.ArgumentTypeError(f"unknown strategy {name!r}. {hint}")
    return name


# commands ------------------------------------------------------------------------------------


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog="gpbo",
        description=ABOUT,
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    version = getattr(sys.modules["gpbo"], "__version__", "unknown")
    parser.add_argument("--version", action="version", version=f"gpbo {version}")
    group = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    commands: dict[str, argparse.ArgumentParser] = {}

    def add(name: str, summary: str, more: str = "", **options: Any) -> argparse.ArgumentParser:
        commands[name] = group.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.\n\n{more}".strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **options,
        )
        return commands[name]

    _ask(add("ask", "get the params to try next", ASK, epilog=SPACE_FILE))
    _tell(add("tell", "say what became of a trial", TELL))
    _run(add("run", "run a command again and again with better and better params", RUN,
             epilog=SPACE_FILE, usage=RUN_USAGE))  # fmt: skip
    _best(add("best", "show the best trial so far", BEST))
    _trials(add("trials", "list the trials of a study", TRIALS))
    _studies(add("studies", "list the studies in a file"))
    _doctor(add("doctor", "check the installation, and a study file", DOCTOR))
    return parser, commands


ASK = """\
With --space the study is made if it does not exist; later calls need FILE only, because the study
keeps its space, direction, seed and strategy. The trial waits for its `gpbo tell`, for ever.
Exit code 3: nothing is left to ask, as at the end of a grid or of --budget.

formats, one line for each trial except for text:
  text   for people
  json   {"number": 0, "params": {"lr": 0.01, "act": "relu"}}
  shell  GPBO_TRIAL=0 lr=0.01 act=relu           eval "$(gpbo ask study.db --format shell)"
  args   0 --lr 0.01 --act relu                  eval "set -- $(gpbo ask study.db --format args)"
Params that do not exist in the branch that was chosen are empty in shell, absent in the others."""

TELL = """\
On disk when it returns; the same told twice is no error. A VALUE of nan counts as failed.

  gpbo tell study.db 3 0.31
  gpbo tell study.db 4 --failed --error "out of memory\""""

RUN_USAGE = """\
gpbo run FILE [--space SPACE.json] [-n TRIALS] [--timeout SECONDS] [options]
                -- COMMAND [ARGUMENT ...]"""

RUN = """\
In the arguments {name} becomes the value of parameter `name`; it becomes empty where the parameter
does not exist in the branch that was chosen. Without any {name}, all params are appended as
--name value. They are in the environment too: GPBO_PARAM_<NAME>, GPBO_PARAMS (JSON), GPBO_TRIAL.

The result is the last line that the command prints on stdout: a number, or JSON such as
{"loss": 0.31} or {"status": "fail"}. A command that exits with another code than 0, or prints no
number, is a failed trial; after 10 of them in a row the run stops. All output goes to stderr.

Ctrl-C, kill or a power cut lose at most the trial that runs: the same call again goes on.

  gpbo run study.db --space space.json -n 30 -- python train.py --lr {lr} --act {act}"""

BEST = """\
With --recommend: the params with the best mean of the model, which on noisy data is not the
luckiest draw. The formats are those of `gpbo ask`; args has no number in front here."""

TRIALS = """\
A table for people, or --csv, or --json with one object in each line:
  gpbo trials study.db --sort value --limit 5
  gpbo trials study.db --state failed --json"""

DOCTOR = """\
Versions, the compiled library, devices, threads and SQLite; with FILE, every record in it is read
and checked. Exit code 1 if something is wrong that you must mend; it says how."""


def _study(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", metavar="FILE", help="the study file")
    p.add_argument("--study", metavar="NAME", type=_text,
                   help="which study in the file (default: the one there is)")  # fmt: skip


def _json(p: argparse.ArgumentParser) -> None:
    p.add_argument("--json", action="store_true", help="print JSON")


def _formats(p: argparse.ArgumentParser) -> None:
    p.add_argument("--format", choices=("text", "json", "shell", "args"), default="text",
                   help="how to print the params (default: text)")  # fmt: skip
    p.add_argument("--json", dest="format", action="store_const", const="json",
                   help="the same as --format json")  # fmt: skip


def _setup(p: argparse.ArgumentParser) -> None:
    """The options that a study is made with."""
    p.add_argument("--space", metavar="SPACE.json", help="what may be tried; needed once")
    p.add_argument("--direction", choices=("minimize", "maximize"),
                   help="what to do to the value (default: minimize)")  # fmt: skip
    p.add_argument("--strategy", type=_strategy, metavar="NAME",
                   help="bayes (default), trust_region, tpe, random, grid or sobol")  # fmt: skip
    p.add_argument("--seed", type=_whole(0, MAX_SEED), metavar="K",
                   help="the same seed, the same proposals (default: drawn, and kept)")  # fmt: skip
    p.add_argument("--device", default="auto", metavar="NAME",
                   help="auto (default), cpu, cuda or cuda:K, for the model")  # fmt: skip


def _ask(p: argparse.ArgumentParser) -> None:
    _study(p)
    _setup(p)
    p.add_argument("-n", type=_whole(1, MAX_ASK), default=1, metavar="N",
                   help="how many trials, chosen together (default: 1)")  # fmt: skip
    p.add_argument("--budget", type=_whole(0), metavar="TRIALS",
                   help="how many trials the study shall have in all: once it has them, nothing is "
                   "left to ask")  # fmt: skip
    _formats(p)


def _tell(p: argparse.ArgumentParser) -> None:
    _study(p)
    p.add_argument("number", type=_whole(0), metavar="NUMBER", help="the number of the trial")
    p.add_argument("value", type=_number, nargs="?", metavar="VALUE", help="the result")
    p.add_argument("--noise", type=_at_least_zero, metavar="SD",
                   help="the known standard deviation of the value")  # fmt: skip
    p.add_argument("--failed", action="store_true", help="there is no result, and will be none")
    p.add_argument("--error", metavar="TEXT", type=_text, help="why it failed")
    p.add_argument("--release", action="store_true",
                   help="give the trial back untried: the next ask hands it out again")  # fmt: skip
    p.add_argument("--amend", action="store_true", help="correct what was told before")
    _json(p)


def _run(p: argparse.ArgumentParser) -> None:
    _study(p)
    _setup(p)
    p.add_argument("-n", type=_whole(0), metavar="TRIALS",
                   help="how many trials the study shall have in the end, those of earlier runs "
                   "included")  # fmt: skip
    p.add_argument("--timeout", type=_at_least_zero, metavar="SECONDS",
                   help="start no further trial after this time")  # fmt: skip
    _json(p)


def _best(p: argparse.ArgumentParser) -> None:
    _study(p)
    p.add_argument("--recommend", action="store_true", help="ask the model instead")
    _formats(p)


def _trials(p: argparse.ArgumentParser) -> None:
    _study(p)
    p.add_argument("--state", choices=STATES, help="only these")
    p.add_argument("--sort", choices=("number", "value"), default="number",
                   help="value: the best first (default: number)")  # fmt: skip
    p.add_argument("--limit", type=_whole(0), metavar="N", help="only the first N of them")
    form = p.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV, params as columns params.NAME")
    form.add_argument("--json", action="store_true", help="print one JSON object in each line")


def _studies(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", metavar="FILE", help="the study file")
    p.add_argument("--json", action="store_true", help="print one JSON object in each line")


def _doctor(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", metavar="FILE", nargs="?", help="a study file to check")
    _json(p)
