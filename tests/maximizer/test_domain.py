"""Points, their levels, conditions and encoding."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gpbo
from gpbo.errors import SpaceError
from gpbo.maximizer import Domain
from gpbo.ops.reference import matern52
from gpbo.space.encode import describe, encode


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape))


def built(space: gpbo.Space) -> Domain:
    """The domain of a space, as the strategies make it."""
    columns = describe(space)
    return Domain.build(
        [column.kind for column in columns],
        [column.levels for column in columns],
        [column.parent for column in columns],
        [column.branch for column in columns],
    )


@st.composite
def domains(draw) -> Domain:
    """Random domains with conditions of any depth, positions not at the centres."""
    kinds, levels, parents, branches = [], [], [], []
    for j in range(draw(st.integers(1, 7))):
        kinds.append(draw(st.sampled_from(["continuous", "levels", "category"])))
        count = draw(st.integers(1, 5))
        spots = draw(
            st.lists(st.integers(0, 40), min_size=count, max_size=count, unique=True).map(sorted)
        )
        levels.append(None if kinds[j] == "continuous" else [s / 40 for s in spots])
        above = [i for i in range(j) if kinds[i] == "category"]
        parent = draw(st.sampled_from([-1, *above]))
        parents.append(parent)
        branches.append(-1 if parent < 0 else draw(st.integers(0, len(levels[parent]) - 1)))
    return Domain.build(kinds, levels, parents, branches)


@settings(max_examples=40, deadline=None)
@given(domains(), st.integers(0, 99))
def test_snap_is_idempotent_and_keys_tell_points_apart(domain, seed):
    z = uniform(60, domain.p, seed=seed)
    snapped = domain.snap(z)
    assert torch.equal(domain.snap(snapped), snapped)
    assert torch.equal(domain.key(z), domain.key(snapped))
    assert torch.equal(domain.active(z), domain.active(snapped))
    same_key = (domain.key(z).unsqueeze(1) == domain.key(z)).all(-1)
    same_point = (snapped.unsqueeze(1) == snapped).all(-1)
    assert torch.equal(same_key, same_point)


@settings(max_examples=40, deadline=None)
@given(domains(), st.integers(0, 99))
def test_inactive_coordinates_do_not_matter(domain, seed):
    z, other = uniform(40, domain.p, seed=seed), uniform(40, domain.p, seed=seed + 1)
    active = domain.active(z)
    for junk in (other, torch.full_like(z, math.nan), torch.full_like(z, 7.0)):
        changed = torch.where(active, z, junk)
        assert torch.equal(domain.snap(changed), domain.snap(z))
        assert torch.equal(domain.key(changed), domain.key(z))
        assert torch.equal(domain.embed(changed), domain.embed(z))
        assert torch.equal(domain.active(changed), active)


@settings(max_examples=40, deadline=None)
@given(domains(), st.integers(0, 99))
def test_the_encoding_suits_a_stationary_kernel(domain, seed):
    z = torch.unique(domain.snap(uniform(30, domain.p, seed=seed)), dim=0)
    x = domain.embed(z)
    assert x.shape == (len(z), domain.d)
    kernel = matern52(x, None, torch.full((domain.d,), 0.7).double())
    assert torch.linalg.eigvalsh(kernel).min() > -1e-10
    apart = ~torch.eye(len(z), dtype=torch.bool)
    one_level = (domain.count[domain.kind == 2] == 1).any()  # a category of one: active or not
    if not one_level:
        assert (torch.cdist(x, x)[apart] > 0).all()


@settings(max_examples=40, deadline=None)
@given(domains())
def test_size_counts_what_enumerate_lists(domain):
    if domain.size is None:
        with pytest.raises(SpaceError, match="continuous coordinates cannot be enumerated"):
            domain.enumerate()
        return
    z = domain.enumerate()
    assert z.shape == (domain.size, domain.p)
    assert len(torch.unique(z, dim=0)) == domain.size
    assert torch.equal(domain.snap(z), z)
    found = torch.unique(domain.snap(uniform(300, domain.p)), dim=0)
    assert {tuple(row) for row in found.tolist()} <= {tuple(row) for row in z.tolist()}


def test_categories_are_0_or_1_apart():
    domain = Domain.build(
        ["category", "category", "levels"],
        [[0.25, 0.75], [0.1, 0.4, 0.6, 0.9], [0.0, 0.3, 1.0]],
        [-1] * 3,
        [-1] * 3,
    )
    assert domain.groups.tolist() == [0, 1, 1, 1, 1, 2]
    z = domain.enumerate()
    x = domain.embed(z)
    squared = torch.cdist(x, x).square()
    expected = (z[:, None, :2] != z[None, :, :2]).sum(-1) + (z[:, None, 2] - z[None, :, 2]).square()
    torch.testing.assert_close(squared, expected, rtol=0, atol=1e-12)


def test_conditions_hold_to_any_depth(nested):
    z = torch.tensor(
        [
            [0.3, 0.1, 0.2, 0.9, 0.2, 0.2, 0.9],
            [0.3, 0.5, 0.2, 0.9, 0.2, 0.2, 0.9],
            [0.3, 0.5, 0.2, 0.1, 0.2, 0.2, 0.9],
            [0.3, 0.9, 0.2, 0.9, 0.2, 0.2, 0.1],
        ],
        dtype=torch.float64,
    )
    expected = [[1, 1, 1, 0, 0, 0, 1], [1, 1, 0, 1, 1, 0, 1], [1, 1, 0, 1, 0, 0, 1]]
    expected.append([1, 1, 0, 0, 0, 1, 1])
    assert nested.active(z).int().tolist() == expected
    snapped = nested.snap(z)
    assert snapped[1].tolist() == pytest.approx([0.3, 0.5, 0.5, 0.75, 0.2, 0.5, 0.75], abs=1e-12)
    assert (snapped[~nested.active(z)] == 0.5).all()
    assert torch.equal(nested.active(z.view(2, 2, 7)), nested.active(z).view(2, 2, 7))
    assert nested.embed(z.view(2, 2, 7)).shape == (2, 2, nested.d)


def test_the_user_towers_rows_are_proper_points():
    space = gpbo.Space(
        {
            "lr": gpbo.Float(1e-5, 1e-1, log=True),
            "dropout": gpbo.Float(0.0, 0.5, step=0.05),
            "width": gpbo.Int(16, 1024, log=True),
            "act": gpbo.Categorical(["relu", "tanh", None]),
            "opt": gpbo.Choice(
                {
                    "sgd": {"momentum": gpbo.Float(0.0, 0.99), "nesterov": gpbo.Bool()},
                    "adam": {"kind": gpbo.Choice({"a": {"eps": gpbo.Float(0.1, 1)}, "b": None})},
                }
            ),
        }
    )
    domain = built(space)
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(encode(space, [space.sample(rng) for _ in range(50)]))
    active = domain.active(rows)
    assert torch.equal(active, ~rows.isnan())
    assert torch.equal(domain.snap(rows)[active], rows[active])
    anywhere = domain.snap(uniform(50, domain.p))
    back = torch.from_numpy(encode(space, [space.from_row(row) for row in anywhere.numpy()]))
    assert torch.equal(back[~back.isnan()], anywhere[~back.isnan()])


def test_continuous_coordinates_live_on_the_lattice(cube):
    z = cube(3).snap(torch.tensor([[0.1, -0.2, 1.7], [0.1 + 1e-13, -0.0, 1.0]]).double())
    assert torch.equal(z[0], z[1])
    assert (z[0, 0] * 2**40).item().is_integer()
    assert z[0, 1:].tolist() == [0.0, 1.0]


def test_the_encoding_is_differentiable_where_coordinates_are_continuous(nested):
    z = nested.snap(uniform(6, 7)).requires_grad_()
    (slope,) = torch.autograd.grad(nested.embed(z).sum(), z)
    moves = nested.active(z) & (nested.kind != 2)
    assert torch.equal(slope, moves.double())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], [], []), "lengths differ or are 0"),
        ((["continuous"], [None], [-1, -1], [-1]), "lengths differ or are 0"),
        ((["float"], [None], [-1], [-1]), r"Domain coordinate 0: unknown kind, got 'float'"),
        ((["levels"], [None], [-1], [-1]), "wrong levels for a levels one"),
        ((["continuous"], [[0.5]], [-1], [-1]), "wrong levels for a continuous one"),
        ((["levels"], [[0.5, 0.2]], [-1], [-1]), "bad levels.*ascending positions"),
        ((["levels"], [[]], [-1], [-1]), "bad levels"),
        ((["category"], [[0.5, 1.2]], [-1], [-1]), "bad levels"),
        ((["category"], [[0.5]], [0], [0]), "bad parent, got 0; expected an earlier coordinate"),
        ((["levels", "continuous"], [[0.5], None], [-1, 0], [-1, 0]), "bad parent"),
        ((["category", "continuous"], [[0.5], None], [-1, 0], [-1, 1]), "no such level, got 1"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        Domain.build(*arguments)


def test_the_spacing_is_the_mean_step_of_what_is_ordered():
    space = gpbo.Space(
        {
            "x": gpbo.Float(0, 1),
            "n": gpbo.Int(1, 5),
            "rate": gpbo.Ordinal([1, 10, 11]),
            "one": gpbo.Ordinal([1]),
            "kind": gpbo.Categorical(["a", "b", "c"]),
        }
    )
    columns, domain = describe(space), built(space)
    levels = [np.array(column.levels) for column in columns[1:3]]
    steps = [np.diff(table).mean() for table in levels]
    assert domain.spacing.tolist() == pytest.approx([0.0, *steps, 0.0, 0.0])
    assert steps[0] == pytest.approx(0.2)
