"""Fills a log with a made-up life.

    python tools/bench/synthesize.py sqlite:////tmp/bench.db 1000000

`synthesize` writes any life in one process; `fill` writes the usual one, sealed, with two: one
lives and seals, the other inserts.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Protocol, cast
from uuid import UUID

import msgspec

from gatebook.domain.envelope import Metadata
from gatebook.projections.ports import Value
from gatebook.store.house import House
from gatebook.store.log import Log
from gatebook.store.log_reader import LogTransaction, StoredRow
from gatebook.store.opening import open_log
from gatebook.tools.bench import plain_codec
from gatebook.tools.bench.life import Life, Placed, Save
from gatebook.tools.bench.sealed import NewKey, Sealed, store_keys

TOGETHER = 20_000
"""Events a transaction."""

CACHE = 256 * 1024
"""KiB of SQLite's own cache while a log is filled: its index is searched for every event."""

Batch = tuple[list[NewKey], list[StoredRow]]


class Encoder(Protocol):
    """How a save becomes bytes."""

    def encode(self, metadata: Metadata, placed: Sequence[Placed]) -> tuple[bytes, list[bytes]]:
        """The envelope, and the payload of each event."""
        ...


class Codec(Encoder, Protocol):
    """The same, where what it is sealed under must be stored too."""

    def settle(self) -> None:
        """Called before what was encoded is stored."""


class Plain:
    """Unsealed: what the log costs before any cryptography."""

    def encode(self, metadata: Metadata, placed: Sequence[Placed]) -> tuple[bytes, list[bytes]]:
        """See `Encoder.encode`."""
        return plain_codec.encode(metadata), [plain_codec.encode(event) for _, _, event in placed]

    def settle(self) -> None:
        """Nothing has to be stored before."""


def synthesize(
    log: Log,
    events: int,
    *,
    seed: int = 1,
    together: int = TOGETHER,
    codec: Codec | None = None,
    saves: Iterator[Save] | None = None,
) -> int:
    """Adds at least so many events to a log, past the writer but not past the triggers.

    Each save has its own metadata, as in life. A log that has begun has its roles already.
    `saves` are those of another life. Returns the head.
    """
    codec, head = codec or Plain(), log.head()
    for rows in encoded(codec, saves or _lived(seed, head), head, events, together):
        codec.settle()
        insert(log, rows)
        head += len(rows)
    return head


def fill(house: House, events: int, *, seed: int = 1) -> int:
    """As `synthesize` does, sealed as in life; another process lives. Returns the head."""
    head = house.store.head()
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    other = context.Process(target=_live, args=(sender, seed, head, events), daemon=True)
    other.start()
    sender.close()
    try:
        for keys, rows in _received(receiver):
            store_keys(house, keys)
            insert(house.store, rows)
            head += len(rows)
        other.join()
    finally:
        receiver.close()
        other.terminate()
        other.join()
    if other.exitcode:
        raise RuntimeError(f"the process that lives ended with {other.exitcode}")
    return head


def encoded(
    codec: Encoder, saves: Iterable[Save], head: int, events: int, together: int
) -> Iterator[list[StoredRow]]:
    """The rows behind `head`, some `together`, until there are so many."""
    rows: list[StoredRow] = []
    position, last = head, head + events
    for metadata, placed in saves:
        envelope, payloads = codec.encode(metadata, placed)
        for (stream_id, version, event), payload in zip(placed, payloads, strict=True):
            position += 1
            row = (position, metadata.at, stream_id.bytes, version, event.TOPIC, envelope, payload)
            rows.append(row)
        if len(rows) >= together or position >= last:
            yield rows
            rows = []
        if position >= last:
            return


def insert(log: Log, rows: Sequence[StoredRow]) -> None:
    """Stores rows in one transaction."""
    with log.writing(exclusive=True) as tx:
        if tx.dialect == "sqlite":
            tx.execute(f"PRAGMA cache_size=-{CACHE}")
            tx.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        else:
            _insert_many(tx, rows)


def _insert_many(tx: LogTransaction, rows: Sequence[StoredRow]) -> None:
    for start in range(0, len(rows), 1_000):
        values: list[Value] = []
        some = rows[start : start + 1_000]
        for row in some:
            values += (*row[:2], str(UUID(bytes=row[2])), *row[3:])
        marks = ", ".join(["(?, ?, CAST(? AS uuid), ?, ?, ?, ?)"] * len(some))
        tx.execute(f"INSERT INTO log VALUES {marks}", values)


def _lived(seed: int, head: int) -> Iterator[Save]:
    return islice(Life(seed).saves(), 1 if head else 0, None)


def _live(sender: Connection, seed: int, head: int, events: int) -> None:
    """What the other process does."""
    gc.disable()  # millions of ids live on, and none is in a cycle
    sealed, encode = Sealed(), msgspec.msgpack.Encoder().encode
    for rows in encoded(sealed, _lived(seed, head), head, events, TOGETHER):
        sender.send_bytes(encode((sealed.keys.take(), rows)))
    sender.close()


def _received(receiver: Connection) -> Iterator[Batch]:
    """Batches until the other process ends. The next is received while one is worked on."""
    decode = msgspec.msgpack.Decoder(Batch).decode

    def receive() -> Batch | None:
        try:
            return cast("Batch", decode(receiver.recv_bytes()))
        except EOFError:
            return None

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(receive)
        while (batch := coming.result()) is not None:
            coming = pool.submit(receive)
            yield batch


def main() -> None:
    """Makes a store at a URL and fills it."""
    url, events = sys.argv[1], int(sys.argv[2])
    with open_log(
        url, decode=plain_codec.decode, now=lambda: time.time_ns() // 1000, create=True
    ) as log:
        began = time.perf_counter()
        head = synthesize(log, events)
        seconds = time.perf_counter() - began
        print(f"{head} events, {head / seconds:,.0f} a second")


if __name__ == "__main__":
    main()
