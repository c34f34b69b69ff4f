"""Our kernels beside GPyTorch's own, with the same hyperparameters."""

from __future__ import annotations

from typing import Any

import gpytorch
import torch
from gpytorch.kernels import Kernel
from torch import Tensor

from gpbo.surrogate import kernel as gpbo_kernels

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "matern12": ("MaternKernel", {"nu": 0.5}),
    "matern32": ("MaternKernel", {"nu": 1.5}),
    "matern52": ("MaternKernel", {"nu": 2.5}),
    "rbf": ("RBFKernel", {}),
    "rq": ("RQKernel", {}),
}


def ours(kind: str, **kwargs: Any) -> Kernel:
    name, fixed = KINDS[kind]
    return getattr(gpbo_kernels, name)(**fixed, **kwargs).double()


def theirs(kind: str, **kwargs: Any) -> Kernel:
    """GPyTorch's kernel. Its Matern 1/2 gets exact distances: its own put a point 1e-8 away from
    itself, which only that kernel, with its kink at 0, makes visible."""
    name, fixed = KINDS[kind]
    kernel = getattr(gpytorch.kernels, name)(**fixed, **kwargs).double()
    if kind == "matern12":
        kernel.covar_dist = exact_distance
    return kernel


def pair(kind: str, seed: int = 0, **kwargs: Any) -> tuple[Kernel, Kernel]:
    """Ours and theirs, with the same random hyperparameters."""
    both = ours(kind, **kwargs), theirs(kind, **kwargs)
    for kernel in both:
        generator = torch.Generator().manual_seed(seed)
        for parameter in kernel.parameters():
            unit = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.data = unit - 0.5
    return both


def exact_distance(
    x1: Tensor,
    x2: Tensor,
    diag: bool = False,
    last_dim_is_batch: bool = False,
    **params: Any,
) -> Tensor:
    """Euclidean distances, from the differences themselves."""
    if last_dim_is_batch:
        x1, x2 = x1.mT.unsqueeze(-1), x2.mT.unsqueeze(-1)
    apart = x1 - x2 if diag else x1.unsqueeze(-2) - x2.unsqueeze(-3)
    return apart.norm(dim=-1)


def weighted(matrix: Tensor) -> Tensor:
    """A number in which every element counts differently."""
    generator = torch.Generator().manual_seed(7)
    weight = torch.randn(matrix.shape, generator=generator, dtype=torch.float64)
    return (matrix * weight.to(matrix)).sum()
