"""A case becomes rows: every answer is compared with gpbo's, then those that agree are raced."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.kernels import lineup
from benchmarks.kernels.cases import Case, Problem
from benchmarks.kernels.contestant import (
    EXP,
    GPBO,
    Contestant,
    NotComparableError,
    TooLargeError,
)
from benchmarks.kernels.limits import exp_of_every_pair, slower
from benchmarks.kernels.race import Rules, clock, race, ratio, spread

# Relative to the largest number of an answer. A matrix product takes digits from distances, which
# is how the peers compute them; in float32 that leaves them four.
TOLERANCE = {"float64": 1e-6, "float32": 1e-3}


@dataclass(frozen=True)
class Settings:
    """What holds for a whole run."""

    device: str = "cpu"
    threads: int = 1
    without: Collection[str] = ()
    allocator: str = "default"
    rules: Rules = field(default_factory=Rules)


def measure(case: Case, settings: Settings) -> list[dict[str, Any]]:
    """One row for each contestant: times and ratios to gpbo, or why there are none."""
    device = torch.device(settings.device)
    problem = Problem(case, device)
    ready: list[Contestant] = []
    rows: list[dict[str, Any]] = []
    truth: tuple[Tensor, ...] = ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the peers; what goes wrong is in the rows
        for name in lineup.names(case.op):
            if name in settings.without:
                continue
            row = {**case.as_dict(), "allocator": settings.allocator, "contestant": name}
            try:
                contestant = lineup.build(name, problem, lineup.memory_cap(device))
                answer = _answer(contestant)
                truth = truth or answer
                row["difference"] = compare(answer, truth, TOLERANCE[case.dtype])
            except Exception as error:  # whatever a peer dies of is a row of the result
                row |= _failure(error)
            else:
                ready.append(contestant)
            rows.append(row)
        del truth
        if not ready or ready[0].name != GPBO:
            return rows
        now = clock(device)
        seconds = race([*ready, *lineup.silent(problem)], now, settings.rules)
        if case.op in lineup.MATRICES:
            exp = exp_of_every_pair(problem, now, settings.rules, settings.threads)
            seconds |= {EXP: exp} if exp else {}
    return _filled(rows, seconds, case, settings)


def compare(answer: Sequence[Tensor], truth: Sequence[Tensor], tolerance: float) -> float:
    """The largest relative difference of two answers.

    Raises   NotComparableError  if it is above the tolerance, or nan, or shapes differ
    """
    if len(answer) != len(truth):
        raise NotComparableError(f"{len(answer)} tensors where gpbo has {len(truth)}")
    worst = 0.0
    for ours, theirs in zip(truth, answer, strict=True):
        if ours.shape != theirs.shape:
            shapes = f"{tuple(theirs.shape)} where gpbo has {tuple(ours.shape)}"
            raise NotComparableError(f"shape {shapes}")
        scale = float(ours.abs().max()) or 1.0
        difference = float((theirs - ours).abs().max()) / scale
        if not difference <= tolerance:
            raise NotComparableError(f"differs from gpbo by {difference:.1e}")
        worst = max(worst, difference)
    return worst


def _answer(contestant: Contestant) -> tuple[Tensor, ...]:
    with contestant.around():
        got = contestant.call()
    return tuple(tensor.detach() for tensor in contestant.answer(got))


def _failure(error: Exception) -> dict[str, str]:
    """Status and reason of a row without times; a path is shortened to its last name."""
    status = "too large" if isinstance(error, TooLargeError) else "failed"
    first = str(error).strip().partition("\n")[0]
    short = re.sub(r"(?:/[\w.+-]+)+/([\w.+-]+)", r"\1", first)[:160]
    return {"status": status, "reason": f"{type(error).__name__}: {short}"}


def _filled(
    rows: list[dict[str, Any]], seconds: dict[str, list[float]], case: Case, settings: Settings
) -> list[dict[str, Any]]:
    """The rows with their times, and further ones for the limits."""
    known = {row["contestant"] for row in rows}
    common = {**case.as_dict(), "allocator": settings.allocator}
    rows += [{**common, "contestant": name} for name in seconds if name not in known]
    slowest = slower(seconds)
    for row in rows:
        times = seconds.get(row["contestant"])
        if times is None:
            continue
        row |= {"status": "ok", "seconds": asdict(spread(times)), "rounds": len(times)}
        if row["contestant"] != EXP:  # it has rounds of its own
            row["ratio"] = asdict(ratio(times, seconds[GPBO]))
        if slowest and row["contestant"] == GPBO:
            row["over_limit"] = asdict(ratio(times, slowest))
    return rows
