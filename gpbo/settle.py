"""What a call of the user writes, decided on the newest history.

Each gives the events to write, for `Journal.write`: none where there is nothing to say. What an ask
writes is in dispatch.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpbo.errors import TrialStateError
from gpbo.history import Event, History
from gpbo.seeding import generator


def told(history: History, event: Event) -> list[Event]:
    """What became of a pending trial, as a "complete" or "fail" event; none if it is known.

    Raises   UnknownTrialError  if the study has no such trial
             TrialStateError    if something else was told before
    """
    number = event["trial"]
    old = history.trial(number)
    if old.state == "pending":
        return [event]
    same_noise = "noise" not in event or event["noise"] == old.noise
    if old.value == event.get("value") and same_noise:  # failed again, whyever, is the same too
        return []
    was = f"complete with {old.value!r}" if old.state == "complete" else old.state
    raise TrialStateError(f"trial {number} is {was}; to correct it use opt.amend({number}, ...)")


def amended(history: History, event: Event) -> list[Event]:
    """What became of a trial after all, as an "amend" event.

    Raises   UnknownTrialError, TrialStateError  if it is pending
    """
    number = event["trial"]
    if history.trial(number).state == "pending":
        raise TrialStateError(f"trial {number} is pending: tell it first")
    return [event]


def released(history: History, number: int) -> list[Event]:
    """That a pending trial is given up.

    Raises   UnknownTrialError, TrialStateError  if it is not pending
    """
    state = history.trial(number).state
    if state != "pending":
        raise TrialStateError(f"trial {number} is {state}, not pending")
    return [_release(number)]


def all_released(history: History, owner: Mapping[str, Any] | None) -> list[Event]:
    """That all that this owner evaluates is given up."""
    return [_release(number) for number, other in history.owners.items() if other == owner]


def enqueued(
    history: History, params: Mapping[str, Any], seed: int, *, clip: bool, again: bool
) -> list[Event]:
    """That a point is to be asked next; none if it is known or waits already and not `again`.

    Names that `params` lacks are sampled.

    Raises   ObservationError, TypeError  if a name is unknown or a value not allowed
    """
    rng = generator(seed, "enqueue", len(history) + len(history.queue))
    point = history.space.check(params, clip=clip, fill=rng)
    if not again and history.knows(point, given=params):
        return []
    return [{"event": "enqueue", "params": point, **({"again": True} if again else {})}]


def added(history: History, rows: list[Event]) -> list[Event]:
    """Results from elsewhere, as "add" events, with the numbers that follow."""
    return [{**row, "trial": number} for number, row in enumerate(rows, len(history))]


def _release(number: int) -> Event:
    return {"event": "release", "trial": number}
