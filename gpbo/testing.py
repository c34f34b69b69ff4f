"""Conformance suites: subclass one, say how to make the thing, and pytest runs what it promises.

    class TestMyStorage(gpbo.testing.StorageSuite):
        def make(self, folder):
            return MyStorage(folder / "study")

The suites import no test framework, and nothing in gpbo imports this module.
"""

from __future__ import annotations

import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gpbo.errors import StorageCorruptError, StudyError
from gpbo.storage import Decide, Event, Storage

THREADS, ROUNDS = 8, 10


class StorageSuite(ABC):
    """What every Storage promises; `self.storage` is a new one for each test."""

    storage: Storage
    folder: Path

    @abstractmethod
    def make(self, folder: Path) -> Storage:
        """A new, empty store; it may keep its files in this empty folder."""

    def reopen(self) -> Storage:
        """A second store on what `self.storage` keeps; where nothing lasts, the store itself."""
        return self.storage

    def setup_method(self) -> None:
        """Make the store; pytest calls this before each test."""
        self._folder = TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.storage = self.make(self.folder)

    def teardown_method(self) -> None:
        """Close the store and delete its files."""
        self.storage.close()
        self._folder.cleanup()

    def test_a_new_store_has_no_studies(self) -> None:
        assert self.storage.studies() == []
        assert self.storage.header("a") is None

    def test_studies_are_listed_in_the_order_in_which_they_were_created(self) -> None:
        names = ["zeta", "alpha", "µ-é-界-\N{ROCKET}", "a'b\"c;--", " ", "x\ny", "n" * 5000]
        for name in names:
            self.storage.create(name, {"name": name})
        with self.reopen() as again:
            for storage in (self.storage, again):
                assert storage.studies() == names
                assert [storage.header(name) for name in names] == [{"name": n} for n in names]

    def test_the_first_header_wins(self) -> None:
        assert self.storage.create("a", {"seed": 1}) == {"seed": 1}
        assert self.storage.create("a", {"seed": 2}) == {"seed": 1}
        with self.reopen() as again:
            assert again.create("a", {"seed": 3}) == {"seed": 1}
            assert again.header("a") == {"seed": 1}

    def test_events_come_back_in_order_and_from_any_number_on(self) -> None:
        self.storage.create("a", {})
        events = _events(7)
        assert self.storage.transact("a", 0, _add(*events[:3])) == events[:3]
        assert self.storage.transact("a", 3, _add()) == []
        assert self.storage.transact("a", 1, _add(*events[3:])) == events[1:]
        with self.reopen() as again:
            for storage in (self.storage, again):
                assert storage.read("a") == events
                for after in range(8):
                    assert storage.read("a", after) == events[after:]

    def test_decide_gets_the_events_after_the_given_one(self) -> None:
        self._fill("a", 5)
        seen: list[list[Event]] = []

        def look(old: list[Event]) -> list[Event]:
            seen.append(old)
            return []

        for after in (0, 3, 5):
            self.storage.transact("a", after, look)
        assert seen == [_events(5), _events(5)[3:], []]

    def test_studies_do_not_mix(self) -> None:
        for name in ("a", "b"):
            self.storage.create(name, {"is": name})
        for n in range(4):
            self.storage.transact("ab"[n % 2], 0, _add({"n": n}))
        with self.reopen() as again:
            assert again.read("a") == [{"n": 0}, {"n": 2}]
            assert again.read("b") == [{"n": 1}, {"n": 3}]

    def test_values_keep_their_type_and_floats_every_bit(self) -> None:
        bits = [0, 1, 1 << 63, 0x3FB999999999999A, 0x7FEFFFFFFFFFFFFF, 0x4340000000000001]
        record = {
            "floats": [struct.unpack("<d", struct.pack("<Q", b))[0] for b in bits],
            "texts": ["", "\0", "\n", "é", "\N{ROCKET}", "\ud800", '"\\', "1.0", "null"],
            "ints": [0, -1, 2**53 + 1, 10**40],
            "others": [True, False, None, [], {}, [[1], {"x": {"y": []}}]],
            "": 0,
        }
        held = [self.storage.create("a", record)]
        held += self.storage.transact("a", 0, _add(record, record))
        with self.reopen() as again:
            held += [again.header("a") or {}, *again.read("a")]
        assert len(held) == 6
        for one in held:
            assert repr(one) == repr(record)  # 1, 1.0 and True are equal, their reprs are not
            back = [struct.unpack("<Q", struct.pack("<d", x))[0] for x in one["floats"]]
            assert back == bits

    def test_large_events_come_back(self) -> None:
        header = {"space": ["x" * 100] * 5000}
        self.storage.create("a", header)
        events = [{"text": "y" * size} for size in (100, 4_000, 5_000, 300_000, 10)]
        for n, event in enumerate(events):
            self.storage.transact("a", n, _add(event))
        with self.reopen() as again:
            assert again.read("a") == events
            assert again.header("a") == header

    def test_nobody_can_change_what_is_stored(self) -> None:
        mine: dict[str, Any] = {"list": [1]}
        self.storage.create("a", mine)["list"].append(2)
        self.storage.transact("a", 0, _add(mine))[0]["list"].append(3)
        self.storage.read("a")[0]["list"].append(4)
        mine["list"].append(5)

        def spoil(old: list[Event]) -> list[Event]:
            old[0]["list"].append(6)
            old.clear()
            return []

        assert len(self.storage.transact("a", 0, spoil)) == 1
        assert self.storage.header("a") == {"list": [1]}
        assert self.storage.read("a") == [{"list": [1]}]

    def test_an_exception_in_decide_passes_through_and_nothing_is_written(self) -> None:
        self._fill("a", 2)
        for error in (
            ValueError("mine"),
            OSError(28, "mine"),
            StopIteration(),
            KeyboardInterrupt(),
        ):
            caught: BaseException | None = None
            try:
                self.storage.transact("a", 0, partial(_fail, error))
            except BaseException as raised:
                caught = raised
            assert caught is error
            with self.reopen() as again:
                assert again.read("a") == _events(2)
        self.storage.transact("a", 2, _add({"n": 2}))
        assert self.storage.read("a") == _events(3)

    def test_what_is_not_json_is_refused_and_nothing_is_written(self) -> None:
        self._fill("a", 1)
        loop: list[Any] = []
        loop.append(loop)
        values: list[Any] = [float("nan"), float("inf"), loop]
        others: list[Any] = [object(), b"bytes", {1, 2}, 1j]
        records: list[Any] = [None, [], "text", 1, *({"x": [other]} for other in others)]
        bad: list[tuple[Any, type[Exception]]] = [(record, TypeError) for record in records]
        bad += [({"x": [value]}, ValueError) for value in values]
        for record, error in bad:
            _refused(error, self.storage.create, "b", record)
            _refused(error, self.storage.transact, "a", 0, _add({"n": 1}, record))
        assert self.storage.studies() == ["a"]
        assert self.storage.read("a") == _events(1)

    def test_a_name_that_is_no_name_is_refused(self) -> None:
        names: list[tuple[Any, type[Exception]]] = []
        names += [(name, StudyError) for name in ("", "a\0b", "\ud800")]
        names += [(name, TypeError) for name in (None, 1, b"a")]
        for name, error in names:
            _refused(error, self.storage.create, name, {})
            _refused(error, self.storage.header, name)
            _refused(error, self.storage.read, name)
            _refused(error, self.storage.transact, name, 0, _add())
        assert self.storage.studies() == []

    def test_an_unknown_study_is_an_error_that_names_the_nearest(self) -> None:
        self.storage.create("digits", {})
        for text in (
            _refused(StudyError, self.storage.read, "digit"),
            _refused(StudyError, self.storage.transact, "digit", 0, _add({})),
        ):
            assert "no study 'digit'" in text
            assert "Did you mean 'digits'?" in text
        assert self.storage.studies() == ["digits"]

    def test_a_reader_ahead_of_the_store_is_told_that_events_are_gone(self) -> None:
        self._fill("a", 2)
        for after in (3, 100, -1):
            _refused(StorageCorruptError, self.storage.read, "a", after)
            _refused(StorageCorruptError, self.storage.transact, "a", after, _add({"n": 9}))
        assert self.storage.read("a") == _events(2)

    def test_decide_may_not_call_the_store(self) -> None:
        self._fill("a", 1)
        calls: list[Callable[[], object]] = [
            partial(self.storage.read, "a"),
            partial(self.storage.create, "b", {}),
            partial(self.storage.transact, "a", 0, _add({"n": 1})),
        ]
        for call in calls:
            _refused(RuntimeError, self.storage.transact, "a", 0, partial(_call, call))
        assert self.storage.read("a") == _events(1)
        assert self.storage.studies() == ["a"]

    def test_threads_take_turns(self) -> None:
        winners: list[int] = []

        def work(who: int) -> None:
            winners.append(self.storage.create("a", {"by": who})["by"])
            at = 0
            for turn in range(ROUNDS):
                at += len(self.storage.transact("a", at, partial(_count, at, who, turn)))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with self.reopen() as again:
            events = again.read("a")
        assert len(winners) == THREADS
        assert len(set(winners)) == 1
        assert [event["seq"] for event in events] == list(range(1, THREADS * ROUNDS + 1))
        for who in range(THREADS):
            assert [e["turn"] for e in events if e["by"] == who] == list(range(ROUNDS))

    def test_closing_twice_is_harmless(self) -> None:
        with self.storage as same:
            assert same is self.storage
            same.create("a", {})
        self.storage.close()
        with self.reopen() as again:
            assert again.studies() == ["a"]

    def test_the_repr_says_what_and_where_it_is(self) -> None:
        assert repr(self.storage) == f"{type(self.storage).__name__}({self.storage.location!r})"

    def _fill(self, study: str, count: int) -> None:
        self.storage.create(study, {})
        self.storage.transact(study, 0, _add(*_events(count)))


def _events(count: int) -> list[Event]:
    return [{"n": n} for n in range(count)]


def _add(*events: Any) -> Decide:
    return lambda old: list(events)


def _fail(error: BaseException, old: list[Event]) -> list[Event]:
    raise error


def _call(call: Callable[[], object], old: list[Event]) -> list[Event]:
    call()
    return []


def _count(at: int, who: int, turn: int, old: list[Event]) -> list[Event]:
    return [{"seq": at + len(old) + 1, "by": who, "turn": turn}]


def _refused(error: type[Exception], call: Callable[..., object], *args: Any) -> str:
    """The message of the error, which must be of this class."""
    try:
        call(*args)
    except error as caught:
        return str(caught)
    raise AssertionError(f"expected {error.__name__}, got no error")
