"""A case becomes rows: all who answer agree, and who does not says why."""

from __future__ import annotations

import pytest
import torch

from benchmarks.kernels import lineup
from benchmarks.kernels.cases import QUICK, Case, Problem, plan
from benchmarks.kernels.contestant import (
    COMPILED,
    EXP,
    FRESH,
    GPBO,
    HUGE,
    KEOPS,
    NotComparableError,
)
from benchmarks.kernels.limits import exp_of_every_pair, slower
from benchmarks.kernels.measure import Settings, compare, measure
from benchmarks.kernels.race import Rules
from benchmarks.kernels.with_gpbo import by_reference
from gpbo.ops import library

FAST = Settings(rules=Rules(sample=0.0, seconds=0.0, fewest=1, most=1), without=(COMPILED, KEOPS))


@pytest.mark.parametrize("case", QUICK, ids=lambda case: f"{case.op}-{case.n}-{case.b}")
def test_every_contestant_gives_the_answer_of_gpbo(case: Case) -> None:
    rows = measure(case, FAST)
    answered = [row for row in rows if "difference" in row]
    assert {row["contestant"] for row in answered} == {
        name for name in lineup.names(case.op) if name not in (COMPILED, KEOPS)
    }
    assert all(row["status"] == "ok" and row["difference"] <= 1e-6 for row in answered)
    assert rows[0]["contestant"] == GPBO
    assert rows[0]["ratio"]["median"] == 1.0


def test_who_fails_is_a_row_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no compiler in /usr/some/where/cc1plus\nand a long story")

    monkeypatch.setattr("benchmarks.kernels.with_torch.compete", broken)
    rows = measure(Case("matrix", 5, 2), FAST)
    (row,) = (row for row in rows if row["contestant"] == "torch")
    assert row["status"] == "failed"
    assert row["reason"] == "RuntimeError: no compiler in cc1plus"


def test_who_needs_too_much_memory_does_not_start() -> None:
    problem = Problem(Case("matrix", 20000, 10), torch.device("cpu"))
    with pytest.raises(lineup.TooLargeError, match="needs about 19 GB where 4 GB are allowed"):
        lineup.build("GPyTorch", problem, 4e9)


@pytest.mark.parametrize("wrong", [[1.0, 2.1], [1.0, float("nan")], [1.0]])
def test_another_answer_is_not_comparable(wrong: list[float]) -> None:
    with pytest.raises(NotComparableError):
        compare((torch.tensor(wrong),), (torch.tensor([1.0, 2.0]),), 1e-6)


def test_the_limit_is_the_slower_of_writing_and_exp_round_by_round() -> None:
    seconds = {FRESH: [4.0, 9.0, 4.0], HUGE: [5.0, 3.0, 1.0], EXP: [1.0, 2.0, 7.0]}
    assert slower(seconds) == [4.0, 3.0, 2.0]
    assert slower({FRESH: [4.0]}) == [4.0]
    assert slower({}) == []


def test_the_exponentials_of_a_case_are_the_difference_of_two_lengths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 1280 exponentials in one second; half of 64 x 64 pairs are 2048.
    took = {"few": [0.5, 0.5], "many": [1.5, 0.25]}
    monkeypatch.setattr("benchmarks.kernels.limits.race", lambda *_: took)
    problem = Problem(Case("matrix", 64, 2), torch.device("cpu"))
    if library.on(problem.device) is None:
        pytest.skip("the compiled library is not installed")
    found = exp_of_every_pair(problem, lambda: 0.0, FAST.rules, 1)
    assert found == pytest.approx([1.6, 0.0])


def test_the_reference_is_plain_torch_and_only_inside() -> None:
    device = torch.device("cpu")
    before = library.on(device)
    with by_reference():
        assert library.on(device) is None
    assert library.on(device) is before


def test_a_plan_can_be_narrowed_by_size_and_op() -> None:
    chosen = plan(sizes=(1000,), ops=("contract",))
    assert chosen
    assert {(case.op, case.n) for case in chosen} == {("contract", 1000)}


def test_a_gpu_has_more_cases() -> None:
    assert Case("matrix", 200, 10, b=64) in plan("cuda")
    assert set(plan("cpu")) < set(plan("cuda"))
