"""Which trials an ask hands out: those left behind, then enqueued ones, then the strategy's."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any

from gpbo.errors import ObservationError, StrategyError, explain
from gpbo.history import RELEASED, Event, History
from gpbo.journal import Journal
from gpbo.storage.record import encode
from gpbo.strategy import Proposal, Strategy
from gpbo.trial import Trial
from gpbo.worker import is_gone

log = logging.getLogger("gpbo")

DEATHS = 5  # of processes that evaluated a trial, after which the trial counts as their cause
PATIENCE = 3  # proposals that are dropped because others were faster
ENQUEUED = "enqueued"  # who proposed what somebody enqueued


def hand_out(
    journal: Journal,
    strategy: Strategy,
    wanted: int,
    *,
    owner: dict[str, Any] | None,
    budget: int | None,
) -> list[Trial]:
    """Up to `wanted` trials, durable as pending; fewer only where nothing is left.

    The strategy runs without any lock on the storage. Where another process was faster and changed
    what is to be proposed next, its proposal is dropped and made again on the newest history. After
    PATIENCE times it is taken all the same, if the point is still new: beside processes that ask
    faster than a model is fitted there would be no end.

    `owner` is who evaluates the trials, as in worker.py; None: nobody that could be known to be
    gone. A study that has `budget` trials gets no new ones. A trial with which DEATHS processes
    ended fails: it may be what kills them, and would come again for ever.
    """
    numbers: list[int] = []
    overtaken = 0
    while len(numbers) < wanted:
        journal.sync()
        turn = journal.history.turns
        plan = _plan(journal, strategy, wanted - len(numbers), owner, budget)
        if not plan:
            break
        late = overtaken >= PATIENCE
        try:
            written = journal.write(partial(_on_newest, plan, turn, late=late, budget=budget))
        except (TypeError, ValueError):
            _check_provenance(plan, strategy)
            raise
        numbers += [event["trial"] for event in written if event["event"] != "fail"]
        overtaken += not written
    return [journal.history.trials[number].copy() for number in numbers]


def _check_provenance(plan: list[Event], strategy: Strategy) -> None:
    """Say so where a plan cannot be written for what the strategy says of its proposals.

    Raises   StrategyError  if that is not JSON
    """
    for event in plan:
        try:
            encode(event.get("provenance", {}), "provenance")
        except (TypeError, ValueError) as error:
            raise StrategyError(f"{strategy.name}: {error}") from error


def _on_newest(
    plan: list[Event], turn: int, history: History, *, late: bool, budget: int | None
) -> list[Event]:
    """What is written of a plan that was made on the history of that turn; of one on an older
    history nothing, or, where it is too late for another, its points that are new.
    """
    if history.turns == turn:  # results change no turn: a trial may have been told meanwhile
        pending = {trial.number for trial in history.pending}
        return [e for e in plan if e["event"] == "ask" or e["trial"] in pending]
    return _still_new(plan, history, budget) if late else []


def _still_new(plan: list[Event], history: History, budget: int | None) -> list[Event]:
    """Those of a strategy's proposals whose points nobody has tried since, with new numbers."""
    points = [
        event
        for event in plan
        if event["event"] == "ask"
        and event["provenance"].get("strategy") != ENQUEUED
        and not history.trials_at(history.space.to_row(event["params"]))
    ]
    room = len(points) if budget is None else max(0, budget - len(history))
    return [{**event, "trial": k} for k, event in enumerate(points[:room], len(history))]


def _plan(
    journal: Journal,
    strategy: Strategy,
    wanted: int,
    owner: dict[str, Any] | None,
    budget: int | None,
) -> list[Event]:
    """The events that hand out up to `wanted` trials; the rest is for a later plan."""
    history = journal.history
    orphans = sorted(number for number, other in history.owners.items() if is_gone(other))
    if orphans:
        return [_left_behind(history, number, owner) for number in orphans[:wanted]]
    if budget is not None:
        wanted = min(wanted, budget - len(history))
    if wanted <= 0:
        return []
    started = time.perf_counter()
    if history.queue:
        waiting = history.queue[:wanted]
        proposals = [Proposal(one.params, {"strategy": ENQUEUED}) for one in waiting]
    elif strategy.exhausted(history):
        return []
    else:
        proposals = _checked(strategy, history, wanted, journal.seed)
    seconds = (time.perf_counter() - started) / max(len(proposals), 1)
    return [
        {
            "event": "ask",
            "trial": number,
            "params": proposal.params,
            "provenance": {**proposal.provenance, "seconds": round(seconds, 6)},
            "owner": owner,
            "at": time.time(),
        }
        for number, proposal in enumerate(proposals, len(history))
    ]


def _left_behind(history: History, number: int, owner: dict[str, Any] | None) -> Event:
    """What becomes of a trial whose owner is gone: it is handed out again, unless that is why."""
    event: Event = {"trial": number, "at": time.time()}
    died = history.deaths.get(number, 0) + (history.owners[number] != RELEASED)
    if died >= DEATHS:
        said = f"{died} processes that evaluated it ended without a word"
        log.warning("trial %d counts as failed: %s", number, said)
        return {**event, "event": "fail", "error": said}
    if died > 1:
        said = "trial %d is handed out again: %d processes that evaluated it ended without a word"
        log.warning(said + "; after %d it counts as failed", number, died, DEATHS)
    return {**event, "event": "adopt", "owner": owner}


def _checked(strategy: Strategy, history: History, wanted: int, seed: int) -> list[Proposal]:
    """The proposals of a strategy, which may be somebody's own: none is kept that does not fit, and
    its values become those of the space, an int where it says Int.

    Raises   StrategyError  if they are too many, or one is no Proposal or not of the space, or says
                            of itself what is no dict
    """
    proposals = strategy.propose(history, wanted, seed)
    if not isinstance(proposals, list) or len(proposals) > wanted:
        rule = f"a list of at most {wanted}"
        raise StrategyError(
            explain(strategy.name, "not what was asked for", proposals, expected=rule)
        )
    checked = []
    for proposal in proposals:
        if not isinstance(proposal, Proposal):
            rule = "gpbo.Proposal(params)"
            raise StrategyError(explain(strategy.name, "no proposal", proposal, expected=rule))
        if not isinstance(proposal.provenance, dict):
            said, rule = proposal.provenance, "a dict in JSON terms"
            raise StrategyError(explain(strategy.name, "no provenance", said, expected=rule))
        try:
            params = history.space.check(proposal.params)
        except (ObservationError, TypeError) as error:
            raise StrategyError(f"{strategy.name}: a proposal does not fit: {error}") from error
        checked.append(Proposal(params, proposal.provenance))
    return checked
