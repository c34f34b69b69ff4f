"""What counts as a result of a trial, and what is refused (the bad input of tell)."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

import gpbo
from gpbo.errors import NonFiniteObjectiveWarning, ObservationError
from gpbo.observation import read_error, read_noise, read_result


@pytest.mark.parametrize(
    "told",
    [
        0.5,
        np.float32(0.5),
        np.float64(0.5),
        np.array(0.5),
        np.array([0.5]),
        np.array([[0.5]]),
        torch.tensor(0.5),
        torch.tensor([0.5], requires_grad=True) * 1,
        Decimal("0.5"),
        Fraction(1, 2),
        [0.5],
        (np.float64(0.5),),
        np.longdouble(0.5),
        {"loss": 0.5},
        {"value": 0.5, "status": "ok"},
        {"loss": 0.5, "accuracy": 0.9, "epochs": [1, 2]},
    ],
)
def test_anything_with_one_finite_number_in_it_is_a_result(told: Any) -> None:
    value = read_result(told, "minimize").value
    assert value == 0.5
    assert type(value) is float


@pytest.mark.parametrize("told", [3, 1e300, -1e300, 5e-324, -0.0])
def test_extreme_finite_values_are_kept_exactly(told: float) -> None:
    assert read_result(told, "maximize").value == float(told)


@pytest.mark.parametrize(
    ("told", "error", "message"),
    [
        ("0.5", TypeError, r"got str '0.5'; pass a number"),
        (None, TypeError, r"got None; for a failed trial use failed=True"),
        (True, TypeError, r"not a number, got bool True"),
        (np.bool_(True), TypeError, r"not a number, got bool True"),
        (1 + 2j, TypeError, r"not a number, got complex"),
        (np.complex128(1), TypeError, r"not a number, got complex"),
        (object(), TypeError, r"not a number, got object"),
        ([0.1, 0.2], ObservationError, r"1 objective, got shape \(2,\)"),
        (np.zeros((2, 3)), ObservationError, r"1 objective, got shape \(2, 3\)"),
        (torch.zeros(0), ObservationError, r"1 objective, got shape \(0,\)"),
        (10**400, ObservationError, r"does not fit float64, got 1000"),
        (-math.inf, ObservationError, r"-inf would be best for ever"),
        ({"accuracy": 1.0}, ObservationError, r"exactly one of 'loss' and 'value'.*accuracy"),
        ({"loss": 1.0, "value": 1.0}, ObservationError, r"exactly one of 'loss' and 'value'"),
        ({"loss": 1.0, "status": "good"}, ObservationError, r"status: unknown, got 'good'"),
    ],
)
def test_tell_refuses_what_is_no_result_and_changes_nothing(
    told: Any, error: type[Exception], message: str
) -> None:
    opt = gpbo.Optimizer({"x": gpbo.Float(0, 1)}, strategy="random", seed=0)
    trial = opt.ask()
    with pytest.raises(error, match=message):
        opt.tell(trial, told)
    assert opt.trials == [trial]


@pytest.mark.parametrize(("told", "reason"), [(math.nan, "nan"), (math.inf, "inf")])
def test_nan_and_bad_infinity_are_failures_with_a_warning(told: float, reason: str) -> None:
    with pytest.warns(NonFiniteObjectiveWarning, match=reason):
        assert read_result(told, "minimize").error == reason


def test_infinity_that_is_best_depends_on_the_direction() -> None:
    with pytest.raises(ObservationError, match="best for ever"):
        read_result(math.inf, "maximize")
    with pytest.warns(NonFiniteObjectiveWarning):
        assert read_result(-math.inf, "maximize").error == "-inf"


def test_a_masked_value_is_no_value() -> None:
    with pytest.warns(NonFiniteObjectiveWarning):
        assert read_result(np.ma.masked, "minimize").error == "nan"


def test_nan_is_refused_where_the_user_asks_for_it() -> None:
    with pytest.raises(ObservationError, match="not finite, got nan"):
        read_result(math.nan, "minimize", on_nan="raise")


def test_status_fail_is_a_failure_whatever_else_the_dict_holds() -> None:
    told = read_result({"status": "FAIL", "loss": None}, "minimize")
    assert told.value is None
    assert "fail" in str(told.error)


@pytest.mark.parametrize(("noise", "sd"), [(None, None), (0, 0.0), (np.float32(0.5), 0.5)])
def test_noise_is_a_standard_deviation(noise: Any, sd: float | None) -> None:
    assert read_noise(noise) == sd


def test_noise_of_the_wrong_type_is_named() -> None:
    with pytest.raises(TypeError, match=r"noise: not a number, got str 'a'"):
        read_noise("a")


@pytest.mark.parametrize("noise", [-0.1, math.nan, math.inf])
def test_noise_that_is_no_standard_deviation_is_refused(noise: float) -> None:
    with pytest.raises(ObservationError, match="not a standard deviation"):
        read_noise(noise)


class Series:
    """What pandas has: a method `mask`, and no `item` of a table."""

    shape = (1,)

    def mask(self) -> None: ...

    def to_numpy(self) -> Any:
        return np.array([0.5])


def test_a_table_with_one_number_is_a_result() -> None:
    assert read_result(Series(), "minimize").value == 0.5


def test_the_noise_in_a_dict_counts_unless_another_is_told() -> None:
    assert read_result({"loss": 1.0, "noise": 0.2}, "minimize").noise == 0.2
    assert read_result({"loss": 1.0, "loss_variance": 0.04}, "minimize").noise == 0.2
    assert read_result({"loss": 1.0, "noise": None}, "minimize").noise is None
    with pytest.raises(ObservationError, match="noise: not a standard deviation, got -1"):
        read_result({"loss": 1.0, "noise": -1}, "minimize")
    opt = gpbo.Optimizer({"x": gpbo.Float(0, 1)}, strategy="random", seed=0)
    opt.tell(opt.ask(), {"loss": 1.0, "noise": 0.2}, noise=0.1)
    assert opt.trials[0].noise == 0.1


def test_an_error_that_cannot_say_what_it_is_is_named() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert read_error(Silent()) == "Silent"


@pytest.mark.parametrize("how", ["rows", "row", "tell"])
def test_a_warning_points_at_the_line_that_told(how: str) -> None:
    opt = gpbo.Optimizer({"x": gpbo.Float(0, 1)}, strategy="random", seed=0)
    trial = opt.ask()
    calls: dict[str, Callable[[], Any]] = {
        "rows": lambda: opt.add([{"x": 0.5}], [math.nan]),
        "row": lambda: opt.add({"x": 0.5}, math.nan),
        "tell": lambda: opt.tell(trial, math.nan),
    }
    with pytest.warns(NonFiniteObjectiveWarning) as caught:
        calls[how]()
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    "told", [Decimal("1e400"), Decimal("-1e400"), 10**400, np.longdouble("1e400")]
)
def test_numbers_that_are_finite_and_too_large_are_refused(told: Any) -> None:
    with pytest.raises(ObservationError, match="does not fit float64"):
        read_result(told, "minimize")


def test_a_tensor_without_numbers_is_no_number() -> None:
    with pytest.raises(TypeError, match="value: has no number"):
        read_result(torch.empty((), device="meta"), "minimize")
