"""Appends and reads a second, on both stores, beside the library's own recorders in the same run.

From the root of the repository: `python tools/bench/append.py [--saves N] [--rounds N]`.
PostgreSQL is the tests' private one. One event a save, full durability, no inline fold.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from gatebook.domain.envelope import SYSTEM, Metadata
from gatebook.domain.event import Event
from gatebook.store.batch import EncodedEvent
from gatebook.store.log import Log
from gatebook.store.opening import open_log

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.postgres import running_cluster

THREADS = (1, 16)
PAGE = 5_000


class Measured(Event, frozen=True):
    """About as large as a session's events are."""

    TOPIC = "bench.measured.1"
    STREAM = "bench"

    account_id: UUID
    digest: bytes
    expires_at: int


ENVELOPE = Metadata(SYSTEM, at=1, request_id="0" * 26)
METADATA = msgspec.msgpack.encode(ENVELOPE)
EVENT = Measured(uuid4(), b"d" * 32, 1)
PAYLOAD = msgspec.msgpack.encode(EVENT)
events = msgspec.msgpack.Decoder(Measured)
envelopes = msgspec.msgpack.Decoder(Metadata)

Save = Callable[[], object]


def decode(
    topic: str,
    stream_id: UUID,
    version: int,
    payload: bytes,
    metadata: bytes,
    position: int,
    *,
    sealed: bool = False,
) -> tuple[Event, Metadata]:
    return events.decode(payload), envelopes.decode(metadata)


def ours(log: Log) -> Save:
    def save() -> object:
        event = EncodedEvent(uuid4(), 1, Measured.TOPIC, PAYLOAD, EVENT)
        return log.append([event], metadata=METADATA, envelope=ENVELOPE)

    return save


def stock(recorder: SQLiteApplicationRecorder | PostgresApplicationRecorder) -> Save:
    def save() -> object:
        return recorder.insert_events([StoredEvent(uuid4(), 1, Measured.TOPIC, PAYLOAD)])

    return save


def rate(save: Save, threads: int, saves: int) -> tuple[float, float]:
    """Saves a second, and the 99th percentile of a save in milliseconds."""
    took: list[float] = []

    def work() -> None:
        for _ in range(saves // threads):
            begun = time.perf_counter()
            save()
            took.append(time.perf_counter() - begun)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    elapsed = time.perf_counter() - started
    return len(took) / elapsed, statistics.quantiles(took, n=100)[98] * 1000


def read_rate(log: Log, count: int) -> float:
    """Decoded events a second, read in pages."""
    while log.head() < count:
        batch = [EncodedEvent(uuid4(), 1, Measured.TOPIC, PAYLOAD, EVENT) for _ in range(PAGE)]
        log.append(batch, metadata=METADATA, envelope=ENVELOPE)
    started, after = time.perf_counter(), 0
    while page := log.read(after, PAGE):
        after = page[-1].position
    return after / (time.perf_counter() - started)


@contextmanager
def stock_sqlite(path: str) -> Iterator[Save]:
    datastore = SQLiteDatastore(path)
    recorder = SQLiteApplicationRecorder(datastore)
    recorder.create_table()
    yield stock(recorder)
    datastore.close()


@contextmanager
def stock_postgres(host: str) -> Iterator[Save]:
    datastore = PostgresDatastore(
        dbname="postgres", host=host, port=5432, user="postgres", password=""
    )
    recorder = PostgresApplicationRecorder(datastore, events_table_name="stock_events")
    recorder.create_table()
    yield stock(recorder)
    datastore.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=3_200, help="per round and store")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=200_000, help="to read")
    wanted = parser.parse_args()
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        cluster = stack.enter_context(running_cluster())
        logs = {
            name: stack.enter_context(
                open_log(url, decode=decode, now=lambda: time.time_ns() // 1000, create=True)
            )
            for name, url in (
                ("sqlite", f"sqlite:///{home}/gatebook.db"),
                ("postgresql", cluster.url()),
            )
        }
        subjects = {
            "sqlite, ours": ours(logs["sqlite"]),
            "sqlite, stock": stack.enter_context(stock_sqlite(f"{home}/stock.db")),
            "postgresql, ours": ours(logs["postgresql"]),
            "postgresql, stock": stack.enter_context(stock_postgres(str(cluster.home))),
        }
        print(f"{'':20}" + "".join(f"{f'{n} threads: saves/s':>22}{'p99 ms':>9}" for n in THREADS))
        found: dict[str, list[tuple[float, float]]] = {}
        for _ in range(wanted.rounds):
            for name, save in subjects.items():
                for threads in THREADS:
                    result = rate(save, threads, wanted.saves)
                    found.setdefault(f"{name} {threads}", []).append(result)
        for name in subjects:
            line = f"{name:20}"
            for threads in THREADS:
                rates, tails = zip(*found[f"{name} {threads}"], strict=True)
                line += f"{statistics.median(rates):22.0f}{statistics.median(tails):9.1f}"
            print(line)
        for name, log in logs.items():
            print(f"{name}: read {read_rate(log, wanted.events):.0f} events/s")


if __name__ == "__main__":
    main()
