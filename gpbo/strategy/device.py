"""On which device a model runs: what the user asked for, checked, and what "auto" means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gpbo.errors import DeviceError, explain

GPU_FROM = 500  # observations; an estimate from the flops of a fit, to be replaced by measurement


def check_device(device: str) -> None:
    """Refuse a device that does not exist. Only a question for CUDA asks the driver.

    Raises   DeviceError
    """
    if not isinstance(device, str):
        raise TypeError(explain("device", "not a name", device, expected="a str such as 'auto'"))
    if device in ("auto", "cpu"):
        return
    if device == "mps":
        raise DeviceError("device: 'mps' has no float64, which the model needs; use device='cpu'")
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    available = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
    if match is None:
        raise DeviceError(
            explain("device", "unknown", device, expected=f"'auto' or one of {available}")
        )
    if int(match[1] or 0) >= len(available) - 1:
        raise DeviceError(
            explain("device", "not on this machine", device, expected=f"one of {available}")
        )


def choose(device: str, observations: int) -> torch.device:
    """The device for a fit on so many observations."""
    if device != "auto":
        return torch.device(device)
    if observations >= GPU_FROM and torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("cpu")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside, and what it used before outside.

    The matrices of a fit are small: a second thread makes it 10 to 50 times slower, and takes a
    core from the training that waits (optuna#6191).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
