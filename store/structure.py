"""Whether a store is sound, without asking any signature: `audit verify` does that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, cast
from uuid import UUID

import msgspec
from eventsourcing.persistence import PersistenceError

from gatebook.domain.event import UnreadableEvent
from gatebook.projections.engine import status
from gatebook.projections.registry import PROJECTIONS
from gatebook.projections.rows import text
from gatebook.store import log_schema
from gatebook.store.house import House
from gatebook.store.key_rows import key_rows
from gatebook.store.log import Log
from gatebook.store.log_reader import LogReader
from gatebook.store.master_key import ROW, KeyringDamaged

AT_A_TIME: Final = 2_000

# A stream may begin with version 0, as the library allows.
_VERSIONS = (
    "SELECT position, stream_id, version, before FROM (SELECT position, stream_id, version, "
    "lag(version) OVER (PARTITION BY stream_id ORDER BY position) AS before FROM log) AS versions "
    "WHERE version <> coalesce(before + 1, CASE version WHEN 0 THEN 0 ELSE 1 END) "
    "ORDER BY position LIMIT 1"
)

_TRIGGERS = {
    "sqlite": "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = 'log'",
    "postgresql": "SELECT tgname || CASE tgenabled WHEN 'O' THEN ' enabled' ELSE ' off' END "
    "FROM pg_trigger WHERE tgrelid = 'log'::regclass AND NOT tgisinternal",
}


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong: of `what`, at which position of the log when it is one's fault."""

    what: str
    message: str
    position: int | None = None


def findings(house: House, tell: Callable[[int, int], None]) -> Iterator[Finding]:
    """All that is wrong with the log, the keyring and the read models. Writes nothing.

    Raises the store's errors when it cannot be read.
    """
    with house.store.reading() as reader:
        yield from _database(reader)
        yield from _events(reader, tell)
        yield from _streams(reader)
        yield from guards(reader)
    yield from _keyring(house)
    yield from _read_models(house.store)


def _database(reader: LogReader) -> Iterator[Finding]:
    if reader.dialect == "sqlite":
        for (said,) in reader.query("PRAGMA integrity_check(10)"):
            if said != "ok":
                yield Finding("database", str(said))


def guards(reader: LogReader) -> Iterator[Finding]:
    """The log's triggers have to be ours: another one could leave out an event as it is written."""
    found = {text(row[0]).strip() for row in reader.query(_TRIGGERS[reader.dialect])}
    made = [one.strip() for one in log_schema.DDL[reader.dialect]]
    expected = {one for one in made if one.startswith("CREATE TRIGGER")}
    if reader.dialect == "postgresql":
        expected = {f"{one.split()[2]} enabled" for one in expected}
    for one in sorted(found ^ expected):
        what = "is not Gatebook's" if one in found else "is missing, off or changed"
        name = one.removeprefix("CREATE TRIGGER").split()[0]
        yield Finding("database", f"the trigger {name} of the log {what}")


def _events(reader: LogReader, tell: Callable[[int, int], None]) -> Iterator[Finding]:
    """The first position that is missing, and the first event that cannot be read."""
    head, reached = reader.head(), 0
    while rows := reader.raw(reached, AT_A_TIME):
        for place, row in enumerate(rows, start=reached + 1):
            if row[0] != place:
                yield Finding("log", f"event {place} is missing; the next is {row[0]}", place)
                return
        try:
            if len(read := reader.decoded(rows, sealed=True)) < len(rows):
                reader.decoded(rows[len(read) :], sealed=True)
        except (UnreadableEvent, msgspec.ValidationError) as error:
            at = getattr(error, "position", rows[0][0])
            yield Finding("log", str(error), at)
            return
        reached += len(rows)
        tell(reached, head)


def _streams(reader: LogReader) -> Iterator[Finding]:
    for row in reader.query(_VERSIONS):
        position, stream_id, version, before = cast("tuple[int, bytes, int, int | None]", row)
        after = "as its first" if before is None else f"after {before}"
        text = f"event {position} has version {version} of stream {UUID(bytes=stream_id)}, {after}"
        yield Finding("log", text, position)


def _keyring(house: House) -> Iterator[Finding]:
    """Every key has to open with the master key; which keys there should be nobody can say."""
    for name, wrapped, _created_at in key_rows(house.settings.store_url):
        try:
            if name != ROW:
                house.masters.unwrap(name, wrapped)
        except KeyringDamaged as error:
            yield Finding("keyring", str(error))
            return


def _read_models(log: Log) -> Iterator[Finding]:
    try:
        found = status(log, PROJECTIONS)
    except PersistenceError:
        return  # never served: there are none
    for one in found:
        if one.lag < 0:
            text = f"{one.name} has taken in {one.position} events, and the log has {one.head}"
            yield Finding("read model", text)
