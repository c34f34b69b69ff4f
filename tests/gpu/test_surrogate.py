"""The belief on a GPU, against the same on the CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gpbo.seeding import generator
from gpbo.surrogate.evidence import Data
from gpbo.surrogate.gp import GaussianProcess
from gpbo.surrogate.inducing import inducing_posterior
from tests.surrogate.data import problem, values

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
]


@pytest.mark.parametrize("later", [0, 30])
def test_inducing_points_say_the_same_on_both_devices(later: int) -> None:
    x, y = problem(700, 4)
    at = problem(50, 4, seed=3)[0]
    v = replace(values(4), fitted=700 - later)
    beliefs = {
        device: inducing_posterior(Data.build(x.to(device), y.to(device)), v, 200)
        for device in ("cpu", "cuda")
    }
    mine = [part.cpu() for part in beliefs["cuda"].joint(at.cuda())]
    for ours, theirs in zip(mine, beliefs["cpu"].joint(at), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_a_process_with_more_than_the_most_observations_fits_on_a_gpu() -> None:
    x, y = problem(600, 3)
    fitted = GaussianProcess(most=400).fit(x.cuda(), y.cuda(), generator(0, "fit"))
    assert fitted.report["inducing"] == 200
    mean = fitted.posterior.mean(x.cuda()).cpu()
    assert (mean - y).square().mean() < y.var()
