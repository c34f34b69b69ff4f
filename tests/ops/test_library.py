"""Finding, loading, describing and leaving out the compiled library."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import warnings

import pytest
import torch

from gpbo.errors import DeviceError, FallbackWarning
from gpbo.ops import compiled, library
from gpbo.ops.check import check_pairs
from gpbo.ops.kernel_matrix import matern52

CPU = torch.device("cpu")
X = torch.linspace(0, 1, 12, dtype=torch.float64).reshape(4, 3)
ONES = torch.ones(3, dtype=torch.float64)


def forget():
    """As in a new process: nothing is loaded, and the environment has not been read."""
    library._on.cache_clear()
    library._load.cache_clear()


@pytest.fixture
def fresh():
    """Nothing is loaded before the test, and nothing of what it loads stays."""
    forget()
    yield
    forget()


@pytest.fixture
def compiled_path():
    """The file of the installed CPU library."""
    path = library.describe()["cpu"]["path"]
    if path is None:
        pytest.skip("the compiled library is not installed")
    return path


def test_describe_tells_of_each_device_in_json():
    told = library.describe()
    assert json.loads(json.dumps(told)) == told
    assert set(told) == {"forced_reference", "cpu", "cuda"}
    for kind in ("cpu", "cuda"):
        assert set(told[kind]) == {"compiled", "path", "note"}
        assert told[kind]["compiled"] or told[kind]["note"]


@pytest.mark.parametrize(
    ("value", "forced"), [("1", True), ("yes", True), ("0", False), ("", False)]
)
@pytest.mark.usefixtures("fresh")
def test_the_environment_leaves_the_work_to_torch(monkeypatch, value, forced):
    monkeypatch.setenv(library.REFERENCE, value)
    assert library.describe()["forced_reference"] is forced
    if forced:
        assert library.on(CPU) is None


def test_a_device_without_a_library_gets_none():
    assert library.on(torch.device("meta")) is None
    assert matern52(X.to("meta"), None, ONES.to("meta")).shape == (4, 4)


@pytest.mark.usefixtures("fresh")
def test_a_missing_library_is_no_reason_to_warn(monkeypatch):
    want = matern52(X, None, ONES)
    forget()
    monkeypatch.setattr(library, "_find", lambda kind: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = matern52(X, None, ONES)
    torch.testing.assert_close(got, want, rtol=1e-14, atol=0)
    told = library.describe()["cpu"]
    assert told["compiled"] is False
    assert "not built" in told["note"]


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("content", [b"", b"not a library", b"\x7fELF" + bytes(200)])
def test_a_broken_library_warns_once_and_torch_does_the_work(monkeypatch, tmp_path, content):
    broken = tmp_path / "broken.so"
    broken.write_bytes(content)
    monkeypatch.delenv(library.REFERENCE, raising=False)
    monkeypatch.setattr(library, "_find", lambda kind: str(broken))
    with pytest.warns(FallbackWarning, match="the compiled cpu library: cannot be used"):
        first = matern52(X, None, ONES)
    assert torch.equal(matern52(X, None, ONES), first)  # a second warning would be an error
    assert "cannot be used" in library.describe()["cpu"]["note"]


@pytest.mark.usefixtures("fresh")
def test_a_library_of_another_version_is_not_called(monkeypatch, compiled_path):
    monkeypatch.delenv(library.REFERENCE, raising=False)
    found, wanted = compiled.ABI, compiled.ABI + 1
    monkeypatch.setattr(compiled, "ABI", wanted)
    forget()
    said = f"interface version {found} where {wanted} is needed"
    with pytest.warns(FallbackWarning, match=said):
        assert library.on(CPU) is None


@pytest.mark.usefixtures("fresh")
def test_a_library_that_is_not_ours_is_not_called(monkeypatch):
    other = shutil.which("python3") and sys.modules["_ctypes"].__file__
    monkeypatch.delenv(library.REFERENCE, raising=False)
    monkeypatch.setattr(library, "_find", lambda kind: other)
    with pytest.warns(FallbackWarning, match="not a gpbo library"):
        assert library.on(CPU) is None


def test_a_status_that_is_not_ok_becomes_an_error(compiled_path):
    handle = library.Library("cpu", compiled_path)
    pairs, call = compiled.PAIRS.pack(7, *(0,) * 18), check_pairs("rbf", X, None, ONES)
    with pytest.raises(DeviceError, match="cpu: a compiled op failed: bad argument"):
        handle._call(handle._matrix, call, pairs, bytes(64), 0)


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_every_instruction_set_gives_the_same_numbers(compiled_path, level):
    """In a process of its own: the choice is made once."""
    code = (
        "import torch, gpbo.ops.library as l;"
        "from gpbo.ops.kernel_matrix import kernel_matrix as k, NAMES;"
        "from gpbo.ops.likelihood import likelihood;"
        "g = torch.Generator().manual_seed(0);"
        "x = torch.rand(45, 3, generator=g, dtype=torch.float64); s = torch.ones(3).double();"
        "a = lambda n: torch.tensor(0.7).double() if n == 'rational_quadratic' else None;"
        "v = [k(n, x, None, s, shape=a(n)).sum().item() for n in NAMES];"
        "f = k('rbf', x.float(), None, s.float()).double().sum().item();"
        "p = likelihood('rbf', x, x[:, 0], s, 0.1 + x[:, 1]);"
        "print(l.on(x.device).instruction_set());"
        "print(*v, f, p.value.item(), *p.by_lengthscale.tolist())"
    )
    said = []
    for asked in (level, "baseline"):
        env = {**os.environ, "GPBO_ISA": asked}
        env.pop(library.REFERENCE, None)
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True
        )
        said.append(done.stdout.splitlines())
    if said[0][0] != level:
        pytest.skip(f"this machine has no {level}")
    one, other = (torch.tensor([float(v) for v in lines[1].split()]) for lines in said)
    torch.testing.assert_close(one, other, rtol=1e-5, atol=0)


def test_importing_the_ops_loads_nothing_and_starts_no_cuda():
    code = (
        "import gpbo.ops.kernel_matrix, torch, gpbo.ops.library as l;"
        "assert l._load.cache_info().currsize == 0;"
        "assert not torch.cuda.is_initialized();"
        "assert torch.get_default_dtype() == torch.float32"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=dict(os.environ))


def _in_child(queue):
    queue.put(matern52(X, None, ONES).tolist())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_goes_on_with_the_same_library():
    want = matern52(X, None, ONES).tolist()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get() == want
    child.join()
    assert child.exitcode == 0
