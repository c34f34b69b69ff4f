"""A process that uses study files; the tests run, kill and count many of it.

    worker.py append FILE WHO COUNT ACKS   append COUNT events; write what was acknowledged to ACKS
    worker.py create FILE WHO              wait for a line, create the study, print the winner
    worker.py fill FILE SEED COUNT         fill FILE-0, FILE-1 ... to random limits on file size
    worker.py damage FILE FIRST COUNT      damage copies of FILE with COUNT seeds, print outcomes
    worker.py fork FILE                    fork while threads write; the children write too
    worker.py crash FILE TABLE             die amid a transaction that has begun to change the file

A first word `wal` makes it use a WAL, as a newer SQLite would; else it has a rollback journal.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from gpbo.errors import StorageFullError
from gpbo.storage import SqliteStorage, sqlite_file
from tests.storage import damage

STUDY = "s"


def append(path: str, who: str, count: str, acks: str) -> None:
    fd = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    draw = random.Random(who)
    with SqliteStorage(path) as storage:
        storage.create(STUDY, {})
        at = 0
        for n in range(int(count)):
            event = {"by": who, "n": n, "text": "x" * draw.randrange(3000)}
            at += len(storage.transact(STUDY, at, lambda old, event=event: [event]))
            os.write(fd, b"%d %d\n" % (n, at))
            os.fsync(fd)
            if n == 0:
                print("started", flush=True)


def create(path: str, who: str) -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    with SqliteStorage(path) as storage:
        print(storage.create(STUDY, {"by": who})["by"], flush=True)


def fill(path: str, seed: str, count: str) -> None:
    draw = random.Random(int(seed))
    for n in range(int(count)):
        limit = draw.choice([draw.randrange(30_000), draw.randrange(600_000)])
        print(json.dumps(fill_one(f"{path}-{n}", limit, draw)), flush=True)


def fill_one(path: str, limit: int, draw: random.Random) -> dict:
    """Fill one file until three calls failed, lift the limit, and write once more."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    storage, told, errors = None, 0, []
    while len(errors) < 3:
        try:
            storage = storage or SqliteStorage(path)
            storage.create(STUDY, {"header": "x" * draw.randrange(5000)})
            event = {"n": told, "text": "x" * draw.choice([10, 500, limit // 6])}
            storage.transact(STUDY, told, lambda old, event=event: [event])
            told += 1
        except StorageFullError as error:
            errors.append(str(error))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    storage = storage or SqliteStorage(path)
    storage.create(STUDY, {})
    storage.transact(STUDY, told, lambda old: [{"n": told}])
    storage.close()
    return {"path": path, "told": told, "errors": errors}


def damage_copies(path: str, first: str, count: str) -> None:
    # Nothing here depends on syncing, and a slow disk would make it long.
    sqlite_file.SETTINGS = (*sqlite_file.SETTINGS, "PRAGMA synchronous = OFF")
    whole = Path(path).read_bytes()
    copy = Path(f"{path}-copy")
    for seed in range(int(first), int(first) + int(count)):
        kind, content = damage.damaged(whole, seed)
        copy.write_bytes(content)
        print(json.dumps([seed, kind, damage.outcome(copy)]), flush=True)
        for rest in copy.parent.glob(copy.name + "*"):
            rest.unlink()


def fork(path: str) -> None:
    storage = SqliteStorage(path)
    storage.create(STUDY, {})

    def write(who: str, count: int) -> None:
        at = 0
        for _ in range(count):
            at += len(storage.transact(STUDY, at, lambda old: [{"by": who}]))

    threads = [threading.Thread(target=write, args=(f"thread {n}", 40)) for n in range(3)]
    for thread in threads:
        thread.start()
    for n in range(10):
        child = os.fork()
        if child == 0:
            write(f"child {n}", 3)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        write("parent", 1)
    for thread in threads:
        thread.join()


def crash(path: str, table: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA cache_size = 1")  # so that changed pages go to the file before the commit
    db.execute("BEGIN IMMEDIATE")
    db.execute(f"UPDATE {table} SET body = replace(body, 'x', 'y')")
    assert os.path.getsize(f"{path}-journal") > 0
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    words = sys.argv[1:]
    wal = words[0] == "wal"
    sqlite_file.WAL_IS_SAFE_SINCE = (3, 0, 0) if wal else (99, 0, 0)
    words = words[wal:]
    calls = {"append": append, "create": create, "fill": fill, "fork": fork, "crash": crash}
    {**calls, "damage": damage_copies}[words[0]](*words[1:])
