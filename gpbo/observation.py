"""What a user tells: the one number in it, or the reason why it is refused."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from gpbo.errors import (
    BatchObservationError,
    LeftOutWarning,
    NonFiniteObjectiveWarning,
    ObservationError,
    explain,
    shorten,
    warn,
)
from gpbo.history import Direction, Event
from gpbo.trial import Trial

FAILED = "the objective returned status 'fail'"
SHOWN_ROWS = 10  # of the bad rows of a batch, in its error


@dataclass(frozen=True)
class Told:
    """What became of a trial: a finite value, or the reason why there is none."""

    value: float | None
    error: str | None = None
    noise: float | None = None  # the value's standard deviation, where it was told with it

    def event(self, number: int, noise: float | None, *, kind: str = "") -> Event:
        """The event that records it for a trial."""
        kind = kind or ("fail" if self.value is None else "complete")
        noise = self.noise if noise is None else noise
        noise = None if self.value is None else noise
        fields = {"value": self.value, "error": self.error, "noise": noise}
        known = {name: x for name, x in fields.items() if x is not None}
        return {"event": kind, "trial": number, "at": time.time(), **known}


def read_result(told: Any, direction: Direction, *, on_nan: str = "fail") -> Told:
    """The one number in what an objective returned; nan, and infinity where bad, is a failure.

    Accepts a number, a NumPy or torch array with one element, a sequence of one number, or a dict
    with "loss" (or "value") and optionally "noise", its standard deviation, or "loss_variance"; or
    with "status" "fail" and optionally "error". What else a dict holds is left alone.

    Raises   TypeError         if it is no number at all
             ObservationError  if it holds more than one, does not fit a float, would be best for
                               ever, or is not finite and `on_nan` is "raise"
    """
    noise = None
    if isinstance(told, Mapping):
        if _status(told) == "fail":
            return Told(None, read_error(told.get("error") or FAILED))
        noise, told = _noise_in(told), _value_in(told)
    value = _number(told)
    if math.isfinite(value):
        return Told(value, noise=noise)
    if value == (-math.inf if direction == "minimize" else math.inf):
        raise ObservationError(f"value: {value!r} would be best for ever; pass failed=True")
    if on_nan == "raise":
        raise ObservationError(explain("value", "not finite", value))
    warn(f"value: {value!r} is recorded as a failed trial", NonFiniteObjectiveWarning)
    return Told(None, repr(value))


def read_failure(value: Any, error: str | BaseException | None) -> Told:
    """A trial that is told as failed.

    Raises   TypeError  if it is told a value too, or an error that is neither a text nor an
                        exception
    """
    if value is not None:
        raise TypeError(explain("tell", "a failed trial has no value", value))
    return Told(None, read_error(error))


def read_noise(noise: Any) -> float | None:
    """A known standard deviation as a float.

    Raises   TypeError         if it is no number
             ObservationError  if it is negative or not finite
    """
    if noise is None:
        return None
    sd = _number(noise, "noise")
    if not (math.isfinite(sd) and sd >= 0):
        raise ObservationError(
            explain("noise", "not a standard deviation", noise, expected="a finite number >= 0")
        )
    return sd


def read_error(error: str | BaseException | None) -> str:
    """Why a trial failed, as a text.

    Raises   TypeError  if it is neither a text nor an exception
    """
    if isinstance(error, BaseException):
        try:
            return f"{type(error).__name__}: {error}"
        except Exception:  # of an error that cannot say what it is
            return type(error).__name__
    if error is not None and not isinstance(error, str):
        raise TypeError(explain("error", "neither a text nor an exception", error))
    return error or "failed"


def ended(trials: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The params of the trials that ended, and what was told of each, as an objective returns it.

    Raises   TypeError  if they are no trials
    """
    if not isinstance(trials, Sequence) or not all(isinstance(trial, Trial) for trial in trials):
        fix = "Pass a value for each."
        raise TypeError(explain("add", "params without values", trials, fix=fix))
    done = [trial for trial in trials if trial.state != "pending"]
    told = [
        {"status": "fail", "error": trial.error}
        if trial.value is None
        else {"value": trial.value, "noise": trial.noise}
        for trial in done
    ]
    return [trial.params for trial in done], told


