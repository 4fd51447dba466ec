"""`gatebook store schema`, `migrate`, `force-version`: the version of the database's tables."""

from __future__ import annotations

import click

from gatebook.domain.application.core import local
from gatebook.store import log_schema, migration
from gatebook.store.faults import SchemaMismatch, StoreRefused
from gatebook.store.mapper import EventMapper
from gatebook.store.settings import ConfigurationError
from gatebook.store.system import SystemClock
from gatebook.tools.audit_verify import opened_keyring
from gatebook.tools.desk import Desk, Failed, local_user, plain


@click.command()
@click.pass_obj
def schema(desk: Desk) -> int:
    """The schema version of the store and of this program. Exit code 1 when they differ."""
    desk.offline_only("store schema")
    try:
        found = migration.standing(desk.settings().store_url)
    except StoreRefused as error:
        raise ConfigurationError(str(error)) from error
    desk.show({"stored": found.stored, "program": found.program, "steps": found.pending})
    return 0 if found.stored == found.program else 1


@click.command()
@click.pass_obj
def migrate(desk: Desk) -> None:
    """Bring the store to this program's schema. Killed, run it again: it goes on.

    Stop the servers and take a backup first. A store of a newer program is refused, code 78.
    """
    desk.offline_only("store migrate")

    def tell(former: int, version: int, seconds: float) -> None:
        last = log_schema.VERSION
        desk.say(f"Schema {former} -> {version} of {last}: {seconds:.1f} s")

    try:
        before = migration.migrate(desk.settings().store_url, tell)
    except StoreRefused as error:
        raise ConfigurationError(str(error)) from error
    if desk.as_json:
        desk.show({"former": before.stored, "version": before.program})
    elif not before.pending:
        desk.say(f"The store has schema version {before.stored} already: nothing to do.")


@click.command("force-version")
@click.argument("version", type=click.IntRange(1, 9_999))
@click.pass_obj
def force_version(desk: Desk, version: int) -> None:
    """LAST RESORT: say what version the schema has, though nothing of it is changed.

    For a schema that was mended by hand. Stop every server first. It is recorded in the log.
    """
    desk.offline_only("store force-version")
    settings = desk.settings()
    try:
        found = migration.standing(settings.store_url)
        desk.errors.print(
            f"WARNING: the store says that its schema is version {found.stored}; this program "
            f"needs {found.program}.\nForcing the number changes no table. A program that takes "
            "tables for what they are not may damage the store for good. Is there a backup? Are "
            "all servers stopped?",
            markup=False,
            soft_wrap=True,
        )
        desk.confirm(f"Say that it is version {version}?")
        with opened_keyring(settings, None) as ring:
            now, by = SystemClock().now(), local(local_user())
            migration.force(settings.store_url, version, EventMapper(ring), by, now)
    except SchemaMismatch as error:
        raise ConfigurationError(str(error)) from error
    except StoreRefused as error:
        raise Failed(plain(str(error))) from error
    desk.show({"former": found.stored, "version": version, "program": found.program})


COMMANDS = (schema, migrate, force_version)
