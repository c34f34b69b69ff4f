"""The search space: named parameters in order, branches with parameters of their own, constants.

A space is flattened once into `leaves`, one for each parameter that takes a coordinate. A row is an
array with one coordinate in [0, 1] for each leaf, nan where the leaf is inactive because another
branch of its Choice was taken. Params, the other side, is a flat dict of plain values in which
inactive names are absent.
"""

from __future__ import annotations

import json
import unicodedata
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpbo.errors import GpboWarning, ObservationError, SpaceError, did_you_mean, explain
from gpbo.space.category import Constant, check_choices, position
from gpbo.space.parameter import Kind, Parameter, Params, Value, center, interval

Row = npt.NDArray[np.float64]
MANY_PARAMETERS = 1000


@dataclass(frozen=True, init=False)
class Choice(Parameter):
    """A branch out of several, and the parameters that exist only in it.

    `branches` maps the value that a trial receives (a str, int, float, bool or None) to a space, or
    to None for a branch without parameters. Branches nest to any depth.

    Raises   TypeError   if it is not a mapping of branches
             SpaceError  as Categorical and Space do
    """

    branches: tuple[tuple[Value, Space], ...]

    def __init__(self, branches: Mapping[Any, Space | Mapping[str, Any] | None]) -> None:
        if not isinstance(branches, Mapping):
            fix = "For plain values use gpbo.Categorical."
            raise TypeError(
                explain("Choice", "not a dict of branches", branches, expected="a dict", fix=fix)
            )
        names = check_choices("Choice", list(branches))
        spaces = (Space._branch(name, inner) for name, inner in branches.items())
        object.__setattr__(self, "branches", tuple(zip(names, spaces, strict=True)))

    @property
    def names(self) -> tuple[Value, ...]:
        """The values of the branches."""
        return tuple(name for name, _ in self.branches)

    @property
    def kind(self) -> Kind:
        return "category"

    @property
    def size(self) -> int:
        return len(self.branches)

    def from_unit(self, u: float) -> Value:
        return self.branches[interval(u, len(self.branches))][0]

    def to_unit(self, value: Value) -> float:
        return center(position(value, self.names), len(self.branches))

    def canonical(self, value: Any, clip: bool = False) -> Value:
        return self.names[position(value, self.names)]

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


