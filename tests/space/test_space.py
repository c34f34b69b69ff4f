"""The space: nesting, rows, checks, and what it writes down."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbo.errors import GpboWarning, ObservationError, SpaceError
from gpbo.seeding import generator
from gpbo.space import (
    Bool,
    Categorical,
    Choice,
    Constant,
    Distribution,
    Float,
    Int,
    Ordinal,
    Parameter,
    Params,
    Space,
)
from tests.space.generated import checked, spaces

seeds = st.integers(0, 2**32)


def walk(space: Space, params: Params) -> list[tuple[str, Parameter]]:
    """What is active under params, in order, by plain recursion: the independent reference."""
    found = []
    for name, parameter in space.items():
        found.append((name, parameter))
        if isinstance(parameter, Choice):
            taken = (type(params[name]), params[name])
            inner = [s for value, s in parameter.branches if (type(value), value) == taken]
            found += walk(inner[0], params)
    return found


def test_a_drawn_value_has_the_type_that_its_parameter_promises() -> None:
    assert native(Int(1, 3), 2)
    assert not native(Int(1, 3), True)
    assert not native(Int(1, 3), np.int64(2))
    assert not native(Float(1, 3), 2)


def native(parameter: Parameter, value: Any) -> bool:
    """Whether a value is a plain one of the parameter's type and range."""
    if isinstance(parameter, Float):
        return type(value) is float and parameter.low <= value <= parameter.high
    if isinstance(parameter, Int):
        inside = parameter.low <= value <= parameter.high
        return type(value) is int and inside and (value - parameter.low) % parameter.step == 0
    if isinstance(parameter, Distribution):
        return type(value) is (int if parameter.discrete else float)
    if isinstance(parameter, Bool):
        return type(value) is bool
    if isinstance(parameter, Constant):
        return (type(value), value) == (type(parameter.value), parameter.value)
    options: tuple[Any, ...] = ()
    if isinstance(parameter, (Categorical, Ordinal)):
        options = parameter.choices
    elif isinstance(parameter, Choice):
        options = parameter.names
    return (type(value), value) in [(type(option), option) for option in options]


@checked
@given(spaces(), seeds)
def test_a_sample_is_valid_native_and_in_the_order_of_the_space(space: Space, seed: int) -> None:
    params = space.sample(generator(seed, "test"))
    active = walk(space, params)
    assert list(params) == [name for name, _ in active]
    assert all(native(parameter, params[name]) for name, parameter in active)
    checked_params = space.check(params)
    assert checked_params == params
    assert list(checked_params) == list(params)
    assert space.contains(params)


@checked
@given(spaces(), seeds)
def test_params_and_rows_give_each_other_back_bit_for_bit(space: Space, seed: int) -> None:
    params = space.sample(generator(seed, "test"))
    row = space.to_row(params)
    again = space.from_row(row)
    assert [(k, type(v), v) for k, v in again.items()] == [
        (k, type(v), v) for k, v in params.items()
    ]
    assert space.to_row(again).tobytes() == row.tobytes()


@checked
@given(spaces(), seeds)
def test_a_space_survives_json_and_pickle_and_its_copy_samples_the_same(
    space: Space, seed: int
) -> None:
    for other in (Space.from_json(space.to_json()), pickle.loads(pickle.dumps(space))):
        assert other == space
        assert hash(other) == hash(space)
        assert other.to_json() == space.to_json()
        assert other.leaves == space.leaves
        params = space.sample(generator(seed, "test"))
        assert other.sample(generator(seed, "test")) == params


@pytest.mark.parametrize("seed", range(8))
def test_fill_takes_a_branch_in_which_the_given_value_is_allowed(seed: int) -> None:
    branches = {"sgd": {"lr": Float(0.01, 1)}, "adam": {"lr": Float(1e-5, 1e-3)}}
    space = Space({"opt": Choice(branches)})
    assert space.check({"lr": 3e-4}, fill=generator(seed, "test"))["opt"] == "adam"
    with pytest.raises(ObservationError, match="'lr': out of bounds"):
        space.check({"lr": 5.0}, fill=generator(seed, "test"))


