"""The package as a whole: its public names, and what importing it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gpbo


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running some code."""
    script = f"{code}\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_gpbo_loads_neither_torch_nor_scipy_nor_numpy() -> None:
    loaded = modules_after("import gpbo")
    assert not loaded & {"torch", "gpytorch", "scipy", "numpy", "rich", "sqlite3"}


@pytest.mark.parametrize("strategy", ["random", "grid"])
def test_random_and_grid_propose_without_torch_and_scipy(strategy: str) -> None:
    loaded = modules_after(
        "import gpbo\n"
        f"opt = gpbo.Optimizer({{'a': gpbo.Int(1, 5), 'b': gpbo.Bool()}}, strategy={strategy!r})\n"
        "opt.tell(opt.ask(), 1.0); opt.ask(3)"
    )
    assert not loaded & {"torch", "gpytorch", "scipy"}


def test_every_public_name_can_be_imported_and_is_listed() -> None:
    for name in gpbo.__all__:
        assert getattr(gpbo, name) is not None
        assert name in dir(gpbo)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Optimiser'"):
        gpbo.Optimiser  # noqa: B018  # the access is the test
