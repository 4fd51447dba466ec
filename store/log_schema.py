"""The tables of the log in both dialects, their version, and the steps from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from gatebook.projections.ports import Dialect
from gatebook.store.faults import SchemaMismatch
from gatebook.store.log_reader import LogTransaction

VERSION = 1
APPLICATION_ID = 0x47617465  # "Gate": what `file` and `PRAGMA application_id` show

Steps = Mapping[int, Mapping[Dialect, Sequence[str]]]
"""From which version; statements that lead to the next one, in each dialect."""

MIGRATIONS: Steps = {}

_SQLITE_LOG = """
CREATE TABLE log (
    position INTEGER PRIMARY KEY,
    recorded_at INTEGER NOT NULL,
    stream_id BLOB NOT NULL CHECK (length(stream_id) = 16),
    version INTEGER NOT NULL CHECK (version >= 0),
    topic TEXT NOT NULL,
    metadata BLOB NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (stream_id, version)
) STRICT
"""

# The second condition is for INSERT OR REPLACE: its silent delete fires no trigger unless the
# connection asked for recursive ones, and another program's would not have.
_SQLITE_INSERT = """
CREATE TRIGGER log_is_gap_free BEFORE INSERT ON log
WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM log)
    OR EXISTS (SELECT 1 FROM log WHERE stream_id = NEW.stream_id AND version = NEW.version)
BEGIN SELECT RAISE(ABORT, 'the log takes one event after the other, and each version once'); END
"""

_REFUSAL = "the log is append-only: events are never changed or removed"

_POSTGRESQL_LOG = """
CREATE TABLE log (
    position BIGINT PRIMARY KEY,
    recorded_at BIGINT NOT NULL,
    stream_id UUID NOT NULL,
    version BIGINT NOT NULL CHECK (version >= 0),
    topic TEXT NOT NULL,
    metadata BYTEA NOT NULL,
    payload BYTEA NOT NULL,
    UNIQUE (stream_id, version)
)
"""

# Once a statement, not once a row: the rows before it are 1..head by the same rule.
_POSTGRESQL_GAP_FREE = """
CREATE FUNCTION log_is_gap_free() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE first BIGINT; last BIGINT; added BIGINT;
BEGIN
    SELECT min(position), max(position), count(*) INTO first, last, added FROM inserted;
    IF added > 0 AND (last - first + 1 <> added OR first < 1 OR (first > 1 AND NOT EXISTS
        (SELECT 1 FROM log WHERE position = first - 1))) THEN
        RAISE EXCEPTION 'the log takes one event after the other' USING ERRCODE = '23514';
    END IF;
    RETURN NULL;
END $$
"""

# A function, because a session plans it once. Its first row has the head and the
# schema's version, the others the streams.
_POSTGRESQL_LOOK = """
CREATE FUNCTION log_look(streams UUID[])
RETURNS TABLE (head BIGINT, stream UUID, current BIGINT) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT coalesce(max(position), 0), NULL::UUID, (SELECT version::BIGINT FROM schema)
        FROM log;
    RETURN QUERY SELECT 0::BIGINT, id, (SELECT max(version) FROM log WHERE stream_id = id)
        FROM unnest(streams) AS id;
END $$
"""

DDL: Mapping[Dialect, Sequence[str]] = {
    "sqlite": (
        _SQLITE_LOG,
        _SQLITE_INSERT,
        f"CREATE TRIGGER log_refuses_update BEFORE UPDATE ON log "
        f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END",
        f"CREATE TRIGGER log_refuses_delete BEFORE DELETE ON log "
        f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END",
        "CREATE TABLE schema (one INTEGER PRIMARY KEY CHECK (one = 1), "
        "version INTEGER NOT NULL) STRICT",
    ),
    "postgresql": (
        _POSTGRESQL_LOG,
        _POSTGRESQL_GAP_FREE,
        _POSTGRESQL_LOOK,
        "CREATE TRIGGER log_is_gap_free AFTER INSERT ON log REFERENCING NEW TABLE AS inserted "
        "FOR EACH STATEMENT EXECUTE FUNCTION log_is_gap_free()",
        f"CREATE FUNCTION log_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = '23514'; END $$",
        "CREATE TRIGGER log_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON log "
        "FOR EACH STATEMENT EXECUTE FUNCTION log_refuses()",
        "CREATE TABLE schema (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL)",
    ),
}


def create(tx: LogTransaction) -> None:
    """Makes the tables in an empty store."""
    for statement in DDL[tx.dialect]:
        tx.execute(statement)
    tx.execute("INSERT INTO schema (one, version) VALUES (1, ?)", (VERSION,))


def check(stored: int) -> None:
    """Raises `SchemaMismatch` unless this program and the store have the same version."""
    if stored != VERSION:
        raise SchemaMismatch(stored, VERSION)


def stored_version(tx: LogTransaction) -> int:
    return cast("int", tx.query("SELECT version FROM schema")[0][0])


def migrate_one(tx: LogTransaction, steps: Steps = MIGRATIONS, target: int = VERSION) -> bool:
    """One step towards `target`. Run it until it says False, each time in its own transaction.

    The version moves with the step, so a migration that was killed goes on where it stopped.
    Raises `SchemaMismatch` when there is no way to `target`.
    """
    stored = stored_version(tx)
    if stored == target:
        return False
    if stored not in steps or stored > target:
        raise SchemaMismatch(stored, target)
    for statement in steps[stored][tx.dialect]:
        tx.execute(statement)
    tx.execute("UPDATE schema SET version = ?", (stored + 1,))
    return True
