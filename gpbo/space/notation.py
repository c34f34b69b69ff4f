"""Reads the notations of a space: parameters, shorthand lists, distributions, constants, JSON."""

from __future__ import annotations

import inspect
import json
import unicodedata
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from typing import Any

from gpbo.errors import SpaceError, did_you_mean, explain
from gpbo.space.category import (
    Bool,
    Categorical,
    Constant,
    Ordinal,
    check_choices,
    check_text,
    scalar,
)
from gpbo.space.distribution import Distribution, from_name, looks_like_distribution
from gpbo.space.numeric import Float, Int
from gpbo.space.parameter import Parameter, plain
from gpbo.space.space import Choice, Space


def read_all(parameters: Space | Mapping[str, Any]) -> dict[str, Parameter]:
    """Every entry of a space's dict as a Parameter.

    Raises   TypeError, SpaceError  if a name is not a proper one, or an entry means nothing
    """
    if not isinstance(parameters, Mapping):
        fix = "A list of grids is a gpbo.Choice of dicts." if isinstance(parameters, list) else ""
        wrong, expected = "not a dict of parameters", "a dict or a Space"
        raise TypeError(explain("Space", wrong, parameters, expected=expected, fix=fix))
    out: dict[str, Parameter] = {}
    seen: dict[str, str] = {}
    for name, entry in parameters.items():
        if not isinstance(name, str):
            raise TypeError(explain("Space", "a name is not a str", name))
        normal = unicodedata.normalize("NFKC", name).strip()
        if not normal:
            raise SpaceError(explain("Space", "a name is empty", name))
        if "\x00" in name:
            raise SpaceError(explain("Space", "a name holds a NUL character", name))
        if normal in seen:
            raise SpaceError(f"Space: two names look the same: {seen[normal]!r} and {name!r}")
        check_text("Space", name)
        seen[normal] = name
        out[name] = read(name, entry)
    return out


def read(name: str, entry: Any) -> Parameter:
    """The parameter that one entry of a space's dict means.

    A list, a range or an array is a Categorical, or an Ordinal where it holds ascending numbers;
    something that can be drawn from is a Distribution; a JSON scalar is a constant.

    Raises   TypeError, SpaceError  if it means nothing
    """
    if isinstance(entry, Parameter):
        return entry
    if isinstance(entry, type) and issubclass(entry, Parameter):
        raise TypeError(
            f"{name!r}: {entry.__name__} is a class; did you mean {entry.__name__}(...)?"
        )
    if looks_like_distribution(entry):
        return _named(name, Distribution, entry)
    if isinstance(entry, range) or (getattr(entry, "ndim", 0) == 1 and hasattr(entry, "tolist")):
        entry = list(entry)
    if isinstance(entry, (list, set, frozenset)):
        return _named(name, _from_list, entry)
    entry = plain(entry)
    if entry is None or isinstance(entry, (str, int, float, bool)):
        return Constant(scalar(repr(name), entry))
    raise TypeError(_why_nothing(name, entry))


def _why_nothing(name: str, entry: Any) -> str:
    """What to write in place of an entry that is no parameter."""
    if isinstance(entry, Mapping):
        wrong = "a dict is no parameter"
        fix = "For branches write gpbo.Choice({...}), for a range gpbo.Float(low, high)."
        if "type" in entry:
            fix = (
                "For a space in JSON terms use gpbo.Space.from_dict, for JSON text Space.from_json."
            )
    elif isinstance(entry, tuple):
        wrong = "a tuple is ambiguous"
        fix = "For a range write gpbo.Float(low, high) or gpbo.Int(low, high); for choices a list."
    else:
        wrong = f"an object of type {type(entry).__module__}.{type(entry).__qualname__}"
        fix = "Write gpbo.Float, Int, Bool, Categorical, Ordinal or Choice, a list or a constant."
        return explain(repr(name), f"{wrong} is no parameter", entry, fix=fix)
    return explain(repr(name), wrong, entry, fix=fix)


def _from_list(values: Collection[Any]) -> Parameter:
    """Ascending numbers have an order that a model can use; anything else is a plain category."""
    numbers = [plain(v) for v in values]
    numeric = len(numbers) > 2 and all(type(v) in (int, float) for v in numbers)
    ascending = numeric and all(a < b for a, b in pairwise(numbers))
    return Ordinal(values) if ascending else Categorical(values)


def _named(name: str, make: Callable[[Any], Parameter], entry: Any) -> Parameter:
    """The parameter that `make` makes of an entry; an error begins with the entry's name."""
    try:
        return make(entry)
    except SpaceError as error:
        raise SpaceError(f"{name!r}: {error}") from None
    except TypeError as error:
        raise TypeError(f"{name!r}: {error}") from None


def _choice(branches: Any) -> Choice:
    """A Choice from JSON: a list of [value, space] pairs, or an object where all values are str."""
    pairs = list(branches.items() if isinstance(branches, Mapping) else branches)
    values = check_choices("Choice", [value for value, _ in pairs])
    return Choice({value: _inner(inner) for value, (_, inner) in zip(values, pairs, strict=True)})


def _inner(entry: Any) -> dict[str, Parameter]:
    if not isinstance(entry, (Mapping, type(None))):
        raise SpaceError(explain("Space", "not a JSON object", entry, expected="an object"))
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
    if not isinstance(kind, str) or kind not in _READERS:
        fix = did_you_mean(kind, _READERS)
        raise SpaceError(explain(repr(name), "unknown type", kind, fix=fix))
    fields = {k: v for k, v in entry.items() if k != "type"}
    signature = inspect.signature(_READERS[kind])
    for field in fields:
        if field not in signature.parameters:
            hint = did_you_mean(field, signature.parameters)
            raise SpaceError(f"{name!r}: {kind}: unknown field {field!r}. {hint}")
    try:
        signature.bind(**fields)
        return _READERS[kind](**fields)
    except SpaceError as error:
        raise SpaceError(f"{name!r}: {error}") from None
    except (TypeError, ValueError) as error:
        raise SpaceError(f"{name!r}: {kind}: {error}") from None


def from_dict(entries: Any) -> Space:
    """The space that an object in JSON describes.

    Raises   SpaceError  if it is not an object or one of its entries makes no sense
    """
    if entries is None:
        raise SpaceError(explain("Space", "not a JSON object", entries, expected="an object"))
    return Space(_inner(entries))


def from_json(text: str) -> Space:
    """The space that JSON text describes.

    Raises   SpaceError  if it is not JSON, a name appears twice, or an entry makes no sense
             TypeError   if it is no text
    """
    if not isinstance(text, (str, bytes, bytearray)):
        fix = "Of a dict: Space.from_dict. Of a file: Space.from_json(Path(file).read_text())."
        raise TypeError(explain("Space.from_json", "not a text", text, fix=fix))
    try:
        return from_dict(json.loads(text, object_pairs_hook=_unique))
    except SpaceError:
        raise
    except ValueError as error:
        raise SpaceError(explain("Space", f"not JSON: {error}", text)) from None
    except RecursionError:
        raise SpaceError("Space: nested too deep") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict, where a name that appears twice is an error."""
    out = dict(pairs)
    if len(out) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SpaceError(f"Space: the name {twice!r} appears twice; rename one of them")
    return out
