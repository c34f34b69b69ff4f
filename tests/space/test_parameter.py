"""Coordinates, and how a user's numbers become plain ones."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpbo.space.parameter import (
    LATTICE,
    Parameter,
    center,
    finite_number,
    interval,
    number_for,
    plain,
    snap,
    whole_number,
)
from tests.space.generated import checked, parameters, units


class Activation(str, enum.Enum):
    RELU = "relu"


class Width(enum.IntEnum):
    WIDE = 512


@checked
@given(parameters, units)
def test_a_value_and_its_coordinate_give_each_other_back_exactly(
    parameter: Parameter, u: float
) -> None:
    value = parameter.from_unit(u)
    coordinate = parameter.to_unit(value)
    assert 0.0 <= coordinate <= 1.0
    again = parameter.from_unit(coordinate)
    assert again == value
    assert type(again) is type(value)
    assert parameter.to_unit(again) == coordinate


@checked
@given(parameters, units)
def test_a_value_is_its_own_canonical_form(parameter: Parameter, u: float) -> None:
    value = parameter.from_unit(u)
    same = parameter.canonical(value)
    assert same == value
    assert type(same) is type(value)


@checked
@given(st.integers(1, 2**50), st.data())
def test_an_interval_holds_its_own_middle(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    assert interval(center(index, size), size) == index


@checked
@given(st.integers(2**50, 2**54), units)
def test_more_intervals_than_float64_has_numbers_still_give_a_fixed_point(
    size: int, u: float
) -> None:
    index = interval(u, size)
    assert 0 <= index < size
    assert interval(center(index, size), size) == index


def test_the_ends_belong_to_the_first_and_the_last_interval() -> None:
    assert [interval(u, 4) for u in (0.0, 0.25, 0.999, 1.0)] == [0, 1, 3, 3]
    assert [center(index, 4) for index in range(4)] == [0.125, 0.375, 0.625, 0.875]


@checked
@given(units)
def test_snap_moves_a_coordinate_by_less_than_a_step_and_only_once(u: float) -> None:
    assert abs(snap(u) - u) <= 0.5 / LATTICE
    assert snap(snap(u)) == snap(u)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("relu"), "relu"),
        (np.array(7), 7),
        (torch.tensor(0.25, requires_grad=True), 0.25),
        (torch.tensor(4), 4),
        (Activation.RELU, "relu"),
        (Width.WIDE, 512),
        (None, None),
    ],
)
def test_scalars_of_other_libraries_become_plain(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_what_is_no_scalar_stays_what_it_is() -> None:
    array = np.zeros(2)
    assert plain(array) is array


def test_a_whole_float_is_an_int_and_the_exact_range_ends_are_allowed() -> None:
    assert type(whole_number("Int", "low", 3.0)) is int
    assert whole_number("Int", "high", 2**53) == 2**53
    assert type(finite_number("Float", "low", 1)) is float


@pytest.mark.parametrize("value", [True, "3", None, [1], float("nan"), float("inf"), 10**400, 1j])
def test_number_for_refuses_what_is_no_finite_number(value: Any) -> None:
    with pytest.raises(ValueError, match=r"not a number|not finite|does not fit float64"):
        number_for(value)
