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


@given(st.lists(positive, max_size=5), positive, positive)
def test_a_round_trip_through_json_keeps_every_bit(
    lengthscale: list[float], outputscale: float, noise: float
) -> None:
    values = Hyperparameters(tuple(lengthscale), outputscale, noise)
    text = json.dumps(values.to_dict(), allow_nan=False)
    assert Hyperparameters.from_dict(json.loads(text)) == values


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
    ],
)
def test_what_no_fit_wrote_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match="hyperparameters: not what a fit wrote"):
        Hyperparameters.from_dict(broken)
