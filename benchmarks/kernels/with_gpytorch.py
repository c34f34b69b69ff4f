"""Every case as a user of GPyTorch has it, with GPyTorch's kernel or with gpbo's in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gpytorch
import torch
from gpytorch.constraints import Interval
from torch import Tensor

from benchmarks.kernels.cases import Problem
from benchmarks.kernels.contestant import Contestant

Kernel = Callable[..., Any]  # the class of a kernel, with GPyTorch's constructor


def compete(op: str, problem: Problem, name: str) -> Contestant:
    """A case with GPyTorch's MaternKernel."""
    return _BUILD[op](problem, name, gpytorch.kernels.MaternKernel)


def compete_drop_in(op: str, problem: Problem, name: str) -> Contestant:
    """The same lines with gpbo's MaternKernel."""
    from gpbo.surrogate.kernel import MaternKernel

    return _BUILD[op](problem, name, MaternKernel)


@contextmanager
def exactly() -> Iterator[None]:
    """By Cholesky at every size; conjugate gradients, its choice above 800 points, are no exact
    answer."""
    with ExitStack() as stack:
        stack.enter_context(gpytorch.settings.fast_computations(False, False, False))
        stack.enter_context(gpytorch.settings.max_cholesky_size(2**31))
        stack.enter_context(gpytorch.settings.fast_pred_var())  # as BoTorch predicts
        yield


class Model(gpytorch.models.ExactGP):
    """The usual model: a constant mean and a scaled Matern 5/2."""

    def __init__(self, p: Problem, kernel: Kernel) -> None:
        batch = torch.Size(p.batch)
        likelihood = gpytorch.likelihoods.GaussianLikelihood(batch_shape=batch)
        super().__init__(p.x, p.y, likelihood)
        self.mean_module = gpytorch.means.ConstantMean(batch_shape=batch)
        self.covar_module = _scaled(p, kernel)
        self.to(p.x)
        likelihood.noise = p.noise.unsqueeze(-1)
        self.mean_module.constant = p.mean

    def forward(self, x: Tensor) -> Any:
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


def _plain(p: Problem, kernel: Kernel) -> Any:
    made = kernel(nu=2.5, ard_num_dims=p.case.d, batch_shape=torch.Size(p.batch)).to(p.x)
    made.lengthscale = p.lengthscale.unsqueeze(-2)
    return made


def _scaled(p: Problem, kernel: Kernel) -> Any:
    plain = _plain(p, kernel)
    made = gpytorch.kernels.ScaleKernel(plain, batch_shape=torch.Size(p.batch)).to(p.x)
    made.outputscale = p.outputscale
    return made


def _chain(gradient: Tensor, raw: Tensor, constraint: Interval) -> Tensor:
    """The gradient by a parameter, from that by the raw number behind it."""
    leaf = raw.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(constraint.transform(leaf).sum(), leaf)
    return gradient / slope


def _matrix(p: Problem, name: str, kernel: Kernel) -> Contestant:
    x, made = p.x, _plain(p, kernel)
    return Contestant(name, lambda: made(x, x).to_dense(), around=torch.no_grad)


def _noisy_matrix(p: Problem, name: str, kernel: Kernel) -> Contestant:
    made, noise = _scaled(p, kernel), p.noise.unsqueeze(-1)
    return Contestant(name, lambda: made(p.x).add_diagonal(noise).to_dense(), around=torch.no_grad)


def _cross(p: Problem, name: str, kernel: Kernel) -> Contestant:
    x, z, made = p.x, p.z, _plain(p, kernel)
    return Contestant(name, lambda: made(x, z).to_dense(), around=torch.no_grad)


