"""Many keys in a keyring, without a commit for each."""

from __future__ import annotations

import os
from typing import Any

from gatebook.store.house import House
from gatebook.store.keyring_table import SqliteKeyTable
from gatebook.store.postgres_connection import native
from gatebook.store.postgres_keys import PostgresKeyTable

AT_ONCE = 10_000


def fill(house: House, count: int) -> None:
    """Adds so many keys of subjects that are nobody."""
    table: Any = house.key_table
    for first in range(0, count, AT_ONCE):
        names = [f"subject:{os.urandom(16).hex()}" for _ in range(min(AT_ONCE, count - first))]
        rows = [(name, house.masters.wrap(name, os.urandom(32))[0], 1) for name in names]
        with table._connected() as connection:
            if isinstance(table, SqliteKeyTable):
                connection.execute("BEGIN")
                connection.executemany("INSERT INTO keys VALUES (?, ?, ?)", rows)
                connection.execute("COMMIT")
            elif isinstance(table, PostgresKeyTable):
                sql = f"INSERT INTO {table._table} VALUES (?, ?, ?)"
                with connection.transaction():
                    connection.cursor(binary=True).executemany(native(sql), rows)