@checked
@given(spaces(), seeds)
def test_fill_keeps_what_is_given_and_samples_the_rest(space: Space, seed: int) -> None:
    rng = generator(seed, "test")
    params = space.sample(rng)
    part = {
        name: params[name]
        for name, parameter in walk(space, params)
        if isinstance(parameter, Choice) or rng.random() < 0.5
    }
    before = dict(part)
    filled = space.check(part, fill=rng)
    assert list(filled) == list(params)
    assert {name: filled[name] for name in part} == part == before
    assert space.check(filled) == filled


def test_the_order_of_names_belongs_to_a_space() -> None:
    one = Space({"a": Bool(), "b": Int(1, 3)})
    other = Space({"b": Int(1, 3), "a": Bool()})
    assert one != other
    assert one == Space({"a": Bool(), "b": Int(1.0, 3.0)})
    assert one != "a space"


def test_equal_looking_numbers_of_another_type_make_another_space() -> None:
    assert Space({"a": [1, 2]}) != Space({"a": [1.0, 2.0]})
    assert Space({"a": Bool(), "b": 1}) != Space({"a": Bool(), "b": True})


def test_a_space_is_made_of_a_space() -> None:
    space = Space({"a": Bool(), "opt": Choice({"x": {"b": Bool()}})})
    assert Space(space) == space
    assert Space({"nested": Choice({"all": space})}).leaves[1].path == "nested=all/a"


def test_a_space_keeps_nothing_of_the_dict_that_made_it() -> None:
    branch: dict[str, Any] = {"momentum": Float(0, 1)}
    entries: dict[str, Any] = {"opt": Choice({"sgd": branch}), "act": ["a", "b"]}
    space = Space(entries)
    before = space.to_json()
    entries["act"].append("c")
    branch["more"] = Bool()
    del entries["opt"]
    assert Space(space).to_json() == before


SHARED = Space(
    {
        "opt": Choice(
            {
                "sgd": {
                    "rate": Float(0.1, 1.0),
                    "kind": Choice({"a": {"x": Int(1, 3)}, "b": None}),
                },
                "adam": {"rate": Int(5, 9), "kind": Categorical(["c", "d"])},
                "fixed": {"rate": 7, "kind": "none"},
            }
        ),
        "seed": 0,
    }
)


@pytest.mark.parametrize(
    "params",
    [
        {"opt": "sgd", "rate": 0.5, "kind": "a", "x": 2, "seed": 0},
        {"opt": "sgd", "rate": 0.5, "kind": "b", "seed": 0},
        {"opt": "adam", "rate": 6, "kind": "d", "seed": 0},
        {"opt": "fixed", "rate": 7, "kind": "none", "seed": 0},
    ],
)
def test_branches_may_use_the_same_name_for_different_things(params: Params) -> None:
    assert SHARED.check(params) == params
    assert SHARED.check({k: v for k, v in params.items() if k != "seed"}) == params
    assert list(SHARED.check(dict(reversed(params.items())))) == list(params)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"opt": "adam", "rate": 0.5, "kind": "d"}, r"'rate': not a whole number, got 0\.5"),
        ({"opt": "adam", "rate": 6, "kind": "a"}, "'kind': not one of the choices, got 'a'"),
        ({"opt": "fixed", "rate": 8}, "'rate': a constant, got 8; expected 7"),
        ({"opt": "adam", "rate": 6, "kind": "c", "x": 2}, "'x' exists only where opt=sgd and kind"),
    ],
)
def test_a_shared_name_is_checked_by_the_branch_that_is_taken(params: Params, match: str) -> None:
    with pytest.raises(ObservationError, match=match):
        SHARED.check(params)


def test_fill_takes_a_branch_in_which_the_given_names_exist() -> None:
    space = Space(
        {
            "opt": Choice(
                {
                    "sgd": {"momentum": Float(0, 1)},
                    "adam": {"beta": Float(0, 1), "amsgrad": Choice({"on": {"c": Bool()}})},
                    "adamw": {"beta": Float(0, 1)},
                }
            )
        }
    )
    rngs = [generator(0, "test", k) for k in range(60)]
    assert {space.check({"c": True}, fill=rng)["opt"] for rng in rngs} == {"adam"}
    assert {space.check({"beta": 0.5}, fill=rng)["opt"] for rng in rngs} == {"adam", "adamw"}
    assert {space.check({}, fill=rng)["opt"] for rng in rngs} == {"sgd", "adam", "adamw"}
    with pytest.raises(ObservationError, match="exists only where"):
        space.check({"beta": 0.5, "momentum": 0.5}, fill=rngs[0])


