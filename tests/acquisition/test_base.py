"""Composing acquisition functions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gpbo.acquisition import Acquisition, SumOfLogs
from gpbo.acquisition.base import single
from gpbo.errors import ShapeError


class Total(Acquisition):
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: Tensor) -> Tensor:
        return self.factor * x.sum((1, 2))


def test_a_sum_of_logs_adds_its_terms_and_their_gradients():
    x = torch.rand(
        4, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    value = SumOfLogs([Total(1.0), Total(2.0)])(x)
    torch.testing.assert_close(value, 3 * x.sum((1, 2)))
    value.sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 3.0))


def test_a_sum_of_logs_is_empty_for_no_sets():
    assert SumOfLogs([Total(1.0)])(torch.zeros(0, 1, 2, dtype=torch.float64)).shape == (0,)


def test_a_sum_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"SumOfLogs: no terms; expected one or more"):
        SumOfLogs([])


def test_single_refuses_sets_of_two():
    with pytest.raises(ShapeError, match=r"one point a set, got \(4, 2, 3\); expected \(b, 1, d\)"):
        single("EI", torch.zeros(4, 2, 3))
