"""What the calls of a user write, decided on a history alone."""

from __future__ import annotations

import pytest

import gpbo
from gpbo import settle
from gpbo.errors import TrialStateError, UnknownTrialError
from gpbo.history import Event, History

ASK: Event = {"event": "ask", "trial": 0, "params": {"x": 0.5}, "provenance": {}, "at": 0.0}
TOLD: Event = {"event": "complete", "trial": 0, "value": 1.0, "at": 1.0}


def history(*events: Event) -> History:
    made = History(gpbo.Space({"x": gpbo.Float(0, 1)}))
    for event in events:
        made.apply(event)
    return made


def test_a_result_is_written_once() -> None:
    assert settle.told(history(ASK), TOLD) == [TOLD]
    assert settle.told(history(ASK, TOLD), {**TOLD, "at": 2.0}) == []
    with pytest.raises(TrialStateError, match="trial 0 is complete with 1"):
        settle.told(history(ASK, TOLD), {**TOLD, "value": 2.0})
    with pytest.raises(UnknownTrialError):
        settle.told(history(), TOLD)


def test_only_what_was_told_is_amended_and_only_what_is_pending_released() -> None:
    amend = {**TOLD, "event": "amend", "value": 2.0}
    assert settle.amended(history(ASK, TOLD), amend) == [amend]
    with pytest.raises(TrialStateError, match="tell it first"):
        settle.amended(history(ASK), amend)
    assert settle.released(history(ASK), 0) == [{"event": "release", "trial": 0}]
    with pytest.raises(TrialStateError, match="trial 0 is complete, not pending"):
        settle.released(history(ASK, TOLD), 0)


def test_what_an_owner_evaluates_is_released_and_nothing_else() -> None:
    ours, theirs = {"host": "a"}, {"host": "b"}
    asked = [{**ASK, "trial": k, "owner": owner} for k, owner in enumerate([ours, theirs, ours])]
    assert [e["trial"] for e in settle.all_released(history(*asked), ours)] == [0, 2]
    assert settle.all_released(history(*asked), None) == []


def test_a_known_point_is_enqueued_only_to_be_asked_again() -> None:
    known, how = history(ASK, TOLD), {"clip": False}
    assert settle.enqueued(known, {"x": 0.5}, 0, again=False, **how) == []
    again = settle.enqueued(known, {"x": 0.5}, 0, again=True, **how)
    assert again == [{"event": "enqueue", "params": {"x": 0.5}, "again": True}]
    assert settle.enqueued(known, {}, 0, again=False, **how) == settle.enqueued(
        known, {}, 0, again=False, **how
    )


def test_results_from_elsewhere_follow_the_trials_there_are() -> None:
    row = {"event": "add", "trial": -1, "params": {"x": 0.1}, "value": 0.0, "at": 0.0}
    assert [e["trial"] for e in settle.added(history(ASK), [row, row])] == [1, 2]
