"""The suite's peers: what they propose is allowed, whatever the space, and failures are borne."""

from __future__ import annotations

import numpy as np
import pytest

import gpbo
from benchmarks.ask.worker import Worker
from benchmarks.suite import study
from benchmarks.suite.peers.base import Cube, Worst, is_number, value_of
from benchmarks.suite.peers.lineup import PEERS
from benchmarks.suite.plan import Run

MIXED = gpbo.Space(
    {
        "x": gpbo.Float(-1.0, 3.0),
        "lr": gpbo.Float(1e-5, 1.0, log=True),
        "drop": gpbo.Float(0.0, 0.5, step=0.05),
        "n": gpbo.Int(2, 9),
        "width": gpbo.Int(4, 512, log=True),
        "even": gpbo.Int(2, 20, step=2),
        "batch": gpbo.Ordinal([16, 32, 64]),
        "act": gpbo.Categorical(["relu", "tanh", None]),
        "bias": gpbo.Bool(),
    }
)
NESTED = gpbo.Space(
    {
        "x": gpbo.Float(0.0, 1.0),
        "opt": gpbo.Choice(
            {
                "sgd": {"m": gpbo.Float(0.0, 0.9), "nesterov": gpbo.Bool()},
                "adam": {"m": gpbo.Int(1, 5), "head": gpbo.Choice({"a": None, "b": {"k": [1, 2]}})},
                "none": None,
            }
        ),
    }
)
PLAIN = gpbo.Space({"x": gpbo.Float(0.0, 1.0), "y": gpbo.Float(1e-3, 1.0, log=True)})
SPACES = {"plain": PLAIN, "mixed": MIXED, "nested": NESTED}


def explore(peer: str, space: str, trials: int, seed: int) -> tuple[str | None, list[str]]:
    """What a peer asks, with a failure now and then; why it cannot, if so."""
    kind, where = PEERS[peer], SPACES[space]
    reason = kind.cannot(where)
    if reason is not None:
        return reason, []
    kind.load()
    one, seen = kind(where, seed), []
    for k in range(trials):
        params = one.ask()
        assert params is not None
        assert where.check(params) == params
        assert [type(v) for v in where.check(params).values()] == [type(v) for v in params.values()]
        seen.append(repr(params))
        value = None if k % 5 == 1 else float(where.to_row(params)[0]) ** 2 + k / 100
        one.tell(params, value)
    return None, seen


@pytest.fixture(scope="module")
def worker() -> Worker:
    """A process in which the peers' libraries are loaded."""
    made = Worker()
    yield made
    made.close()


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("peer", [name for name in PEERS if name not in ("hebo", "ax")])
def test_a_peer_proposes_what_the_space_allows(worker: Worker, peer: str, space: str) -> None:
    if PEERS[peer].version() is None:
        pytest.skip(f"{PEERS[peer].package} is not installed")
    reason, seen = worker.call(explore, peer, space, 13, 0, limit=300)
    assert reason or len(seen) == 13
    if reason is None and peer != "grid":
        assert len(set(seen)) > 6


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("peer", ["hebo", "ax"])
def test_a_slow_peer_proposes_what_the_space_allows(worker: Worker, peer: str, space: str) -> None:
    if PEERS[peer].version() is None:
        pytest.skip(f"{PEERS[peer].package} is not installed")
    reason, seen = worker.call(explore, peer, space, 7, 0, limit=900)
    assert reason or len(seen) == 7


@pytest.mark.parametrize(
    "peer",
    ["random", "gpbo", "gpbo-trust-region", "optuna-tpe", "hyperopt", "cma", "smac", "turbo"],
)
def test_the_same_seed_gives_the_same_study(worker: Worker, peer: str) -> None:
    if PEERS[peer].version() is None:
        pytest.skip(f"{PEERS[peer].package} is not installed")
    first, again, other = (worker.call(explore, peer, "plain", 8, s, limit=300) for s in (3, 3, 4))
    assert first == again
    assert first != other


def test_what_a_peer_cannot_do_is_said() -> None:
    said = {
        (peer, space): PEERS[peer].cannot(where)
        for peer in PEERS
        for space, where in SPACES.items()
    }
    assert said["gpbo-trust-region", "nested"] is None
    for peer in ("gpbo", "random", "optuna-tpe", "optuna-gp", "hyperopt", "smac"):
        assert said[peer, "nested"] is None
    for peer in ("botorch", "skopt", "hebo", "ax", "cma"):
        assert said[peer, "nested"] == "no conditional parameters"
        assert (said[peer, "mixed"] is None) == (peer != "cma")
    assert said["grid", "plain"] == "x has no end of values"
    assert not any(said[peer, "plain"] for peer in PEERS if peer != "grid")


def test_a_cube_finds_the_params_of_a_point_again() -> None:
    cube = Cube(MIXED)
    assert cube.d == 7 + 3 + 2
    for seed in range(20):
        params = MIXED.sample(np.random.default_rng(seed))
        assert cube.params(cube.point(params)) == params


def test_the_largest_column_of_a_category_wins() -> None:
    cube = Cube(gpbo.Space({"c": ["a", "b", "c"], "x": gpbo.Float(0, 1)}))
    assert cube.params(np.array([0.2, 0.9, 0.4, 0.25])) == {"c": "b", "x": 0.25}


def test_a_failed_trial_is_as_bad_as_the_worst_so_far() -> None:
    worst = Worst()
    assert [worst.value(v) for v in (None, 2.0, 5.0, None, 1.0, None)] == [0, 2, 5, 5, 1, 5]


def test_numbers_are_handed_over_as_they_are_and_others_by_index() -> None:
    assert [is_number(one) for one in MIXED.values()] == [
        *(True, True, False),
        *(True, True, False),
        *(False, False, False),
    ]
    assert value_of(MIXED["lr"], 2.0) == 1.0
    assert value_of(MIXED["n"], 3.0) == 3
    assert value_of(MIXED["even"], 1) == 4
    assert value_of(MIXED["act"], 2) is None
    assert value_of(MIXED["bias"], 1) is True


def test_a_study_records_what_it_reached_and_what_it_cost() -> None:
    row = study.run(Run("branin-half", "random", 0, "random", 30, 60.0))
    assert row["trials"] == 30
    values = [value for _, value in row["steps"]]
    assert values == sorted(values, reverse=True)
    assert row["failed"]
    assert not {number for number, _ in row["steps"]} & set(row["failed"])
    assert row["seconds"] > 0


def test_a_study_ends_when_its_time_is_over() -> None:
    row = study.run(Run("branin", "random", 0, "random", 30, 0.0))
    assert (row["trials"], row["ended"]) == (0, "0 s were over")


def test_all_peers_have_the_same_noise_in_the_same_trial() -> None:
    row = study.run(Run("branin-d2-noise", "random", 0, "random", 20, 60.0))
    again = study.run(Run("branin-d2-noise", "random", 0, "random", 20, 60.0))
    assert row["steps"] == again["steps"]
    assert row["optimum"] == pytest.approx(0.397887, abs=1e-6)
