"""What the tree costs: hashing an event, appending beside it, and proving.

From the root of the repository: `python tools/bench/tree.py [--events N] [--saves N] [--rounds N]`.
On SQLite, and appends on the tests' private PostgreSQL too. The log is made up by `synthesize`.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from gatebook.projections import tree_tables as tables
from gatebook.projections.leaf import entry_of
from gatebook.projections.merkle import consistency_path, inclusion_path, leaf_hash
from gatebook.projections.tree import BATCH, Keeper, Tower, subtrees
from gatebook.projections.tree_scan import scan
from gatebook.store.checkpoints import CheckpointKey
from gatebook.store.log import Log
from gatebook.store.opening import open_log
from gatebook.tools.bench import plain_codec
from gatebook.tools.bench.append import decode, ours, rate
from gatebook.tools.bench.synthesize import synthesize

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.postgres import running_cluster

KEY = CheckpointKey(b"\1" * 32)
INTERVAL = 1.0


def now() -> int:
    return time.time_ns() // 1000


def prepared(log: Log) -> Log:
    with log.writing(exclusive=True) as tx:
        tables.create(tx)
    return log


def head(size: int, root: bytes) -> tables.Head:
    return tables.Head(size, root, KEY.sign(size, root), now())


def hashing(log: Log, events: int) -> None:
    """Leaf and nodes of rows that are in memory."""
    rows = log.raw(0, events)
    begun = time.perf_counter()
    for row in rows:
        leaf_hash(entry_of(row))
    leaves = time.perf_counter() - begun
    tower, begun = Tower(), time.perf_counter()
    for start in range(0, len(rows), BATCH):
        tower.grow(rows[start : start + BATCH])
    whole = time.perf_counter() - begun
    print(f"hashing: leaf {leaves / len(rows) * 1e6:.2f} us, leaf and tree "
          f"{whole / len(rows) * 1e6:.2f} us an event")  # fmt: skip


def catching_up(log: Log) -> None:
    """Reading, hashing and writing tiles, from nothing to the log's end."""
    keeper, longest = Keeper(log), 0.0
    keeper.load()
    begun = time.perf_counter()
    while keeper.lag() > BATCH:
        step = time.perf_counter()
        keeper.step()
        longest = max(longest, time.perf_counter() - step)
    keeper.step(head)
    took, size = time.perf_counter() - begun, log.head()
    sizes = [len(row[0]) for row in log.rows("SELECT hashes FROM tree_tiles") if row[0]]  # type: ignore[arg-type]  # bytes
    print(f"catching up: {size / took:,.0f} events/s, {took / size * 1e6:.2f} us an event, "
          f"longest batch {longest * 1e3:.0f} ms")  # fmt: skip
    print(f"tiles: {len(sizes)} rows, {sum(sizes) / size:.2f} bytes an event")
    begun = time.perf_counter()
    found = scan(log, lambda _done, _total: None)
    took = time.perf_counter() - begun
    print(f"verify tree: {size / took:,.0f} events/s, {'agrees' if found.ok else 'DIFFERS'}")


def proving(log: Log, proofs: int) -> None:
    """Proofs as an endpoint makes them: from the tiles, with nothing kept between two."""
    dice, size = random.Random(1), log.head()

    def inclusion() -> None:
        inclusion_path(dice.randrange(size), size, subtrees(log))

    def consistency() -> None:
        consistency_path(dice.randrange(1, size), size, subtrees(log))

    for name, prove in (("inclusion", inclusion), ("consistency", consistency)):
        took = []
        for _ in range(proofs):
            begun = time.perf_counter()
            prove()
            took.append(time.perf_counter() - begun)
        took.sort()
        print(f"{name} at {size:,} events: p50 {took[len(took) // 2] * 1e3:.2f} ms, "
              f"p99 {took[int(len(took) * 0.99)] * 1e3:.2f} ms")  # fmt: skip


def signing(log: Log, stop: threading.Event, commits: list[float]) -> None:
    """The duty of the follower, without witnesses: a head a second."""
    keeper = Keeper(log)
    keeper.load()
    while not stop.wait(INTERVAL):
        if keeper.lag():
            begun = time.perf_counter()
            keeper.step(head)
            commits.append(time.perf_counter() - begun)


def appending(name: str, log: Log, saves: int, rounds: int) -> None:
    """Appends from 16 threads, with the tree following and without, in turns."""
    without, beside, commits = list[float](), list[float](), list[float]()
    for _ in range(rounds):
        without.append(rate(ours(log), 16, saves)[0])
        level(log)
        stop = threading.Event()
        thread = threading.Thread(target=signing, args=(log, stop, commits))
        thread.start()
        beside.append(rate(ours(log), 16, saves)[0])
        stop.set()
        thread.join()
    ratio = statistics.median(beside) / statistics.median(without)
    if not commits:
        raise SystemExit("no head was signed meanwhile: say more --saves")
    median = statistics.median(commits) * 1e3
    print(f"{name}: appends/s {statistics.median(without):,.0f} without the tree, "
          f"{statistics.median(beside):,.0f} with it: ratio {ratio:.3f}; "
          f"{len(commits)} heads, median round {median:.1f} ms")  # fmt: skip


def level(log: Log) -> None:
    keeper = Keeper(log)
    keeper.load()
    while keeper.lag():
        keeper.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--saves", type=int, default=16_000, help="per round and store")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--proofs", type=int, default=2_000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        url = f"sqlite:///{home}/large.db"
        with open_log(url, decode=plain_codec.decode, now=now, create=True) as log:
            synthesize(prepared(log), wanted.events)
            hashing(log, min(wanted.events, 200_000))
            catching_up(log)
            proving(log, wanted.proofs)
        with running_cluster() as cluster:
            for name, at in (
                ("sqlite", f"sqlite:///{home}/appends.db"),
                ("postgresql", cluster.url()),
            ):
                with open_log(at, decode=decode, now=now, create=True) as log:
                    appending(name, prepared(log), wanted.saves, wanted.rounds)


if __name__ == "__main__":
    main()
