"""How much one source address may ask for: token buckets shared by all workers of a machine.

They stand in a throwaway SQLite file, not in the log: a stranger's requests must not grow it. An
address is kept as a keyed hash, a bucket that is full again is forgotten, and there are never more
than `MOST` of them.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from gatebook.domain.errors import StoreUnavailable
from gatebook.domain.network import network_of
from gatebook.store.setting_sections import MINUTE, SECOND, Limits
from gatebook.store.throwaway import ThrowawayFile

Kind = Literal["login", "break-glass", "request"]

MOST: Final = 100_000
SWEEP_EVERY: Final = 1_000
"""Takes of one process between two clean-ups."""

BREAK_GLASS_A_MINUTE: Final = 5

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS buckets (kind TEXT NOT NULL, source BLOB NOT NULL, "
    "full_at INTEGER NOT NULL, PRIMARY KEY (kind, source)) WITHOUT ROWID, STRICT"
)
_INDEX: Final = "CREATE INDEX IF NOT EXISTS buckets_full_at ON buckets (full_at)"

_log = logging.getLogger("gatebook.throttle")


class Bucket(msgspec.Struct, frozen=True):
    """`capacity` takes at once; one more comes back every `interval` microseconds."""

    capacity: int
    interval: int


def buckets_of(limits: Limits) -> dict[Kind, Bucket]:
    """The buckets that the settings describe; without an entry there is no limit."""
    found: dict[Kind, Bucket] = {
        "login": Bucket(limits.login_burst, MINUTE // limits.login_per_minute),
        "break-glass": Bucket(BREAK_GLASS_A_MINUTE, MINUTE // BREAK_GLASS_A_MINUTE),
    }
    if limits.requests_per_second:
        found["request"] = Bucket(limits.requests_per_second, SECOND // limits.requests_per_second)
    return found


class Throttle:
    """The buckets. Any thread may use it; open it after a fork, and close it."""

    def __init__(
        self,
        path: Path,
        buckets: dict[Kind, Bucket],
        derive: Callable[..., bytes],
        now: Callable[[], int],
    ) -> None:
        """`derive(purpose, *parts)` is a keyed hash, `now` is in microseconds."""
        self._file = ThrowawayFile(path, [_TABLE, _INDEX])
        self._buckets = buckets
        self._derive = derive
        self._now = now
        self._guard = threading.Lock()
        self._takes = 0
        self._told = 0

    def take(self, kind: Kind, address: str) -> int:
        """Takes one from an address's bucket. Returns the seconds to wait; 0: it was taken.

        Raises StoreUnavailable when the file cannot be used: whoever could break it must not be
        rid of the limit on guesses by that. The limit on all requests is let go instead.
        """
        bucket = self._buckets.get(kind)
        if bucket is None:
            return 0
        source = self._derive("throttle", kind.encode(), network_of(address))[:16]
        with self._guard:
            try:
                return self._take(kind, source, bucket)
            except (sqlite3.Error, OSError) as error:
                self._file.drop()
                if _is_damage(error):
                    self._file.remove()
                self._tell(error)
                if kind == "request":
                    return 0
                raise StoreUnavailable("Attempts cannot be counted.") from error

    def close(self) -> None:
        """Closes the file. Twice is harmless."""
        with self._guard:
            self._file.drop()

    def _take(self, kind: Kind, source: bytes, bucket: Bucket) -> int:
        connection, now = self._file.usable(), self._now()
        connection.execute("BEGIN IMMEDIATE")
        try:
            found = connection.execute(
                "SELECT full_at FROM buckets WHERE kind = ? AND source = ?", (kind, source)
            ).fetchone()
            # A clock set back must not shut anybody out for longer than an empty bucket does.
            most = now + bucket.capacity * bucket.interval
            full_at = max(now, min(found[0], most)) if found else now
            wait = full_at + bucket.interval - most
            after = full_at + bucket.interval if wait <= 0 else full_at
            if not found or found[0] != after:
                connection.execute(
                    "INSERT INTO buckets (kind, source, full_at) VALUES (?, ?, ?) "
                    "ON CONFLICT (kind, source) DO UPDATE SET full_at = excluded.full_at",
                    (kind, source, after),
                )
            self._takes += 1
            if self._takes % SWEEP_EVERY == 1:
                _sweep(connection, now)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return max(0, -(-wait // SECOND))

    def _tell(self, error: Exception) -> None:
        """One line a minute: what is wrong with the file, and that sign-ins are refused for it."""
        now = self._now()
        if now - self._told >= MINUTE:
            self._told = now
            fields = {"file": self._file.path.name, "reason": str(error)}
            _log.error("unusable", extra={"fields": fields})


def _is_damage(error: sqlite3.Error | OSError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _sweep(connection: sqlite3.Connection, now: int) -> None:
    """Forgets buckets that are full again; beyond the most, those that are nearest to it."""
    connection.execute("DELETE FROM buckets WHERE full_at <= ?", (now,))
    (count,) = connection.execute("SELECT count(*) FROM buckets").fetchone()
    if count > MOST:
        connection.execute(
            "DELETE FROM buckets WHERE (kind, source) IN "
            "(SELECT kind, source FROM buckets ORDER BY full_at LIMIT ?)",
            (count - MOST,),
        )
