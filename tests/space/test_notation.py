"""The notations of a space, and what each of them means."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from gpbo.errors import GpboWarning, SpaceError
from gpbo.space import Categorical, Choice, Constant, Distribution, Float, Int, Ordinal, Space
from gpbo.space.notation import from_json, read
from tests.space.generated import checked

kinds = st.sampled_from(["float", "int", "bool", "categorical", "ordinal", "constant", "choice"])
fields = st.sampled_from(["low", "high", "log", "step", "choices", "value", "branches", "args"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.builds(
            lambda kind, rest: {"type": kind, **rest}, kinds, st.dictionaries(fields, inner)
        )
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ([10, 50, 100, 200], Ordinal([10, 50, 100, 200])),
        ([0.1, 1, 2.5], Ordinal([0.1, 1, 2.5])),
        ([3, 10], Categorical([3, 10])),
        ([100, 10, 1], Categorical([100, 10, 1])),
        ([3, None], Categorical([3, None])),
        (["relu", "tanh"], Categorical(["relu", "tanh"])),
        ([True, False], Categorical([True, False])),
        ([1, 2, "many"], Categorical([1, 2, "many"])),
        (range(1, 5), Ordinal([1, 2, 3, 4])),
        (np.array([0.5, 1.0, 2.0]), Ordinal([0.5, 1.0, 2.0])),
        (np.array(["a", "b"]), Categorical(["a", "b"])),
        ([np.int64(1), np.int64(2), np.int64(3)], Ordinal([1, 2, 3])),
        (10, Constant(10)),
        (None, Constant(None)),
        ("adam", Constant("adam")),
        (np.float64(0.5), Constant(0.5)),
        (scipy.stats.randint(1, 40), Distribution(scipy.stats.randint(1, 40))),
        (Float(0, 1), Float(0, 1)),
    ],
)
def test_an_entry_means(entry: Any, expected: Any) -> None:
    found = read("x", entry)
    assert found == expected
    assert type(found) is type(expected)
    assert found.to_dict() == expected.to_dict()


def test_the_spaces_of_the_search_classes_of_scikit_learn_are_understood() -> None:
    space = Space(
        {
            "max_depth": [3, None],
            "max_features": scipy.stats.randint(1, 9),
            "min_samples_leaf": scipy.stats.randint(1, 9),
            "criterion": ["gini", "entropy"],
            "C": np.logspace(-3, 3, 7),
        }
    )
    assert [type(parameter) for parameter in space.values()] == [
        Categorical,
        Distribution,
        Distribution,
        Categorical,
        Ordinal,
    ]


def test_json_of_a_person_may_use_lists_scalars_and_branches_by_name() -> None:
    text = """{"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": true},
               "layers": {"type": "int", "low": 1, "high": 8},
               "act": ["relu", "tanh", null],
               "opt": {"type": "choice", "branches": {
                   "sgd": {"momentum": {"type": "float", "low": 0, "high": 0.99}}, "adam": null}},
               "width": {"type": "distribution", "name": "randint", "args": [1, 40]},
               "epochs": 10}"""
    assert from_json(text) == Space(
        {
            "lr": Float(1e-5, 0.1, log=True),
            "layers": Int(1, 8),
            "act": ["relu", "tanh", None],
            "opt": Choice({"sgd": {"momentum": Float(0, 0.99)}, "adam": None}),
            "width": scipy.stats.randint(1, 40),
            "epochs": 10,
        }
    )


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ({"type": "flot"}, r"'x': unknown type, got 'flot'. Did you mean 'float'\?"),
        ({"low": 1, "high": 2}, r"'x': unknown type, got None. Known: \['float', 'int'"),
        ({"type": []}, r"'x': unknown type, got \[\]"),
        ({"type": "float", "low": 1}, "'x': float: missing a required argument: 'high'"),
        ({"type": "float", "low": 1, "hihg": 2}, "unknown field 'hihg'. Did you mean 'high'"),
        ({"type": "float", "low": "1", "high": 2}, "low: not a number, got '1'.* write 1.0"),
        ({"type": "float", "low": 2, "high": 1}, "'x': Float: low must be < high"),
        ({"type": "choice", "branches": 5}, "'x': choice: "),
        ({"type": "choice", "branches": [["a"]]}, "'x': choice: "),
        ({"type": "choice", "branches": [["a", 5]]}, "'x': Space: not a JSON object, got 5"),
        ({"type": "choice", "branches": [["a", {}], ["a", {}]]}, r"equal, got \[\['a', 'a'\]\]"),
        ({"type": "distribution", "name": "nrm"}, "no such distribution, got 'nrm'"),
        ({"type": "distribution", "name": 7}, "'x': distribution: "),
        ({"type": "distribution", "name": "norm", "args": ["a"]}, "with plain numbers"),
        ({"type": "categorical", "choices": [[1]]}, "'x': Categorical: JSON scalars only"),
        ({"type": "categorical", "choices": 3}, "'x': categorical: Categorical: not a list"),
        ([[1, 2]], "'x': Categorical: JSON scalars only"),
    ],
)
def test_json_that_describes_no_parameter_is_a_space_error(entry: Any, match: str) -> None:
    with pytest.raises(SpaceError, match=match):
        from_json(json.dumps({"x": entry}))


def test_who_has_a_dict_or_a_file_is_told_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"from_json: not a text.*Of a dict: Space.from_dict"):
        Space.from_json({"x": [1, 2]})  # type: ignore[arg-type]
    with pytest.raises(SpaceError, match=r"not JSON: .*, got 'space.json'"):
        Space.from_json("space.json")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "Space: not JSON: "),
        ("", "Space: not JSON: "),
        ("[1]", r"Space: not a JSON object, got \[1\]"),
        ("null", "Space: not a JSON object, got None"),
        ("{}", "space is empty"),
        ('{"a": [1, 2], "a": [3, 4]}', "the name 'a' appears twice"),
        ('{"a": NaN}', "'a': not finite, got nan"),
        ('{"a": %s}' % ("9" * 5000), "Space: not JSON: "),
        ("[" * 100_000, "Space: nested too deep"),
    ],
)
def test_text_that_describes_no_space_is_a_space_error(text: str, match: str) -> None:
    with pytest.raises(SpaceError, match=match):
        Space.from_json(text)


@checked
@given(st.dictionaries(st.text(max_size=3), values, max_size=3))
def test_any_json_is_a_space_or_a_space_error(entries: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GpboWarning)
        try:
            space = from_json(json.dumps(entries))
        except SpaceError:
            return
        assert from_json(space.to_json()) == space == Space.from_dict(space.to_dict())