def read_rows(
    read: Callable[[Mapping[str, Any], Any, Any], Event],
    params: Sequence[Any],
    values: Sequence[Any],
    noises: Any,
    *,
    skip: bool,
) -> list[Event]:
    """The events of many results: of all, or, with `skip`, of those that can be read.

    Raises   ObservationError       if there are not as many values, or noises, as params
             BatchObservationError  naming the first rows that cannot be read
    """
    if not hasattr(params, "__len__"):
        fix = "Pass a dict, or a list of them."
        raise TypeError(explain("add", "neither params nor a list of them", params, fix=fix))
    if isinstance(values, (Set, Mapping)) or getattr(values, "shape", None) == ():
        raise TypeError(explain("add", "not a list of values", values, fix="Pass a list."))
    if not hasattr(values, "__len__"):
        raise TypeError(explain("add", "many params need as many values", values))
    if not hasattr(noises, "__len__") or getattr(noises, "shape", None) == ():
        noises = [noises] * len(params)
    if not len(params) == len(values) == len(noises):
        raise ObservationError(
            f"add: {len(params)} params, {len(values)} values, {len(noises)} noises; "
            "expected as many of each"
        )
    events, bad = [], []
    for k, row in enumerate(zip(params, values, noises, strict=True)):
        try:
            events.append(read(*row))
        except (ObservationError, TypeError) as error:
            bad.append(f"row {k}: {error}")
    shown = "\n  ".join(bad[:SHOWN_ROWS])
    if bad and not skip:
        raise BatchObservationError(
            f"add: {len(bad)} of {len(params)} rows do not fit, none was added:\n  {shown}"
        )
    if bad:
        warn(
            f"add: {len(bad)} of {len(params)} rows do not fit and were left out:\n  {shown}",
            LeftOutWarning,
        )
    return events


def _status(told: Mapping[Any, Any]) -> str:
    """What a dict says of its trial: "ok" or "fail"."""
    status = str(told.get("status", "ok")).lower()
    if status not in ("ok", "fail"):
        raise ObservationError(
            explain("status", "unknown", told["status"], expected="'ok' or 'fail'")
        )
    return status


def _value_in(told: Mapping[Any, Any]) -> Any:
    names = {"loss", "value"} & set(told)
    if len(names) != 1:
        raise ObservationError(
            "value: a dict needs exactly one of 'loss' and 'value', got "
            f"{shorten(sorted(map(str, told)))}"
        )
    return told[names.pop()]


def _noise_in(told: Mapping[Any, Any]) -> float | None:
    """The standard deviation in a dict; hyperopt's word for its square is understood."""
    variance = read_noise(told.get("loss_variance"))
    if told.get("noise") is None and variance is not None:
        return math.sqrt(variance)
    return read_noise(told.get("noise"))


def _number(told: Any, name: str = "value") -> float:
    """The one number in a scalar, an array or a sequence, as a float."""
    if hasattr(told, "detach"):  # a torch tensor, perhaps on a GPU and part of a graph
        told = told.detach()
    shape = getattr(told, "shape", None)
    if shape is None and isinstance(told, Sequence) and not isinstance(told, (str, bytes)):
        shape = (len(told),)
        told = told[0] if len(told) == 1 else told
    if shape is not None and math.prod(shape) != 1:
        raise ObservationError(f"{name}: 1 objective, got shape {tuple(shape)}")
    if hasattr(told, "to_numpy"):  # pandas
        told = told.to_numpy()
    if getattr(told, "mask", False):  # a masked value of numpy.ma is no value
        return math.nan
    if hasattr(told, "item"):
        try:
            told = told.item()
        except RuntimeError as error:  # a tensor without numbers, as on torch's device "meta"
            raise TypeError(explain(name, f"has no number: {error}", told)) from None
    if told is None:
        raise TypeError(
            f"{name}: nothing to tell, got None; for a failed trial use failed=True, or "
            "{'status': 'fail'} in place of the value"
        )
    # The long double is the one NumPy scalar that has no item of its own.
    known = (int, float, Decimal, Fraction, np.longdouble)
    if isinstance(told, bool) or not isinstance(told, known):
        kind = type(told).__name__
        raise TypeError(f"{name}: not a number, got {kind} {shorten(told)}; pass a number")
    if isinstance(told, Decimal) and told.is_snan():
        return math.nan
    try:
        value = float(told)
    except OverflowError:
        value = math.inf
    if math.isinf(value) and told not in (math.inf, -math.inf):
        raise ObservationError(explain(name, "does not fit float64", told))
    return value
