"""The compiled search for hyperparameters: optima, bounds, degenerate data, bits, refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from gpbo.errors import DeviceError, ShapeError
from gpbo.lbfgsb import Settings, minimize
from gpbo.ops import library
from gpbo.ops.fit import Found, Model, Stop, can_fit, climb
from gpbo.ops.likelihood import likelihood
from gpbo.surrogate.evidence import Data, LogPosterior
from gpbo.surrogate.prior import default_priors

F64 = torch.float64
TIGHT = Stop(500, 1e-6, 0.0)
JITTERS = (0.0, 1e-8, 1e-6, 1e-4)


@pytest.fixture(autouse=True)
def _compiled(monkeypatch, fresh):
    monkeypatch.delenv(library.REFERENCE, raising=False)
    if not can_fit(torch.device("cpu")):
        pytest.skip("the compiled library is not installed")


def model_of(x, y, known=None, groups=None, kernel="matern52"):
    """The model of gpbo.surrogate for these data."""
    data = Data.build(x, y, known, groups)
    table = default_priors(data.n_groups).table(data.n_groups)
    return Model(data.x, data.y, data.known, data.unknown, data.groups, table, kernel), data


def box(groups, low=-12.0, high=8.0):
    return torch.full((groups + 2,), low, dtype=F64), torch.full((groups + 2,), high, dtype=F64)


def observations(points, n, d, seed=0):
    x = points(n, d, seed=seed)
    y = torch.sin(2 * x.mean(-1)) + 0.1 * points(n, seed=seed + 1)
    return x, (y - y.mean()) / y.std() if n > 1 else y


@pytest.mark.parametrize("groups", [None, [0, 1, 1, 2, 0]])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("n", [1, 2, 16, 40])
def test_it_ends_where_the_python_search_ends(points, n, known, groups):
    x, y = observations(points, n, 5)
    noise = torch.full((n,), torch.nan, dtype=F64)
    if known:
        noise[::2] = 0.05
    where = None if groups is None else torch.tensor(groups)
    model, data = model_of(x, y, noise, where)
    lower, upper = box(data.n_groups)
    start = points(3, data.n_groups + 2, seed=9, low=-0.5, high=0.5)
    found = climb(model, start, lower, upper, stop=TIGHT, jitters=JITTERS)
    target = LogPosterior(data, default_priors(data.n_groups))

    def negative(theta):
        evidence = target(theta)
        return -evidence.value, -evidence.gradient

    settings = Settings(500, 1e-6, 0.0)
    want = minimize(negative, start, lower, upper, settings)
    torch.testing.assert_close(found.value, -want.value, rtol=0, atol=1e-6)
    end = target(found.theta)
    torch.testing.assert_close(found.value, end.value, rtol=1e-10, atol=1e-10)
    inside = (found.theta > lower) & (found.theta < upper)
    assert inside.all()
    assert end.gradient.abs().max() < 1e-4
    assert found.gradient_norm.max() < 1e-4
    assert (found.counts[:, 1] > found.counts[:, 0]).all()


@pytest.mark.parametrize("kernel", ["matern52", "matern32", "matern12", "rbf"])
def test_without_iterations_it_tells_the_log_posterior_at_the_start(points, kernel):
    x, y = observations(points, 20, 3)
    model, _ = model_of(x, y, kernel=kernel)
    start = points(2, 5, seed=4, low=-1.0)
    found = climb(model, start, *box(3), stop=Stop(0, 0.0, 0.0))
    values = start.exp()
    part = likelihood(
        *(kernel, x, y, values[:, :3], values[:, 4:].expand(2, 20)), outputscale=values[:, 3]
    )
    c0, c1, c2, c3 = model.prior
    prior = (c0 + c1 * start + c2 * start**2 + c3 * values).sum(-1)
    torch.testing.assert_close(found.value, part.value + prior, rtol=1e-12, atol=1e-12)
    assert torch.equal(found.theta, start)
    assert found.counts.tolist() == [[0, 1, 0]] * 2
    assert not found.jitter.any()


def test_bounds_are_kept_and_held_coordinates_do_not_count(points):
    x, y = observations(points, 25, 3)
    model, data = model_of(x, y)
    lower, upper = box(3)
    free = climb(model, points(1, 5), lower, upper, stop=TIGHT)
    lower[1], upper[4] = free.theta[0, 1] + 0.5, free.theta[0, 4] - 1.0
    held = climb(model, points(1, 5), lower, upper, stop=TIGHT)
    assert held.theta[0, 1] == lower[1]
    assert held.theta[0, 4] == upper[4]
    assert held.value < free.value
    gradient = LogPosterior(data, default_priors(3))(held.theta).gradient[0]
    assert gradient[1] < 0 < gradient[4]
    assert gradient[[0, 2, 3]].abs().max() < 1e-4
    assert held.gradient_norm < 1e-4


def test_a_start_outside_the_box_begins_on_its_wall(points):
    x, y = observations(points, 10, 2)
    found = climb(model_of(x, y)[0], points(1, 4) + 50, *box(2), stop=Stop(0, 0.0, 0.0))
    assert torch.equal(found.theta, torch.full((1, 4), 8.0, dtype=F64))


def test_without_observations_the_prior_is_maximized(points):
    model, data = model_of(points(0, 2), points(0))
    found = climb(model, points(2, 4), *box(2), stop=TIGHT)
    target = LogPosterior(data, default_priors(2))(found.theta)
    torch.testing.assert_close(found.value, target.value, rtol=1e-12, atol=0)
    assert target.gradient.abs().max() < 1e-5


@pytest.mark.parametrize("name", ["constant", "duplicates", "one place", "huge", "no columns"])
def test_degenerate_data_end_in_the_box_with_finite_numbers(points, name):
    x, y = {
        "constant": (points(10, 2), torch.ones(10, dtype=F64)),
        "duplicates": (points(5, 2).repeat(4, 1), points(20, seed=3)),
        "one place": (points(1, 2).repeat(8, 1), points(8, seed=3)),
        "huge": (points(10, 2), 1e100 * points(10, seed=3)),
        "no columns": (points(6, 0), points(6)),
    }[name]
    model, data = model_of(x, y)
    lower, upper = box(data.n_groups)
    start = points(3, data.n_groups + 2, seed=5, low=-2.0)
    found = climb(model, start, lower, upper, stop=Stop(100, 1e-2, 1e-9), jitters=JITTERS)
    assert found.value.isfinite().all()
    assert ((found.theta >= lower) & (found.theta <= upper)).all()


@pytest.mark.parametrize("where", ["start", "y", "x"])
def test_what_is_not_finite_ends_its_start_and_no_other(points, where):
    x, y = observations(points, 10, 2)
    model, _ = model_of(x, y)
    start = points(2, 4)
    if where == "start":
        start[0, 1] = torch.nan
    else:
        broken = getattr(model, where).clone()
        broken[3] = torch.nan
        model = replace(model, **{where: broken})
    found = climb(model, start, *box(2), stop=TIGHT, jitters=JITTERS)
    assert found.value.isnan().tolist() == [True, where != "start"]
    assert found.counts[0].tolist() == [0, 1, 0]


def test_a_step_into_what_is_not_finite_is_taken_back(points):
    """Targets so large that the likelihood overflows for a small outputscale."""
    x, y = observations(points, 12, 2)
    model, _ = model_of(x, 1e155 * y)
    lower, upper = box(2, low=-20.0, high=700.0)
    start = torch.tensor([[0.0, 0.0, 10.0, 10.0]], dtype=F64)
    found = climb(model, start, lower, upper, stop=Stop(50, 1e-2, 1e-9))
    assert found.value.isfinite().all()


def bits(found: Found):
    return [getattr(found, name).tolist() for name in Found.__slots__]


def test_bits_depend_neither_on_runs_nor_threads_nor_other_starts(points):
    x, y = observations(points, 330, 3)  # large enough for threads
    model, _ = model_of(x, y)
    start = points(3, 5, seed=6)
    threads = torch.get_num_threads()
    runs = []
    try:
        for count in (1, 1, 2):
            torch.set_num_threads(count)
            runs.append(climb(model, start, *box(3), stop=Stop(20, 1e-2, 1e-9)))
    finally:
        torch.set_num_threads(threads)
    assert bits(runs[0]) == bits(runs[1]) == bits(runs[2])
    alone = climb(model, start[1:2], *box(3), stop=Stop(20, 1e-2, 1e-9))
    assert torch.equal(alone.theta[0], runs[0].theta[1])


def test_a_metric_saves_steps_and_leads_to_the_same_place(points):
    x, y = observations(points, 41, 3)
    before, _ = model_of(x[:40], y[:40])
    model, data = model_of(x, y)
    found = climb(before, points(1, 5, seed=6), *box(3), stop=TIGHT)
    slow = climb(model, found.theta, *box(3), stop=TIGHT)
    stop = Stop(500, 1e-6, 0.0, 1e-10)
    quick = climb(model, found.theta, *box(3), stop=stop, metric=found.inverse[0])
    assert quick.counts[0, 1] < slow.counts[0, 1] / 2
    torch.testing.assert_close(quick.value, slow.value, rtol=0, atol=1e-8)
    target, step = LogPosterior(data, default_priors(3)), 1e-4 * torch.eye(5, dtype=F64)
    change = target(slow.theta + step).gradient - target(slow.theta - step).gradient
    exact = torch.linalg.inv(-change / 2e-4)
    torch.testing.assert_close(quick.inverse[0].diagonal(), exact.diagonal(), rtol=0.5, atol=0.01)


@pytest.mark.parametrize("number", [math.nan, -1.0, 0.0, 1e308])
def test_a_metric_that_is_none_is_dropped(points, number):
    model, _ = model_of(*observations(points, 30, 2))
    start, metric = points(1, 4), torch.full((4, 4), number, dtype=F64)
    plain = climb(model, start, *box(2), stop=TIGHT)
    found = climb(model, start, *box(2), stop=TIGHT, metric=metric)
    torch.testing.assert_close(found.value, plain.value, rtol=0, atol=1e-7)


def test_strides_do_not_matter(points):
    x, y = observations(points, 20, 3)
    model, _ = model_of(x, y)
    wide = torch.stack([x.T, x.T], -1)[..., 0].T
    loose = replace(model, x=wide, y=torch.stack([y, y], -1)[:, 0])
    start = points(2, 5)
    one, other = (climb(m, start, *box(3), stop=TIGHT) for m in (model, loose))
    assert not wide.is_contiguous()
    assert bits(one) == bits(other)


def test_nothing_to_start_from_is_fine(points):
    model, _ = model_of(*observations(points, 5, 2))
    assert climb(model, points(0, 4), *box(2), stop=TIGHT).theta.shape == (0, 4)


def test_a_jitter_is_reported(points):
    x, y = points(1, 2).repeat(6, 1), points(6, seed=1)
    model, _ = model_of(x, y)
    lower, upper = box(2, low=-60.0)
    start = torch.tensor([[0.0, 0.0, 0.0, -50.0]], dtype=F64)
    found = climb(model, start, lower, upper, stop=Stop(0, 0.0, 0.0), jitters=JITTERS)
    assert found.jitter.item() == pytest.approx(1e-8)
    assert math.isfinite(found.value.item())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(4, 2)}, "climb: x: does not fit"),
        ({"x": torch.zeros(4, dtype=F64)}, "climb: x: does not fit"),
        ({"y": torch.zeros(3, dtype=F64)}, "climb: y: does not fit"),
        ({"known": torch.zeros(4)}, "climb: known: dtype"),
        ({"prior": torch.zeros(4, 3, dtype=F64)}, "climb: prior: does not fit"),
        ({"groups": torch.tensor([0, 2])}, "climb: groups: a group is none"),
        ({"groups": torch.tensor([0, -1])}, "climb: groups: a group is none"),
        ({"groups": torch.tensor([0])}, "climb: groups: do not fit"),
        ({"groups": torch.tensor([0, 1], dtype=torch.int32)}, "climb: groups: do not fit"),
        ({"x": torch.zeros(4, 3, dtype=F64)}, "climb: start: not a lengthscale for each column"),
    ],
)
def test_wrong_shapes_are_refused(points, change, message):
    model, _ = model_of(*observations(points, 4, 2))
    with pytest.raises(ShapeError, match=message):
        climb(replace(model, **change), points(1, 4), *box(2), stop=TIGHT)


def test_wrong_starts_kernels_and_places_are_refused(points, monkeypatch):
    model, _ = model_of(*observations(points, 4, 2))
    with pytest.raises(ShapeError, match="climb: start: does not fit"):
        climb(model, points(4), *box(2), stop=TIGHT)
    with pytest.raises(ShapeError, match="climb: lower: does not fit"):
        climb(model, points(1, 4), *box(3), stop=TIGHT)
    for kernel in ("rational_quadratic", "cubic"):
        with pytest.raises(ValueError, match="climb: kernel: not one that can be fitted"):
            climb(replace(model, kernel=kernel), points(1, 4), *box(2), stop=TIGHT)
    monkeypatch.setenv(library.REFERENCE, "1")
    library._on.cache_clear()
    with pytest.raises(DeviceError, match="climb: no compiled code"):
        climb(model, points(1, 4), *box(2), stop=TIGHT)
