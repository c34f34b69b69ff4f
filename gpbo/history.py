"""What has happened so far in a study: its events, folded into trials.

Events are the only record. Each is a JSON object with a name under "event":

    ask       trial, params, at, provenance, owner   a strategy proposed, or the queue gave, a trial
    complete  trial, value, noise, at                a result
    fail      trial, error, at                       the reason why there is none
    amend     trial, value or error, noise, at       a result corrected
    add       trial, params, value or error, noise, at   a result from elsewhere
    enqueue   params, again                          to be asked next; `again`: even if it is known
    adopt     trial, owner, at                       a pending trial handed out again
    release   trial                                  its owner gave it up; the next ask takes it

`owner` is who works on a trial; without one, the trial waits for its tell for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from gpbo.errors import NoResultsError, StorageCorruptError, UnknownTrialError
from gpbo.space import Lattice, Params, Space, Value
from gpbo.trial import State, Trial

Direction: TypeAlias = Literal["minimize", "maximize"]
Event: TypeAlias = dict[str, Any]
Key: TypeAlias = frozenset[tuple[str, type, Value]]

RESULTS = ("complete", "fail")  # the events that a tell writes
RELEASED: dict[str, Any] = {"released": True}  # the owner of a trial that was given up
FIRST_ROWS = 64


class History:
    """The trials of a study in order of number, and the questions that strategies ask of them."""

    def __init__(
        self, space: Space, direction: Direction = "minimize", study: str = "", study_id: str = ""
    ) -> None:
        self.space = space
        self.direction: Direction = direction
        self.study, self.study_id = study, study_id
        self.trials: list[Trial] = []
        self.turns = 0  # how many events changed what is to be proposed next: all but results
        self.queue: list[Waiting] = []  # what was enqueued and not asked yet
        self._waiting: Counter[Key] = Counter()  # how many of them are at a point
        self.owners: dict[int, dict[str, Any]] = {}
        self.deaths: dict[int, int] = {}  # owners of a pending trial that ended without a word
        self._of_state: dict[str, dict[int, None]] = {"pending": {}, "complete": {}, "failed": {}}
        self._points: dict[bytes, list[int]] = {}
        self._rows = np.empty((FIRST_ROWS, len(space.leaves)))
        self._encoded = 0  # how many trials are in the two above: `best` and `tell` need neither
        self._best: Trial | None = None

    def __len__(self) -> int:
        return len(self.trials)

    def apply(self, event: Event) -> None:
        """Take one more event.

        Raises   StorageCorruptError  if it does not follow from what came before
        """
        try:
            getattr(self, f"_on_{event['event']}")(event)
        except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
            raise StorageCorruptError(
                f"study {self.study!r}: an event makes no sense ({error!r}), got {event!r:.200}"
            ) from error
        self.turns += event["event"] not in RESULTS

    # questions -------------------------------------------------------------------------------

    @property
    def pending(self) -> list[Trial]:
        """Trials that were asked and not told."""
        return self._in("pending")

    @property
    def complete(self) -> list[Trial]:
        """Trials with a value, in the order in which they became complete."""
        return self._in("complete")

    @property
    def failed(self) -> list[Trial]:
        """Trials without a value that will never have one, in the order in which they failed."""
        return self._in("failed")

    @property
    def rows(self) -> npt.NDArray[np.float64]:
        """The coordinates of all trials by number, shape (n, leaves), nan where inactive."""
        self._encode()
        return self._rows[: len(self.trials)]

    @property
    def best(self) -> Trial:
        """The complete trial with the best value, the first of equals.

        Raises   NoResultsError  if there is none
        """
        if self._best is None:
            raise NoResultsError(no_results(self.study, self.trials))
        return self._best

    @property
    def sign(self) -> float:
        """What values are multiplied by where larger shall be better: -1 if the user minimizes."""
        return -1.0 if self.direction == "minimize" else 1.0

    def better(self, a: float, b: float) -> bool:
        """Whether value a is strictly better than value b."""
        return a < b if self.direction == "minimize" else a > b

    def trial(self, number: int) -> Trial:
        """The trial of this number.

        Raises   UnknownTrialError  if there is none
        """
        if not 0 <= number < len(self.trials):
            has = f"trials 0 .. {len(self.trials) - 1}" if self.trials else "no trials yet"
            raise UnknownTrialError(f"trial {number} is unknown: study {self.study!r} has {has}")
        return self.trials[number]

    def trials_at(self, row: npt.NDArray[np.float64]) -> list[int]:
        """The numbers of the trials at exactly this point."""
        self._encode()
        return self._points.get(row.tobytes(), [])

    def knows(self, point: Params, given: Collection[str]) -> bool:
        """Whether a point was tried, or one with the same values for `given` names enqueued."""
        # A long range of integers has points that share their coordinates.
        at = self.trials_at(self.space.to_row(point))
        if any(self.trials[number].params == point for number in at):
            return True
        wanted = _key({name: point[name] for name in given})
        if any(wanted <= waiting.key for waiting in self.queue):
            return True
        asked = (t.params for t in self.trials if t.provenance.get("strategy") == "enqueued")
        return any(wanted <= _key(params) for params in asked)

    @property
    def distinct(self) -> int:
        """How many different points were proposed or added."""
        self._encode()
        return len(self._points)

    @cached_property
    def lattice(self) -> Lattice | None:
        """Every point of the space where they are countable, else None."""
        return Lattice.of(self.space)

    def count(self, state: State) -> int:
        """How many trials are in a state."""
        return len(self._of_state.get(state, ()))

    def _encode(self) -> None:
        """Bring the rows up to date with the trials."""
        for number in range(self._encoded, len(self.trials)):
            params = self.trials[number].params
            try:
                row = self.space.to_row(params)
            except (KeyError, TypeError, ValueError) as error:
                raise StorageCorruptError(
                    f"study {self.study!r}: the params of trial {number} do not fit the space "
                    f"({error!r}), got {params!r:.200}"
                ) from error
            if number == len(self._rows):
                self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
            self._rows[number] = row
            at = self._points.setdefault(row.tobytes(), [])
            if at[-1:] != [number]:  # as it may be where Ctrl-C came before the next line
                at.append(number)
            self._encoded = number + 1

    def _in(self, state: State) -> list[Trial]:
        return [self.trials[number] for number in self._of_state[state]]

    # events ----------------------------------------------------------------------------------

    def _on_ask(self, event: Event) -> None:
        if event["provenance"].get("strategy") == "enqueued":
            key = _key(event["params"])
            if self._waiting[key]:
                del self.queue[next(k for k, one in enumerate(self.queue) if one.key == key)]
                self._waiting[key] -= 1
        self._append(event, "pending")
        if event.get("owner") is not None:
            self.owners[event["trial"]] = event["owner"]

    def _on_add(self, event: Event) -> None:
        self._append(event, "pending")
        self._finish(event, "failed" if event.get("value") is None else "complete")

    def _on_complete(self, event: Event) -> None:
        self._finish(event, "complete")

    def _on_fail(self, event: Event) -> None:
        self._finish(event, "failed")

    def _on_amend(self, event: Event) -> None:
        old, failed = self.trials[event["trial"]], event.get("value") is None
        kept = {} if failed else {"noise": old.noise}  # unless another one was told
        self._finish({**kept, **event, "at": old.finished}, "failed" if failed else "complete")
        self._best = None
        for trial in self.complete:
            self._keep_best(trial)

    def _on_enqueue(self, event: Event) -> None:
        key = _key(event["params"])
        # An equal one is refused, but for one that shall be asked again; older logs do not say so.
        again = event.get("again", False) or self._waiting[key] > 0
        self.queue.append(Waiting(event["params"], again, key))
        self._waiting[key] += 1

    def _on_adopt(self, event: Event) -> None:
        if self.owners.pop(event["trial"], RELEASED) != RELEASED:
            self.deaths[event["trial"]] = self.deaths.get(event["trial"], 0) + 1
        if event["owner"] is not None:
            self.owners[event["trial"]] = event["owner"]
        trial = self.trials[event["trial"]]
        self.trials[trial.number] = replace(trial, started=event["at"])

    def _on_release(self, event: Event) -> None:
        self.owners[event["trial"]] = RELEASED

    def _append(self, event: Event, state: State) -> None:
        number = event["trial"]
        if number != len(self.trials):
            raise ValueError(f"trial {number} follows trial {len(self.trials) - 1}")
        if self.queue:  # a point that waits and is known now is not asked, unless it shall be again
            key = _key(event["params"])
            if self._waiting[key]:
                self.queue = [one for one in self.queue if one.again or one.key != key]
                self._waiting[key] = sum(one.key == key for one in self.queue)
        self.trials.append(
            Trial(
                number,
                event["params"],
                state,
                started=event["at"],
                provenance=event.get("provenance", {"strategy": "added"}),
                study=self.study,
                study_id=self.study_id,
            )
        )
        self._of_state[state][number] = None

    def _finish(self, event: Event, state: State) -> None:
        number = event["trial"]
        old = self.trials[number]
        trial = replace(
            old,
            state=state,
            value=event.get("value"),
            noise=event.get("noise"),
            error=event.get("error"),
            finished=event["at"],
        )
        self.trials[number] = trial
        if state != old.state:
            self._of_state[old.state].pop(number)
            self._of_state[state][number] = None
        self.owners.pop(number, None)
        self.deaths.pop(number, None)
        self._keep_best(trial)

    def _keep_best(self, trial: Trial) -> None:
        if trial.value is not None:
            best = self._best.value if self._best else None
            if best is None or self.better(trial.value, best):
                self._best = trial


@dataclass(frozen=True)
class Waiting:
    """A point that is to be asked next, even if it is known where it is to be asked `again`."""

    params: Params
    again: bool
    key: Key


def _key(params: Params) -> Key:
    """What equal params have in common, by value and type: to Python 1 and True are equal."""
    return frozenset((name, type(value), value) for name, value in params.items())


def no_results(study: str, trials: list[Trial]) -> str:
    """Why there is no best trial yet."""
    failed = [trial for trial in trials if trial.state == "failed"]
    last = f"; the last reason: {failed[-1].error}" if failed else ""
    return (
        f"study {study!r}: no results yet: 0 complete, {len(failed)} failed, "
        f"{len(trials) - len(failed)} pending{last}"
    )
