"""Random and quasi-random search against what they promise, and against SciPy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import kstest, qmc

import gpbo
from gpbo.errors import GpboWarning, SpaceExhaustedWarning
from gpbo.history import History
from gpbo.seeding import generator
from gpbo.space.encode import encode
from gpbo.strategy.random import Fresh
from gpbo.strategy.sobol import MAX_DIMENSION, sobol_points, start_design


@pytest.mark.parametrize("strategy", ["random", "sobol"])
def test_draws_are_uniform_on_each_parameters_own_scale(strategy: str) -> None:
    space = gpbo.Space({"x": gpbo.Float(-3, 5), "lr": gpbo.Float(1e-6, 1, log=True)})
    opt = gpbo.Optimizer(space, strategy=strategy, seed=1)
    params = [t.params for t in opt.ask(512)]
    assert kstest([p["x"] for p in params], "uniform", (-3, 8)).pvalue > 1e-3
    assert kstest([np.log10(p["lr"]) for p in params], "uniform", (-6, 6)).pvalue > 1e-3


def test_sobol_points_are_those_of_scipys_scrambled_sequence() -> None:
    reference = qmc.Sobol(5, rng=generator(7, "sobol")).random_base2(4)
    np.testing.assert_array_equal(sobol_points(5, 0, 16, seed=7), reference)
    np.testing.assert_array_equal(sobol_points(5, 3, 9, seed=7), reference[3:12])


def test_sobol_fills_the_cube_more_evenly_than_random() -> None:
    space = gpbo.Space({f"x{i}": gpbo.Float(0, 1) for i in range(4)})
    spread = {}
    for strategy in ("random", "sobol"):
        trials = gpbo.Optimizer(space, strategy=strategy, seed=0).ask(256)
        spread[strategy] = qmc.discrepancy(encode(space, [t.params for t in trials]))
    assert spread["sobol"] < spread["random"] / 3


@pytest.mark.parametrize("strategy", ["random", "sobol"])
def test_failed_points_are_never_proposed_again(strategy: str, small_space: gpbo.Space) -> None:
    opt = gpbo.Optimizer(small_space, strategy=strategy, seed=0)
    points = []
    while (trial := opt.ask()) is not None:
        points.append(str(trial.params))
        opt.tell(trial, failed=True)
    assert len(points) == len(set(points)) == 16


@pytest.mark.parametrize("strategy", ["random", "sobol"])
def test_every_kind_of_parameter_is_proposed(strategy: str, rich_space: gpbo.Space) -> None:
    opt = gpbo.Optimizer(rich_space, strategy=strategy, seed=0)
    trials = opt.ask(100)
    assert all(rich_space.check(t.params) == t.params for t in trials)
    assert {t.params["opt"] for t in trials} == {"sgd", "adam"}
    assert {t.params["act"] for t in trials} == {"relu", "tanh", None}


@pytest.mark.parametrize("strategy", ["random", "sobol", "bayes", "trust_region", "tpe"])
def test_asking_for_far_more_than_is_left_looks_through_the_space_once(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opt = gpbo.Optimizer({"k": gpbo.Int(0, 299)}, strategy=strategy, seed=0)
    looks = 0
    rest = Fresh._rest

    def counted(self: Fresh, rng: np.random.Generator) -> Iterator[gpbo.space.Params]:
        nonlocal looks
        looks += 1
        return rest(self, rng)

    monkeypatch.setattr(Fresh, "_rest", counted)
    with pytest.warns(SpaceExhaustedWarning):
        assert len(opt.ask(4000)) == 300
    assert looks <= 300


def test_with_more_parameters_than_a_sequence_has_a_model_starts_on_random_points() -> None:
    with pytest.warns(GpboWarning, match="make every proposal slow"):
        space = gpbo.Space({f"x{k}": gpbo.Float(0, 1) for k in range(MAX_DIMENSION + 1)})
    about = {"strategy": "test"}
    one, two, three = (p.params for p in start_design(History(space), 3, 0, about))
    assert set(one.values()) == {0.5}
    assert two != three
    assert 0.4 < np.mean(list(two.values())) < 0.6
