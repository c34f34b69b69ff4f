"""Stores across os.fork: no child inherits a held lock, an open transaction or a connection.

SQLite keeps for each process which locks it holds. A child that inherits that believes to hold
its parent's locks, and in WAL mode can lose what it commits. So a store lets go before the fork.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Forkable(Protocol):
    """A store that can be made safe to fork."""

    _lock: threading.RLock

    def _let_go(self) -> None:
        """Called with the lock held, just before a fork."""


_registry = threading.RLock()
_stores: weakref.WeakSet[Forkable] = weakref.WeakSet()
_held: list[Forkable] = []
_hooked = False


def protect(store: Forkable) -> None:
    """From now on, hold this store's lock during every fork, and let it go of its connection."""
    global _hooked  # the hooks of os.register_at_fork cannot be taken back, so they are set once
    with _registry:
        if not _hooked and hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
        _hooked = True
        _stores.add(store)


def _before() -> None:
    _registry.acquire()
    for store in list(_stores):
        store._lock.acquire()
        _held.append(store)
        store._let_go()


def _after() -> None:
    while _held:
        _held.pop()._lock.release()
    _registry.release()
