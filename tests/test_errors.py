"""How messages are built, and what each error class can be caught as."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest

import gpbo
from gpbo import errors
from gpbo.errors import MAX_REPR, did_you_mean, explain, hint_keywords, shorten


def classes(parent: type) -> list[type]:
    found = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    return [c for c in found if issubclass(c, parent) and c.__module__ == errors.__name__]


RAISED = [
    error
    for error in classes(errors.GpboError)
    if error not in (errors.GpboError, errors.TrialFailed)  # the second is for objectives to raise
]


@pytest.mark.parametrize("error", RAISED)
def test_every_error_is_a_builtin_that_a_caller_would_catch(error: type) -> None:
    assert issubclass(error, (ValueError, RuntimeError, LookupError, OSError, ImportError))
    assert error.__doc__


def test_there_are_errors_and_warnings_of_our_own() -> None:
    assert len(classes(errors.GpboError)) > 10
    assert all(issubclass(c, UserWarning) for c in classes(Warning))
    with pytest.warns(errors.GpboWarning):
        warnings.warn("too slow", errors.FallbackWarning, stacklevel=1)


def test_a_message_has_its_parts_in_order() -> None:
    whole = explain("Float 'lr'", "low too small", 0, expected="low > 0", fix="Try low=1e-6.")
    assert whole == "Float 'lr': low too small, got 0; expected low > 0. Try low=1e-6."


def test_parts_that_are_left_out_leave_no_trace() -> None:
    assert explain("Space", "no names") == "Space: no names"
    assert explain("", "no names", fix="Add one.") == "no names. Add one."
    assert explain("x", "bad", None) == "x: bad, got None"  # None is a value


def test_a_long_value_is_cut() -> None:
    text = shorten("x" * 1000)
    assert len(text) == MAX_REPR
    assert text.endswith("...")
    assert shorten("y" * (MAX_REPR - 2)) == repr("y" * (MAX_REPR - 2))


def test_a_value_is_shown_on_one_line() -> None:
    assert shorten(np.eye(2)) == "array([[1., 0.], [0., 1.]])"
    assert shorten("a\nb") == r"'a\nb'"


def test_a_value_that_cannot_be_shown_is_named_by_its_type() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert shorten(Broken()) == "<Broken without a repr>"
    assert shorten(10**5000) == "<int without a repr>"  # Python refuses to print it


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("lrr", ["lr", "momentum"], "Did you mean 'lr'?"),
        ("mometum", ["lr", "momentum"], "Did you mean 'momentum'?"),
        ("LR", ["lr", "act"], "Did you mean 'lr'?"),
        ("maximise", ["minimize", "maximize"], "Did you mean 'maximize'?"),
        ("hihg", ["low", "high"], "Did you mean 'high'?"),
        ("form", ["forms", "from"], "Did you mean 'from'?"),
        ("colour", ["lr", "act"], "Known: ['lr', 'act']"),
        (None, [1, 2], "Known: ['1', '2']"),
        ("x", [], ""),
    ],
)
def test_the_closest_known_name_is_suggested(name: Any, known: list[Any], expected: str) -> None:
    assert did_you_mean(name, known) == expected


class Tool:
    """Something with a constructor and a method that are called with keywords."""

    @hint_keywords
    def __init__(self, low: float, *, log: bool = False) -> None:
        self.low, self.log = low, log

    @hint_keywords
    def add(self, value: float, noise: float = 0.0) -> float:
        return value + noise

    @classmethod
    @hint_keywords
    def made(cls, low: float) -> Tool:
        return cls(low)


@hint_keywords
def double(value: float) -> float:
    """Twice the value."""
    return 2 * value


def test_a_call_that_fits_goes_through() -> None:
    assert Tool(1, log=True).log
    assert Tool(1).add(2, noise=3) == 5
    assert double(value=2) == 4
    assert double.__doc__ == "Twice the value."
    assert list(inspect.signature(Tool).parameters) == ["low", "log"]


def test_an_unknown_keyword_is_answered_with_the_right_one() -> None:
    with pytest.raises(TypeError, match=r"^Tool: unknown argument 'lgo'. Did you mean 'log'\?$"):
        Tool(1, lgo=True)
    with pytest.raises(TypeError, match=r"^Tool\.add: unknown argument 'niose'"):
        Tool(1).add(1, niose=2)
    with pytest.raises(TypeError, match=r"^Tool: unknown argument 'self'. Known: low, log$"):
        Tool(1, **{"self": 2})


def test_a_class_method_is_shown_as_it_is_called() -> None:
    with pytest.raises(TypeError, match=r"got \(\); expected Tool\.made\(low\)$"):
        Tool.made()  # type: ignore[call-arg]
    assert Tool.made(2.0).low == 2.0


def test_the_word_of_another_library_is_answered_with_ours() -> None:
    space = {"x": gpbo.Float(0, 1)}
    with pytest.raises(TypeError, match=r"^minimize: unknown argument 'max_evals'. Here it is"):
        gpbo.minimize(len, space, max_evals=5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"unknown argument 'n_trials'. Here it is 'budget'$"):
        gpbo.Optimizer(space, n_trials=10)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^minimize: unknown argument 'x0'. Known: obj.*, catch$"):
        gpbo.minimize(len, space, x0=[1])  # type: ignore[call-arg]


def test_a_call_that_does_not_fit_is_answered_with_the_arguments_to_give() -> None:
    with pytest.raises(TypeError, match=r"got \(1, 2\); expected Tool\(low, \*, log=False\)$"):
        Tool(1, 2)
    with pytest.raises(TypeError, match=r"^Tool: missing a required argument: 'low', got \(\); ex"):
        Tool()
    with pytest.raises(TypeError, match=r"expected double\(value\)$"):
        double(1, 2)


def test_a_type_error_inside_the_function_is_left_alone() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        Tool(1).add(None)
