"""The kernel matrices on a GPU: the same numbers as on the CPU, on the caller's stream."""

from __future__ import annotations

import math

import pytest
import torch

from gpbo.errors import DeviceError
from gpbo.ops import library, reference
from gpbo.ops.kernel_matrix import matern52

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
]

# What no stand-in has (pretend.py).
real = pytest.mark.skipif(torch.version.cuda is None, reason="a pretended GPU has no streams")

RTOL = {torch.float64: 3e-14, torch.float32: 2e-5}


@pytest.fixture(autouse=True)
def fresh():
    """The environment is read again."""
    library._on.cache_clear()
    yield
    library._on.cache_clear()


@pytest.fixture(params=["compiled", "reference"], autouse=True)
def way(request, monkeypatch, fresh):
    """The test runs once with the compiled library and once with torch's own GPU code."""
    if request.param == "reference":
        monkeypatch.setenv(library.REFERENCE, "1")
    elif not library.describe()["cuda"]["compiled"]:
        pytest.skip("the compiled CUDA library is not installed")


def draw(*shape, seed=0, low=0.0, high=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(shape, generator=generator, dtype=torch.float64)
    return (low + (high - low) * unit).to(dtype).cuda()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (33, 70, 5), (64, 64, 16), (200, 31, 17), (5, 5, 1000)]
)
@pytest.mark.parametrize("symmetric", [True, False])
def test_values_are_those_of_the_definition(dtype, shape, symmetric):
    n, m, d = shape
    x1 = draw(n, d, seed=1, low=5.0, high=6.0, dtype=dtype)
    x2 = None if symmetric else draw(m, d, seed=2, low=5.0, high=6.0, dtype=dtype)
    lengthscale = draw(d, seed=3, low=math.sqrt(d) / 4, high=math.sqrt(d), dtype=dtype)
    got = matern52(x1, x2, lengthscale)
    wide = [None if t is None else t.double().cpu() for t in (x1, x2, lengthscale)]
    want = reference.matern52(*wide)
    torch.testing.assert_close(got.double().cpu(), want, rtol=RTOL[dtype], atol=1e-30)
    if symmetric:
        assert torch.equal(got, got.mT)
        assert torch.equal(got.diagonal(), torch.ones(n, dtype=dtype, device="cuda"))


def test_batches_broadcast_and_strides_do_not_matter():
    x1, x2 = draw(2, 1, 40, 3, seed=1), draw(35, 3, seed=2)
    lengthscale = draw(3, 3, seed=3, low=0.3)
    got = matern52(x1, x2, lengthscale)
    assert got.shape == (2, 3, 40, 35)
    torch.testing.assert_close(got, reference.matern52(x1, x2, lengthscale), rtol=1e-13, atol=0)
    strange = x1.mT.contiguous().mT
    assert torch.equal(matern52(strange, x2.mT.contiguous().mT, lengthscale), got)


@pytest.mark.parametrize("symmetric", [True, False])
def test_gradients_are_those_of_finite_differences(symmetric):
    x1, x2 = draw(2, 4, 3, seed=1), None if symmetric else draw(5, 3, seed=2)
    lengthscale = draw(3, seed=3, low=0.4)
    tensors = [t.requires_grad_() for t in (x1, x2, lengthscale) if t is not None]

    def call(*given):
        return matern52(given[0], None if symmetric else given[1], given[-1])

    assert torch.autograd.gradcheck(call, tensors)
    assert torch.autograd.gradgradcheck(call, tensors)


@pytest.mark.parametrize(("n", "m", "d"), [(0, 3, 2), (3, 0, 2), (3, 4, 0)])
def test_empty_inputs_give_empty_or_unit_matrices(n, m, d):
    got = matern52(draw(n, d), draw(m, d), draw(d, low=0.5))
    assert torch.equal(got, torch.ones(n, m, dtype=torch.float64, device="cuda"))


def test_more_matrices_than_a_grid_dimension_holds():
    x = draw(70000, 1, 2, dtype=torch.float32)
    got = matern52(x, draw(2, 2, dtype=torch.float32), torch.ones(2, device="cuda"))
    assert got.shape == (70000, 1, 2)
    wide = reference.matern52(x[-3:], draw(2, 2, dtype=torch.float32), torch.ones(2, device="cuda"))
    torch.testing.assert_close(got[-3:], wide, rtol=1e-5, atol=0)


@real
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_a_nan_lengthscale_gives_nan_and_waits_for_nothing():
    lengthscale = torch.tensor([1.0, math.nan], dtype=torch.float64, device="cuda")
    x = draw(5, 2)
    library.on(x.device)  # loading is allowed to wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = matern52(x, None, lengthscale)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert got.isnan().all()


@real
def test_work_is_queued_on_the_stream_of_the_caller():
    x, lengthscale = draw(300, 4), torch.ones(4, dtype=torch.float64, device="cuda")
    want = matern52(x, None, lengthscale)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        # x is made late on this stream: code on another stream would read it too early.
        late = torch.full_like(x, math.nan)
        torch.cuda._sleep(20_000_000)
        late.copy_(x)
        got = matern52(late, None, lengthscale)
    stream.synchronize()
    assert torch.equal(got, want)


def test_tensors_on_two_devices_are_refused():
    with pytest.raises(DeviceError, match=r"x2: device is not that of x1, got 'cpu'"):
        matern52(draw(3, 2), draw(3, 2).cpu(), draw(2, low=0.5))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one GPU only")
def test_the_device_of_the_tensors_counts_not_the_current_one():
    x, lengthscale = draw(40, 3).to("cuda:1"), torch.ones(3, dtype=torch.float64, device="cuda:1")
    got = matern52(x, None, lengthscale)
    assert got.device.index == 1
    assert torch.cuda.current_device() == 0
    want = matern52(x.cpu(), None, lengthscale.cpu())
    torch.testing.assert_close(got.cpu(), want, rtol=1e-13, atol=0)
