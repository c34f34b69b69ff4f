"""On which device a model runs: as asked, or where an ask was measured to take less time."""

from __future__ import annotations

import math
import time

import pytest
import torch

from gpbo.strategy import calibrate
from gpbo.strategy import device as module
from gpbo.strategy.calibrate import Measured, measure, work
from gpbo.strategy.device import devices

GPU = torch.device("cuda")


@pytest.fixture(autouse=True)
def fresh():
    calibrate._measure.cache_clear()
    yield
    calibrate._measure.cache_clear()


def slow(cpu: float, gpu: float, asked: list[tuple[int, int, str]]):
    """A stand-in for the work that takes so many seconds on each device, by a faked clock."""
    now = [0.0]

    def fake(n: int, d: int, run: int, device: torch.device) -> None:
        asked.append((n, d, device.type))
        now[0] += {"cpu": cpu, "cuda": gpu}[device.type]

    return fake, lambda: now[0]


@pytest.mark.parametrize(("cpu", "gpu", "wins"), [(0.03, 0.01, True), (0.01, 0.03, False)])
def test_auto_takes_the_device_that_was_measured_to_be_faster(monkeypatch, cpu, gpu, wins):
    asked: list[tuple[int, int, str]] = []
    fake, clock = slow(cpu, gpu, asked)
    monkeypatch.setattr(calibrate, "work", fake)
    monkeypatch.setattr(time, "perf_counter", clock)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    found = list(devices("auto", 700, 5))
    assert [device.type for device, _ in found] == (["cuda", "cpu"] if wins else ["cpu"])
    assert {n for n, _, _ in asked} == {128, 512}  # the smaller to load what is needed
    assert {d for _, d, _ in asked} == {8}
    said = found[0][1]["device_measured"]
    assert "512 observations" in said
    assert f"cpu {1e3 * cpu:.3g} ms" in said
    assert f"gpu {1e3 * gpu:.3g} ms" in said
    count = len(asked)
    list(devices("auto", 1000, 7))  # the same size: nothing is measured again
    assert len(asked) == count
    list(devices("auto", 10**5, 7))
    assert asked[-1][0] == 2048


def test_too_little_work_for_a_gpu_is_not_measured(monkeypatch):
    monkeypatch.setattr(calibrate, "work", None)  # would fail when called
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    found = list(devices("auto", 127, 5))
    assert [str(device) for device, _ in found] == ["cpu"]
    assert found[0][1] == {"device": "cpu", "device_measured": None}


def test_a_gpu_that_fails_loses(monkeypatch):
    def fails(n: int, d: int, run: int, device: torch.device) -> None:
        if device.type == "cuda":
            raise RuntimeError("out of memory")

    monkeypatch.setattr(calibrate, "work", fails)
    measured = measure(200, 3, GPU)
    assert measured is not None
    assert measured.gpu == math.inf
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [device.type for device, _ in devices("auto", 200, 3)] == ["cpu"]


def test_a_device_that_was_asked_for_is_not_measured(monkeypatch):
    monkeypatch.setattr(module, "measure", None)  # would fail when called
    assert [name["device"] for _, name in devices("cpu", 10**4, 3)] == ["cpu"]
    assert [name["device"] for _, name in devices("cuda:0", 10, 3)] == ["cuda:0", "cpu"]


def test_without_a_gpu_auto_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [name["device"] for _, name in devices("auto", 10**4, 3)] == ["cpu"]


def test_the_work_that_is_timed_runs():
    for d in (1, 8):
        work(128, d, 0, torch.device("cpu"))
    assert "measured beside 128" in str(Measured(128, 0.01, 0.02))