class Space(Mapping[str, Parameter]):
    """Named parameters in order, made of a dict of parameters, lists, distributions, constants.

    Raises   SpaceError  if it is empty or two names collide
             TypeError   if a name is not a str, or an entry means nothing
    """

    def __init__(self, parameters: Space | Mapping[str, Any]) -> None:
        self._parameters = _read_parameters(parameters)
        if not self._parameters:
            raise SpaceError("Space: the space is empty; expected at least one parameter")
        self._flatten()
        if not self.leaves:
            raise SpaceError("Space: every entry is a constant; expected at least one parameter")

    @classmethod
    def _branch(cls, name: Value, parameters: Space | Mapping[str, Any] | None) -> Space:
        """The space of a branch, which may be empty or hold nothing but constants."""
        if isinstance(parameters, Space):
            return parameters
        if parameters is not None and not isinstance(parameters, Mapping):
            raise TypeError(
                explain(
                    f"Choice branch {name!r}", "not a space", parameters, expected="a dict or None"
                )
            )
        space = cls.__new__(cls)
        space._parameters = _read_parameters(parameters or {})
        space._flatten()
        return space

    def _flatten(self) -> None:
        leaves: list[Leaf] = []
        _walk(self._parameters, -1, -1, "", {}, leaves)
        self.leaves = tuple(leaves)
        self._leaf_names = frozenset(leaf.name for leaf in leaves)
        if len(self.leaves) > MANY_PARAMETERS:
            message = f"Space: {len(self.leaves)} parameters make every proposal slow"
            warnings.warn(message, GpboWarning, stacklevel=4)
        self._children: dict[tuple[int, int], list[int]] = {}
        for index, leaf in enumerate(self.leaves):
            self._children.setdefault((leaf.parent, leaf.branch), []).append(index)

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        return self.to_json() == other.to_json()  # the order of names counts: a grid follows it

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __repr__(self) -> str:
        return f"Space({self._parameters!r})"

    def to_dict(self) -> dict[str, Any]:
        """The space in JSON terms."""
        return {name: parameter.to_dict() for name, parameter in self._parameters.items()}

    def to_json(self) -> str:
        """The space as JSON text; `Space.from_json` reads it back."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Space:
        """The space that `to_json` wrote, or that a person wrote in the same form.

        Raises   SpaceError  if the text is not JSON or describes no space
        """
        from gpbo.space.notation import from_dict

        try:
            return from_dict(json.loads(text))
        except json.JSONDecodeError as error:
            raise SpaceError(f"Space: not JSON: {error}") from None

    # rows ------------------------------------------------------------------------------------

    def active(self, params: Mapping[str, Any]) -> Iterator[tuple[int, Leaf]]:
        """The leaves that exist under the branches which `params` takes, in order."""
        waiting = list(reversed(self._children.get((-1, -1), [])))
        while waiting:
            index = waiting.pop()
            leaf = self.leaves[index]
            yield index, leaf
            if isinstance(leaf.parameter, Choice):
                branch = position(params[leaf.name], leaf.parameter.names)
                waiting.extend(reversed(self._children.get((index, branch), [])))

    def from_row(self, row: Row) -> Params:
        """The params at a row; coordinates of leaves that turn out inactive are ignored."""
        params: Params = {}
        for index, leaf in self.active(params):
            params[leaf.name] = leaf.parameter.from_unit(float(row[index]))
        return self._ordered(params)

    def to_row(self, params: Mapping[str, Value]) -> Row:
        """The coordinates of valid params, nan where inactive; shape (number of leaves,)."""
        row = np.full(len(self.leaves), np.nan)
        for index, leaf in self.active(params):
            row[index] = leaf.parameter.to_unit(params[leaf.name])
        return row

    def sample(self, rng: np.random.Generator) -> Params:
        """Params drawn from the parameters' own scales and distributions."""
        return self.from_row(rng.random(len(self.leaves)))

    def _ordered(self, params: Params) -> Params:
        """The params in the order of the space, its constants put in."""
        out: Params = {}
        _collect(self._parameters, params, out)
        return out

    # checks ----------------------------------------------------------------------------------

    def contains(self, params: Mapping[str, Any]) -> bool:
        """Whether `check` accepts the params."""
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

        With `clip`, values out of bounds move to the nearest valid one; with `fill`, names that are
        missing are sampled.

        Raises   ObservationError  if a name is unknown, missing or inactive, or a value not allowed
        """
        if not isinstance(params, Mapping):
            raise TypeError(explain("params", "not a dict", params, expected="a dict of values"))
        out: Params = {}
        for _, leaf in self.active(out):
            if leaf.name in params:
                try:
                    out[leaf.name] = leaf.parameter.canonical(params[leaf.name], clip)
                except ValueError as error:
                    raise ObservationError(f"{leaf.name!r}: {error}") from None
            elif fill is not None:
                out[leaf.name] = leaf.parameter.from_unit(float(fill.random()))
            else:
                raise ObservationError(
                    explain("params", f"{leaf.name!r} is missing", expected=f"{list(self)}")
                )
        out = self._ordered(out)
        for name, value in params.items():
            if name not in out:
                raise ObservationError(self._why_unknown(name))
            if name not in self._leaf_names:
                self._check_constant(name, value, out[name])
        return out

    def _check_constant(self, name: str, value: Any, expected: Value) -> None:
        try:
            Constant(expected).canonical(value)
        except ValueError as error:
            raise ObservationError(f"{name!r}: {error}") from None

    def _why_unknown(self, name: object) -> str:
        for leaf in self.leaves:
            if leaf.name == name:
                where = leaf.path.rpartition("/")[0]
                return f"params: {name!r} exists only where {where.replace('/', ' and ')}"
        known = dict.fromkeys([*self, *(leaf.name for leaf in self.leaves)])
        return f"params: unknown name {name!r}. {did_you_mean(name, known)}"


def _read_parameters(parameters: Space | Mapping[str, Any]) -> dict[str, Parameter]:
    """Every entry as a Parameter, its name checked."""
    from gpbo.space.notation import read

    if not isinstance(parameters, Mapping):
        raise TypeError(
            explain("Space", "not a dict of parameters", parameters, expected="a dict or a Space")
        )
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
        seen[normal] = name
        out[name] = read(name, entry)
    return out


def _walk(
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
    for name, parameter in parameters.items():
        if isinstance(parameter, Constant):
            continue
        index = len(flat)
        flat.append(Leaf(name, path + name, parameter, parent, branch))
        if isinstance(parameter, Choice):
            below: dict[str, str] = {}
            for number, (value, inner) in enumerate(parameter.branches):
                names = dict(taken)
                _walk(inner, index, number, f"{path}{name}={value}/", names, flat)
                below |= names
            taken |= below


def _collect(parameters: Mapping[str, Parameter], params: Params, out: Params) -> None:
    for name, parameter in parameters.items():
        out[name] = parameter.value if isinstance(parameter, Constant) else params[name]
        if isinstance(parameter, Choice):
            branch = position(params[name], parameter.names)
            _collect(parameter.branches[branch][1], params, out)
