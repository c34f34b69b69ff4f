"""GPyTorch kernels that call gpbo.ops, usable in any GPyTorch or BoTorch model."""

from __future__ import annotations

from typing import Any

import gpytorch
from torch import Tensor

from gpbo.errors import ShapeError, explain
from gpbo.ops.kernel_matrix import matern52
from gpbo.surrogate.evidence import per_column


class Matern52Kernel(gpytorch.kernels.Kernel):
    """The Matern 5/2 kernel with a lengthscale for each column, or for each group of columns.

    Stands where gpytorch.kernels.MaternKernel(nu=2.5) stands and gives the same numbers. With
    `groups`, column j has lengthscale groups[j]: the one-hot columns of a category share one.

    Shapes   x1 (..., n, d), x2 (..., m, d) -> (..., n, m), or (..., n) with diag
    Needs    ard_num_dims is d, or with groups the number of groups; None is one lengthscale for all
    Raises   ShapeError  if groups and ard_num_dims do not fit each other
    Source   Rasmussen & Williams 2006, eq. 4.17
    """

    has_lengthscale = True

    def __init__(
        self,
        ard_num_dims: int | None = None,
        *,
        groups: Tensor | None = None,
        **kwargs: Any,
    ) -> None:
        if groups is not None:
            _check_groups(groups, ard_num_dims)
        super().__init__(ard_num_dims=ard_num_dims, **kwargs)
        if groups is not None:
            self.ard_num_dims = None  # GPyTorch takes it for the number of columns
        self.register_buffer("groups", groups)

    def forward(
        self,
        x1: Tensor,
        x2: Tensor,
        diag: bool = False,
        last_dim_is_batch: bool = False,
        **params: Any,
    ) -> Tensor:
        lengthscale = self.column_lengthscale(x1.shape[-1])
        if last_dim_is_batch:  # every column is a problem of its own
            x1, x2 = x1.mT.unsqueeze(-1), x2.mT.unsqueeze(-1)
            lengthscale = lengthscale.unsqueeze(-1)
        if diag:  # n problems of one pair each: the same numbers and gradients as the matrix
            pairs = matern52(x1.unsqueeze(-2), x2.unsqueeze(-2), lengthscale.unsqueeze(-2))
            return pairs.squeeze(-1).squeeze(-1)
        return matern52(x1, x2, lengthscale)

    def column_lengthscale(self, d: int) -> Tensor:
        """The lengthscale of each of the d columns.

        Shapes   (*batch_shape, d)
        """
        return per_column(self.lengthscale.squeeze(-2), self.groups, d)


def _check_groups(groups: Tensor, number: int | None) -> None:
    largest = int(groups.max()) if groups.numel() else -1
    if groups.ndim != 1 or number is None or not -1 <= largest < number:
        raise ShapeError(
            explain(
                "Matern52Kernel",
                "groups do not fit ard_num_dims",
                f"groups {tuple(groups.shape)} up to {largest}, ard_num_dims={number}",
                expected="a group below ard_num_dims for each column",
            )
        )
