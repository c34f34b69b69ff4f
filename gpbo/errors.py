"""Every error and warning that gpbo raises on purpose, and how their messages are built.

A message reads `<where>: <what is wrong>, got <value>; expected <rule>. <what to do>`.
Each class also derives from the builtin that a caller would expect to catch.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_NOTHING = object()
_PACKAGE = os.path.dirname(__file__) + os.sep
MAX_REPR = 80  # characters of a user's value that a message repeats
# What Optuna, hyperopt, scikit-optimize and Ax call some arguments, and what they are here.
ELSEWHERE = {
    "max_evals": ("n_trials", "budget"),
    "n_calls": ("n_trials", "budget"),
    "n_trials": ("budget",),
    "n_jobs": ("workers",),
    "n_startup_trials": ("start",),
    "n_initial_points": ("start",),
    "load_if_exists": ("resume",),
    "study_name": ("study",),
    "sampler": ("strategy",),
    "algo": ("strategy",),
    "random_state": ("seed",),
    "rstate": ("seed",),
    "verbose": ("progress",),
    "show_progress_bar": ("progress",),
    "n": ("n_trials",),
}


class GpboError(Exception):
    """The parent of every error that gpbo raises on purpose."""


class SpaceError(GpboError, ValueError):
    """A search space, or a parameter in it, makes no sense."""


class ObservationError(GpboError, ValueError):
    """Parameters or a result that were handed in do not fit the study."""


class BatchObservationError(ObservationError):
    """Some of many results do not fit; none was taken."""


class TrialStateError(GpboError, RuntimeError):
    """A trial is not in the state that the call needs."""


class UnknownTrialError(GpboError, LookupError):
    """The study has no such trial."""


class NoResultsError(GpboError, LookupError):
    """Nothing is complete yet, so there is no best."""


class TrialFailed(GpboError, RuntimeError):
    """Raised by an objective on purpose: this trial failed, for the reason in the text."""

    at_fault = False  # whether many in a row mean that the objective, and not the point, is bad


class TooManyFailuresError(GpboError, RuntimeError):
    """The objective failed many times in a row; `result` is the Result so far."""

    result: Any = None


class StudyError(GpboError, ValueError):
    """A stored study does not match what it was opened with."""


class StrategyError(GpboError, ValueError):
    """A strategy proposed what is not in the space; nothing was handed out."""


class StorageError(GpboError, OSError):
    """The study file cannot be used."""


class StorageFullError(StorageError):
    """No space is left for the study file; nothing acknowledged is lost."""


class StorageLockedError(StorageError):
    """Another process holds the study file for too long."""


class StorageUnavailableError(StorageError):
    """The study file cannot be reached, opened or written."""


class StorageCorruptError(StorageError):
    """The file is not a gpbo study file, or its contents are damaged."""


class SchemaVersionError(StorageError):
    """The study file was written by another version of gpbo."""


class ShapeError(GpboError, ValueError):
    """A tensor has the wrong shape or dtype."""


class DeviceError(GpboError, RuntimeError):
    """The device does not exist or cannot do what is asked."""


class GpboWarning(UserWarning):
    """The parent of every warning of gpbo."""


class NonFiniteObjectiveWarning(GpboWarning):
    """An objective was nan or infinite; the trial counts as failed."""


class SpaceExhaustedWarning(GpboWarning):
    """Fewer points are left than were asked for."""


class LeftOutWarning(GpboWarning):
    """Some of many results do not fit and were left out, as was asked."""


class FallbackWarning(GpboWarning):
    """Something simpler was used instead of what was asked for; the message says what and why."""


def shorten(value: object) -> str:
    """The repr of a value on one line, cut to MAX_REPR characters.

    A repr that fails names the type instead.
    """
    try:
        text = re.sub(r"\s*\n\s*", " ", repr(value))
    except Exception:
        text = f"<{type(value).__name__} without a repr>"
    return text if len(text) <= MAX_REPR else text[: MAX_REPR - 3] + "..."


def explain(
    where: str, wrong: str, got: object = _NOTHING, *, expected: str = "", fix: str = ""
) -> str:
    """A message in the common form; the parts that are left out are left out of the text."""
    text = f"{where}: {wrong}" if where else wrong
    if got is not _NOTHING:
        text += f", got {shorten(got)}"
    if expected:
        text += f"; expected {expected}"
    return f"{text}. {fix}" if fix else text


def warn(message: str, category: type[Warning]) -> None:
    """A warning that points at the line that called gpbo."""
    frame, level = sys._getframe(1), 2
    # Of a dataclass, __init__ is in no file.
    while frame.f_back is not None and frame.f_code.co_filename.startswith((_PACKAGE, "<string>")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """`Did you mean 'lr'?` where a known name is close, else a list of the known names."""
    names = {str(k).casefold(): str(k) for k in known}
    wanted = str(name).casefold()
    close = difflib.get_close_matches(wanted, names, n=3)
    if close:  # swapped letters look as far off as wrong ones: prefer the same letters
        best = next((c for c in close if sorted(c) == sorted(wanted)), close[0])
        return f"Did you mean {names[best]!r}?"
    return f"Known: {shorten(list(names.values()))}" if names else ""


BOUND = ("self", "cls")  # what a method gets and nobody types


def hint_keywords(function: F) -> F:
    """Make a call with an unknown keyword raise a TypeError that suggests the right one.

    Any other call that does not fit raises a TypeError that shows the arguments to give.
    """
    signature = inspect.signature(function)
    known = [name for name in signature.parameters if name not in BOUND]
    bound = len(signature.parameters) - len(known)
    owner = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name not in known:
                raise TypeError(f"{owner}: unknown argument {name!r}. {_right_word(name, known)}")
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            given = args[bound:]
            expected = f"{owner}{_bare(signature)}"
            raise TypeError(explain(owner, str(error), given, expected=expected)) from None
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]  # wraps keeps the signature, which mypy cannot see


def _right_word(name: str, known: list[str]) -> str:
    """What to write in place of a keyword: ours for another library's, a close one, or any."""
    ours = next((word for word in ELSEWHERE.get(name, ()) if word in known), None)
    if ours is not None:
        return f"Here it is {ours!r}"
    hint = did_you_mean(name, known)
    return f"Known: {', '.join(known)}" if hint.startswith("Known") else hint


def _bare(signature: inspect.Signature) -> str:
    """A signature without self, cls and types, as one reads it in a call."""
    shown = [
        p.replace(annotation=inspect.Parameter.empty)
        for name, p in signature.parameters.items()
        if name not in BOUND
    ]
    return str(inspect.Signature(shown))
