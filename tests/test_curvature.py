"""What BFGS learns from steps, against the textbook recursion."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gpbo.curvature import Curvature, _Dense, _Limited, curvature


def quadratic_steps(k: int, p: int, count: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Steps s and gradient changes y = A s of a random convex quadratic for each row."""
    g = torch.Generator().manual_seed(seed)
    root = torch.randn(k, p, p, generator=g, dtype=torch.float64)
    a = root @ root.mT + torch.eye(p, dtype=torch.float64)
    steps = torch.randn(count, k, p, generator=g, dtype=torch.float64)
    return [(s, (a @ s.unsqueeze(-1)).squeeze(-1)) for s in steps]


def dense(b: Curvature, k: int, p: int) -> Tensor:
    return b.times(torch.eye(p, dtype=torch.float64).expand(k, p, p).contiguous())


def both(grad: Tensor) -> list[Curvature]:
    return [_Dense(grad), _Limited(grad, 5)]


def test_few_coordinates_are_kept_dense_and_many_are_not() -> None:
    assert isinstance(curvature(torch.ones(1, 8), 5), _Dense)
    assert isinstance(curvature(torch.ones(1, 200), 5), _Limited)


def test_nothing_learned_means_a_first_step_of_length_one() -> None:
    grad = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 1e-5]]).double()
    for b in both(grad):
        step, failed = b.newton(grad.unsqueeze(1), torch.ones(2, 1, 3, dtype=torch.bool))
        assert not failed.any()
        torch.testing.assert_close(step.norm(dim=-1), torch.ones(2, 1).double())


def test_the_last_step_is_always_explained() -> None:
    for b in both(torch.ones(3, 6).double()):
        for s, y in quadratic_steps(3, 6, 9):
            b.learn(s, y, torch.ones(3, dtype=torch.bool))
            torch.testing.assert_close(b.times(s.unsqueeze(1)).squeeze(1), y, rtol=1e-9, atol=1e-9)
        assert (torch.linalg.eigvalsh(dense(b, 3, 6)) > 0).all()


@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_limited_memory_equals_the_recursion_over_the_last_steps(count: int) -> None:
    k, p, m = 2, 7, 5
    b = _Limited(torch.ones(k, p).double(), m)
    steps = quadratic_steps(k, p, count)
    for s, y in steps:
        b.learn(s, y, torch.ones(k, dtype=torch.bool))
    for row in range(k):
        s, y = steps[-1][0][row], steps[-1][1][row]
        expected = (y @ y) / (s @ y) * torch.eye(p, dtype=torch.float64)
        for s, y in [(s[row], y[row]) for s, y in steps[-m:]]:
            bs = expected @ s
            expected = expected - torch.outer(bs, bs) / (s @ bs) + torch.outer(y, y) / (s @ y)
        torch.testing.assert_close(dense(b, k, p)[row], expected, rtol=1e-9, atol=1e-9)


def test_the_newton_step_solves_on_the_free_coordinates_and_moves_no_other() -> None:
    k, p = 4, 6
    g = torch.Generator().manual_seed(3)
    free = torch.rand(k, 1, p, generator=g) < 0.6
    slope = torch.randn(k, 1, p, generator=g, dtype=torch.float64)
    for b in both(torch.ones(k, p).double()):
        for s, y in quadratic_steps(k, p, 4):
            b.learn(s, y, torch.ones(k, dtype=torch.bool))
        step, failed = b.newton(slope, free)
        assert not failed.any()
        assert not step[~free].any()
        left = (b.times(step) + slope)[free]
        torch.testing.assert_close(left, torch.zeros_like(left), rtol=0, atol=1e-9)


def test_negative_curvature_and_other_rows_teach_nothing() -> None:
    for b in both(torch.ones(3, 4).double()):
        ((s, y),) = quadratic_steps(3, 4, 1)
        before = dense(b, 3, 4)
        b.learn(s, torch.stack([y[0], -y[1], y[2]]), torch.tensor([True, True, False]))
        after = dense(b, 3, 4)
        assert not torch.equal(after[0], before[0])
        assert torch.equal(after[1:], before[1:])


def test_rows_can_be_forgotten_and_selected() -> None:
    grad = torch.ones(3, 4).double()
    for b, new in zip(both(grad), both(grad), strict=True):
        ((s, y),) = quadratic_steps(3, 4, 1)
        b.learn(s, y, torch.ones(3, dtype=torch.bool))
        learned = dense(b, 3, 4)
        b.forget(torch.tensor([False, True, False]), grad)
        b.select(torch.tensor([True, True, False]))
        assert torch.equal(dense(b, 2, 4)[0], learned[0])
        assert torch.equal(dense(b, 2, 4)[1], dense(new, 3, 4)[1])
