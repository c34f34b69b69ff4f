"""The stand-in for a GPU refuses what a GPU would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.gpu.pretend import CPU, GPU, OnGpu, Pretended


@pytest.fixture
def x() -> Iterator[Tensor]:
    with Pretended():
        yield torch.arange(6.0).reshape(3, 2).to("cuda")


def test_what_is_made_of_a_gpus_tensor_is_on_the_gpu(x: Tensor) -> None:
    made = [x + 1, x.new_zeros(2), torch.empty_like(x), x[0], x.sum(), torch.zeros(2, device=GPU)]
    assert {tensor.device for tensor in made} == {GPU}
    assert all(isinstance(tensor, OnGpu) for tensor in made)
    assert torch.zeros(2).device == CPU
    assert (x.is_cuda, x.cpu().is_cuda) == (True, False)


def test_a_move_copies(x: Tensor) -> None:
    y = x.cpu()
    y[0, 0] = 7.0
    assert float(x[0, 0]) == 0.0
    assert x.to(GPU) is x
    assert x.to(torch.float64).device == GPU
    assert torch.ones(1).to(x).device == GPU


def test_tensors_of_two_devices_do_not_mix(x: Tensor) -> None:
    for wrong in (
        lambda: x + torch.ones(3, 2),
        lambda: torch.cat([x, torch.ones(1, 2)]),
        lambda: torch.ones(3)[x[:, 0] > 1],
    ):
        with pytest.raises(RuntimeError):
            wrong()
    with pytest.raises(TypeError, match="to numpy"):
        x.numpy()
    assert float((x + torch.tensor(1.0)).sum()) == 21.0  # a number is a number
    assert x[torch.tensor([0, 2])].shape == (2, 2)  # and an index may come from the CPU


def test_gradients_are_on_the_gpu(x: Tensor) -> None:
    point = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(point.square().sum(), point)
    assert slope.device == GPU
    assert torch.equal(slope, 2 * x)
