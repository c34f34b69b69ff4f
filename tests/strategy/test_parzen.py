"""Parzen densities against SciPy and slow sums, and what a density over a nested space keeps."""

from __future__ import annotations

import itertools
import math
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.stats import chisquare, kstest, poisson, truncnorm

import gpbo
from gpbo.space import Lattice
from gpbo.space.encode import encode
from gpbo.strategy.parzen import Parzen, axes_of, widths

JOINT = [True, False]


def parzen(
    space: Any, rows: Any, joint: bool = True, weights: Any = None, prior_weight: float = 1.0
) -> Parzen:
    rows = np.asarray(rows, dtype=np.float64)
    weights = np.ones(len(rows)) if weights is None else np.asarray(weights)
    return Parzen(axes_of(gpbo.Space(space)), rows, weights, prior_weight, joint)


def random_rows(space: gpbo.Space, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return encode(space, [space.sample(rng) for _ in range(n)])


NESTED = gpbo.Space(
    {
        "k": gpbo.Int(1, 6, log=True),
        "opt": gpbo.Choice(
            {
                "sgd": {"nesterov": gpbo.Bool()},
                "adam": {"decay": gpbo.Choice({"none": None, "l2": {"wd": gpbo.Int(0, 4)}})},
            }
        ),
    }
)
MIXED: dict[str, Any] = {
    "x": gpbo.Float(-3, 5),
    "lr": gpbo.Float(1e-6, 1, log=True),
    "k": gpbo.Int(1, 9),
    "act": ["relu", "tanh", None],
}


# ---- values


def slow_kernel(
    name: str, centers: np.ndarray, i: int, u: float, prior_weight: float, joint: bool
) -> float:
    """Kernel i at coordinate u of one leaf of MIXED, from the definition."""
    n = len(centers)
    if name == "act":
        table = np.full(3, 1 / 3 if i == n else prior_weight / (n + 1))
        if i < n:
            table[int(centers[i] * 3)] += 1
        return float(table[int(u * 3)] / table.sum())
    if i == n:
        return 1 / 9 if name == "k" else 1.0
    width = float(widths(centers[:, None], joint)[i, 0])
    center = float(centers[i])
    normal = truncnorm(-center / width, (1 - center) / width, center, width)
    if name == "k":
        return float(normal.cdf((int(u * 9) + 1) / 9) - normal.cdf(int(u * 9) / 9))
    return float(normal.pdf(u))


@pytest.mark.parametrize("joint", JOINT)
@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_log_density_is_that_of_a_slow_sum_over_scipys_normals(n: int, joint: bool) -> None:
    space = gpbo.Space(MIXED)
    rows, X = random_rows(space, n, n), random_rows(space, 9, 99)
    weights = np.random.default_rng(n).uniform(0.1, 1, n)
    kernels = np.array(
        [
            [
                [slow_kernel(name, rows[:, j], i, x[j], 0.7, joint) for i in range(n + 1)]
                for j, name in enumerate(space)
            ]
            for x in X
        ]
    )
    mix = np.append(weights, 0.7) / (weights.sum() + 0.7)
    expected = np.log((kernels.prod(1) if joint else kernels) @ mix)
    found = parzen(space, rows, joint, weights, prior_weight=0.7).log_density(X)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("value", "far"), [(1, 120), (200, 80)])
def test_the_mass_of_an_interval_is_exact_far_out_in_both_tails(value: int, far: int) -> None:
    space = gpbo.Space({"k": gpbo.Int(1, 200)})
    rows = encode(space, [{"k": value}] * 3)
    width = float(widths(rows, True).max())  # of the outer two, and the inner one is no wider
    with mpmath.workdps(60):

        def mass(low: int, high: int) -> Any:
            ends = ((mpmath.mpf(u) / 200 - mpmath.mpf(rows[0, 0])) / width for u in (low, high))
            return -mpmath.ncdf(next(ends)) + mpmath.ncdf(next(ends))

        expected = float(mpmath.log(mass(far - 1, far) / mass(0, 200)))
    tiny = 1e-300  # of a prior, so that the tail is seen
    found = parzen(space, rows, prior_weight=tiny).log_density(encode(space, [{"k": far}]))[0]
    assert found == pytest.approx(expected, rel=1e-9)
    assert found < -50


