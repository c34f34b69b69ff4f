"""What was asked of the ops, and what the rows of a run say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.kernels.allocator import KEPT
from benchmarks.kernels.contestant import GPBO, GPYTORCH, ITSELF, MIRRORED, WARM

Row = dict[str, Any]
LIKELIHOOD = {20: 20.0, 100: 10.0, 300: 5.0, 1000: 5.0}


@dataclass(frozen=True)
class Answer:
    """One line: reached is None where nothing was measured."""

    asked: str
    wanted: str
    measured: str
    reached: bool | None


def answers(record: Row) -> list[Row]:
    """All lines for a record of a run, as JSON."""
    rows, checks = record["rows"], record["checks"]
    lines = [*_matrices(rows), *_contraction(rows), _memory(checks), *_likelihood(rows)]
    lines += [*_bits(checks), *_on_gpu(rows, checks)]
    return [asdict(line) for line in lines]


def select(rows: Sequence[Row], contestant: str, **fields: Any) -> list[Row]:
    """Rows with times of one contestant, in plain float64 of one batch unless said otherwise."""
    wanted = {"b": 1, "dtype": "float64", "allocator": "default", "contestant": contestant}
    wanted |= fields
    return [
        row
        for row in rows
        if row["status"] == "ok" and all(row.get(key) == value for key, value in wanted.items())
    ]


def _line(
    asked: str,
    found: Sequence[tuple[str, float]],
    bar: float,
    *,
    unit: str = "x",
    most: bool = False,
) -> Answer:
    """At least (or at most) `bar`, for every number found."""
    text = f"{'at most' if most else 'at least'} {bar:g}{unit}"
    if not found:
        return Answer(asked, text, "not measured", None)
    measured = ", ".join(f"{value:.3g}{unit} ({where})" for where, value in found)
    reached = all(value <= bar if most else value >= bar for _, value in found)
    return Answer(asked, text, measured, reached)


def _where(row: Row) -> str:
    return f"n={row['n']}"


def _matrices(rows: Sequence[Row]) -> list[Answer]:
    lines = []
    for allocator, memory in (("default", "memory as it comes"), (KEPT, "memory in use")):
        here = {"op": "matrix", "d": 10, "allocator": allocator}
        large = _large(select(rows, GPYTORCH, **here))
        ratios = [(_where(row), row["ratio"]["median"]) for row in large]
        lines.append(_line(f"K(X, X), d=10: times faster than GPyTorch, {memory}", ratios, 10))
        own = [row for row in _large(select(rows, GPBO, **here)) if "over_limit" in row]
        over = [(_where(row), row["over_limit"]["median"]) for row in own]
        asked = f"K(X, X), d=10: time over the slower limit, {memory}"
        lines.append(_line(asked, over, 2, most=True))
    small = [
        (f"n={row['n']}, d={row['d']}", row["ratio"]["median"])
        for row in select(rows, GPYTORCH, op="matrix")
        if 20 <= row["n"] <= 100
    ]
    lines.append(_line("K(X, X), n=20 to 100: times faster than GPyTorch", small, 15))
    return lines


def _large(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if 1000 <= row["n"] <= 5000]


def _contraction(rows: Sequence[Row]) -> list[Answer]:
    here = {"op": "contract", "n": 1000, "d": 20}
    itself = select(rows, ITSELF, **here)
    lines = []
    for name, which in ((MIRRORED, "symmetric weight"), (GPBO, "any weight")):
        found = [
            (which, row["ratio"]["median"] / matrix["ratio"]["median"])
            for row, matrix in zip(select(rows, name, **here), itself, strict=False)
        ]
        asked = f"contraction, n=1000, d=20: time over that of the matrix, {which}"
        lines.append(_line(asked, found, 2.5, most=True))
    return lines


def _memory(checks: Sequence[Row]) -> Answer:
    asked = "contraction: memory beyond its input"
    # The points, blocked and scaled, and partial sums of them: a few times n d numbers, and what
    # a page and an arena of the allocator round up to.
    wanted = "O(n): at most 4 times the points, and 1 MB"
    known = [c for c in checks if c["check"] == "memory" and c["bytes"] is not None]
    if not known:
        return Answer(asked, wanted, "not measured", None)
    parts = [f"{c['bytes'] / 1e6:.2f} MB (n={c['n']}, d={c['d']})" for c in known]
    good = all(c["bytes"] <= 4 * 8 * c["n"] * c["d"] + 2**20 for c in known)
    return Answer(asked, wanted, ", ".join(parts), good)


def _likelihood(rows: Sequence[Row]) -> list[Answer]:
    lines = []
    for n, bar in LIKELIHOOD.items():
        found = select(rows, GPYTORCH, op="likelihood", n=n, d=6)
        ratios = [(_where(row), row["ratio"]["median"]) for row in found]
        asked = f"likelihood and gradient, n={n}: times faster than GPyTorch"
        lines.append(_line(asked, ratios, bar))
    return lines


def _bits(checks: Sequence[Row]) -> list[Answer]:
    lines = []
    for key, asked in (("again", "two calls"), ("threads", "1, 2 and 8 threads")):
        known = [c for c in checks if c["check"] == "bits" and c[key] is not None]
        bad = sorted({check["op"] for check in known if not check[key]})
        measured = f"differ in {', '.join(bad)}" if bad else f"equal in {len(known)} cases"
        found = measured if known else "not measured"
        lines.append(
            Answer(f"{asked} give equal bits", "every op", found, not bad if known else None)
        )
    return lines


def _on_gpu(rows: Sequence[Row], checks: Sequence[Row]) -> list[Answer]:
    share = [
        (f"d={row['d']}", 100 * row["ratio"]["median"])
        for row in select(rows, WARM, op="matrix", n=16384)
    ]
    lines = [_line("GPU: K(X, X), n=16384: share of the write bandwidth", share, 80, unit=" %")]
    count = [
        (f"b={check['b']}, n={check['n']}", float(check["count"]))
        for check in checks
        if check["check"] == "launches"
    ]
    lines.append(_line("GPU: 64 matrices of n=200: launches", count, 1, unit="", most=True))
    products = select(rows, GPBO, op="product", n=1_000_000)
    measured = "".join(f"{row['seconds']['median']:.3g} s" for row in products)
    asked = "GPU: K V for a million points by a hundred thousand, without K"
    lines.append(Answer(asked, "it runs", measured or "not measured", bool(products) or None))
    return lines
