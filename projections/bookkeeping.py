"""Where each projection stands: three small tables beside the read models.

A position only ever moves by a statement that also names the position it moves from. Whoever comes
second changes no row and knows it, so two followers never apply an event twice.
"""

from __future__ import annotations

import msgspec

from gatebook.domain.deployment import ProjectionEventSkipped
from gatebook.projections.ports import Dialect, Reader, Row, Transaction
from gatebook.projections.rows import maybe_number, maybe_text, number, text

_INTEGER: dict[Dialect, str] = {"sqlite": "INTEGER", "postgresql": "BIGINT"}
_STRICT: dict[Dialect, str] = {"sqlite": " STRICT", "postgresql": ""}

_STANDING = (
    "SELECT name, version, generation, position, status, error, error_position, switched_at "
    "FROM projections"
)
_BUILDING = "SELECT name, version, generation, position FROM projections_building WHERE name = ?"


class Standing(msgspec.Struct, frozen=True):
    """A live read model. `status` is "live" or "halted"; then `error` says why, in words.

    `switched_at`, in microseconds, is when this generation began to answer.
    """

    name: str
    version: int
    generation: int
    position: int
    status: str
    error: str | None
    error_position: int | None
    switched_at: int


class Building(msgspec.Struct, frozen=True):
    """A generation in the making, in the tables whose names end in `__next`."""

    name: str
    version: int
    generation: int
    position: int


def create(tx: Transaction) -> None:
    """Creates the tables, if they are not there."""
    integer, strict = _INTEGER[tx.dialect], _STRICT[tx.dialect]
    tx.execute(
        "CREATE TABLE IF NOT EXISTS projections ("
        f"name TEXT PRIMARY KEY, version {integer} NOT NULL, generation {integer} NOT NULL, "
        f"position {integer} NOT NULL, status TEXT NOT NULL, error TEXT, "
        f"error_position {integer}, switched_at {integer} NOT NULL){strict}"
    )
    tx.execute(
        "CREATE TABLE IF NOT EXISTS projections_building ("
        f"name TEXT PRIMARY KEY, version {integer} NOT NULL, generation {integer} NOT NULL, "
        f"position {integer} NOT NULL){strict}"
    )
    tx.execute(
        "CREATE TABLE IF NOT EXISTS projections_skipped ("
        f"name TEXT NOT NULL, position {integer} NOT NULL, PRIMARY KEY (name, position)){strict}"
    )


def standing(reader: Reader, name: str) -> Standing | None:
    """Where a projection stands; None if it has never been created."""
    found = reader.query(_STANDING + " WHERE name = ?", (name,))
    return _standing(found[0]) if found else None


def standings(reader: Reader) -> dict[str, Standing]:
    """Where all stand, by name."""
    return {found.name: found for found in map(_standing, reader.query(_STANDING))}


def _standing(row: Row) -> Standing:
    return Standing(
        name=text(row[0]),
        version=number(row[1]),
        generation=number(row[2]),
        position=number(row[3]),
        status=text(row[4]),
        error=maybe_text(row[5]),
        error_position=maybe_number(row[6]),
        switched_at=number(row[7]),
    )


def begin(tx: Transaction, name: str, version: int, at: int) -> None:
    """A first, empty generation."""
    tx.execute(
        "INSERT INTO projections (name, version, generation, position, status, switched_at) "
        "VALUES (?, ?, 1, 0, 'live', ?)",
        (name, version, at),
    )


def advance(tx: Transaction, at: Standing, position: int) -> bool:
    """Moves a live projection on; False if it no longer stands where it was read."""
    moved = tx.execute(
        "UPDATE projections SET position = ? "
        "WHERE name = ? AND generation = ? AND position = ? AND status = 'live'",
        (position, at.name, at.generation, at.position),
    )
    return moved == 1


def halt(tx: Transaction, name: str, generation: int, position: int, reason: str) -> None:
    """Stops a projection before `position`, if that is the event it comes to next."""
    tx.execute(
        "UPDATE projections SET status = 'halted', error = ?, error_position = ? "
        "WHERE name = ? AND generation = ? AND position = ?",
        (reason, position, name, generation, position - 1),
    )


def resume(tx: Transaction, name: str) -> bool:
    """Lets a projection try again; False if there is none of that name."""
    touched = tx.execute(
        "UPDATE projections SET status = 'live', error = NULL, error_position = NULL "
        "WHERE name = ?",
        (name,),
    )
    return touched == 1


def skip(tx: Transaction, name: str, position: int) -> None:
    """Notes that a projection passes over an event. Twice is once."""
    tx.execute(
        "INSERT INTO projections_skipped (name, position) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (name, position),
    )


def skipped(reader: Reader, name: str, after: int = 0) -> frozenset[int]:
    """The positions behind `after` that a projection passes over.

    Only those that the log says an operator let it pass over: whoever writes to the table alone
    hides no event. Reads all of the log when there is any.
    """
    said = frozenset(position for position in noted_skips(reader, name) if position > after)
    return said & recorded_skips(reader, name) if said else said


def noted_skips(reader: Reader, name: str) -> frozenset[int]:
    """What the table says that a projection passes over."""
    found = reader.query("SELECT position FROM projections_skipped WHERE name = ?", (name,))
    return frozenset(number(row[0]) for row in found)


def recorded_skips(reader: Reader, name: str) -> frozenset[int]:
    """What operators let a projection pass over, as the log has it. Reads all of the log."""
    topic = ProjectionEventSkipped.TOPIC
    found = set[int]()
    for row in reader.query("SELECT position FROM log WHERE topic = ?", (topic,)):
        for recorded in reader.read_sealed(number(row[0]) - 1, 1):
            event = recorded.event
            if isinstance(event, ProjectionEventSkipped) and event.projection == name:
                found.add(event.position)
    return frozenset(found)


def building(reader: Reader, name: str) -> Building | None:
    """The generation in the making, if there is one."""
    found = reader.query(_BUILDING, (name,))
    if not found:
        return None
    name_, version, generation, position = found[0]
    return Building(text(name_), number(version), number(generation), number(position))


def begin_building(tx: Transaction, build: Building) -> None:
    """A generation in the making, in place of any other."""
    tx.execute("DELETE FROM projections_building WHERE name = ?", (build.name,))
    tx.execute(
        "INSERT INTO projections_building (name, version, generation, position) "
        "VALUES (?, ?, ?, ?)",
        (build.name, build.version, build.generation, build.position),
    )


def advance_building(tx: Transaction, at: Building, position: int) -> bool:
    """Moves a generation in the making on; False if it is not where it was read."""
    moved = tx.execute(
        "UPDATE projections_building SET position = ? "
        "WHERE name = ? AND generation = ? AND version = ? AND position = ?",
        (position, at.name, at.generation, at.version, at.position),
    )
    return moved == 1


def end_building(tx: Transaction, at: Building) -> bool:
    """Forgets a generation in the making; False if it is not where it was read."""
    ended = tx.execute(
        "DELETE FROM projections_building "
        "WHERE name = ? AND generation = ? AND version = ? AND position = ?",
        (at.name, at.generation, at.version, at.position),
    )
    return ended == 1


def switch(tx: Transaction, to: Building, position: int, at: int) -> bool:
    """The generation answers from now on; False if the one before it is not the live one."""
    switched = tx.execute(
        "UPDATE projections SET version = ?, generation = ?, position = ?, status = 'live', "
        "error = NULL, error_position = NULL, switched_at = ? WHERE name = ? AND generation = ?",
        (to.version, to.generation, position, at, to.name, to.generation - 1),
    )
    return switched == 1
