"""Storages that fail at the wrong moment."""

from __future__ import annotations

from typing import Any

from gpbo.errors import StorageFullError, StorageLockedError
from gpbo.history import Event
from gpbo.storage.memory import MemoryStorage


class Failing(MemoryStorage):
    """A storage that has no space while `full` is set."""

    full = False

    def transact(self, study: str, after: int, decide: Any) -> list[Event]:
        def refuse(new: list[Event]) -> list[Event]:
            events = decide(new)
            if self.full and events:
                raise StorageFullError("no space left")
            return list(events)

        return super().transact(study, after, refuse)


class Locked(MemoryStorage):
    """A storage that cannot be reached at all while `locked` is set."""

    locked = False

    @staticmethod
    def refuse(*given: Any) -> list[Event]:
        raise StorageLockedError("somebody else is writing")

    def transact(self, study: str, after: int, decide: Any) -> list[Event]:
        if self.locked:
            self.refuse()
        return super().transact(study, after, decide)
