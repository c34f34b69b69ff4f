"""What is measured, and the tensors it is measured with.

Symbols   X (b, n, d) points, Z (m, d) other points, b = 1 without that dimension
          l (b, d) lengthscales, s (b) outputscale, W (b, n, n) or (m, n) weights, V (m, 1)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

KERNEL = "matern52"
MEAN, NOISE = 0.3, 1e-2
OPS = {
    "matrix": "K(X, X)",
    "noisy matrix": "s K(X, X) + noise",
    "cross": "K(X, Z)",
    "contract": "sum W dK/d(l, s, noise)",
    "candidates": "sum W dK/dZ, dK/dX",
    "posterior": "mean, variance, gradients",
    "product": "K(X, X) V",
    "product gradient": "K(X, X) V and gradients",
    "likelihood": "likelihood and gradient",
}


@dataclass(frozen=True, order=True)
class Case:
    """One op at one size; m is 0 where there is no second set of points."""

    op: str
    n: int
    d: int
    m: int = 0
    b: int = 1
    dtype: str = "float64"

    @property
    def pairs(self) -> int:
        """Pairs of points in all batch elements."""
        return self.b * self.n * (self.m or self.n)

    @property
    def matrix_bytes(self) -> int:
        return self.pairs * (8 if self.dtype == "float64" else 4)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Problem:
    """The tensors of a case, the same for every contestant and in every run.

    Shapes   as at the top of the file
    """

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.device = case, device
        self.dtype: torch.dtype = getattr(torch, case.dtype)
        self.batch = (case.b,) if case.b > 1 else ()

    def _draw(self, seed: int, *shape: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        unit = torch.rand(shape, generator=generator, dtype=torch.float64)
        return unit.to(self.dtype).to(self.device)

    @cached_property
    def x(self) -> Tensor:
        return self._draw(1, *self.batch, self.case.n, self.case.d)

    @cached_property
    def z(self) -> Tensor:
        return self._draw(2, *self.batch, self.case.m, self.case.d)

    @cached_property
    def lengthscale(self) -> Tensor:
        # Around sqrt(d) / 2 the matrix is neither all ones nor the unit matrix, in every d.
        return (0.4 + 0.2 * self._draw(3, *self.batch, self.case.d)) * self.case.d**0.5

    @cached_property
    def outputscale(self) -> Tensor:
        return 1.0 + self._draw(4, *self.batch)

    @cached_property
    def noise(self) -> Tensor:
        return torch.full(self.batch, NOISE, dtype=self.dtype, device=self.device)

    @cached_property
    def diagonal(self) -> Tensor:
        return self.noise[..., None].expand(*self.batch, self.case.n).contiguous()

    @cached_property
    def mean(self) -> Tensor:
        return torch.full(self.batch, MEAN, dtype=self.dtype, device=self.device)

    @cached_property
    def y(self) -> Tensor:
        wave: Tensor = torch.sin(3.0 * self.x.sum(-1))
        return wave + 0.1 * self._draw(5, *self.batch, self.case.n)

    @cached_property
    def weight(self) -> Tensor:
        """One for every pair: symmetric for pairs of X, (m, n) for those of Z and X."""
        if self.case.m:
            return self._draw(6, *self.batch, self.case.m, self.case.n) - 0.5
        free = self._draw(6, *self.batch, self.case.n, self.case.n) - 0.5
        return free + free.mT

    @cached_property
    def v(self) -> Tensor:
        return self._draw(7, *self.batch, self.case.m or self.case.n, 1)


def plan(
    device: str = "cpu",
    *,
    quick: bool = False,
    sizes: Collection[int] = (),
    ops: Collection[str] = (),
) -> list[Case]:
    """The cases of a run: not the whole product of sizes, which would take hours."""
    cases = QUICK if quick else [*COMMON, *(ON_GPU if device == "cuda" else ())]
    return [
        case for case in cases if (not sizes or case.n in sizes) and (not ops or case.op in ops)
    ]


def _grid(op: str, ns: Sequence[int], ds: Sequence[int], **rest: Any) -> list[Case]:
    return [Case(op, n, d, **rest) for n in ns for d in ds]


QUICK = [
    Case("matrix", 20, 2),
    Case("matrix", 100, 10),
    Case("noisy matrix", 20, 10, b=3),
    Case("cross", 40, 10, m=30),
    Case("contract", 100, 20),
    Case("candidates", 100, 6, m=16),
    Case("posterior", 100, 6, m=16),
    Case("product", 100, 10),
    Case("product gradient", 100, 10),
    Case("likelihood", 20, 6),
    Case("likelihood", 20, 6, b=2),
]

COMMON = [
    *_grid("matrix", (20, 100), (2, 10, 50)),
    *_grid("matrix", (1000,), (2, 10, 20, 50)),
    *_grid("matrix", (3000, 5000), (10,)),
    *_grid("matrix", (20, 100, 1000), (10,), b=16),
    *_grid("matrix", (100, 1000, 3000), (10,), dtype="float32"),
    *_grid("noisy matrix", (20, 100, 1000, 3000), (10,)),
    *_grid("noisy matrix", (100,), (10,), b=16),
    Case("cross", 20, 10, m=20),
    Case("cross", 1000, 10, m=64),
    *(Case("cross", 1000, d, m=1000) for d in (2, 10, 50)),
    Case("cross", 3000, 10, m=3000),
    Case("cross", 1000, 10, m=1000, dtype="float32"),
    *_grid("contract", (20, 100), (6,)),
    *_grid("contract", (1000,), (2, 20, 50)),
    *_grid("contract", (3000,), (20,)),
    *_grid("contract", (100,), (6,), b=16),
    *_grid("contract", (1000,), (20,), dtype="float32"),
    Case("candidates", 100, 6, m=16),
    Case("candidates", 1000, 20, m=256),
    Case("posterior", 20, 6, m=16),
    Case("posterior", 100, 6, m=16),
    Case("posterior", 1000, 20, m=16),
    Case("posterior", 1000, 20, m=512),
    *_grid("product", (100, 1000, 5000, 12000), (10,)),
    *_grid("product", (1000,), (10,), dtype="float32"),
    *_grid("product gradient", (1000, 3000), (10,)),
    *_grid("likelihood", (20, 100, 300, 1000), (6,)),
    *_grid("likelihood", (20, 100), (20,)),
    *_grid("likelihood", (20, 100, 300), (6,), b=16),
]

ON_GPU = [
    *_grid("matrix", (16384,), (2, 10)),
    *_grid("matrix", (20000,), (2, 10, 50)),
    *_grid("matrix", (16384,), (10,), dtype="float32"),
    *_grid("matrix", (200,), (10,), b=64),
    Case("product", 1_000_000, 10, m=100_000),
]
