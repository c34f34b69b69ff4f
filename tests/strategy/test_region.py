"""A trust region's length follows TuRBO's rules, whatever the order in which results come."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpbo
from gpbo.history import Direction, History
from gpbo.strategy.region import FIRST, SHORTEST, Region, region_of, run_at, since


class Turbo:
    """The rules as the paper states them, for batches of one size; written from its section 2."""

    def __init__(self, d: int, q: int, best: float) -> None:
        self.tolerance = math.ceil(max(4 / q, d / q))
        self.length, self.best, self.good, self.bad = 0.8, best, 0, 0

    def tell(self, values: list[float]) -> bool:
        """Take a batch; whether the run is over."""
        if min(values) < self.best - 1e-3 * abs(self.best):
            self.good, self.bad = self.good + 1, 0
        else:
            self.good, self.bad = 0, self.bad + 1
        if self.good == 3:
            self.length, self.good = min(2 * self.length, 1.6), 0
        elif self.bad == self.tolerance:
            self.length, self.bad = self.length / 2, 0
        self.best = min(self.best, *values)
        return self.length < 2.0**-7


class Log:
    """A history that is written trial by trial, as asks and tells would write it."""

    def __init__(self, d: int = 2, direction: Direction = "minimize") -> None:
        space = gpbo.Space({f"x{k}": gpbo.Float(0, 1) for k in range(d)})
        self.history = History(space, direction)
        self.d, self.sign = d, 1.0 if direction == "minimize" else -1.0

    def ask(self, phase: str = "model", q: int = 1, region: Region | None = None) -> list[int]:
        """q new trials as the strategy proposes them."""
        region = region or region_of(self.history)
        first, numbers = len(self.history), []
        about: dict[str, Any] = {"strategy": "trust_region", "phase": phase, "region": region.began}
        if phase == "model":
            about |= {"batch": first, "length": region.length}
        for _ in range(q):
            numbers.append(len(self.history))
            params = {f"x{k}": numbers[-1] / 1e4 for k in range(self.d)}
            self.write("ask", numbers[-1], params=params, provenance=about)
        return numbers

    def tell(self, number: int, loss: float | None) -> None:
        if loss is None:
            self.write("fail", number, error="no")
        else:
            self.write("complete", number, value=self.sign * loss, noise=None)

    def write(self, event: str, trial: int, **more: Any) -> None:
        self.history.apply({"event": event, "trial": trial, "at": 0.0, **more})

    @property
    def region(self) -> Region:
        return region_of(self.history)


def begun(losses: list[float], **options: Any) -> Log:
    """A run whose start design gave these losses."""
    log = Log(**options)
    for number, loss in zip(log.ask("start", len(losses)), losses, strict=True):
        log.tell(number, loss)
    return log


steps = st.lists(st.floats(0.0, 1.2), min_size=1, max_size=120)


@given(factors=steps, d=st.integers(1, 9), q=st.integers(1, 12), seed=st.integers(0, 99))
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_length_is_that_of_turbo(
    direction: Direction, factors: list[float], d: int, q: int, seed: int
) -> None:
    """Values are far above 0 at the start: then the paper's margin is the smaller one."""
    log, turbo = begun([100.0, 900.0, 2500.0], d=d, direction=direction), Turbo(d, q, 100.0)
    rng = random.Random(seed)
    for factor in factors:
        values = [turbo.best * factor * rng.uniform(1.0, 2.0) for _ in range(q)]
        for number, value in zip(log.ask(q=q), values, strict=True):
            log.tell(number, value)
        over = turbo.tell(values)
        region = log.region
        if over:
            assert region == Region(len(log.history), max(4, d))
            break
        assert (region.length, region.successes) == (turbo.length, turbo.good)
        assert region.failures == turbo.bad * q
        assert region.best == turbo.best


@given(outcomes=st.lists(st.none() | st.floats(-5, 5), min_size=1, max_size=40), data=st.data())
def test_the_order_of_tells_does_not_matter(
    outcomes: list[float | None], data: st.DataObject
) -> None:
    logs = []
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=len(outcomes), max_size=len(outcomes)))
    for shuffled in (False, True):
        log = begun([3.0, 4.0])
        asked: list[int] = []
        while len(asked) < len(outcomes):
            region = Region(0, 4, length=log.region.length) if shuffled else None
            asked += log.ask(q=sizes[len(asked)], region=region)
        told = list(zip(asked, outcomes, strict=False))
        if shuffled:
            random.Random(data.draw(st.integers(0, 9))).shuffle(told)
        for number, loss in told:
            log.tell(number, loss)
        logs.append(log)
    assert logs[0].region == logs[1].region


