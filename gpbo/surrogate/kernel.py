"""GPyTorch's stationary kernels, computed by gpbo.ops: they stand in any GPyTorch or BoTorch model.

Each is a subclass of the kernel whose name it has, with the same arguments, parameters and
state_dict; only the matrix is computed in another way. GPyTorch's have one lengthscale for all
columns or one for each; these also one for each group of columns.
"""

from __future__ import annotations

from typing import Any

import gpytorch
import torch
from linear_operator.utils.errors import NanError
from torch import Tensor

from gpbo.errors import ShapeError, explain
from gpbo.ops.kernel_matrix import kernel_matrix
from gpbo.ops.operator import matrix_operator
from gpbo.surrogate.evidence import per_column

MATERN = {0.5: "matern12", 1.5: "matern32", 2.5: "matern52"}  # nu -> the name in gpbo.ops


class HyperparameterError(ShapeError, NanError):
    """A hyperparameter that no kernel has: an unknown nu, a lengthscale or alpha that is not > 0.

    As a NanError it is what BoTorch's fit expects of a step that went too far, and goes on from.
    """


class StationaryKernel(gpytorch.kernels.Kernel):
    """Abstract: a kernel of the distance between points, each column divided by its lengthscale.

    With `groups`, column j has lengthscale groups[j]: the one-hot columns of a category share one.
    The groups are part of how a kernel is built, not of its state_dict.

    Shapes   x1 (..., n, d), x2 (..., m, d) -> (..., n, m), or (..., n) with diag; their batch
             shapes and batch_shape broadcast
    Needs    ard_num_dims is d, or with groups the number of groups; None is one lengthscale for all
    Raises   TypeError            if the points are not tensors
             ShapeError           if the points or the groups do not fit ard_num_dims
             HyperparameterError  a ShapeError and a RuntimeError: if a lengthscale or alpha is nan
                                  or <= 0. On a GPU no look is taken, and nan gives nan
    """

    def __init__(self, *args: Any, groups: Tensor | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.columns: Any = None
        if groups is not None:
            _check_groups(type(self).__name__, groups, self.ard_num_dims)
            self.ard_num_dims: int | None = None  # GPyTorch takes it for the number of columns
            # A module of its own: GPyTorch indexes a kernel's buffers as if they had its batch.
            self.columns = torch.nn.Module()
            self.columns.register_buffer("groups", groups, persistent=False)

    def formula(self) -> tuple[str, Tensor | None]:
        """The kernel's name in gpbo.ops, and its alpha (*batch_shape) if it has one."""
        raise NotImplementedError

    def column_lengthscale(self, d: int) -> Tensor:
        """The lengthscale of each of the d columns.

        Shapes   (*batch_shape, d)
        """
        lengthscale: Tensor = self.lengthscale.squeeze(-2)
        if self.columns is None and lengthscale.shape[-1] > 1:
            return lengthscale  # gpbo.ops complains where these are not d
        return per_column(lengthscale, None if self.columns is None else self.columns.groups, d)

    def __call__(self, x1: Tensor, x2: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        if x2 is x1:  # said by leaving it out: active_dims would make two different copies
            x2 = None
        _check_points(self, "x1", x1)
        if x2 is not None:
            _check_points(self, "x2", x2)
        return super().__call__(x1, x2, *args, **kwargs)

    def forward(
        self,
        x1: Tensor,
        x2: Tensor,
        diag: bool = False,
        last_dim_is_batch: bool = False,
        **params: Any,
    ) -> Tensor:
        name, alpha = self.formula()
        lengthscale = self.column_lengthscale(x1.shape[-1])
        if diag:
            _check_as_many(self, x1, x2)
            # Only the difference of two points counts: n pairs are n points against the origin.
            x1, x2 = x1.new_zeros(1, x1.shape[-1]), x1 - x2
        other = None if _same_points(x1, x2) else x2
        if last_dim_is_batch:  # every column is a problem of its own
            x1, other = x1.mT.unsqueeze(-1), None if other is None else other.mT.unsqueeze(-1)
            lengthscale = lengthscale.unsqueeze(-1)
            alpha = None if alpha is None else alpha.unsqueeze(-1)
        matrix = _matrix(name, x1, other, lengthscale, alpha)
        return matrix.squeeze(-2) if diag else matrix


class MaternKernel(StationaryKernel, gpytorch.kernels.MaternKernel):
    """gpytorch.kernels.MaternKernel; see StationaryKernel.

    Needs    nu is 0.5, 1.5 or 2.5
    Source   Rasmussen & Williams 2006, eq. 4.17
    """

    def __init__(self, nu: float | None = 2.5, **kwargs: Any) -> None:
        if nu not in MATERN:
            raise HyperparameterError(
                explain("MaternKernel: nu", "unknown", nu, expected="0.5, 1.5 or 2.5")
            )
        super().__init__(nu=nu, **kwargs)

    def formula(self) -> tuple[str, None]:
        return MATERN[self.nu], None


class RBFKernel(StationaryKernel, gpytorch.kernels.RBFKernel):
    """gpytorch.kernels.RBFKernel; see StationaryKernel.

    Source   Rasmussen & Williams 2006, eq. 4.9
    """

    def formula(self) -> tuple[str, None]:
        return "rbf", None


class RQKernel(StationaryKernel, gpytorch.kernels.RQKernel):
    """gpytorch.kernels.RQKernel, the rational quadratic; see StationaryKernel.

    Source   Rasmussen & Williams 2006, eq. 4.19
    """

    def formula(self) -> tuple[str, Tensor]:
        return "rational_quadratic", self.alpha.squeeze(-1)


def _matrix(
    name: str, x1: Tensor, x2: Tensor | None, lengthscale: Tensor, alpha: Tensor | None
) -> Tensor:
    """kernel_matrix; points and parameters of two dtypes meet in the wider one, as in GPyTorch."""
    if x1.dtype != lengthscale.dtype:
        dtype = torch.result_type(x1, lengthscale)
        x1, x2 = x1.to(dtype), None if x2 is None else x2.to(dtype)
        lengthscale, alpha = lengthscale.to(dtype), None if alpha is None else alpha.to(dtype)
    if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]  # torch's omission
        # Of what GPyTorch's trace_mode runs, only operators of torch are recorded.
        recorded: Tensor = matrix_operator(name, x1, x2, lengthscale, alpha, None, None)
        return recorded
    try:
        return kernel_matrix(name, x1, x2, lengthscale, shape=alpha)
    except ShapeError as error:
        if bool((lengthscale > 0).all()) and (alpha is None or bool((alpha > 0).all())):
            raise
        raise HyperparameterError(*error.args) from None


def _same_points(x1: Tensor, x2: Tensor) -> bool:
    """Whether x2 is known to be x1 without a look at the numbers, which a GPU would wait for.

    One tensor given twice gets both gradients. Two views of one memory may have come to it on
    different ways, so they count as one only where no gradient is asked for.
    """
    if x1 is x2:
        return True
    if torch.compiler.is_compiling():
        return False
    if torch.is_grad_enabled() and (x1.requires_grad or x2.requires_grad):
        return False
    return x1.dtype == x2.dtype and x1.device == x2.device and x1.is_set_to(x2)


def _check_as_many(kernel: StationaryKernel, x1: Tensor, x2: Tensor) -> None:
    """Refuse a diagonal of a matrix that is not square."""
    if x1.shape[-2:] != x2.shape[-2:]:
        got = (tuple(x1.shape), tuple(x2.shape))
        where = f"{type(kernel).__name__}: x1, x2"
        raise ShapeError(explain(where, "with diag not of equal shapes", got))


def _check_points(kernel: StationaryKernel, name: str, points: Tensor) -> None:
    """Refuse at the call what would fail later, where a lazy matrix is evaluated."""
    if not isinstance(points, Tensor):
        raise TypeError(explain(f"{type(kernel).__name__}: {name}", "not a tensor", points))
    expected = kernel.ard_num_dims
    if expected is None:
        return
    active = kernel.active_dims
    given = points.shape[-1] if points.ndim > 1 else 1
    columns = given if active is None else len(active)
    if columns != expected:
        wrong = f"{columns} columns where ard_num_dims is {expected}"
        raise ShapeError(explain(f"{type(kernel).__name__}: {name}", wrong, tuple(points.shape)))


def _check_groups(kernel: str, groups: Tensor, number: int | None) -> None:
    least, most = (int(groups.min()), int(groups.max())) if groups.numel() else (0, -1)
    if groups.ndim != 1 or number is None or least < 0 or most >= number:
        raise ShapeError(
            explain(
                f"{kernel}: groups",
                "do not fit ard_num_dims",
                f"{tuple(groups.shape)} from {least} to {most} with ard_num_dims={number}",
                expected="a group below ard_num_dims for each column",
            )
        )
