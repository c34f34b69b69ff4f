"""What a store of studies is: a header for each study, and its events in order, for ever.

A header is written once, events are only added. A store knows nothing of trials; gpbo/history.py
makes them from the events. Headers and events are JSON objects (str, int, finite float, bool, None,
list, dict), and floats come back bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

from gpbo.errors import StudyError, did_you_mean, explain, shorten

Event: TypeAlias = dict[str, Any]
Decide: TypeAlias = Callable[[list[Event]], list[Event]]
S = TypeVar("S", bound="Storage")


class Storage(ABC):
    """Studies that any number of threads, and of processes where it is a file, may share."""

    location: str  # what to show a person: a path, or "memory"

    @abstractmethod
    def studies(self) -> list[str]:
        """The names of all studies, the oldest first."""

    @abstractmethod
    def create(self, study: str, header: dict[str, Any]) -> dict[str, Any]:
        """The header that now holds: the existing one if there is one, else this one.

        Of many callers at once, one header wins and all get it. On disk when it returns.

        Raises   StudyError   if the name is empty or not text that can be stored
                 ValueError   if the header holds nan or an infinity
                 TypeError    if the header is not a JSON object
        """

    @abstractmethod
    def header(self, study: str) -> dict[str, Any] | None:
        """The header of a study, None if there is no such study."""

    @abstractmethod
    def read(self, study: str, after: int = 0) -> list[Event]:
        """The events whose number is greater than `after`, in order; the first event is number 1.

        Raises   StudyError           if there is no such study
                 StorageCorruptError  if `after` is beyond the last event, or an event is damaged
        """

    @abstractmethod
    def transact(self, study: str, after: int, decide: Decide) -> list[Event]:
        """The events after `after`: those that were there, then those that `decide` adds to them.

        `decide` gets the former and returns the latter, while no other writer can come between. It
        must be quick, and must not call the store: no model, no code of the user. On disk when
        this returns. What `decide` raises passes through unchanged, and nothing is written.

        Raises   StudyError           if there is no such study
                 StorageCorruptError  if `after` is beyond the last event, or an event is damaged
                 ValueError           if an event holds nan or an infinity
                 TypeError            if an event is not a JSON object
        """

    def close(self) -> None:  # noqa: B027  # a store that holds nothing has nothing to do
        """Let go of files and connections; a second call does nothing."""

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r})"


def check_study(study: object) -> str:
    """A name that a study may have.

    Raises   TypeError   if it is not a str
             StudyError  if it is empty, holds a NUL, or is not valid Unicode
    """
    if not isinstance(study, str):
        raise TypeError(explain("study", "the name is not text", study, expected="a str"))
    if not study:
        raise StudyError(explain("study", "the name is empty", study))
    if "\0" in study or any("\ud800" <= letter <= "\udfff" for letter in study):
        raise StudyError(
            explain("study", "the name holds a character that no file can keep", study)
        )
    return study


def no_such_study(location: str, study: str, known: Iterable[str]) -> StudyError:
    """The error for a study that was never created."""
    return StudyError(
        f"{location}: no study {shorten(study)}. {did_you_mean(study, known)}".rstrip()
    )


def no_reentry(busy: bool) -> None:
    """Refuse a call that comes from inside `decide`.

    Raises   RuntimeError  if busy
    """
    if busy:
        raise RuntimeError("storage: `decide` called the store that is waiting for its answer")
