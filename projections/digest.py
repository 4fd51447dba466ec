"""The digest of a table: SHA-256 over its rows, as MessagePack, in the order of the key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from gatebook.projections.ports import Reader, Row
from gatebook.projections.tables import LIVE, Table, select_in_key_order

_ENCODER = msgspec.msgpack.Encoder()


class Hashed:
    """Rows on their way through, hashed as they pass."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self._hash = hashlib.sha256()
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self._hash.update(_ENCODER.encode(row))
            self.count += 1
            yield row

    def hexdigest(self) -> str:
        """Of the rows that have passed."""
        return self._hash.hexdigest()


def rows_in_key_order(reader: Reader, table: Table, suffix: str = LIVE) -> Hashed:
    """All rows of a table, streamed and hashed."""
    return Hashed(reader.rows(select_in_key_order(table, suffix)))


def digest(reader: Reader, table: Table, suffix: str = LIVE) -> str:
    """The digest of a whole table, in hexadecimal."""
    hashed = rows_in_key_order(reader, table, suffix)
    for _row in hashed:
        pass
    return hashed.hexdigest()
