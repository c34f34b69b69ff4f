"""Every case as a user of gpbo.ops writes it, compiled and by the reference in plain torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.kernels.cases import KERNEL, Problem
from benchmarks.kernels.contestant import Contestant
from gpbo.ops import library
from gpbo.ops.contraction import contract
from gpbo.ops.kernel_matrix import kernel_matrix
from gpbo.ops.likelihood import Likelihood, likelihood, log_marginal_likelihood
from gpbo.ops.posterior import mean_variance
from gpbo.ops.product import product


@contextmanager
def by_reference() -> Iterator[None]:
    """Inside, plain torch does what the compiled library would do."""
    before = os.environ.get(library.REFERENCE)
    os.environ[library.REFERENCE] = "1"
    library._on.cache_clear()
    try:
        yield
    finally:
        library._on.cache_clear()
        if before is None:
            del os.environ[library.REFERENCE]
        else:
            os.environ[library.REFERENCE] = before


def compete(op: str, problem: Problem, name: str) -> Contestant:
    """gpbo's own way of doing a case."""
    return _BUILD[op](problem, name)


def _matrix(p: Problem, name: str) -> Contestant:
    x, lengthscale = p.x, p.lengthscale
    return Contestant(name, lambda: kernel_matrix(KERNEL, x, None, lengthscale))


def _noisy_matrix(p: Problem, name: str) -> Contestant:
    extras = {"outputscale": p.outputscale, "diagonal": p.diagonal}
    return Contestant(name, lambda: kernel_matrix(KERNEL, p.x, None, p.lengthscale, **extras))


def _cross(p: Problem, name: str) -> Contestant:
    x, z, lengthscale = p.x, p.z, p.lengthscale
    return Contestant(name, lambda: kernel_matrix(KERNEL, x, z, lengthscale))


def contraction(p: Problem, name: str, *, mirrored: bool = False) -> Contestant:
    """Derivatives by lengthscales, outputscale and noise of sum W (s K + noise)."""
    weight, x, lengthscale = p.weight, p.x, p.lengthscale

    def call() -> tuple[Tensor, ...]:
        sums = contract(KERNEL, weight, x, None, lengthscale, mirrored=mirrored)
        assert sums.by_lengthscale is not None
        assert sums.total is not None
        by_noise = weight.diagonal(dim1=-2, dim2=-1).sum(-1)
        return p.outputscale[..., None] * sums.by_lengthscale, sums.total, by_noise

    return Contestant(name, call)


def _candidates(p: Problem, name: str) -> Contestant:
    def call() -> tuple[Tensor | None, ...]:
        wanted = ("by_x1", "by_x2")
        sums = contract(KERNEL, p.weight, p.z, p.x, p.lengthscale, wanted=wanted)
        return sums.by_x1, sums.by_x2

    return Contestant(name, call)


def _posterior(p: Problem, name: str) -> Contestant:
    scale = float(p.outputscale)
    noisy = kernel_matrix(
        KERNEL, p.x, None, p.lengthscale, outputscale=p.outputscale, diagonal=p.diagonal
    )
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(noisy))
    weights = inverse @ (p.y - p.mean)
    z = p.z.clone().requires_grad_()

    def call() -> tuple[Tensor, ...]:
        mean, variance = mean_variance(
            KERNEL, z, p.x, p.lengthscale, weights, inverse=inverse, outputscale=scale
        )
        (by_z,) = torch.autograd.grad(mean.sum() + variance.sum(), z)
        return mean.detach() + p.mean, variance.detach(), by_z

    return Contestant(name, call)


def _product(p: Problem, name: str) -> Contestant:
    other = p.z if p.case.m else None
    return Contestant(name, lambda: product(KERNEL, p.x, other, p.lengthscale, p.v))


def _product_gradient(p: Problem, name: str) -> Contestant:
    lengthscale, v = p.lengthscale.clone().requires_grad_(), p.v.clone().requires_grad_()

    def call() -> tuple[Tensor, ...]:
        got = product(KERNEL, p.x, None, lengthscale, v)
        return got.detach(), *torch.autograd.grad(got.sum(), (lengthscale, v))

    return Contestant(name, call)


def _likelihood(p: Problem, name: str) -> Contestant:
    def call() -> Likelihood:
        return likelihood(
            *(KERNEL, p.x, p.y, p.lengthscale, p.diagonal),
            outputscale=p.outputscale,
            mean=p.mean,
        )

    def answer(got: Likelihood) -> tuple[Tensor, ...]:
        by_noise = got.by_diagonal.sum(-1)
        return got.value, got.by_lengthscale, got.by_outputscale, by_noise, got.by_mean

    return Contestant(name, call, answer)


def by_autograd(p: Problem, name: str) -> Contestant:
    """The likelihood, differentiated by torch.autograd down to one noise."""
    names = ("lengthscale", "outputscale", "noise", "mean")
    lengthscale, outputscale, noise, mean = given = [
        getattr(p, which).clone().requires_grad_() for which in names
    ]
    ones = torch.ones(p.case.n, dtype=p.dtype, device=p.device)

    def call() -> tuple[Tensor, ...]:
        value = log_marginal_likelihood(
            *(KERNEL, p.x, p.y, lengthscale, noise[..., None] * ones),
            outputscale=outputscale,
            mean=mean,
        )
        return value.detach(), *torch.autograd.grad(value.sum(), given)

    return Contestant(name, call)


_BUILD: dict[str, Callable[[Problem, str], Contestant]] = {
    "matrix": _matrix,
    "noisy matrix": _noisy_matrix,
    "cross": _cross,
    "contract": contraction,
    "candidates": _candidates,
    "posterior": _posterior,
    "product": _product,
    "product gradient": _product_gradient,
    "likelihood": _likelihood,
}
