"""The race: rounds, ratios within a round, and counts of calls; with a clock that does not tick by
itself."""

from __future__ import annotations

from benchmarks.kernels.contestant import Contestant
from benchmarks.kernels.race import Rules, race, ratio, spread


class Track:
    """A clock that contestants move on, and a list of who ran."""

    def __init__(self) -> None:
        self.time = 0.0
        self.ran: list[str] = []

    def now(self) -> float:
        return self.time

    def contestant(self, name: str, seconds: float) -> Contestant:
        def call() -> None:
            self.time += seconds
            self.ran.append(name)

        return Contestant(name, call)


def test_everybody_takes_a_turn_in_every_round() -> None:
    track = Track()
    rules = Rules(sample=1.0, seconds=100.0, fewest=3, most=4)
    found = race([track.contestant("a", 1.0), track.contestant("b", 3.0)], track.now, rules)
    assert found == {"a": [1.0] * 4, "b": [3.0] * 4}
    assert track.ran[-8:] == ["a", "b", "b", "a"] * 2


def test_a_quick_turn_starts_with_a_call_that_is_not_timed() -> None:
    track = Track()
    rules = Rules(sample=0.25, seconds=0.0, fewest=3, most=3, untimed=0.5)
    found = race([track.contestant("a", 0.25), track.contestant("b", 1.0)], track.now, rules)
    assert found == {"a": [0.25] * 3, "b": [1.0] * 3}
    assert sorted(track.ran) == ["a"] * (1 + 3 * 2) + ["b"] * (1 + 3)


def test_a_quick_call_is_repeated_until_the_sample_is_long_enough() -> None:
    track = Track()
    rules = Rules(sample=1.0, seconds=0.0, fewest=3, most=3)
    found = race([track.contestant("a", 0.125)], track.now, rules)
    assert found == {"a": [0.125] * 3}
    assert len(track.ran) >= 4 * 8


def test_a_slow_race_has_the_fewest_rounds() -> None:
    track = Track()
    rules = Rules(sample=1.0, seconds=4.0, fewest=3, most=15)
    assert len(race([track.contestant("a", 60.0)], track.now, rules)["a"]) == 3


def test_a_ratio_is_taken_within_rounds() -> None:
    # A machine that slows down threefold in one round changes no ratio.
    slow = ratio([2.0, 6.0, 2.0], [1.0, 3.0, 1.0])
    assert (slow.q1, slow.median, slow.q3) == (2.0, 2.0, 2.0)


def test_a_spread_has_the_median_and_the_quartiles() -> None:
    found = spread([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (found.q1, found.median, found.q3) == (2.0, 3.0, 4.0)
    assert spread([7.0]).q3 == 7.0
