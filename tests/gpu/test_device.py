"""The choice between CPU and GPU where there is one."""

from __future__ import annotations

import pytest
import torch

from gpbo.strategy.calibrate import measure
from gpbo.strategy.device import devices

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
]


def test_both_devices_are_timed_and_the_faster_one_is_taken():
    measured = measure(2048, 10, torch.device("cuda"))
    assert measured is not None
    assert 0 < measured.gpu < 60
    assert 0 < measured.cpu < 60
    first, about = next(devices("auto", 2048, 10))
    assert (first.type == "cuda") == (measured.gpu < measured.cpu)
    assert about["device_measured"] == str(measured)
