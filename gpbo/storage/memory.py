"""Studies that last as long as the process."""

from __future__ import annotations

import os
import threading
from typing import Any, final

from gpbo.errors import StorageCorruptError, StorageUnavailableError
from gpbo.storage import fork
from gpbo.storage.base import Decide, Event, Storage, check_study, no_reentry, no_such_study
from gpbo.storage.record import decode, encode


@final
class MemoryStorage(Storage):
    """Studies in this process alone, kept as JSON text so that nobody can change them."""

    location = "memory"

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._deciding = False
        self._process = os.getpid()
        self._headers: dict[str, bytes] = {}
        self._events: dict[str, list[bytes]] = {}
        fork.protect(self)

    def studies(self) -> list[str]:
        """The names of all studies, the oldest first."""
        with self._lock:
            return list(self._headers)

    def create(self, study: str, header: dict[str, Any]) -> dict[str, Any]:
        """The header that now holds: the existing one if there is one, else this one."""
        check_study(study)
        body = encode(header, "header")
        with self._lock:
            no_reentry(self._deciding)
            self._events.setdefault(study, [])
            body = self._headers.setdefault(study, body)
        return decode([body])[0]

    def header(self, study: str) -> dict[str, Any] | None:
        """The header of a study, None if there is no such study."""
        with self._lock:
            body = self._headers.get(check_study(study))
        return None if body is None else decode([body])[0]

    def read(self, study: str, after: int = 0) -> list[Event]:
        """The events whose number is greater than `after`, in order."""
        with self._lock:
            no_reentry(self._deciding)
            bodies = self._bodies(study)
            self._check_after(study, after)
            return decode(bodies[after:])

    def transact(self, study: str, after: int, decide: Decide) -> list[Event]:
        """The events after `after`: those that were there, then those that `decide` adds.

        Raises   StorageUnavailableError  in a forked child: its parent would never see them
        """
        if os.getpid() != self._process:
            raise StorageUnavailableError(
                "memory: this study belongs to the process that forked this one, which would not "
                "see what is written here. Keep the study in a file: storage='runs.db'."
            )
        with self._lock:
            no_reentry(self._deciding)
            bodies = self._bodies(study)
            self._check_after(study, after)
            news = decode(bodies[after:])
            self._deciding = True
            try:
                added = [encode(event, "event") for event in decide(list(news))]
            finally:
                self._deciding = False
            bodies.extend(added)
        return news + decode(added)

    def _bodies(self, study: str) -> list[bytes]:
        try:
            return self._events[check_study(study)]
        except KeyError:
            raise no_such_study(self.location, study, self._events) from None

    def _check_after(self, study: str, after: int) -> None:
        last = len(self._events[study])
        if not 0 <= after <= last:
            raise StorageCorruptError(
                f"memory: study {study!r} ends with event {last}, got a reader at event {after}"
            )

    def _let_go(self) -> None:
        """Nothing is open."""
