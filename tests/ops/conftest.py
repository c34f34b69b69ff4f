"""Fixtures of the op tests: both ways an op is computed, and an independent exact value."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mpmath
import pytest
import torch
from torch import Tensor

from gpbo.ops import library


@pytest.fixture
def fresh() -> Iterator[None]:
    """The environment is read again."""
    library._on.cache_clear()
    yield
    library._on.cache_clear()


@pytest.fixture(params=["compiled", "reference"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, fresh: None) -> str:
    """The test runs once with the compiled library and once with the plain torch reference."""
    if request.param == "reference":
        monkeypatch.setenv(library.REFERENCE, "1")
        return "reference"
    monkeypatch.delenv(library.REFERENCE, raising=False)
    if not library.describe()["cpu"]["compiled"]:
        pytest.skip("the compiled library is not installed")
    return "compiled"


@pytest.fixture
def points() -> Callable[..., Tensor]:
    """points(shape, seed=..., low=..., high=..., dtype=...): uniform random numbers."""

    def draw(
        *shape: int,
        seed: int = 0,
        low: float = 0.0,
        high: float = 1.0,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        unit = torch.rand(shape, generator=generator, dtype=torch.float64)
        return (low + (high - low) * unit).to(dtype)

    return draw


@pytest.fixture
def exact_matern52() -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Matern 5/2 with 40 digits, from the textbook form in r; unbatched (n, d), (m, d), (d,)."""

    def value(a: list[float], b: list[float], lengthscale: list[float]) -> float:
        with mpmath.workdps(40):
            terms = zip(a, b, lengthscale, strict=True)
            squares = [((mpmath.mpf(x) - mpmath.mpf(y)) / mpmath.mpf(s)) ** 2 for x, y, s in terms]
            r = mpmath.sqrt(mpmath.fsum(squares))
            s = mpmath.sqrt(5) * r
            return float((1 + s + 5 * r * r / 3) * mpmath.exp(-s))

    def matrix(x1: Tensor, x2: Tensor, lengthscale: Tensor) -> Tensor:
        scale = lengthscale.tolist()
        rows = [[value(a, b, scale) for b in x2.tolist()] for a in x1.tolist()]
        return torch.tensor(rows, dtype=torch.float64).reshape(len(x1), len(x2))

    return matrix
