"""Whole studies on a GPU: every step of an ask works there, and says what the CPU says."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

import gpbo
from gpbo.ops import library

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
]

SPACE = {
    "x": gpbo.Float(0, 1),
    "k": gpbo.Int(1, 9),
    "kind": ["a", "b", "c"],
    "more": gpbo.Choice({"yes": {"y": gpbo.Float(0, 1)}, "no": None}),
}
LINE = {"x": gpbo.Float(0, 1), "y": gpbo.Float(0, 1)}


@pytest.fixture(params=["compiled", "reference"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The test runs once with the compiled library and once with torch's own GPU code."""
    library._on.cache_clear()
    if request.param == "reference":
        monkeypatch.setenv(library.REFERENCE, "1")
    elif not library.describe()["cuda"]["compiled"]:
        pytest.skip("the compiled CUDA library is not installed")
    yield request.param
    library._on.cache_clear()


def value(params: dict[str, Any]) -> float:
    kind = {"a": 0.3, "b": 0.0, "c": 0.7}[params.get("kind", "b")]
    return float((params["x"] - 0.3) ** 2 + 0.1 * params.get("k", 1) + params.get("y", 0.2) + kind)


def told(opt: gpbo.Optimizer, n: int) -> gpbo.Optimizer:
    """With n trials told, each fifth as failed."""
    for k, params in enumerate(map(opt.space.sample, map(_generator, range(n)))):
        opt.add(params, value(params) if k % 5 else {"status": "fail"})
    return opt


def _generator(seed: int) -> Any:
    from gpbo.seeding import generator

    return generator(seed, "study")


@pytest.mark.parametrize("strategy", ["bayes", "trust_region"])
@pytest.mark.parametrize("space", [LINE, SPACE])
def test_a_study_asks_alone_in_batches_and_beside_pending_trials(
    strategy: str, space: dict[str, Any]
) -> None:
    opt = told(gpbo.Optimizer(space, strategy=strategy, seed=3, device="cuda"), 14)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trials = [opt.ask(), *opt.ask(3)]
        for trial in trials[:2]:
            opt.tell(trial, value(trial.params))
        trials.append(opt.ask())
        opt.recommend()
    assert {trial.provenance["device"] for trial in trials} == {"cuda"}
    assert {trial.provenance["fallback"] for trial in trials} == {None}
    assert len({str(trial.params) for trial in trials}) == 5


def test_large_batches_are_drawn_from_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpbo.strategy.trust_region.FEW", 2)
    opt = told(gpbo.Optimizer(LINE, strategy="trust_region", seed=3, device="cuda"), 14)
    batch = opt.ask(36)
    assert {trial.provenance["fallback"] for trial in batch} == {None}
    assert batch[-1].provenance["rule"] == "thompson"


@pytest.mark.parametrize("space", [LINE, SPACE])
def test_what_a_proposal_promises_is_what_the_cpu_finds(space: dict[str, Any]) -> None:
    asked = []
    for device in ("cuda", "cpu"):
        opt = gpbo.Optimizer(space, seed=3, device=device)
        for k in range(12):
            params = opt.space.sample(_generator(k))
            opt.add(params, value(params))
        asked.append(opt.ask().provenance)
    gpu, cpu = asked
    assert gpu["fit"]["log_posterior"] == pytest.approx(cpu["fit"]["log_posterior"], abs=1e-2)
    assert gpu["acquisition"] == pytest.approx(cpu["acquisition"], abs=0.05)
