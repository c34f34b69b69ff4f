"""What the ops refuse, and how they say it."""

from __future__ import annotations

import math
import re

import pytest
import torch

from gpbo.errors import DeviceError, ShapeError
from gpbo.ops.kernel_matrix import matern52

pytestmark = pytest.mark.usefixtures("way")

X = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
ONES = torch.ones(3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: matern52([[1.0]], None, ONES),
            TypeError,
            "matern52: x1: not a tensor, got [[1.0]]",
        ),
        (lambda: matern52(X, X.numpy(), ONES), TypeError, "matern52: x2: not a tensor, got array"),
        (lambda: matern52(X, None, 0.5), TypeError, "matern52: lengthscale: not a tensor, got 0.5"),
        (
            lambda: matern52(X.long(), None, ONES),
            ShapeError,
            "matern52: x1: dtype not known, got torch.int64; expected float32 or float64",
        ),
        (
            lambda: matern52(X.half(), None, ONES.half()),
            ShapeError,
            "matern52: x1: dtype not known, got torch.float16; expected float32 or float64",
        ),
        (
            lambda: matern52(X, X.float(), ONES),
            ShapeError,
            "matern52: x2: dtype is not that of x1, got torch.float32; expected torch.float64",
        ),
        (
            lambda: matern52(X, None, ONES.float()),
            ShapeError,
            "matern52: lengthscale: dtype is not that of x1, got torch.float32",
        ),
        (
            lambda: matern52(X[0], None, ONES),
            ShapeError,
            "matern52: x1: not a matrix of points, got (3,); expected (n, d)",
        ),
        (
            lambda: matern52(X, X[0], ONES),
            ShapeError,
            "matern52: x2: not a matrix of points, got (3,); expected (n, d)",
        ),
        (
            lambda: matern52(X, X[:, :2], ONES),
            ShapeError,
            "matern52: x2: other number of columns than x1, got (4, 2); expected (..., m, 3)",
        ),
        (
            lambda: matern52(X, None, ONES[:2]),
            ShapeError,
            "matern52: lengthscale: not one for each column of x1, got (2,); expected (..., 3)",
        ),
        (
            lambda: matern52(X, None, ONES[0]),
            ShapeError,
            "matern52: lengthscale: not one for each column of x1, got (); expected (..., 3)",
        ),
        (
            lambda: matern52(X.expand(2, 4, 3), None, ONES.expand(5, 3)),
            ShapeError,
            "batch shapes do not broadcast, got [(2,), (5,), ()]",
        ),
        (
            lambda: matern52(X.expand(2, 4, 3), X.expand(3, 4, 3), ONES),
            ShapeError,
            "batch shapes do not broadcast, got [(2,), (), (3,)]",
        ),
        (
            lambda: matern52(X.expand(2, 4, 3), X[:0].expand(0, 0, 3), ONES),
            ShapeError,
            "batch shapes do not broadcast, got [(2,), (), (0,)]",
        ),
        (
            lambda: matern52(X, X.to("meta"), ONES),
            DeviceError,
            "matern52: x2: device is not that of x1, got 'meta'; expected cpu",
        ),
        (
            lambda: matern52(X, None, ONES.to("meta")),
            DeviceError,
            "matern52: lengthscale: device is not that of x1, got 'meta'; expected cpu",
        ),
    ],
)
def test_a_wrong_input_is_named(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, -math.inf])
@pytest.mark.parametrize("where", [0, 2])
def test_a_lengthscale_that_is_no_length_is_refused(bad, where):
    lengthscale = ONES.clone()
    lengthscale[where] = bad
    message = "matern52: lengthscale: nan or not positive, got [.*]; expected every lengthscale > 0"
    with pytest.raises(ShapeError, match=message.replace("[.*]", r"\[.*\]")):
        matern52(X, None, lengthscale)
    with pytest.raises(ShapeError, match="nan or not positive"):
        matern52(X, X, torch.stack([ONES, lengthscale]).requires_grad_())
