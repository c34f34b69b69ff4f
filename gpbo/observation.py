"""What a user tells: the one number in it, or the reason why it is refused."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from gpbo.errors import (
    BatchObservationError,
    NonFiniteObjectiveWarning,
    ObservationError,
    explain,
    shorten,
)
from gpbo.history import Direction, Event

SHOWN_ROWS = 10  # of the bad rows of a batch, in its error


@dataclass(frozen=True)
class Told:
    """What became of a trial: a finite value, or the reason why there is none."""

    value: float | None
    error: str | None = None

    def event(self, number: int, noise: float | None, *, kind: str = "") -> Event:
        """The event that records it for a trial."""
        kind = kind or ("fail" if self.value is None else "complete")
        fields = {"value": self.value, "error": self.error, "noise": noise}
        known = {name: x for name, x in fields.items() if x is not None}
        return {"event": kind, "trial": number, "at": time.time(), **known}


def read_result(told: Any, direction: Direction, *, on_nan: str = "fail") -> Told:
    """The one number in what an objective returned; nan, and infinity where bad, is a failure.

    Accepts a number, a NumPy or torch array with one element, a sequence of one number, or a dict
    with "loss" (or "value") and optionally "status", where "fail" makes it a failure; what else a
    dict holds is left alone.

    Raises   TypeError         if it is no number at all
             ObservationError  if it holds more than one, does not fit a float, would be best for
                               ever, or is not finite and `on_nan` is "raise"
    """
    value = _from_mapping(told) if isinstance(told, Mapping) else _number(told)
    if value is None:
        return Told(None, "the objective returned status 'fail'")
    if math.isfinite(value):
        return Told(value)
    if value == (-math.inf if direction == "minimize" else math.inf):
        raise ObservationError(f"value: {value!r} would be best for ever; pass failed=True")
    if on_nan == "raise":
        raise ObservationError(explain("value", "not finite", value))
    message = f"value: {value!r} is recorded as a failed trial"
    warnings.warn(message, NonFiniteObjectiveWarning, stacklevel=5)
    return Told(None, "nan" if math.isnan(value) else "inf")


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
        return f"{type(error).__name__}: {error}"
    if error is not None and not isinstance(error, str):
        raise TypeError(explain("error", "neither a text nor an exception", error))
    return error or "failed"


def read_rows(
    read: Callable[[Mapping[str, Any], Any, Any], Event],
    params: Sequence[Mapping[str, Any]],
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
    if bad and not skip:
        shown = "\n  ".join(bad[:SHOWN_ROWS])
        raise BatchObservationError(
            f"add: {len(bad)} of {len(params)} rows do not fit, none was added:\n  {shown}"
        )
    return events


def _from_mapping(told: Mapping[Any, Any]) -> float | None:
    """The value in a dict; None where its status says that it failed."""
    status = str(told.get("status", "ok")).lower()
    if status not in ("ok", "fail"):
        raise ObservationError(
            explain("status", "unknown", told["status"], expected="'ok' or 'fail'")
        )
    if status == "fail":
        return None
    names = {"loss", "value"} & set(told)
    if len(names) != 1:
        raise ObservationError(
            "value: a dict needs exactly one of 'loss' and 'value', got "
            f"{shorten(sorted(map(str, told)))}"
        )
    return _number(told[names.pop()])


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
    if getattr(told, "mask", False):  # a masked value of numpy.ma is no value
        return math.nan
    if hasattr(told, "item"):
        told = told.item()
    if told is None:
        raise TypeError(f"{name}: nothing to tell, got None; for a failed trial use failed=True")
    if isinstance(told, bool) or not isinstance(told, (int, float, Decimal, Fraction)):
        kind = type(told).__name__
        raise TypeError(f"{name}: not a number, got {kind} {shorten(told)}; pass a number")
    try:
        return float(told)
    except OverflowError:
        raise ObservationError(explain(name, "does not fit float64", told)) from None