def test_a_kernel_is_as_wide_as_the_gap_to_its_farther_neighbor() -> None:
    nan = np.nan
    rows = np.array([[0.5, nan], [0.2, 0.9], [0.6, nan], [0.7, nan]])
    expected = [[0.3, nan], [0.3, 0.9], [0.1, nan], [0.1, nan]]
    np.testing.assert_allclose(widths(rows, True), expected, rtol=1e-12)
    same = widths(np.full((5, 1), 0.3), True)
    assert (same == same[0]).all()
    assert 0 < same[0, 0] < 0.1
    assert widths(np.empty((0, 3)), True).shape == (0, 3)


def test_in_a_mixture_for_each_leaf_kernels_narrow_as_optunas_do() -> None:
    for n in (2, 5, 60, 300):
        same = np.full((n + 1, 2), 0.3)
        same[n, 0] = np.nan  # one less in the first leaf
        expected = np.minimum(0.05, 1 / np.minimum(100, [n + 2, n + 3]))
        np.testing.assert_allclose(widths(same, False)[0], expected, rtol=1e-12)


def test_intervals_are_as_long_as_their_values_are_likely() -> None:
    space = gpbo.Space({"n": gpbo.Distribution(poisson(2.0)), "k": gpbo.Int(1, 20, log=True)})
    n, k = axes_of(space)
    lengths = np.diff(n.edges)
    np.testing.assert_allclose(lengths[:8], poisson(2.0).pmf(np.arange(8)), atol=1e-5)
    draws = np.random.default_rng(0).random(20000)
    for axis, parameter in ((n, space["n"]), (k, space["k"])):
        assert axis.edges[0] == 0
        assert axis.edges[-1] == 1
        levels = [parameter.to_unit(parameter.from_unit(u)) for u in draws]
        np.testing.assert_array_equal(axis.levels[axis.position(draws)], levels)


# ---- properties


@pytest.mark.parametrize("n", [0, 1, 6, 30])
def test_the_masses_of_all_points_of_a_nested_space_add_up_to_one(n: int) -> None:
    points = encode(NESTED, Lattice(NESTED))
    rows = random_rows(NESTED, n, seed=n)
    density = parzen(NESTED, rows, weights=np.linspace(0.2, 1, n))
    assert np.exp(density.log_density(points)).sum() == pytest.approx(1, abs=1e-12)


def test_each_leafs_density_integrates_to_one_where_leaves_are_independent() -> None:
    space = gpbo.Space(MIXED)
    density = parzen(space, random_rows(space, 12, seed=3), joint=False)
    grid = (np.arange(4000) + 0.5) / 4000
    X = np.tile(grid[:, None], len(space))
    values = np.exp(density.log_density(X))
    assert values[:, :2].mean(0) == pytest.approx([1, 1], abs=1e-5)
    for j, axis in enumerate(axes_of(space)[2:], 2):
        levels = np.full((len(axis.levels), len(space)), 0.5)
        levels[:, j] = axis.levels
        assert np.exp(density.log_density(levels))[:, j].sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_draws_from_a_nested_space_are_as_frequent_as_the_density_says(seed: int) -> None:
    points = encode(NESTED, Lattice(NESTED))
    density = parzen(NESTED, random_rows(NESTED, 5, seed))
    draws = density.draw(np.random.default_rng(seed), 20000)
    seen = {row.tobytes(): k for k, row in enumerate(points)}
    counts = np.bincount([seen[row.tobytes()] for row in draws], minlength=len(points))
    expected = np.exp(density.log_density(points)) * len(draws)
    assert chisquare(counts, expected).pvalue > 1e-4