def test_fill_is_repeatable() -> None:
    space = Space({f"x{k}": Float(0, 1) for k in range(5)})
    one, two = (space.check({"x2": 0.5}, fill=generator(3, "test")) for _ in range(2))
    assert one == two


def test_clip_moves_values_into_the_bounds_and_leaves_the_rest() -> None:
    space = Space({"lr": Float(0, 1), "n": Int(1, 9), "act": ["a", "b"]})
    params = {"lr": 5, "n": -3, "act": "b"}
    assert space.check(params, clip=True) == {"lr": 1.0, "n": 1, "act": "b"}
    assert params == {"lr": 5, "n": -3, "act": "b"}


def test_contains_says_whether_check_accepts() -> None:
    space = Space({"lr": Float(0, 1)})
    assert space.contains({"lr": 0.5})
    assert not space.contains({"lr": 1.5})
    assert not space.contains({})


def test_leaves_know_their_path_and_their_place_in_the_tree() -> None:
    found = [(leaf.path, leaf.parent, leaf.branch) for leaf in SHARED.leaves]
    assert found == [
        ("opt", -1, -1),
        ("opt=sgd/rate", 0, 0),
        ("opt=sgd/kind", 0, 0),
        ("opt=sgd/kind=a/x", 2, 0),
        ("opt=adam/rate", 0, 1),
        ("opt=adam/kind", 0, 1),
    ]
    active = SHARED.active({"opt": "adam", "rate": 6, "kind": "d"})
    assert [(index, leaf.path) for index, leaf in active] == [
        (0, "opt"),
        (4, "opt=adam/rate"),
        (5, "opt=adam/kind"),
    ]


def test_coordinates_of_inactive_leaves_are_ignored() -> None:
    space = Space({"opt": Choice({"sgd": {"m": Float(0, 1)}, "none": None})})
    assert space.from_row(np.array([0.9, 0.3])) == space.from_row(np.array([0.9, np.nan]))


@pytest.mark.parametrize(
    "name", ["line\nbreak", "<script>", "a/b", "naïve", "opt=x", " "[:0] + "."]
)
def test_any_text_may_be_a_name(name: str) -> None:
    space = Space({name: Bool(), "z": 1})
    assert Space.from_json(space.to_json()) == space
    assert list(space.sample(generator(0, "test"))) == [name, "z"]


def test_choices_nest_to_a_depth_of_32_and_no_deeper() -> None:
    entries: dict[str, Any] = {"leaf": Bool()}
    for depth in range(31):
        entries = {f"c{depth}": Choice({"on": entries})}
    space = Space(entries)
    assert Space.from_json(space.to_json()) == space
    assert copy.deepcopy(space) == space
    with pytest.raises(SpaceError, match="nested too deep, got 33; expected at most 32 levels"):
        Space({"top": Choice({"on": entries})})


def test_very_many_parameters_are_taken_with_one_warning() -> None:
    entries: dict[str, Any] = {f"x{k}": Float(0, 1) for k in range(1001)}
    with pytest.warns(GpboWarning, match="1001 parameters make every proposal slow") as caught:
        Space(entries)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.warns(GpboWarning, match="1002 parameters") as caught:
        Space({"opt": Choice({"on": entries})})
    assert len(caught) == 1


def test_scipy_is_loaded_for_a_distribution_only_and_torch_never() -> None:
    script = """
import sys
from gpbo.space import Choice, Float, Int, Lattice, Space
from gpbo.space.encode import describe, encode
import numpy as np
space = Space({"x": Float(1e-3, 1, log=True), "opt": Choice({"a": {"k": [1, 2, 3]}}), "n": 3})
params = space.check(space.sample(np.random.default_rng(0)))
encode(space, [params]), describe(space), Lattice.of(space), Space.from_json(space.to_json())
assert not {"scipy", "torch", "gpytorch"} & set(sys.modules), "loaded too early"
import scipy.stats
Space({"x": scipy.stats.expon(scale=100)}).sample(np.random.default_rng(0))
assert not {"torch", "gpytorch"} & set(sys.modules), "torch was loaded"
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
