"""How params are written: for people, as JSON, as assignments of a shell, as arguments."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpbo.errors import SpaceError
from gpbo.space import Params
from gpbo.text import one_line, word
from gpbo.trial import Trial

PREFIX = "GPBO_PARAM_"
# Variables that a shell sets itself, or that change what it and its programs do; and the trial's.
TAKEN = frozenset([
    "_", "BASH_ENV", "ENV", "EUID", "GPBO_TRIAL", "HOME", "IFS", "LD_LIBRARY_PATH", "LD_PRELOAD",
    "OPTIND", "PATH", "PPID", "PS4", "PWD", "SHELL", "SHELLOPTS", "UID",
])  # fmt: skip


def as_table(params: Params) -> str:
    """One line for each parameter, the values below each other."""
    width = max((len(one_line(name)) for name in params), default=0)
    rows = (f"  {one_line(name):<{width}}  {one_line(value)}" for name, value in params.items())
    return "\n".join(rows)


def as_arguments(params: Params) -> list[str]:
    """--name value for each parameter."""
    return [part for name, value in params.items() for part in (f"--{name}", word(value))]


def as_assignments(params: Params, names: Sequence[str]) -> str:
    """name=value for each of the names, quoted for a shell; empty where it is not in the params."""
    variables = shell_variables(names)
    values = {name: word(params[name]) if name in params else "" for name in names}
    return " ".join(f"{variables[name]}={shlex.quote(values[name])}" for name in names)


def shell_variables(names: Iterable[str]) -> dict[str, str]:
    """As `variable_names`, for variables that a shell shall set.

    Raises   SpaceError  also if one of them has a meaning to the shell, or to gpbo
    """
    variables = variable_names(names)
    for name, variable in variables.items():
        if variable in TAKEN:
            raise SpaceError(
                f"{name!r} becomes the variable {variable!r}, which has another meaning; "
                "rename it, or choose another format"
            )
    return variables


def variable_names(names: Iterable[str], *, upper: bool = False) -> dict[str, str]:
    """For each name a variable that a shell can have: anything but letters and digits becomes _.

    Raises   SpaceError  if two names become the same
    """
    variables: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in names:
        wanted = name.upper() if upper else name
        variable = re.sub(r"[^A-Za-z0-9_]|^(?=[0-9])", "_", wanted)
        if variable in owners:
            raise SpaceError(
                f"{owners[variable]!r} and {name!r} become the same variable {variable!r}; "
                "rename one of them"
            )
        owners[variable] = name
        variables[name] = variable
    return variables


def print_params(form: str, params: Params, names: Sequence[str], number: int | None) -> None:
    """Print params in one of the formats of `gpbo ask`, but for text, with the trial's number."""
    if form == "json":
        print_json({} if number is None else {"number": number}, params=params)
    elif form == "shell":
        trial = [] if number is None else [f"GPBO_TRIAL={number}"]
        print(" ".join([*trial, as_assignments(params, names)]))
    else:
        first = [] if number is None else [str(number)]
        print(shlex.join([*first, *as_arguments(params)]))


def print_json(record: Mapping[str, Any], **more: Any) -> None:
    """Print one JSON object on one line."""
    print(json.dumps({**record, **more}, allow_nan=False))


def as_record(trial: Trial) -> dict[str, Any]:
    """A trial as a JSON object, its keys always the same."""
    return {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "noise": trial.noise,
        "error": trial.error,
        "started": trial.started,
        "finished": trial.finished,
        "params": trial.params,
        "provenance": trial.provenance,
    }
