"""The curvature of functions as learned from the steps of a minimizer: a matrix B for each row.

Symbols: k rows, p coordinates, B (k, p, p) positive definite, s = change of x, y = change of g.
BFGS keeps the smallest change of B for which B s = y: in full for few coordinates, from the last
m steps for many.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

DENSE = 48  # the most coordinates for which the p x p matrix is the faster form
USABLE = 1e-10  # the least cosine of s and y that is taken for curvature


def curvature(grad: Tensor, memory: int) -> Curvature:
    """What is known at first: B = |g| I, so the first step has length one.

    Shapes   grad (k, p); memory: the steps kept where p is large
    """
    return _Dense(grad) if grad.shape[-1] <= DENSE else _Limited(grad, memory)


class Curvature(ABC):
    """B for each row, and what can be done with it; changed in place by learn, forget, select."""

    @abstractmethod
    def times(self, z: Tensor) -> Tensor:
        """z B.

        Shapes   z (k, j, p) -> (k, j, p)
        """

    @abstractmethod
    def newton(self, slope: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        """The step over the free coordinates on which B step = -slope, and where there is none.

        Shapes   slope (k, 1, p), free (k, 1, p) bool -> step (k, 1, p), failed (k,) bool
        """

    @abstractmethod
    def learn(self, s: Tensor, y: Tensor, rows: Tensor) -> None:
        """Take in a step of those rows, where it shows positive curvature.

        Shapes   s, y (k, p), rows (k,) bool
        """

    @abstractmethod
    def forget(self, rows: Tensor, grad: Tensor) -> None:
        """Start those rows over.

        Shapes   rows (k,) bool, grad (k, p)
        """

    @abstractmethod
    def select(self, rows: Tensor) -> None:
        """Keep only those rows.

        Shapes   rows (k,) bool, or their numbers
        """


class _Dense(Curvature):
    """B itself (Nocedal & Wright 2006, eq. 6.19)."""

    def __init__(self, grad: Tensor) -> None:
        k, p = grad.shape
        self.eye = torch.eye(p, dtype=grad.dtype, device=grad.device)
        self.matrix = self.eye * _length(grad)
        self.fresh = torch.ones(k, dtype=torch.bool, device=grad.device)

    def times(self, z: Tensor) -> Tensor:
        return torch.bmm(z, self.matrix)

    def newton(self, slope: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        matrix = self.matrix.masked_fill(~(free & free.mT), 0.0)
        matrix.diagonal(dim1=-2, dim2=-1).add_(~free.squeeze(1))
        root, info = torch.linalg.cholesky_ex(matrix)
        return torch.cholesky_solve(-(slope * free).mT, root).mT, info != 0

    def learn(self, s: Tensor, y: Tensor, rows: Tensor) -> None:
        sy, rows = _curved(s, y, rows)
        first = self.fresh & rows
        if bool(first.any()):  # B = (y y / s y) I before its first change: eq. 6.20, inverted
            size = ((y * y).sum(-1) / sy).view(-1, 1, 1)
            self.matrix = torch.where(first.view(-1, 1, 1), size * self.eye, self.matrix)
            self.fresh = self.fresh & ~first
        bs = self.times(s.unsqueeze(1)).squeeze(1)
        sbs = (s * bs).sum(-1, keepdim=True)
        # Curvature that was too large is scaled down at once, in all directions.
        shrink = (sy.unsqueeze(-1) / sbs).clamp_max(1.0).sqrt()
        up, down = y * sy.rsqrt().unsqueeze(-1), bs * (shrink / sbs).sqrt()
        columns, rest = torch.stack([up, down], 2), torch.stack([up, -down], 1)
        change = torch.baddbmm(self.matrix * shrink.unsqueeze(-1), columns, rest)
        self.matrix = torch.where(rows.view(-1, 1, 1), change, self.matrix)

    def forget(self, rows: Tensor, grad: Tensor) -> None:
        start = self.eye * _length(grad)
        self.matrix = torch.where(rows.view(-1, 1, 1), start, self.matrix)
        self.fresh = self.fresh | rows

    def select(self, rows: Tensor) -> None:
        self.matrix, self.fresh = self.matrix[rows], self.fresh[rows]


class _Limited(Curvature):
    """B = size I + up^T up - down^T down from the last m steps.

    With s y = 1 for each pair, which B does not see, theorem 2.3 of Byrd, Nocedal & Schnabel 1994,
    doi:10.1007/BF01582063, reads B = size I + Y^T Y - V^T J^-1 V with V = L Y + size S,
    J = size S S^T + L L^T and L the part of S Y^T below the diagonal.
    """

    def __init__(self, grad: Tensor, memory: int) -> None:
        k, p = grad.shape
        self.memory = memory
        self.pairs = grad.new_zeros(k, 2 * memory, p)  # y, then s, each newest last; 0: none yet
        self.size = _length(grad)
        self.terms = self.pairs.clone()  # up, then down
        self.sign = torch.cat([grad.new_ones(memory, 1), -grad.new_ones(memory, 1)])

    def times(self, z: Tensor) -> Tensor:
        inner = torch.bmm(z, self.terms.mT) * self.sign.mT
        return self.size * z + torch.bmm(inner, self.terms)

    def newton(self, slope: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        slope, terms = slope * free, self.terms * free
        inner = torch.bmm(terms, terms.mT)  # the inverse by Woodbury's identity
        inner.diagonal(dim1=-2, dim2=-1).add_(self.size.squeeze(-1) * self.sign.mT)
        weights, info = torch.linalg.solve_ex(inner, torch.bmm(terms, slope.mT))
        return (torch.bmm(weights.mT, terms) - slope) / self.size, info != 0

    def learn(self, s: Tensor, y: Tensor, rows: Tensor) -> None:
        sy, rows = _curved(s, y, rows)
        pair = torch.stack([y, s], 1) * sy.rsqrt().view(-1, 1, 1)
        old = self.pairs.view(s.shape[0], 2, self.memory, -1)
        new = torch.cat([old[:, :, 1:], pair.unsqueeze(2)], 2).flatten(1, 2)
        self.pairs = torch.where(rows.view(-1, 1, 1), new, self.pairs)
        newest = self.pairs[:, self.memory - 1].square().sum(-1).view(-1, 1, 1)
        self.size = torch.where(newest > 0, newest, self.size)
        self._expand()

    def _expand(self) -> None:
        y, s = self.pairs[:, : self.memory], self.pairs[:, self.memory :]
        product = torch.bmm(s, self.pairs.mT)
        below = product[..., : self.memory].tril(-1)
        j = torch.baddbmm(self.size * product[..., self.memory :], below, below.mT)
        diagonal = j.diagonal(dim1=-2, dim2=-1)
        diagonal.add_(diagonal == 0)  # pairs not there yet
        root, info = torch.linalg.cholesky_ex(j)
        v = torch.baddbmm(self.size * s, below, y)
        down = torch.linalg.solve_triangular(root, v, upper=False)
        # Pairs that contradict each other in rounding are not used; newer ones replace them.
        failed = (info != 0).view(-1, 1, 1)
        self.terms = torch.cat([y, down], 1).masked_fill(failed, 0.0)

    def forget(self, rows: Tensor, grad: Tensor) -> None:
        row = rows.view(-1, 1, 1)
        self.pairs, self.terms = self.pairs.masked_fill(row, 0.0), self.terms.masked_fill(row, 0.0)
        self.size = torch.where(row, _length(grad), self.size)

    def select(self, rows: Tensor) -> None:
        self.pairs, self.terms, self.size = self.pairs[rows], self.terms[rows], self.size[rows]


def _curved(s: Tensor, y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    sy = (s * y).sum(-1)
    return sy, rows & (sy > USABLE * s.norm(dim=-1) * y.norm(dim=-1))


def _length(grad: Tensor) -> Tensor:
    length: Tensor = grad.norm(dim=-1).clamp_min(torch.finfo(grad.dtype).tiny)
    return length.view(-1, 1, 1)