def test_three_better_batches_in_a_row_double_and_one_worse_begins_again() -> None:
    log = begun([100.0])
    for loss, length in ((50, 0.8), (40, 0.8), (45, 0.8), (30, 0.8), (20, 0.8), (10, 1.6)):
        log.tell(log.ask()[0], loss)
        assert log.region.length == length
    for _ in range(6):
        log.tell(log.ask()[0], log.region.best / 2)  # type: ignore[operator]
    assert log.region.length == 1.6


def test_failed_trials_are_failures_and_a_batch_halves_once() -> None:
    log = begun([1.0])
    for number in log.ask(q=50):
        log.tell(number, None)
    assert log.region.length == 0.4
    for _ in range(4):
        log.tell(log.ask()[0], None)
    assert log.region.length == 0.2


def test_trials_proposed_at_another_length_do_not_count() -> None:
    """Fifty single asks before the first tell know as little as a batch of fifty."""
    log = begun([1.0])
    numbers = [log.ask()[0] for _ in range(50)]
    for number in numbers:
        log.tell(number, 2.0)
    assert log.region.length == 0.4
    assert log.region.failures == 0
    late = log.ask()
    log.tell(late[0], 2.0)
    assert log.region.failures == 1


def test_a_pending_batch_counts_with_what_was_told_of_it() -> None:
    log = begun([1.0])
    numbers = log.ask(q=6)
    assert log.region.failures == 0
    for number in numbers[:3]:
        log.tell(number, 2.0)
    assert log.region.failures == 3
    log.tell(numbers[3], 0.5)
    assert (log.region.failures, log.region.successes) == (0, 1)


def test_below_the_shortest_length_a_new_run_begins_and_forgets_the_old_one() -> None:
    log = begun([1.0, 2.0])
    lengths = []
    while log.region.began == 0:
        lengths.append(log.region.length)
        log.tell(log.ask()[0], 5.0)
    assert sorted(set(lengths), reverse=True) == [FIRST / 2**k for k in range(7)]
    assert min(lengths) >= SHORTEST > min(lengths) / 2
    began = len(log.history)
    assert log.region == Region(began, 4)
    late = log.ask("start", 3)
    assert run_at(log.history, 0) == (0, began)
    assert run_at(log.history, began - 1) == (0, began)
    assert run_at(log.history, late[-1]) == (began, began + 3)
    log.tell(late[0], 10.0)  # worse than all before, and the best of its run
    assert (log.region.began, log.region.best) == (began, 10.0)


def test_a_success_that_is_told_late_belongs_to_its_own_run() -> None:
    log = begun([1.0])
    straggler = log.ask()[0]
    while log.region.began == 0:
        log.tell(log.ask()[0], 5.0)
    log.tell(log.ask("start")[0], 3.0)
    before = log.region
    log.tell(straggler, 0.0)
    assert log.region == before


@pytest.mark.parametrize("offset", [1e6, -1e6])
def test_a_success_is_measured_by_the_gain_where_values_are_far_from_zero(offset: float) -> None:
    log = begun([offset + loss for loss in (10.0, 20.0, 30.0)])
    log.tell(log.ask()[0], offset + 9.0)
    assert log.region.successes == 1
    log.tell(log.ask()[0], offset + 8.995)  # a thousandth of the gain of 11 is more
    assert (log.region.successes, log.region.failures) == (0, 1)


def test_points_from_elsewhere_move_the_best_and_count_as_nothing_else() -> None:
    log = begun([5.0])
    log.tell(log.ask()[0], 4.0)
    log.write("add", 2, params={"x0": 0.9, "x1": 0.9}, value=1.0, noise=None)
    assert log.region == Region(0, 4, successes=1, best=1.0, level=5.0)
    log.tell(log.ask()[0], 2.0)
    assert log.region.failures == 1


def test_a_corrected_value_changes_the_state() -> None:
    log = begun([5.0])
    for loss in (4.0, 3.0):
        log.tell(log.ask()[0], loss)
    log.write("amend", 1, value=6.0, noise=None)
    assert (log.region.successes, log.region.failures) == (1, 0)


def test_a_part_of_a_history_is_a_history(rich_space: gpbo.Space) -> None:
    opt = gpbo.Optimizer(rich_space, strategy="random", seed=0)
    for trial in reversed(opt.ask(12)):
        if trial.number % 3 == 0:
            opt.tell(trial, failed=True, error="because")
        elif trial.number % 3 == 1:
            opt.tell(trial, float(trial.number), noise=0.5)
    whole = opt._journal.history
    part = since(whole, 4, 10)
    assert since(whole, 0) is whole
    for state in ("complete", "failed", "pending"):
        kept = [t for t in getattr(whole, state) if 4 <= t.number < 10]
        assert [
            (t.number + 4, t.params, t.value, t.noise, t.error) for t in getattr(part, state)
        ] == [(t.number, t.params, t.value, t.noise, t.error) for t in kept]
    assert part.rows.tobytes() == whole.rows[4:10].tobytes()
    assert part.best.number == 0
