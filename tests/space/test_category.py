"""Lists of values: each comes back with its own type."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from gpbo.errors import GpboWarning
from gpbo.space import Bool, Categorical, Constant, Ordinal
from gpbo.space.parameter import Value
from tests.space.generated import checked, choices, scalars


class Activation(str, enum.Enum):
    RELU = "relu"
    TANH = "tanh"


@pytest.mark.parametrize("kind", [Categorical, Ordinal])
@checked
@given(choices)
def test_every_choice_comes_back_as_itself(kind: type[Categorical], values: list[Value]) -> None:
    parameter = kind(values)
    back = [parameter.from_unit(parameter.to_unit(value)) for value in values]
    assert back == values
    assert [type(value) for value in back] == [type(value) for value in values]
    assert [parameter.value_at(k) for k in range(parameter.size)] == values
    coordinates = [parameter.to_unit(value) for value in values]
    assert coordinates == sorted(set(coordinates))


def test_none_stays_none_beside_an_int() -> None:
    parameter = Categorical([3, None])
    assert parameter.choices == (3, None)
    assert [parameter.from_unit(u) for u in (0.2, 0.8)] == [3, None]
    assert type(parameter.from_unit(0.2)) is int


def test_choices_of_other_libraries_become_plain() -> None:
    values = [np.int64(1), np.float32(0.5), np.str_("a"), Activation.RELU]
    parameter = Categorical(values)
    assert parameter.choices == (1, 0.5, "a", "relu")
    assert [type(choice) for choice in parameter.choices] == [int, float, str, str]
    assert parameter.canonical(Activation.RELU) == "relu"
    assert parameter.canonical(np.int64(1)) == 1


def test_an_array_and_a_generator_are_lists_of_choices() -> None:
    assert Ordinal(np.array([1, 2, 4])).choices == (1, 2, 4)
    assert Categorical(letter for letter in "ab").choices == ("a", "b")


def test_a_bool_is_not_a_number_among_choices() -> None:
    assert Categorical([1, 2]).canonical(1.0) == 1
    with pytest.raises(ValueError, match=r"not one of the choices, got True; expected one of"):
        Categorical([1, 2]).canonical(True)
    with pytest.raises(ValueError, match="not one of the choices, got 1"):
        Categorical([True, "x"]).canonical(1)


def test_a_misspelt_choice_is_suggested() -> None:
    with pytest.raises(ValueError, match=r"got 'rleu'; .* Did you mean 'relu'\?"):
        Categorical(["relu", "tanh"]).canonical("rleu")


@pytest.mark.parametrize("value", [[], {}, object(), float("nan"), 1 + 0j, "c"])
def test_what_is_no_choice_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not one of the choices"):
        Categorical(["a", 1]).canonical(value)


def test_bool_takes_true_and_false_only() -> None:
    assert [Bool().from_unit(u) for u in (0.1, 0.9)] == [False, True]
    assert Bool().canonical(np.bool_(True)) is True
    with pytest.raises(ValueError, match="not a bool, got 1; expected True or False"):
        Bool().canonical(1)


@checked
@given(scalars)
def test_a_constant_is_its_value_at_every_coordinate(value: Value) -> None:
    constant = Constant(value)
    assert constant.from_unit(0.3) == value
    assert type(constant.canonical(value)) is type(value)
    assert constant.size == 1


def test_a_constant_refuses_any_other_value() -> None:
    with pytest.raises(ValueError, match="a constant, got 11; expected 10"):
        Constant(10).canonical(11)
    with pytest.raises(ValueError, match="a constant, got True; expected 1"):
        Constant(1).canonical(True)


@pytest.mark.parametrize("kind", [Categorical, Ordinal])
def test_very_many_choices_are_taken_with_one_warning(kind: type[Categorical]) -> None:
    with pytest.warns(GpboWarning, match="10001 choices make every proposal slow") as caught:
        parameter = kind(range(10_001))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert parameter.size == 10_001
    assert parameter.canonical(9_999) == 9_999
