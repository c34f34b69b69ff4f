"""A study's History kept in step with its Storage.

Every change is a list of events that is decided under the storage's write lock, on what all
processes have written so far, made durable, and only then applied.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from gpbo.errors import (
    SchemaVersionError,
    SpaceError,
    StorageCorruptError,
    StorageError,
    StudyError,
    explain,
)
from gpbo.history import Direction, Event, History
from gpbo.seeding import check_seed
from gpbo.space import Space
from gpbo.space.notation import from_dict
from gpbo.storage import Storage
from gpbo.storage.base import check_study

FORMAT = 1  # of the header and the events
DEFAULT = "default"  # the name of a study that was given none
NEW = ("ask", "add")  # the events that make a trial

Decide: TypeAlias = Callable[[History], list[Event]]  # what is to be written

# By file, study id and trial: what became of trials and could not be written yet. It outlives the
# journal that could not write it, so that whoever opens the study next in this process does.
_unwritten: dict[tuple[str, str], dict[int, Event]] = {}


class Journal:
    """The history of one study, read from and written to a storage.

    Raises   StorageCorruptError  if the header makes no sense
             SchemaVersionError   if another version of gpbo wrote it, in a way that this one does
                                  not know
    """

    def __init__(self, storage: Storage, study: str, header: dict[str, Any]) -> None:
        self.storage = storage
        self.study = study
        self.header = header
        if header.get("format", FORMAT) != FORMAT:
            raise SchemaVersionError(
                f"{storage.location}: study {study!r} has format {header['format']!r}, this gpbo "
                f"knows {FORMAT}. Open it with the gpbo that made it"
            )
        try:
            space = from_dict(header["space"])
            self.seed: int = header["seed"]
            self.history = History(space, header["direction"], study, header["id"])
        except (KeyError, TypeError, SpaceError) as error:
            raise StorageCorruptError(
                f"{storage.location}: the header of study {study!r} makes no sense: {error!r}"
            ) from error
        self.resumed = False
        self._seen = 0
        self._torn = False  # whether an event may have been taken in by halves
        self.sync()

    def sync(self) -> None:
        """Take in what other processes wrote, after writing what could not be written before.

        What still cannot be written waits on: who reads shall not fail for it.
        """
        self._mend()
        with suppress(StorageError):
            self._save_kept()
        self._apply(self.storage.read(self.study, self._seen))

    def write(self, decide: Decide, result: Event | None = None) -> list[Event]:
        """Write the events that `decide` gives on the newest history; durable on return.

        `decide` must be quick, and may raise: then nothing is written. The `result` that it writes,
        if any, what became of a pending trial, is kept where the storage fails, and written by the
        next call: of a trial the first.
        """
        self._mend()
        try:
            self._save_kept()
            return self._write(decide)
        except StorageError:
            if result is not None:
                kept = _unwritten.setdefault((self.storage.location, self.history.study_id), {})
                kept.setdefault(result["trial"], result)
            raise

    def _write(self, decide: Decide) -> list[Event]:
        own: list[Event] = []

        def on_newest(new: list[Event]) -> list[Event]:
            self._apply(new)
            own[:] = decide(self.history)
            self._check_numbers(own)
            return own

        before = self._seen
        events = self.storage.transact(self.study, before, on_newest)
        self._apply(events[self._seen - before :])
        return own

    def _check_numbers(self, events: list[Event]) -> None:
        """That new trials follow those there are: what is written cannot be taken back."""
        numbers = [event["trial"] for event in events if event["event"] in NEW]
        first = len(self.history)
        if numbers != list(range(first, first + len(numbers))):
            wrong = f"{self.storage.location}: trials {numbers[:3]} would follow trial {first - 1}"
            raise StudyError(f"{wrong}; nothing was written")

    def _save_kept(self) -> None:
        """Write the results that could not be written before, unless somebody told them since."""
        all_kept = _unwritten.get((self.storage.location, self.history.study_id))
        if all_kept:
            kept = dict(all_kept)  # another thread's journal may keep more meanwhile
            self._write(lambda history: [e for e in kept.values() if _awaits(history, e)])
            for number in kept:
                all_kept.pop(number, None)

    def _apply(self, events: list[Event]) -> None:
        self._torn = True
        for event in events:
            self.history.apply(event)
            self._seen += 1
        self._torn = False

    def _mend(self) -> None:
        """Begin the history anew where Ctrl-C, or an error, fell into taking in an event."""
        if self._torn:
            history = self.history
            self.history = History(
                history.space, history.direction, history.study, history.study_id
            )
            self._seen = 0
            self._torn = False
            self._apply(self.storage.read(self.study))


def open_journal(
    storage: Storage,
    study: str,
    space: Space,
    *,
    direction: Direction,
    seed: int | None,
    strategy: str,
    resume: bool,
    made_with: str | None = None,
) -> Journal:
    """The journal of a new study, or of an existing one with an equal space, which is resumed.

    `made_with` is the Strategy object, as text, where one was given.

    Raises   StudyError  if the existing study has another space, direction or seed, or exists
                         at all where `resume` is False
    """
    fresh = {
        "format": FORMAT,
        "id": uuid.uuid4().hex,
        "space": space.to_dict(),
        "direction": direction,
        "seed": check_seed(seed),
        "strategy": strategy,
        "created": time.time(),
        **({} if made_with is None else {"made_with": made_with}),
    }
    header = storage.create(study, fresh)
    if header.get("id") == fresh["id"]:
        return Journal(storage, study, header)
    where = f"study {study!r} in {storage.location}"
    if not resume:
        raise StudyError(f"{where}: exists already; pass resume=True or another name")
    _check_equal(where, header, fresh, seed is not None)
    journal = Journal(storage, study, header)
    journal.resumed = True
    return journal


def find_study(storage: Storage, study: str | None, how: str = "study= and one of them") -> str:
    """The study that is named, else "default", else the only one there is.

    Raises   StudyError  if it could be one of several; `how` says how to name one
    """
    if study is not None:
        return check_study(study)
    studies = storage.studies()
    if DEFAULT in studies or not studies:
        return DEFAULT
    if len(studies) > 1:
        wrong = f"it holds {len(studies)} studies"
        raise StudyError(explain(storage.location, wrong, studies, expected=how))
    return studies[0]


def load_journal(storage: Storage, study: str) -> Journal:
    """The journal of a study that exists.

    Raises   StudyError  if it does not
    """
    header = storage.header(study)
    if header is None:
        known = storage.studies()
        raise StudyError(
            explain(storage.location, "no such study", study, expected=f"one of {known}")
        )
    return Journal(storage, study, header)


def _awaits(history: History, result: Event) -> bool:
    """Whether the trial of a result is there and pending."""
    number = result["trial"]
    return 0 <= number < len(history) and history.trials[number].state == "pending"


def _check_equal(
    where: str, header: dict[str, Any], fresh: dict[str, Any], seed_given: bool
) -> None:
    old, new = header.get("space"), fresh["space"]
    if not _same(old, new):  # the order of names may differ, and the stored one holds
        raise StudyError(f"{where}: the space differs: {_difference(old or {}, new)}")
    if header.get("direction") != fresh["direction"]:
        raise StudyError(
            f"{where}: has direction={header.get('direction')!r}, got {fresh['direction']!r}"
        )
    if seed_given and header.get("seed") != fresh["seed"]:
        raise StudyError(
            f"{where}: has seed={header.get('seed')!r}, got {fresh['seed']!r}; leave the seed "
            "out to go on with the study's own"
        )


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What changed between two spaces, name by name."""
    parts = [f"{name!r} is new" for name in new if name not in old]
    parts += [f"{name!r} is gone" for name in old if name not in new]
    parts += [
        f"{name!r} was {old[name]!r} and is {new[name]!r}"
        for name in new
        if name in old and not _same(old[name], new[name])
    ]
    return "; ".join(parts)


def _same(old: Any, new: Any) -> bool:
    """Whether two JSON values are equal in value and type: to Python True, 1 and 1.0 are equal."""
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
