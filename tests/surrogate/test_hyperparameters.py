"""Plain numbers that survive JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbo.errors import StudyError
from gpbo.surrogate.hyperparameters import Hyperparameters

positive = st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False)


count = st.integers(0, 10**6)


@given(
    st.lists(positive, max_size=5), positive, positive, count, count, st.lists(positive, max_size=4)
)
def test_a_round_trip_through_json_keeps_every_bit(
    lengthscale: list[float],
    outputscale: float,
    noise: float,
    searched: int,
    fitted: int,
    metric: list[float],
) -> None:
    numbers = tuple(lengthscale), outputscale, noise
    values = Hyperparameters(*numbers, searched, fitted, tuple(metric))
    text = json.dumps(values.to_dict(), allow_nan=False)
    again = Hyperparameters.from_dict(json.loads(text))
    assert again == values
    assert (again.searched, again.fitted, again.metric) == (searched, fitted, tuple(metric))


def test_numbers_without_counts_were_never_searched_for() -> None:
    read = Hyperparameters.from_dict({"lengthscale": [1.0], "outputscale": 1.0, "noise": 0.1})
    assert (read.searched, read.fitted, read.metric) == (0, 0, ())


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"lengthscale": [1.0], "outputscale": 1.0},
        {"lengthscale": 1.0, "outputscale": 1.0, "noise": 1.0},
        {"lengthscale": "12", "outputscale": 1.0, "noise": 1.0},
        {"lengthscale": [1.0], "outputscale": -1.0, "noise": 1.0},
        {"lengthscale": [0.0], "outputscale": 1.0, "noise": 1.0},
        {"lengthscale": [1.0], "outputscale": 1.0, "noise": float("nan")},
        {"lengthscale": [None], "outputscale": 1.0, "noise": 1.0},
        {"lengthscale": [1.0], "outputscale": float("inf"), "noise": 1.0},
        {"lengthscale": [1.0], "outputscale": 1.0, "noise": 1.0, "searched": -1},
        {"lengthscale": [1.0], "outputscale": 1.0, "noise": 1.0, "fitted": "10"},
        {"lengthscale": [1.0], "outputscale": 1.0, "noise": 1.0, "fitted": None},
        {"lengthscale": [1.0], "outputscale": 1.0, "noise": 1.0, "metric": [float("nan")]},
        {"lengthscale": [1.0], "outputscale": 1.0, "noise": 1.0, "metric": 3},
        {"lengthscale": [1.0], "outputscale": 1.0, "noise": 1.0, "metric": None},
    ],
)
def test_what_no_fit_wrote_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match="hyperparameters: not what a fit wrote"):
        Hyperparameters.from_dict(broken)
