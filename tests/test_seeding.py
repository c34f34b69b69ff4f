"""Generators are named by (seed, purpose, number) and by nothing else."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from gpbo.seeding import SEED_LIMIT, check_seed, generator


def test_the_same_name_gives_the_same_numbers() -> None:
    first = generator(7, "random", 3).random(5)
    generator(7, "sobol", 3).random(100)
    assert generator(7, "random", 3).random(5).tolist() == first.tolist()


def test_the_numbers_are_the_same_on_every_machine_and_in_every_release() -> None:
    numbers = generator(0, "random", 0).integers(0, 2**32, 4).tolist()
    assert numbers == [988532167, 3829752209, 1408404054, 1887286675]


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.integers(0, SEED_LIMIT - 1), st.text(max_size=10), st.integers(0, 10**9))
def test_another_seed_purpose_or_number_gives_other_numbers(
    seed: int, purpose: str, number: int
) -> None:
    names = [
        (seed, purpose, number),
        ((seed + 1) % SEED_LIMIT, purpose, number),
        (seed, purpose + "x", number),
        (seed, purpose, number + 1),
    ]
    drawn = [generator(*name).integers(0, 2**63) for name in names]
    assert len(set(drawn)) == len(drawn)


def test_neighbouring_streams_are_uncorrelated() -> None:
    streams = [generator(seed, p, k).random(2000) for seed in (0, 1) for p in "ab" for k in (0, 1)]
    for one, other in itertools.combinations(streams, 2):
        assert scipy.stats.pearsonr(one, other).pvalue > 1e-4


def test_the_first_numbers_of_many_trials_are_uniform() -> None:
    first = [generator(0, "random", number).random() for number in range(2000)]
    assert scipy.stats.kstest(first, "uniform").pvalue > 1e-4


def test_global_generators_are_neither_read_nor_touched() -> None:
    before = np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]
    one = generator(1, "a").random()
    np.random.seed(99)
    random.seed(99)
    assert generator(1, "a").random() == one
    np.random.seed(0)
    state = np.random.get_state()[1].tolist()  # type: ignore[index]
    generator(1, "a").random(10)
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index]
    random.setstate(before[1])


@pytest.mark.parametrize("seed", [0, 1, SEED_LIMIT - 1, np.int64(5), np.uint64(2**62)])
def test_a_valid_seed_is_a_plain_int(seed: Any) -> None:
    assert check_seed(seed) == seed
    assert type(check_seed(seed)) is int


def test_no_seed_is_a_new_seed_each_time() -> None:
    drawn = {check_seed(None) for _ in range(10)}
    assert len(drawn) == 10
    assert all(0 <= seed < SEED_LIMIT for seed in drawn)


@pytest.mark.parametrize("seed", [1.5, 1.0, "1", True, [1], np.float64(1), np.bool_(True)])
def test_a_seed_that_is_no_whole_number_is_a_type_error(seed: Any) -> None:
    with pytest.raises(TypeError, match=r"seed: not a whole number, got .*; expected an int"):
        check_seed(seed)


@pytest.mark.parametrize("seed", [-1, SEED_LIMIT, 2**70])
def test_a_seed_out_of_range_is_a_value_error(seed: int) -> None:
    with pytest.raises(ValueError, match=r"seed: out of range, got -?\d+; expected 0 <= seed < 2"):
        check_seed(seed)
