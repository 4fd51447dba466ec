"""A throwaway SQLite file that the workers of one machine share: quick, and worth nothing later.

It is never synced. A crash of the machine may lose it, and whoever keeps something in it says what
that means.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

BUSY_SECONDS: Final = 1.0


class ThrowawayFile:
    """One connection of this process. Open it after a fork; its callers take turns."""

    def __init__(self, path: Path, schema: Sequence[str]) -> None:
        """`schema`: statements that make what is missing."""
        self.path = path
        self._schema = schema
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

    def usable(self) -> sqlite3.Connection:
        """The connection to the file that stands at the path now."""
        if self._connection is None or self._identity() != self._opened:
            self.drop()
            self._connection = self._open()
            self._opened = self._identity()
        return self._connection

    def drop(self) -> None:
        """Closes the connection. The next use opens another."""
        connection, self._connection, self._opened = self._connection, None, None
        if connection is not None:
            connection.close()

    def remove(self) -> None:
        """Removes the file, after a power cut, say: the next use begins a new one."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            for statement in self._schema:
                connection.execute(statement)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino
