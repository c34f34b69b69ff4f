"""Rows of coordinates, and what each column is."""

from __future__ import annotations

import numpy as np
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from gpbo.seeding import generator
from gpbo.space import Bool, Choice, Distribution, Float, Int, Ordinal, Space
from gpbo.space.encode import MANY_LEVELS, describe, encode
from tests.space.generated import checked, countable_spaces, spaces


def test_no_params_make_no_rows_of_the_right_width() -> None:
    assert encode(Space({"a": Bool(), "b": Float(0, 1)}), []).shape == (0, 2)


@checked
@given(spaces(), st.integers(0, 2**32))
def test_rows_are_in_the_unit_cube_and_nan_exactly_where_inactive(space: Space, seed: int) -> None:
    rng = generator(seed, "test")
    many = [space.sample(rng) for _ in range(3)]
    rows = encode(space, many)
    assert rows.shape == (3, len(space.leaves))
    assert rows.dtype == np.float64
    columns = describe(space)
    for row in rows:
        for value, column in zip(row, columns, strict=True):
            parent = columns[column.parent] if column.parent >= 0 else None
            if parent is None:
                active = True
            else:
                assert parent.levels is not None
                active = bool(row[column.parent] == parent.levels[column.branch])
            assert active != bool(np.isnan(value))
            assert not active or 0.0 <= value <= 1.0


@checked
@given(countable_spaces(), st.integers(0, 2**32))
def test_levels_are_the_coordinates_that_encode_gives(space: Space, seed: int) -> None:
    columns = describe(space)
    for leaf, column in zip(space.leaves, columns, strict=True):
        assert column.kind == leaf.parameter.kind
        assert (column.parent, column.branch) == (leaf.parent, leaf.branch)
        assert column.levels is not None
        values = [leaf.parameter.value_at(k) for k in range(len(column.levels))]
        assert [leaf.parameter.to_unit(value) for value in values] == list(column.levels)
        assert list(column.levels) == sorted(set(column.levels))
        assert [leaf.parameter.from_unit(u) for u in column.levels] == values
    row = encode(space, [space.sample(generator(seed, "test"))])[0]
    for value, column in zip(row, columns, strict=True):
        assert column.levels is not None
        assert np.isnan(value) or value in column.levels


def test_a_column_knows_its_kind_its_levels_and_its_branch() -> None:
    space = Space(
        {
            "x": Float(0, 1),
            "long": Int(0, MANY_LEVELS),
            "short": Int(1, MANY_LEVELS, log=True),
            "size": Ordinal([16, 32, 64, 128]),
            "opt": Choice({"sgd": {"m": Float(0, 1)}, "adam": {"nesterov": Bool()}}),
            "trees": Distribution(scipy.stats.randint(1, 40)),
            "epochs": 3,
        }
    )
    found = [(c.kind, c.levels and len(c.levels), c.parent, c.branch) for c in describe(space)]
    assert found == [
        ("continuous", None, -1, -1),
        ("continuous", None, -1, -1),
        ("levels", MANY_LEVELS, -1, -1),
        ("levels", 4, -1, -1),
        ("category", 2, -1, -1),
        ("continuous", None, 4, 0),
        ("category", 2, 4, 1),
        ("levels", 39, -1, -1),
    ]
