"""Ways in which a file gets damaged, and what a store then makes of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from gpbo.errors import StorageError
from gpbo.storage import SqliteStorage

PAGE, SECTOR = 4096, 512
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000")
STEP = 5  # events a commit, so that the pages of the studies are mixed
STUDIES = {"digits": 60, "mnist": 25, "empty": 0}


def header(study: str) -> dict:
    return {"study": study, "space": {"lr": [1e-5, 0.1]}}


def event(study: str, n: int) -> dict:
    sizes = [10, 200, 900, 3000, 9000]
    return {"n": n, "study": study, "value": n / 7, "text": "x" * sizes[n % len(sizes)]}


def make(path: Path) -> bytes:
    """A file with three studies of known content; its bytes."""
    with SqliteStorage(path) as storage:
        for study in STUDIES:
            storage.create(study, header(study))
        for first in range(0, max(STUDIES.values()), STEP):
            for study, count in STUDIES.items():
                more = [event(study, n) for n in range(first, min(first + STEP, count))]
                if more:
                    storage.transact(study, first, lambda old, more=more: more)
    return path.read_bytes()


def damaged(whole: bytes, seed: int) -> tuple[str, bytes]:
    """The file after one accident that the seed chooses, and the name of the accident."""
    draw = random.Random(seed)
    accident = draw.choice([flip, flip, flip, zero, cut, junk_inside, wrong_page, longer, other])
    return accident.__name__, accident(whole, draw)


def flip(whole: bytes, draw: random.Random) -> bytes:
    """A few changed bytes, often in a page's or the file's header."""
    content = bytearray(whole)
    for _ in range(draw.choice([1, 1, 1, 2, 8])):
        page = draw.randrange(len(whole) // PAGE) * PAGE
        at = draw.choice(
            [draw.randrange(100), page + draw.randrange(16), page + draw.randrange(PAGE)]
        )
        content[at] = draw.choice([content[at] ^ (1 << draw.randrange(8)), draw.randrange(256)])
    return bytes(content)


def zero(whole: bytes, draw: random.Random) -> bytes:
    size = draw.choice([SECTOR, PAGE])
    at = draw.randrange(len(whole) // size) * size
    return whole[:at] + bytes(size) + whole[at + size :]


def cut(whole: bytes, draw: random.Random) -> bytes:
    at = draw.choice(
        [draw.randrange(1, len(whole)), draw.randrange(len(whole) // PAGE) * PAGE, 1, 99]
    )
    return whole[:at]


def junk_inside(whole: bytes, draw: random.Random) -> bytes:
    size = draw.randrange(1, 3 * PAGE)
    at = draw.randrange(len(whole))
    return (whole[:at] + draw.randbytes(size) + whole[at + size :])[: len(whole)]


def wrong_page(whole: bytes, draw: random.Random) -> bytes:
    here, there = (draw.randrange(len(whole) // PAGE) * PAGE for _ in range(2))
    return whole[:here] + whole[there : there + PAGE] + whole[here + PAGE :]


def longer(whole: bytes, draw: random.Random) -> bytes:
    return whole + draw.randbytes(draw.randrange(1, 2 * PAGE))


def other(whole: bytes, draw: random.Random) -> bytes:
    size = draw.choice([1, 15, 16, 17, 100, 5000])
    return draw.choice([JPEG + draw.randbytes(size), draw.randbytes(size), bytes(size), b""])


def outcome(path: Path) -> list[str]:
    """What became of each call: "right", the name of an error of ours, or what is wrong."""
    if path.stat().st_size == 0:
        with SqliteStorage(path) as storage:
            return ["right" if storage.studies() == [] else "wrong"]
    try:
        storage = SqliteStorage(path, timeout=5)
    except StorageError as error:
        return [type(error).__name__]
    with storage:
        results = [verdict(storage.studies, list(STUDIES))]
        for study, count in STUDIES.items():
            known = [event(study, n) for n in range(count)]
            more = [{"more": study}]
            results += [
                verdict(lambda study=study: storage.header(study), header(study)),
                verdict(lambda study=study: storage.read(study), known),
                verdict(
                    lambda s=study, c=count, m=more: storage.transact(s, c, lambda old: m), more
                ),
            ]
            expected = known + more if results[-1] == "right" else known
            results.append(verdict(lambda study=study: storage.read(study), expected))
    return results


def verdict(call: Callable[[], object], expected: object) -> str:
    try:
        got = call()
    except StorageError as error:
        return type(error).__name__
    return "right" if got == expected else f"wrong: {got!r:.200}"
