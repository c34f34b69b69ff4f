"""Which trials an ask hands out: those left behind, then enqueued ones, then the strategy's."""

from __future__ import annotations

import time

from gpbo.history import Event
from gpbo.journal import Journal
from gpbo.strategy import Proposal, Strategy
from gpbo.trial import Trial
from gpbo.worker import is_gone, this_worker


def hand_out(
    journal: Journal, strategy: Strategy, wanted: int, *, keep: bool, budget: int | None
) -> list[Trial]:
    """Up to `wanted` trials, durable as pending; fewer only where nothing is left.

    The strategy runs without any lock on the storage. Where another process was faster and changed
    what is to be proposed next, its proposal is dropped and made again on the newest history, so
    that no two processes get the same point. `keep` leaves the trials without an owner; a study
    that has `budget` trials gets no new ones.
    """
    numbers: list[int] = []
    while len(numbers) < wanted:
        journal.sync()
        turn = journal.turns
        plan = _plan(journal, strategy, wanted - len(numbers), keep, budget)

        def unless_overtaken(turn: int = turn, plan: list[Event] = plan) -> list[Event]:
            return plan if journal.turns == turn else []

        if not plan:
            break
        numbers += [event["trial"] for event in journal.write(unless_overtaken)]
    return [journal.history.trials[number].copy() for number in numbers]


def _plan(
    journal: Journal, strategy: Strategy, wanted: int, keep: bool, budget: int | None
) -> list[Event]:
    """The events that hand out up to `wanted` trials; the rest is for a later plan."""
    history = journal.history
    worker = None if keep else this_worker()
    orphans = [number for number, owner in history.owners.items() if is_gone(owner)]
    if orphans:
        adopt: Event = {"event": "adopt", "owner": worker, "at": time.time()}
        return [{**adopt, "trial": number} for number in sorted(orphans)[:wanted]]
    if budget is not None:
        wanted = min(wanted, budget - len(history))
    if wanted <= 0:
        return []
    started = time.perf_counter()
    if history.queue:
        proposals = [Proposal(history.queue[0], {"strategy": "enqueued"})]
    elif strategy.exhausted(history):
        return []
    else:
        proposals = strategy.propose(history, wanted, journal.seed)
    seconds = (time.perf_counter() - started) / max(len(proposals), 1)
    return [
        {
            "event": "ask",
            "trial": number,
            "params": proposal.params,
            "provenance": {**proposal.provenance, "seconds": round(seconds, 6)},
            "owner": worker,
            "at": time.time(),
        }
        for number, proposal in enumerate(proposals, len(history))
    ]
