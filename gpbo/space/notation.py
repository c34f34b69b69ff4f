"""Reads the notations of a space: parameters, shorthand lists, distributions, constants, JSON."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from gpbo.errors import SpaceError, did_you_mean, explain
from gpbo.space.category import Bool, Categorical, Constant, Ordinal, scalar
from gpbo.space.distribution import Distribution, from_name, looks_like_distribution
from gpbo.space.numeric import Float, Int
from gpbo.space.parameter import Parameter, plain
from gpbo.space.space import Choice, Space


def read(name: str, entry: Any) -> Parameter:
    """The parameter that one entry of a space's dict means.

    A list is a Categorical, or an Ordinal where it holds ascending numbers; something that can be
    drawn from is a Distribution; a JSON scalar is a constant.

    Raises   TypeError, SpaceError  if it means nothing
    """
    if isinstance(entry, Parameter):
        return entry
    if isinstance(entry, type) and issubclass(entry, Parameter):
        raise TypeError(
            f"{name!r}: {entry.__name__} is a class; did you mean {entry.__name__}(...)?"
        )
    if looks_like_distribution(entry):
        return Distribution(entry)
    if isinstance(entry, list):
        return _from_list(entry)
    if isinstance(entry, Mapping):
        fix = "For branches write gpbo.Choice({...})."
        raise TypeError(explain(repr(name), "a dict is no parameter", entry, fix=fix))
    if isinstance(entry, tuple):
        fix = "For a range write gpbo.Float(low, high) or gpbo.Int(low, high); for choices a list."
        raise TypeError(explain(repr(name), "a tuple is ambiguous", entry, fix=fix))
    return Constant(scalar(repr(name), entry))


def _from_list(values: list[Any]) -> Parameter:
    """Ascending numbers have an order that a model can use; anything else is a plain category."""
    numbers = [plain(v) for v in values]
    numeric = len(numbers) > 2 and all(type(v) in (int, float) for v in numbers)
    if numeric and all(a < b for a, b in pairwise(numbers)):
        return Ordinal(values)
    return Categorical(values)


def _choice(branches: Any) -> Choice:
    """A Choice from JSON: a list of [value, space] pairs, or an object where all values are str."""
    pairs = branches.items() if isinstance(branches, Mapping) else branches
    try:
        return Choice({value: _inner(inner) for value, inner in pairs})
    except (TypeError, ValueError) as error:
        if isinstance(error, SpaceError):
            raise
        raise SpaceError(f"Choice: branches make no sense: {error}") from None


def _inner(entry: Any) -> dict[str, Parameter]:
    return {name: parameter_from_dict(name, value) for name, value in (entry or {}).items()}


_READERS: dict[str, Callable[..., Parameter]] = {
    "float": Float,
    "int": Int,
    "bool": Bool,
    "categorical": Categorical,
    "ordinal": Ordinal,
    "constant": Constant,
    "distribution": lambda name, args=(), kwargs=None: from_name(name, list(args), kwargs or {}),
    "choice": _choice,
}


def parameter_from_dict(name: str, entry: Any) -> Parameter:
    """The parameter that an object in JSON describes; scalars and lists as in `read`.

    Raises   SpaceError  if its type is unknown or its fields do not fit
    """
    if not isinstance(entry, Mapping):
        return read(name, entry)
    kind = entry.get("type")
    if kind not in _READERS:
        raise SpaceError(f"{name!r}: unknown type {kind!r}. {did_you_mean(kind, _READERS)}")
    fields = {k: v for k, v in entry.items() if k != "type"}
    try:
        inspect.signature(_READERS[kind]).bind(**fields)
        return _READERS[kind](**fields)
    except SpaceError as error:
        raise SpaceError(f"{name!r}: {error}") from None
    except TypeError as error:
        raise SpaceError(f"{name!r}: {kind} {error}") from None


def from_dict(entries: Any) -> Space:
    """The space that an object in JSON describes.

    Raises   SpaceError  if it is not an object or one of its entries makes no sense
    """
    if not isinstance(entries, Mapping):
        raise SpaceError(explain("Space", "not a JSON object", entries))
    return Space(_inner(entries))
