"""Products with K as KeOps has them. It keeps no matrix, so it does no other case."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from benchmarks.kernels.cases import Problem
from benchmarks.kernels.contestant import Contestant

OPS = ("product", "product gradient")


def compete(op: str, problem: Problem, name: str) -> Contestant:
    """A product, on a lazy matrix; the code for it is compiled at the first call."""
    import pykeops

    pykeops.set_verbose(False)
    return (_product if op == "product" else _product_gradient)(problem, name)


def matern(x1: Tensor, x2: Tensor, lengthscale: Tensor) -> Any:
    """The matrix, as a formula."""
    from pykeops.torch import LazyTensor

    a, b = x1 / lengthscale, x2 / lengthscale
    s = math.sqrt(5.0) * ((LazyTensor(a[:, None]) - LazyTensor(b[None])) ** 2).sum(-1).sqrt()
    return (1.0 + s + s * s / 3.0) * (-s).exp()


def _product(p: Problem, name: str) -> Contestant:
    other = p.z if p.case.m else p.x
    return Contestant(name, lambda: matern(p.x, other, p.lengthscale) @ p.v, around=torch.no_grad)


def _product_gradient(p: Problem, name: str) -> Contestant:
    lengthscale, v = p.lengthscale.clone().requires_grad_(), p.v.clone().requires_grad_()

    def call() -> tuple[Tensor, ...]:
        got = matern(p.x, p.x, lengthscale) @ v
        return got.detach(), *torch.autograd.grad(got.sum(), (lengthscale, v))

    return Contestant(name, call)
