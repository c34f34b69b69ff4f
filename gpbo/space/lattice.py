"""All points of a space as one lazy sequence: the last parameter varies fastest, nothing is stored.

A Choice counts the points of its branches one after the other; a parameter of a branch is part of
that count, so that no combination appears twice.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TypeAlias, overload

from gpbo.errors import SpaceError, explain
from gpbo.space.category import Constant
from gpbo.space.distribution import Distribution
from gpbo.space.parameter import Parameter, Params, Value
from gpbo.space.space import Choice, Space

Levels: TypeAlias = Callable[[str, str, Parameter], int]  # (name, path, it) -> how many values


def every_value(name: str, path: str, parameter: Parameter) -> int:
    """All values of a parameter, where they are countable.

    Raises   SpaceError  if they are not
    """
    if parameter.size is None:
        raise SpaceError(explain(repr(path), "a continuous range has no list of values", parameter))
    return parameter.size


class Lattice(Sequence[Params]):
    """The points of a space in its own order, with so many values for each range as `levels` says.

    Raises   SpaceError  if `levels` does
    """

    def __init__(self, space: Space, levels: Levels = every_value) -> None:
        self._axes = _axes(space, levels, "")
        self.size = _count(self._axes)  # len() fails beyond 2**63, this does not

    @classmethod
    def of(cls, space: Space) -> Lattice | None:
        """Every point of a space; None where they are not countable."""
        countable = all(leaf.parameter.size is not None for leaf in space.leaves)
        return cls(space) if countable else None

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> Params: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Params]: ...
    def __getitem__(self, index: int | slice) -> Params | Sequence[Params]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.size))]
        index = operator.index(index)
        if not -self.size <= index < self.size:
            raise IndexError(explain("Lattice", "no such point", index))
        index %= self.size
        out: Params = {}
        _place(self._axes, index, out)
        return out


class _Axis:
    """One parameter: its values in order; for a Choice, the axes of each branch."""

    def __init__(self, space_name: str, parameter: Parameter, levels: Levels, path: str) -> None:
        self.name, self.parameter = space_name, parameter
        self.branches: list[tuple[Value, list[_Axis]]] = []
        self.values: list[Value] | None = None  # None: they are made one by one
        self.size = 1
        if isinstance(parameter, Choice):
            self.branches = [
                (value, _axes(inner, levels, f"{path}={value}/"))
                for value, inner in parameter.branches
            ]
            self.size = sum(_count(axes) for _, axes in self.branches)
        elif not isinstance(parameter, Constant):
            self.size = levels(self.name, path, parameter)
            if parameter.size is not None and self.size != parameter.size:
                every = (_spread(parameter, i, self.size) for i in range(self.size))
                self.values = list(dict.fromkeys(every))  # rounding may make some equal
                self.size = len(self.values)

    def put(self, index: int, out: Params) -> None:
        """Write the value number `index`, and those of the branch that it takes."""
        if not isinstance(self.parameter, Choice):
            out[self.name] = self._value(index)
            return
        for value, axes in self.branches:
            if index < _count(axes):
                out[self.name] = value
                _place(axes, index, out)
                return
            index -= _count(axes)

    def _value(self, index: int) -> Value:
        if self.values is not None:
            return self.values[index]
        if self.parameter.size is None:
            return _spread(self.parameter, index, self.size)
        return self.parameter.value_at(index)


def _spread(parameter: Parameter, index: int, count: int) -> Value:
    """Value number `index` of `count` over the range, its ends included."""
    if isinstance(parameter, Distribution) or count == 1:  # the ends may be cut tails
        return parameter.from_unit((index + 0.5) / count)
    return parameter.from_unit(index / (count - 1))


def _axes(space: Space, levels: Levels, path: str) -> list[_Axis]:
    return [_Axis(name, parameter, levels, path + name) for name, parameter in space.items()]


def _count(axes: list[_Axis]) -> int:
    total = 1
    for axis in axes:
        total *= axis.size
    return total


def _place(axes: list[_Axis], index: int, out: Params) -> None:
    """Write the point number `index` of a product of axes, the last axis fastest."""
    digits = []
    for axis in reversed(axes):
        index, digit = divmod(index, axis.size)
        digits.append(digit)
    for axis, digit in zip(axes, reversed(digits), strict=True):
        axis.put(digit, out)
