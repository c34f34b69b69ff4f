"""All points of a space: each once, in order, the last parameter fastest."""

from __future__ import annotations

import itertools
import math

import pytest
import scipy.stats
from hypothesis import assume, given

from gpbo.errors import SpaceError
from gpbo.space import Bool, Choice, Float, Int, Lattice, Parameter, Params, Space
from tests.space.generated import checked, countable_spaces


def product(space: Space) -> list[Params]:
    """Every point, by plain nested loops: the independent reference."""
    axes: list[list[Params]] = []
    for name, parameter in space.items():
        axis: list[Params] = []
        if isinstance(parameter, Choice):
            for value, inner in parameter.branches:
                axis += [{name: value, **point} for point in product(inner)]
        else:
            assert parameter.size is not None
            axis = [{name: parameter.value_at(k)} for k in range(parameter.size)]
        axes.append(axis)
    points = itertools.product(*axes)
    return [{k: v for part in parts for k, v in part.items()} for parts in points]


@checked
@given(countable_spaces())
def test_the_lattice_is_the_product_in_order_without_duplicates(space: Space) -> None:
    lattice = Lattice(space)
    assume(lattice.size <= 2000)
    points = list(lattice)
    assert points == product(space)
    assert [list(point) for point in points] == [list(space.check(point)) for point in points]
    assert len({space.to_row(point).tobytes() for point in points}) == len(points) == lattice.size
    assert all(space.check(point) == point for point in points)


def test_the_last_parameter_is_fastest() -> None:
    space = Space({"a": [1, 2], "b": ["x", "y", "z"]})
    first = [(p["a"], p["b"]) for p in Lattice(space)]
    assert first == [(1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z")]


def test_a_huge_lattice_has_a_size_and_gives_any_point_at_once() -> None:
    space = Space({f"x{k}": Int(1, 1000) for k in range(30)})
    lattice = Lattice(space)
    assert lattice.size == 1000**30
    assert set(lattice[lattice.size - 1].values()) == {1000}
    assert lattice[1]["x29"] == 2


def test_indices_and_slices_are_those_of_a_sequence() -> None:
    lattice = Lattice(Space({"a": Int(0, 9)}))
    assert lattice[-1] == {"a": 9}
    assert lattice[8:] == [{"a": 8}, {"a": 9}]
    for index in (10, -11):
        with pytest.raises(IndexError, match=f"Lattice: no such point, got {index}"):
            lattice[index]


def test_a_continuous_space_has_no_lattice() -> None:
    space = Space({"a": Bool(), "opt": Choice({"x": {"lr": Float(0, 1)}})})
    assert Lattice.of(space) is None
    with pytest.raises(SpaceError, match="'opt=x/lr': a continuous range has no list of values"):
        Lattice(space)


def test_a_countable_space_has_a_lattice() -> None:
    assert Lattice.of(Space({"a": Bool(), "b": Float(0, 1, step=0.1)})) is not None
    trees = Lattice.of(Space({"n": scipy.stats.randint(1, 40)}))
    assert trees is not None
    assert [point["n"] for point in trees] == list(range(1, 40))


def test_a_range_is_spread_over_its_scale_ends_included() -> None:
    def three(name: str, path: str, parameter: Parameter) -> int:
        return 3

    linear, log = Space({"x": Float(-1, 3)}), Space({"x": Float(1e-4, 1e-2, log=True)})
    assert [p["x"] for p in Lattice(linear, three)] == [-1.0, 1.0, 3.0]
    assert [p["x"] for p in Lattice(log, three)] == pytest.approx([1e-4, 1e-3, 1e-2])
    expon = Lattice(Space({"x": scipy.stats.expon()}), three)
    expected = [-math.log(1 - q) for q in (1 / 6, 1 / 2, 5 / 6)]  # the middles of three thirds
    assert [p["x"] for p in expon] == pytest.approx(expected, rel=1e-4)


def test_values_that_rounding_makes_equal_appear_once() -> None:
    lattice = Lattice(Space({"k": Int(1, 10_000, log=True)}), lambda name, path, parameter: 30)
    values = [p["k"] for p in lattice]
    assert values == sorted(set(values))
    assert lattice.size == len(values) < 30