@pytest.mark.parametrize("joint", JOINT)
def test_continuous_draws_follow_the_mixture_and_stay_in_the_cube(joint: bool) -> None:
    space = gpbo.Space({"x": gpbo.Float(0, 1), "y": gpbo.Float(0, 1)})
    rows = np.array([[0.0, 0.3], [0.02, 1.0], [0.9, 0.35]])
    draws = parzen(space, rows, joint).draw(np.random.default_rng(1), 4000)
    assert draws.min() >= 0
    assert draws.max() <= 1
    spread = widths(rows, joint)
    for j in range(2):
        parts = [
            truncnorm(-c / w, (1 - c) / w, c, w)
            for c, w in zip(rows[:, j], spread[:, j], strict=True)
        ]

        def cdf(u: Any, parts: Any = parts) -> Any:
            return (sum(part.cdf(u) for part in parts) + u) / 4

        assert kstest(draws[:, j], cdf).pvalue > 1e-4


@pytest.mark.parametrize("joint", JOINT)
def test_the_order_of_trials_does_not_matter(joint: bool) -> None:
    space = gpbo.Space({**MIXED, "k": gpbo.Float(0, 1)})  # of equal values one is the first
    rows, X = random_rows(space, 15, seed=1), random_rows(space, 10, seed=2)
    weights = np.linspace(0.1, 1, 15)
    shuffled = np.random.default_rng(0).permutation(15)
    one = parzen(space, rows, joint, weights).log_density(X)
    other = parzen(space, rows[shuffled], joint, weights[shuffled]).log_density(X)
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_mirrored_range_has_the_mirrored_density() -> None:
    space = gpbo.Space({"x": gpbo.Float(0, 1), "k": gpbo.Int(1, 100)})
    rows, X = random_rows(space, 8, seed=1), random_rows(space, 10, seed=2)
    one = parzen(space, rows).log_density(X)
    other = parzen(space, 1 - rows).log_density(1 - X)
    np.testing.assert_allclose(one, other, rtol=1e-9)


def test_a_leaf_that_a_trial_does_not_have_is_uniform_in_its_kernel() -> None:
    wd = {"opt": "adam", "decay": "l2"}
    rows = encode(NESTED, [{"k": 3, "opt": "sgd", "nesterov": True}])
    points = [{"k": 3, **wd, "wd": value} for value in range(5)]
    found = parzen(NESTED, rows).log_density(encode(NESTED, points))
    np.testing.assert_allclose(found, found[0])


def test_without_trials_the_density_is_the_space_itself() -> None:
    space = gpbo.Space(MIXED)
    X = random_rows(space, 5, seed=0)
    found = parzen(space, np.empty((0, 4))).log_density(X)
    np.testing.assert_allclose(found, -math.log(9) - math.log(3))


def test_a_joint_density_knows_what_goes_together() -> None:
    """Two clusters on one diagonal: the other diagonal is empty, seen jointly only."""
    space = gpbo.Space({"x": gpbo.Float(0, 1), "y": gpbo.Float(0, 1)})
    near = np.random.default_rng(0).normal(0, 0.02, (20, 2))
    rows = np.concatenate([near[:10] + 0.25, near[10:] + 0.75])
    on, off = np.array([[0.25, 0.25], [0.75, 0.75]]), np.array([[0.25, 0.75], [0.75, 0.25]])
    joint, each = parzen(space, rows), parzen(space, rows, joint=False)
    assert joint.log_density(on).min() > joint.log_density(off).max() + 2
    sums = [each.log_density(X).sum(1) for X in (on, off)]
    for a, b in itertools.product(*sums):
        assert abs(a - b) < 0.5


def test_five_hundred_leaves_neither_overflow_nor_vanish() -> None:
    space = gpbo.Space({f"x{i}": gpbo.Float(0, 1) for i in range(500)})
    rows = random_rows(space, 20, seed=0)
    rows[10:] = rows[:10]  # narrow kernels
    density = parzen(space, rows)
    found = density.log_density(np.concatenate([rows, 1 - rows]))
    assert np.isfinite(found).all()
