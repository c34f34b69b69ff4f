"""What an optimizer has to do to take part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import numpy as np

from gpbo import Float, Int, Space
from gpbo.space import Choice, Parameter

Params = dict[str, Any]


class Peer(ABC):
    """An optimizer that minimizes over one space, one trial after the other.

    name     how tables call it
    package  what has to be installed, as pip calls it
    modules  what is imported before its time is taken
    """

    name: ClassVar[str]
    package: ClassVar[str] = "gpbo"
    modules: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def __init__(self, space: Space, seed: int) -> None:
        """A new study."""

    @abstractmethod
    def ask(self) -> Params | None:
        """The params to try next; None where it has no more."""

    @abstractmethod
    def tell(self, params: Params, value: float | None) -> None:
        """What the last params gave; None where they failed."""

    def recommend(self) -> Params | None:
        """The params that it would use in the end; None: those with the best value told."""
        return None

    @classmethod
    def cannot(cls, space: Space) -> str | None:
        """Why it cannot search this space, if it cannot."""
        return None

    @classmethod
    def version(cls) -> str | None:
        """The version that is installed; None where there is none."""
        try:
            return version(cls.package)
        except PackageNotFoundError:
            return None

    @classmethod
    def load(cls) -> None:
        """Import what it needs."""
        for module in cls.modules:
            import_module(module)


class Worst:
    """A stand-in value for failed trials, for peers that know no failures: the worst one so far.

    A first trial that fails counts as 0.
    """

    def __init__(self) -> None:
        self._values: list[float] = []

    def value(self, value: float | None) -> float:
        """The value to tell."""
        if value is None:
            return max(self._values, default=0.0)
        self._values.append(value)
        return value


def has_branches(space: Space) -> bool:
    """Whether parameters exist in one branch only."""
    return any(leaf.parent >= 0 for leaf in space.leaves)


def has_categories(space: Space) -> bool:
    """Whether there are values without an order."""
    return any(leaf.parameter.kind == "category" for leaf in space.leaves)


def no_branches(space: Space) -> str | None:
    """The reason of a peer that needs every parameter in every trial."""
    return "no conditional parameters" if has_branches(space) else None


def parameters(space: Space) -> dict[str, Parameter]:
    """The parameters of a space without branches, by name; constants are left out."""
    return {leaf.name: leaf.parameter for leaf in space.leaves}


def is_number(parameter: Parameter) -> bool:
    """Whether it is a float or an int without steps: what every peer knows.

    Others are handed over as the index of their value.
    """
    if isinstance(parameter, Float):
        return parameter.step is None
    return isinstance(parameter, Int) and parameter.step == 1


def value_of(parameter: Parameter, x: Any) -> Any:
    """The value that a peer means by a number or, where it is none, by an index."""
    if isinstance(parameter, Float) and is_number(parameter):
        return parameter.canonical(float(x), clip=True)
    if is_number(parameter):
        return parameter.canonical(round(float(x)), clip=True)
    return levels(parameter)[int(x)]


def levels(parameter: Parameter) -> list[Any]:
    """All values of a category, of a Choice without parameters, or of an Ordinal."""
    if isinstance(parameter, Choice):
        return list(parameter.names)
    size = parameter.size
    assert size is not None
    return [parameter.value_at(k) for k in range(size)]


class Cube:
    """A space as a cube of floats, for peers that know nothing else.

    A number or an ordered value is one column, its coordinate; a category has a column for each
    value, and the largest one wins.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._columns: list[tuple[int, int]] = []  # of each leaf: the first column, how many
        at = 0
        for leaf in space.leaves:
            size = leaf.parameter.size if leaf.parameter.kind == "category" else 1
            self._columns.append((at, size or 1))
            at += size or 1
        self.d = at

    def params(self, point: Any) -> Params:
        """The params nearest to a point of the cube: (d,)."""
        row = np.empty(len(self._columns))
        for k, (first, count) in enumerate(self._columns):
            part = np.clip(np.asarray(point[first : first + count], dtype=np.float64), 0.0, 1.0)
            row[k] = part[0] if count == 1 else (int(part.argmax()) + 0.5) / count
        return self._space.from_row(row)

    def point(self, params: Params) -> np.ndarray:
        """The point that stands for params: (d,)."""
        row = self._space.to_row(params)
        out = np.zeros(self.d)
        for u, (first, count) in zip(row, self._columns, strict=True):
            if count == 1:
                out[first] = u
            else:
                out[first + int(u * count)] = 1.0
        return out
