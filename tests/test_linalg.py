"""Cholesky factors that do not fail, against NumPy and mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gpbo import linalg
from gpbo.errors import GpboError, ShapeError
from gpbo.linalg import (
    JITTERS,
    FactorizationError,
    append_rows,
    cholesky,
    independent,
    inverse,
    solve,
    solve_lower,
    try_cholesky,
)


def positive(*shape: int, seed: int = 0) -> Tensor:
    """Well conditioned symmetric matrices (..., n, n)."""
    g = torch.Generator().manual_seed(seed)
    root = torch.randn(*shape, shape[-1], generator=g, dtype=torch.float64)
    return root @ root.mT + shape[-1] * torch.eye(shape[-1], dtype=torch.float64)


def ones(n: int) -> Tensor:
    return torch.ones(n, n, dtype=torch.float64)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_factor_equals_numpys_and_needs_no_jitter(dtype: torch.dtype, tolerance: float) -> None:
    a = positive(3, 2, 7).to(dtype)
    factor = cholesky(a)
    assert factor.lower.dtype == dtype
    assert factor.jitter.shape == (3, 2)
    assert not factor.jitter.any()
    expected = np.linalg.cholesky(a.double().numpy())
    np.testing.assert_allclose(factor.lower.double().numpy(), expected, rtol=0, atol=tolerance * 10)


def test_only_the_failing_elements_are_retried() -> None:
    good = positive(5)
    factor = cholesky(torch.stack([good, ones(5) - 1e-6 * torch.eye(5).double(), good]))
    assert factor.jitter[0] == factor.jitter[2] == 0
    assert factor.jitter[1] > 0
    assert torch.equal(factor.lower[0], cholesky(good).lower)


def test_jitter_is_the_smallest_rung_that_is_enough_and_relative_to_the_mean_diagonal() -> None:
    shift = torch.diag_embed(torch.tensor([-3e-7, 3e-7, 0.0, 0.0]).double())
    factor = cholesky(100 * (torch.eye(4).double() * 0 + ones(4) + shift))
    assert float(factor.jitter) == pytest.approx(100 * 1e-6, rel=1e-6)


def test_factor_times_its_transpose_is_the_matrix_with_the_reported_jitter() -> None:
    a = torch.stack([ones(6), ones(6) * 1e-200, ones(6) * 1e200])
    factor = cholesky(a)
    again = factor.lower @ factor.lower.mT
    expected = a + factor.jitter.view(-1, 1, 1) * torch.eye(6, dtype=torch.float64)
    torch.testing.assert_close(again, expected, rtol=1e-12, atol=0)


def test_an_indefinite_matrix_is_refused_by_name() -> None:
    a = torch.stack([positive(3), -torch.eye(3, dtype=torch.float64)])
    with pytest.raises(FactorizationError, match=r"1 of 2 matrices of size 3 not positive def"):
        cholesky(a)
    assert issubclass(FactorizationError, GpboError)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_told_from_indefinite(value: float) -> None:
    a = positive(3)
    a[1, 0] = a[0, 1] = value
    with pytest.raises(FactorizationError, match="nan or infinity in 1 of 1"):
        cholesky(a)


def test_try_cholesky_marks_what_has_no_factor_with_nan() -> None:
    good = positive(3)
    factor = try_cholesky(torch.stack([-good, good]))
    assert torch.isnan(factor.jitter[0])
    assert torch.isnan(factor.lower[0]).all()
    assert torch.equal(factor.lower[1], cholesky(good).lower)


def test_nan_behind_a_good_status_word_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    honest, calls = torch.linalg.cholesky_ex, []

    def lying(a: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(a.shape[0])
        lower, info = honest(a)
        if len(calls) == 1:
            lower[1, 2, 0] = torch.nan
        return lower, torch.zeros_like(info)

    monkeypatch.setattr(linalg.torch.linalg, "cholesky_ex", lying)
    factor = cholesky(positive(3, 4))
    assert calls == [3, 1]
    assert torch.isfinite(factor.lower).all()
    assert factor.jitter.count_nonzero() == 1


def test_a_matrix_must_be_square() -> None:
    with pytest.raises(ShapeError, match=r"not square, got \(3, 2\)"):
        cholesky(torch.zeros(3, 2))


@pytest.mark.parametrize("shape", [(0, 0), (2, 0, 0), (0, 3, 3), (1, 1)])
def test_empty_and_single_matrices_have_factors(shape: tuple[int, ...]) -> None:
    factor = cholesky(torch.ones(shape, dtype=torch.float64))
    assert factor.lower.shape == shape
    assert factor.jitter.shape == shape[:-2]
    assert torch.isfinite(factor.lower).all()


def test_the_matrix_is_not_changed() -> None:
    a = torch.stack([ones(3), positive(3)])
    before = a.clone()
    cholesky(a)
    assert torch.equal(a, before)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 6), st.integers(0, 5), st.integers(1, 3), st.integers(0, 10**6))
def test_appended_rows_give_the_factor_of_the_whole(n: int, m: int, b: int, seed: int) -> None:
    if n + m == 0:
        n = 1
    a = positive(b, n + m, seed=seed)
    head = cholesky(a[:, :n, :n]).lower
    factor = append_rows(head, a[:, n:, n:], a[:, n:, :n])
    assert not factor.jitter.any()
    torch.testing.assert_close(factor.lower, cholesky(a).lower, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("n", "shape"), [(0, ()), (1, ()), (5, (3,)), (128, ()), (301, ())])
def test_the_inverse_of_a_factor_is_made_by_halves(n: int, shape: tuple[int, ...]) -> None:
    lower = linalg.cholesky(positive(*shape, n, n)).lower
    found = linalg.inverse_lower(lower)
    assert torch.equal(found, found.tril())
    assert found.is_contiguous()
    np.testing.assert_allclose(found.numpy(), np.linalg.inv(lower.numpy()), rtol=1e-9, atol=1e-9)
    grown = linalg.append_inverse(linalg.inverse_lower(lower[..., : n // 3, : n // 3]), lower)
    torch.testing.assert_close(grown, found, rtol=1e-9, atol=1e-9)


def test_a_row_that_repeats_another_is_appended_with_jitter() -> None:
    a = positive(4)
    lower = cholesky(a).lower
    factor = append_rows(lower, a[:1, :1] * (1 - 1e-12), a[:1])
    assert torch.isfinite(factor.lower).all()
    assert 0 < float(factor.jitter) <= JITTERS[-1] * float(a[0, 0])


def test_solves_and_determinant_agree_with_mpmath() -> None:
    n = 8
    hilbert = mpmath.hilbert(n) + mpmath.mpf("1e-3") * mpmath.eye(n)
    a = torch.tensor(hilbert.tolist(), dtype=torch.float64)
    b = torch.linspace(-1, 2, n, dtype=torch.float64)
    with mpmath.workdps(40):
        exact = mpmath.lu_solve(mpmath.matrix(a.tolist()), mpmath.matrix(b.tolist()))
        inverted = mpmath.matrix(a.tolist()) ** -1
    lower = cholesky(a).lower
    x = torch.tensor([float(v) for v in exact], dtype=torch.float64)
    full = torch.tensor([[float(v) for v in row] for row in inverted.tolist()]).double()
    torch.testing.assert_close(solve(lower, b.unsqueeze(-1)).squeeze(-1), x, rtol=1e-11, atol=0)
    torch.testing.assert_close(inverse(lower), full.to(a), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(inverse(lower) @ a, torch.eye(n).double(), rtol=0, atol=1e-11)


def test_solves_broadcast_over_batches_and_keep_gradients() -> None:
    lower = cholesky(positive(2, 4)).lower
    b = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda v: solve_lower(lower, v), b.requires_grad_())
    torch.testing.assert_close(solve(lower, b), torch.linalg.solve(lower @ lower.mT, b))


@pytest.mark.parametrize("twins", [0, 1, 3])
def test_rows_that_others_tell_are_not_independent(twins: int) -> None:
    g = torch.Generator().manual_seed(twins)
    points = torch.randn(6, 8, generator=g, dtype=torch.float64)
    mixed = torch.cat([points, points[:twins] + points[3 : 3 + twins]])
    order = torch.randperm(len(mixed), generator=g)
    gram = mixed[order] @ mixed[order].mT
    kept = independent(gram, 1e-12)
    assert len(kept) == 6
    assert kept.tolist() == sorted(kept.tolist())
    assert int(torch.linalg.matrix_rank(mixed[order][kept])) == 6
    assert independent(gram[:0, :0], 1e-12).shape == (0,)
    assert independent(1e-15 * gram, 1e-12).shape == (0,)
