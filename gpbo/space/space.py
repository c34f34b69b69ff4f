"""The search space: named parameters in order, branches with parameters of their own, constants.

A space is flattened once into `leaves`, one for each parameter that takes a coordinate. A row is an
array with one coordinate in [0, 1] for each leaf, nan where the leaf is inactive because another
branch of its Choice was taken. Params, the other side, is a flat dict of plain values in which
inactive names are absent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gpbo.errors import (
    GpboWarning,
    ObservationError,
    SpaceError,
    did_you_mean,
    explain,
    hint_keywords,
    shorten,
    warn,
)
from gpbo.space.category import Constant, Positions, check_choices, numbered, position
from gpbo.space.parameter import Kind, Parameter, Params, Value, center, interval

Row = npt.NDArray[np.float64]
MANY_PARAMETERS = 1000
DEEPEST = 32  # levels of nesting; Python's recursion ends near 100


@dataclass(frozen=True, init=False)
class Choice(Parameter):
    """A branch out of several, and the parameters that exist only in it.

    `branches` maps the value that a trial receives (a str, int, float, bool or None) to a space, or
    to None for a branch without parameters. Branches nest to any depth.

    Raises   TypeError   if it is not a mapping of branches
             SpaceError  as Categorical and Space do
    """

    branches: tuple[tuple[Value, Space], ...]

    @hint_keywords
    def __init__(self, branches: Mapping[Any, Space | Mapping[str, Any] | None]) -> None:
        if not isinstance(branches, Mapping):
            fix = "For plain values use gpbo.Categorical."
            raise TypeError(
                explain("Choice", "not a dict of branches", branches, expected="a dict", fix=fix)
            )
        names = check_choices("Choice", list(branches))
        spaces = (Space._branch(name, inner) for name, inner in branches.items())
        object.__setattr__(self, "branches", tuple(zip(names, spaces, strict=True)))

    @cached_property
    def names(self) -> tuple[Value, ...]:
        """The values of the branches."""
        return tuple(name for name, _ in self.branches)

    @cached_property
    def positions(self) -> Positions:
        """Where each branch stands."""
        return numbered(self.names)

    @property
    def kind(self) -> Kind:
        return "category"

    @property
    def size(self) -> int:
        return len(self.branches)

    def from_unit(self, u: float) -> Value:
        return self.branches[interval(u, len(self.branches))][0]

    def to_unit(self, value: Value) -> float:
        return center(position(value, self.positions), len(self.branches))

    def canonical(self, value: Any, clip: bool = False) -> Value:
        return self.names[position(value, self.positions)]

    def to_dict(self) -> dict[str, Any]:
        branches = [[name, space.to_dict()] for name, space in self.branches]
        return {"type": "choice", "branches": branches}


@dataclass(frozen=True)
class Leaf:
    """One coordinate of a space: its parameter, and where in the tree of choices it lives."""

    name: str
    path: str  # unique, such as "opt=adam/beta1"
    parameter: Parameter
    parent: int  # the index of the leaf of the Choice that this one lives in; -1 at the top
    branch: int  # in which branch of it


Node: TypeAlias = tuple[int, str, Parameter]  # leaf, name, parameter; leaf is -1 for a constant


class Space(Mapping[str, Parameter]):
    """Named parameters in order, made of a dict of parameters, lists, distributions, constants.

    Raises   SpaceError  if it is empty or two names collide
             TypeError   if a name is not a str, or an entry means nothing
    """

    @hint_keywords
    def __init__(self, parameters: Space | Mapping[str, Any]) -> None:
        self._parameters = _read(parameters)
        if not self._parameters:
            raise SpaceError("Space: the space is empty; expected at least one parameter")
        self._flatten()
        if not self.leaves:
            raise SpaceError("Space: every entry is a constant; expected at least one parameter")
        if len(self.leaves) > MANY_PARAMETERS:
            message = f"Space: {len(self.leaves)} parameters make every proposal slow"
            warn(message, GpboWarning)

    @classmethod
    def _branch(cls, name: Value, parameters: Space | Mapping[str, Any] | None) -> Space:
        """The space of a branch, which may be empty or hold nothing but constants."""
        if isinstance(parameters, Space):
            return parameters
        if parameters is not None and not isinstance(parameters, Mapping):
            where, fix = f"Choice branch {name!r}", "Give it a name: {'lr': gpbo.Float(1e-5, 0.1)}."
            fix = fix if isinstance(parameters, Parameter) else ""
            expected = "a dict or None"
            raise TypeError(explain(where, "not a space", parameters, expected=expected, fix=fix))
        space = cls.__new__(cls)
        space._parameters = _read(parameters or {})
        space._flatten()
        return space

    def _flatten(self) -> None:
        leaves: list[Leaf] = []
        self._nodes: dict[tuple[int, int], list[Node]] = {}  # by (parent, branch), last first
        self._places: dict[str, list[str]] = {}  # by name, the branches in which it stands
        self._walk(self._parameters, -1, -1, "", {}, leaves)
        self.leaves = tuple(leaves)
        depths = [0]
        for leaf in leaves:
            depths.append(depths[leaf.parent + 1] + 1)
        if max(depths) > DEEPEST:
            expected = f"at most {DEEPEST} levels of Choice"
            raise SpaceError(explain("Space", "nested too deep", max(depths), expected=expected))

    def _walk(
        self,
        parameters: Mapping[str, Parameter],
        parent: int,
        branch: int,
        path: str,
        taken: dict[str, str],
        flat: list[Leaf],
    ) -> None:
        """Append the leaves of one level and, after each Choice, those of its branches.

        `taken` holds the names that may be active together with this level, and where they stand.
        """
        for name in parameters:
            if name in taken:
                raise SpaceError(
                    f"Space: {path + name!r} collides with {taken[name]!r}; rename one of them"
                )
            taken[name] = path + name
            self._places.setdefault(name, []).append(path.removesuffix("/"))
        nodes: list[Node] = []
        for name, parameter in parameters.items():
            if isinstance(parameter, Constant):
                nodes.append((-1, name, parameter))
                continue
            index = len(flat)
            nodes.append((index, name, parameter))
            flat.append(Leaf(name, path + name, parameter, parent, branch))
            if isinstance(parameter, Choice):
                below: dict[str, str] = {}
                for number, (value, inner) in enumerate(parameter.branches):
                    names = dict(taken)
                    self._walk(inner, index, number, f"{path}{name}={value}/", names, flat)
                    below |= names
                taken |= below
        self._nodes[parent, branch] = nodes[::-1]

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        return self._json == other._json  # the order of names counts: a grid follows it

    def __hash__(self) -> int:
        return hash(self._json)

    def __repr__(self) -> str:
        return f"Space({self._parameters!r})"

    def to_dict(self) -> dict[str, Any]:
        """The space in JSON terms; `Space.from_dict` reads it back."""
        return {name: parameter.to_dict() for name, parameter in self._parameters.items()}

    def to_json(self) -> str:
        """The space as JSON text; `Space.from_json` reads it back."""
        return self._json

    @cached_property
    def _json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Space:
        """The space that `to_json` wrote, or that a person wrote in the same form.

        Raises   SpaceError  if the text is not JSON or describes no space
                 TypeError   if it is no text
        """
        from gpbo.space.notation import from_json

        return from_json(text)

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Space:
        """The space in a dict as `to_dict` gives it, or as read from a JSON, YAML or TOML file.

        Raises   SpaceError  if it describes no space
        """
        from gpbo.space.notation import from_dict

        return from_dict(entries)

    # rows ------------------------------------------------------------------------------------

    def _active(self, params: Mapping[str, Any]) -> Iterator[Node]:
        """What exists under the branches which `params` takes, in order, constants included.

        `params` may be filled meanwhile: a branch is looked up after its Choice was yielded.
        """
        waiting = list(self._nodes[-1, -1])
        while waiting:
            node = index, name, parameter = waiting.pop()
            yield node
            if type(parameter) is Choice:
                waiting += self._nodes[index, position(params[name], parameter.positions)]

    def active(self, params: Mapping[str, Any]) -> Iterator[tuple[int, Leaf]]:
        """The leaves that exist under the branches which `params` takes, in order."""
        return ((index, self.leaves[index]) for index, _, _ in self._active(params) if index >= 0)

    def from_row(self, row: Row) -> Params:
        """The params at a row; coordinates of leaves that turn out inactive are ignored."""
        params: Params = {}
        units = [float(u) for u in row]
        for index, name, parameter in self._active(params):
            params[name] = parameter.from_unit(0.5 if index < 0 else units[index])
        return params

    def to_row(self, params: Mapping[str, Value]) -> Row:
        """The coordinates of valid params, nan where inactive; shape (number of leaves,)."""
        units = [math.nan] * len(self.leaves)
        for index, name, parameter in self._active(params):
            if index >= 0:
                units[index] = parameter.to_unit(params[name])
        return np.array(units)

    def sample(self, rng: np.random.Generator) -> Params:
        """Params drawn from the parameters' own scales and distributions."""
        return self.from_row(rng.random(len(self.leaves)))

    # checks ----------------------------------------------------------------------------------

    def contains(self, params: Mapping[str, Any]) -> bool:
        """Whether `check` accepts the params.

        Raises   TypeError  if they are no dict
        """
        try:
            self.check(params)
        except ObservationError:
            return False
        return True

    def check(
        self,
        params: Mapping[str, Any],
        *,
        clip: bool = False,
        fill: np.random.Generator | None = None,
    ) -> Params:
        """The params with plain values of the right types, constants included.

        With `clip`, values out of bounds move to the nearest valid one. With `fill`, names that are
        missing are sampled, a branch from among those that hold most of the values that are given.

        Raises   ObservationError  if a name is unknown, missing or inactive, or a value not allowed
                 TypeError         if it is no dict
        """
        if not isinstance(params, Mapping):
            raise TypeError(explain("params", "not a dict", params, expected="a dict of values"))
        for name in params:
            if name not in self._places:
                known = did_you_mean(name, self._places)
                raise ObservationError(f"params: unknown name {name!r}. {known}")
        out: Params = {}
        for index, name, parameter in self._active(out):
            if name in params:
                try:
                    out[name] = parameter.canonical(params[name], clip)
                except ValueError as error:
                    raise ObservationError(f"{name!r}: {error}") from None
            elif index < 0:
                out[name] = parameter.from_unit(0.5)
            elif fill is not None:
                out[name] = _fill_in(parameter, params, clip, float(fill.random()))
            else:
                raise ObservationError(self._why_missing(name, params))
        for name in params:
            if name not in out:
                raise ObservationError(self._why_inactive(name))
        return out

    def _held(self, params: Mapping[str, Any], clip: bool) -> int:
        """How many of the params can stand in it together, with a value that is allowed there."""
        count = 0
        for name, parameter in self.items():
            given = name in params and _allows(parameter, params[name], clip)
            count += given
            if isinstance(parameter, Choice):
                chosen = parameter.canonical(params[name], clip) if given else None
                inner = [
                    space._held(params, clip)
                    for value, space in parameter.branches
                    if not given or (value == chosen and type(value) is type(chosen))
                ]
                count += max(inner)
        return count

    def _why_missing(self, name: str, params: Mapping[str, Any]) -> str:
        needed = [n for n, parameter in self.items() if not isinstance(parameter, Constant)]
        expected = f"all of {shorten(needed)}"
        return explain("params", f"{name!r} is missing", list(params), expected=expected)

    def _why_inactive(self, name: str) -> str:
        places = " or ".join(dict.fromkeys(self._places[name])).replace("/", " and ")
        return f"params: {name!r} exists only where {places}. Leave it out."


def _read(parameters: Space | Mapping[str, Any]) -> dict[str, Parameter]:
    from gpbo.space.notation import read_all  # which needs Choice and Space

    return read_all(parameters)


def _fill_in(parameter: Parameter, params: Mapping[str, Any], clip: bool, u: float) -> Value:
    """The value at u; of a Choice, from among the branches that hold most of the given values."""
    if not isinstance(parameter, Choice):
        return parameter.from_unit(u)
    held = [inner._held(params, clip) for _, inner in parameter.branches]
    fitting = [k for k, count in enumerate(held) if count == max(held)]
    return parameter.names[fitting[interval(u, len(fitting))]]


def _allows(parameter: Parameter, value: Any, clip: bool) -> bool:
    try:
        parameter.canonical(value, clip)
    except ValueError:
        return False
    return True