def _contract(p: Problem, name: str, kernel: Kernel) -> Contestant:
    """The way back alone: the graph is recorded before the clock starts."""
    made = _scaled(p, kernel)
    plain, weight = made.base_kernel, p.weight
    noise = p.noise.clone().requires_grad_()
    raw = (plain.raw_lengthscale, made.raw_outputscale, noise)
    with exactly():
        matrix = made(p.x).add_diagonal(noise.unsqueeze(-1)).to_dense()

    def answer(got: Any) -> tuple[Tensor, ...]:
        by_lengthscale = _chain(got[0], raw[0], plain.raw_lengthscale_constraint)
        by_outputscale = _chain(got[1], raw[1], made.raw_outputscale_constraint)
        return by_lengthscale.squeeze(-2), by_outputscale, got[2]

    def call() -> tuple[Tensor, ...]:
        return torch.autograd.grad(matrix, raw, weight, retain_graph=True)

    return Contestant(name, call, answer)


def _candidates(p: Problem, name: str, kernel: Kernel) -> Contestant:
    """The way back alone, as in _contract."""
    given = [t.clone().requires_grad_() for t in (p.z, p.x)]
    matrix, weight = _plain(p, kernel)(*given).to_dense(), p.weight
    return Contestant(name, lambda: torch.autograd.grad(matrix, given, weight, retain_graph=True))


def _posterior(p: Problem, name: str, kernel: Kernel) -> Contestant:
    """What was factorized is kept by the model; the first call, which is not timed, does it."""
    model = Model(p, kernel).eval()
    z = p.z.clone().requires_grad_()

    def call() -> tuple[Tensor, ...]:
        found = model(z)
        mean, variance = found.mean, found.variance
        (by_z,) = torch.autograd.grad(mean.sum() + variance.sum(), z)
        return mean.detach(), variance.detach(), by_z

    return Contestant(name, call, around=exactly)


def _product(p: Problem, name: str, kernel: Kernel) -> Contestant:
    made, other = _plain(p, kernel), p.z if p.case.m else p.x
    return Contestant(name, lambda: made(p.x, other) @ p.v, around=torch.no_grad)


def _product_gradient(p: Problem, name: str, kernel: Kernel) -> Contestant:
    made, v = _plain(p, kernel), p.v.clone().requires_grad_()
    raw = made.raw_lengthscale

    def call() -> tuple[Tensor, ...]:
        got = made(p.x, p.x) @ v
        return got.detach(), *torch.autograd.grad(got.sum(), (raw, v))

    def answer(got: Any) -> tuple[Tensor, ...]:
        by_lengthscale = _chain(got[1], raw, made.raw_lengthscale_constraint)
        return got[0], by_lengthscale.squeeze(-2), got[2]

    return Contestant(name, call, answer)


def _likelihood(p: Problem, name: str, kernel: Kernel) -> Contestant:
    """ExactMarginalLogLikelihood, forward and backward; it divides by n."""
    model = Model(p, kernel).train()
    mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    scaled, noise = model.covar_module, model.likelihood.noise_covar
    plain = scaled.base_kernel
    held = (
        (plain.raw_lengthscale, plain.raw_lengthscale_constraint),
        (scaled.raw_outputscale, scaled.raw_outputscale_constraint),
        (noise.raw_noise, noise.raw_noise_constraint),
    )
    raw = (*(number for number, _ in held), model.mean_module.raw_constant)
    n = p.case.n

    def call() -> tuple[Tensor, ...]:
        value = mll(model(p.x), p.y)
        return value.detach(), *torch.autograd.grad(value.sum(), raw)

    def answer(got: Any) -> tuple[Tensor, ...]:
        by = [_chain(g, *pair) for g, pair in zip(got[1:4], held, strict=True)]
        value, by_lengthscale, by_noise = got[0], by[0].squeeze(-2), by[2].squeeze(-1)
        return n * value, n * by_lengthscale, n * by[1], n * by_noise, n * got[4]

    return Contestant(name, call, answer, exactly)


_BUILD: dict[str, Callable[[Problem, str, Kernel], Contestant]] = {
    "matrix": _matrix,
    "noisy matrix": _noisy_matrix,
    "cross": _cross,
    "contract": _contract,
    "candidates": _candidates,
    "posterior": _posterior,
    "product": _product,
    "product gradient": _product_gradient,
    "likelihood": _likelihood,
}
