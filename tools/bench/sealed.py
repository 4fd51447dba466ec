"""A made-up life as a deployment stores it: a key an account, personal fields and sources sealed.

The keys are made here, many at once, and stored before the events that are sealed under them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatebook.domain import account
from gatebook.domain.envelope import Entry, Metadata, Source
from gatebook.domain.event import subject_of
from gatebook.projections.ports import Value
from gatebook.store.house import House
from gatebook.store.mapper import EventMapper, Sealing
from gatebook.store.opening import POSTGRESQL, keys_path, sqlite_path
from gatebook.store.postgres_connection import Address, native
from gatebook.store.postgres_connection import connect as connect_postgres
from gatebook.store.postgres_schema import keys_schema
from gatebook.store.sqlite_connection import connect as connect_sqlite
from gatebook.tools.bench.life import Placed

NewKey = tuple[str, bytes]
"""A key's name and its 32 bytes."""

_SOURCES: Final = [
    msgspec.msgpack.encode(Source(f"198.51.100.{host}", browser))
    for host in range(256)
    for browser in ("firefox", "chrome", "safari", "curl")
]


class MadeKeys:
    """Seals under the keys of accounts that were made here, and asks `others` for any other."""

    def __init__(self, others: Sealing | None = None) -> None:
        self._others = others
        self._keys: dict[str, bytes] = {}
        self._new: list[NewKey] = []
        self._cipher = lru_cache(20_000)(lambda name: AESGCM(self._keys[name]))

    def create(self, name: str) -> None:
        """A new key, which `take` gives once."""
        key = os.urandom(32)
        self._keys[name] = key
        self._new.append((name, key))

    def has(self, name: str) -> bool:
        """Whether it was made here."""
        return name in self._keys

    def take(self) -> list[NewKey]:
        """The keys made since the last call."""
        new, self._new = self._new, []
        return new

    def seal(self, name: str, plaintext: bytes, associated: bytes) -> bytes:
        """See `Keyring.seal`."""
        if name not in self._keys and self._others is not None:
            return self._others.seal(name, plaintext, associated)
        nonce = os.urandom(12)
        return nonce + self._cipher(name).encrypt(nonce, plaintext, associated)

    def open(self, name: str, sealed: bytes, associated: bytes) -> bytes | None:
        """See `Keyring.open`."""
        if name in self._keys:
            return self._cipher(name).decrypt(sealed[:12], sealed[12:], associated)
        return None if self._others is None else self._others.open(name, sealed, associated)

    def create_named(self, name: str) -> None:
        """A purpose's key, which only `others` can have."""
        if self._others is None:
            raise KeyError(name)
        self._others.create_named(name)


class Sealed:
    """Encodes saves. Whoever uses it stores `keys.take()` before what it encoded."""

    def __init__(self, others: Sealing | None = None) -> None:
        self.keys = MadeKeys(others)
        self._mapper = EventMapper(self.keys)

    def encode(self, metadata: Metadata, placed: Sequence[Placed]) -> tuple[bytes, list[bytes]]:
        """The envelope, with a sealed source as every request has, and each event's payload."""
        for stream_id, _, event in placed:
            if type(event) is account.AccountCreated:
                self.keys.create(f"subject:{stream_id}")
        stream_id, _, event = placed[0]
        subject = subject_of(event, stream_id)
        name = f"subject:{subject}"
        if subject is not None and not metadata.source and self.keys.has(name):
            plain = _SOURCES[subject.int % len(_SOURCES)]
            source = self.keys.seal(name, plain, metadata.request_id.encode())
            metadata = msgspec.structs.replace(metadata, source_subject=subject, source=source)
        payloads = [self._mapper.to_stored_event(Entry(*one)).state for one in placed]
        return self._mapper.encode_metadata(metadata), payloads


class Real(Sealed):
    """The same, for a house that is open here: `settle` gives its keyring the new keys."""

    def __init__(self, house: House) -> None:
        super().__init__(house.keyring)
        self._house = house

    def settle(self) -> None:
        """A crash behind it leaves keys that nothing is sealed under yet."""
        store_keys(self._house, self.keys.take())


def store_keys(house: House, keys: Sequence[NewKey]) -> None:
    """Wraps keys and adds them to the keyring in one transaction."""
    now = house.clock.now()
    rows: list[tuple[Value, ...]] = [
        (name, house.masters.wrap(name, key)[0], now) for name, key in sorted(keys)
    ]
    url = house.settings.store_url
    if url.startswith(POSTGRESQL):
        address = Address.parse(url)
        sql = f"INSERT INTO {keys_schema(address)}.keys VALUES (?, ?, ?)"  # a checked name
        with closing(connect_postgres(address)) as postgres, postgres.transaction():
            postgres.cursor(binary=True).executemany(native(sql), rows)
        return
    path = keys_path(sqlite_path(url))
    with closing(connect_sqlite(path, "journal_mode=TRUNCATE", "secure_delete=ON")) as sqlite:
        sqlite.execute("BEGIN IMMEDIATE")
        sqlite.executemany("INSERT INTO keys VALUES (?, ?, ?)", rows)
        sqlite.execute("COMMIT")
