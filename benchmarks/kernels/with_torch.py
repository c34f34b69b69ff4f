"""Every case as plain torch has it: torch.cdist, the formula, torch.autograd; and torch.compile."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.kernels.cases import Problem
from benchmarks.kernels.contestant import Contestant

Compile = Callable[[Callable[..., Any]], Callable[..., Any]]


def compete(op: str, problem: Problem, name: str) -> Contestant:
    """A case in plain torch, as it is."""
    return _BUILD[op](problem, name, lambda function: function)


def compete_compiled(op: str, problem: Problem, name: str) -> Contestant:
    """The same through torch.compile, for exactly these sizes."""
    import torch._functorch.config as functorch

    torch._dynamo.reset()  # every size is compiled anew, and the number of those is limited
    functorch.donated_buffer = False  # the gradient cases go back twice over one graph

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function, dynamic=False)

    return _BUILD[op](problem, name, compiled)


def matern(x1: Tensor, x2: Tensor, lengthscale: Tensor) -> Tensor:
    scale = lengthscale.unsqueeze(-2)
    r = torch.cdist(x1 / scale, x2 / scale)
    s = math.sqrt(5.0) * r
    return (1.0 + s + s * s / 3.0) * torch.exp(-s)


def noisy(x: Tensor, lengthscale: Tensor, outputscale: Tensor, noise: Tensor) -> Tensor:
    eye = torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
    return outputscale[..., None, None] * matern(x, x, lengthscale) + noise[..., None, None] * eye


def posterior(
    z: Tensor, x: Tensor, lengthscale: Tensor, outputscale: Tensor, mean: Tensor, solved: Any
) -> tuple[Tensor, Tensor]:
    inverse, weights = solved
    cross = outputscale * matern(z, x, lengthscale)
    return mean + cross @ weights, outputscale - (cross @ inverse * cross).sum(-1)


def log_likelihood(
    x: Tensor, y: Tensor, lengthscale: Tensor, outputscale: Tensor, noise: Tensor, mean: Tensor
) -> Tensor:
    lower = torch.linalg.cholesky(noisy(x, lengthscale, outputscale, noise))
    rest = (y - mean[..., None]).unsqueeze(-1)
    white = torch.linalg.solve_triangular(lower, rest, upper=False)
    half_log_determinant = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    n = x.shape[-2]
    return -0.5 * white.square().sum((-2, -1)) - half_log_determinant - 0.5 * n * math.log(math.tau)


def _matrix(p: Problem, name: str, way: Compile) -> Contestant:
    x, lengthscale, function = p.x, p.lengthscale, way(matern)
    return Contestant(name, lambda: function(x, x, lengthscale), around=torch.no_grad)


def _noisy_matrix(p: Problem, name: str, way: Compile) -> Contestant:
    given, function = (p.x, p.lengthscale, p.outputscale, p.noise), way(noisy)
    return Contestant(name, lambda: function(*given), around=torch.no_grad)


def _cross(p: Problem, name: str, way: Compile) -> Contestant:
    x, z, lengthscale, function = p.x, p.z, p.lengthscale, way(matern)
    return Contestant(name, lambda: function(x, z, lengthscale), around=torch.no_grad)


def _contract(p: Problem, name: str, way: Compile) -> Contestant:
    """The way back alone: the graph is recorded before the clock starts."""
    given = [t.clone().requires_grad_() for t in (p.lengthscale, p.outputscale, p.noise)]
    matrix, weight = way(noisy)(p.x, *given), p.weight
    return Contestant(name, lambda: torch.autograd.grad(matrix, given, weight, retain_graph=True))


def _candidates(p: Problem, name: str, way: Compile) -> Contestant:
    """The way back alone, as in _contract."""
    given = [t.clone().requires_grad_() for t in (p.z, p.x)]
    matrix, weight = way(matern)(*given, p.lengthscale), p.weight
    return Contestant(name, lambda: torch.autograd.grad(matrix, given, weight, retain_graph=True))


def _posterior(p: Problem, name: str, way: Compile) -> Contestant:
    with torch.no_grad():
        lower = torch.linalg.cholesky(noisy(p.x, p.lengthscale, p.outputscale, p.noise))
        inverse = torch.cholesky_inverse(lower)
        solved = inverse, inverse @ (p.y - p.mean)
    z, function = p.z.clone().requires_grad_(), way(posterior)

    def call() -> tuple[Tensor, ...]:
        mean, variance = function(z, p.x, p.lengthscale, p.outputscale, p.mean, solved)
        (by_z,) = torch.autograd.grad(mean.sum() + variance.sum(), z)
        return mean.detach(), variance.detach(), by_z

    return Contestant(name, call)


def _times(x1: Tensor, x2: Tensor, lengthscale: Tensor, v: Tensor) -> Tensor:
    return matern(x1, x2, lengthscale) @ v


def _product(p: Problem, name: str, way: Compile) -> Contestant:
    function, other = way(_times), p.z if p.case.m else p.x
    given = (p.x, other, p.lengthscale, p.v)
    return Contestant(name, lambda: function(*given), around=torch.no_grad)


def _product_gradient(p: Problem, name: str, way: Compile) -> Contestant:
    lengthscale, v = p.lengthscale.clone().requires_grad_(), p.v.clone().requires_grad_()
    function = way(_times)

    def call() -> tuple[Tensor, ...]:
        got = function(p.x, p.x, lengthscale, v)
        return got.detach(), *torch.autograd.grad(got.sum(), (lengthscale, v))

    return Contestant(name, call)


def _likelihood(p: Problem, name: str, way: Compile) -> Contestant:
    names = ("lengthscale", "outputscale", "noise", "mean")
    given = [getattr(p, which).clone().requires_grad_() for which in names]
    function = way(log_likelihood)

    def call() -> tuple[Tensor, ...]:
        value = function(p.x, p.y, *given)
        return value.detach(), *torch.autograd.grad(value.sum(), given)

    return Contestant(name, call)


_BUILD: dict[str, Callable[[Problem, str, Compile], Contestant]] = {
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
