"""What is found again, and what is forgotten."""

from __future__ import annotations

import torch

from gpbo.surrogate.recent import Recent


def test_equal_tensors_and_an_equal_number_find_what_was_made() -> None:
    recent: Recent[object] = Recent(2)
    x = torch.tensor([1.0, 2.0])
    made = recent.get((x,), 0.5, object)
    assert recent.get((x.clone(),), 0.5, object) is made
    assert recent.get((x,), 0.6, object) is not made
    assert recent.get((x + 1,), 0.5, object) is not made
    assert len(recent) == 2


def test_other_shapes_are_other_tensors() -> None:
    recent: Recent[object] = Recent(4)
    x = torch.ones(2, 3)
    made = recent.get((x,), 0.0, object)
    assert recent.get((x[:1],), 0.0, object) is not made
    assert recent.get((x.mT,), 0.0, object) is not made


def test_what_was_asked_for_longest_ago_is_forgotten() -> None:
    recent: Recent[object] = Recent(2)
    a, b, c = (torch.tensor([k]) for k in range(3))
    first = recent.get((a,), 0.0, object)
    second = recent.get((b,), 0.0, object)
    assert recent.get((a,), 0.0, object) is first
    recent.get((c,), 0.0, object)
    assert recent.get((a,), 0.0, object) is first
    assert recent.get((b,), 0.0, object) is not second
    recent.clear()
    assert len(recent) == 0
