"""The definitions in torch: values of each formula, slopes as derivatives, memory."""

from __future__ import annotations

import mpmath
import pytest
import torch

from gpbo.ops import reference


@pytest.mark.parametrize("kernel", sorted(reference.VALUES))
def test_a_slope_is_the_derivative_of_its_value(kernel):
    r2 = torch.logspace(-8, 2, 40, dtype=torch.float64).requires_grad_()
    shape = torch.tensor(0.7, dtype=torch.float64)
    r2 = r2.reshape(1, 40).detach().requires_grad_()
    reference.VALUES[kernel](r2, shape).sum().backward()
    slope = reference.SLOPES[kernel](r2.detach(), shape)
    torch.testing.assert_close(r2.grad, slope, rtol=1e-7, atol=1e-15)


def test_the_derivative_by_alpha_is_that_of_the_value():
    alpha = torch.tensor(0.7, dtype=torch.float64).requires_grad_()
    r2 = torch.logspace(-8, 2, 40, dtype=torch.float64).reshape(1, 40)
    reference.rational_quadratic_value(r2, alpha).sum().backward()
    by_shape = reference.rational_quadratic_by_shape(r2, alpha.detach())
    torch.testing.assert_close(alpha.grad, by_shape.sum(), rtol=1e-10, atol=0)


def test_the_slope_of_matern52_at_zero_and_far_away():
    slope = reference.matern52_slope(torch.tensor([0.0, 1e6, 1e300], dtype=torch.float64))
    assert slope.tolist() == [-5 / 6, 0.0, 0.0]


@pytest.mark.parametrize("r", [1e-9, 0.3, 1.0, 4.0, 20.0])
def test_matern52_is_the_bessel_form_of_the_book(r):
    """Rasmussen & Williams eq. 4.14 with nu = 5/2, which has no closed form in the code."""
    with mpmath.workdps(40):
        nu, z = mpmath.mpf("2.5"), mpmath.sqrt(5) * mpmath.mpf(r)
        exact = 2 ** (1 - nu) / mpmath.gamma(nu) * z**nu * mpmath.besselk(nu, z)
    got = reference.matern52_value(torch.tensor(r * r, dtype=torch.float64))
    assert got.item() == pytest.approx(float(exact), rel=1e-14)


def test_distances_with_and_without_a_gradient_are_the_same(points):
    x1, x2, lengthscale = points(7, 3, seed=1), points(5, 3, seed=2), points(3, low=0.2)
    without = reference.squared_distance(x1, x2, lengthscale)
    recorded = reference.squared_distance(x1.requires_grad_(), x2, lengthscale)
    assert recorded.requires_grad
    torch.testing.assert_close(recorded.detach(), without, rtol=1e-14, atol=0)


def test_the_definition_differentiates_where_points_coincide(points):
    x, lengthscale = points(4, 3).requires_grad_(), points(3, low=0.2).requires_grad_()
    reference.matern52(x, None, lengthscale).sum().backward()
    assert x.grad.isfinite().all()
    assert lengthscale.grad.isfinite().all()
