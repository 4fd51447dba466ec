"""`gatebook store`: what it holds, whether it is sound, and its copies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec
from eventsourcing.persistence import PersistenceError

from gatebook.api.local import follow_up
from gatebook.domain import custody
from gatebook.domain.application.core import local
from gatebook.projections import tree_tables
from gatebook.store import backup as backups
from gatebook.store import structure
from gatebook.store.checkpoint_key import checkpoint_key
from gatebook.store.copying import Copied
from gatebook.store.faults import StoreRefused
from gatebook.store.house import House, open_house
from gatebook.store.keyring import CHECKPOINT_KEY
from gatebook.store.mapper import EventMapper
from gatebook.store.new_store import check_no_log
from gatebook.store.opening import POSTGRESQL, SQLITE, sqlite_path
from gatebook.store.settings import Settings
from gatebook.store.system import SystemClock
from gatebook.tools import migrations, verify
from gatebook.tools.audit_verify import failures, opened_keyring
from gatebook.tools.desk import Desk, Failed, local_user, plain, refused_file, rfc3339
from gatebook.tools.progress import bar

Tell = Callable[[int, int], None]

HARMLESS = frozenset(
    {"schema", "user", "host", "hostaddr", "port", "dbname", "connect_timeout", "passfile"}
    | {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "target_session_attrs"}
)
"""Parameters of a PostgreSQL URL that are shown: an unknown one may be secret."""


@click.group()
def store() -> None:
    """The log's database: what it is, whether it is sound, its copies."""


for command in migrations.COMMANDS:
    store.add_command(command)


@store.command()
@click.pass_obj
def info(desk: Desk) -> None:
    """What the store is and what it holds."""
    desk.offline_only("store info")
    with desk.house() as house:
        head = tree_tables.newest_head(house.store)
        desk.show(
            {
                "dialect": house.store.dialect,
                "url": _shown(house.settings.store.url),
                "schema_version": house.store.query("SELECT version FROM schema")[0][0],
                "events": house.store.head(),
                "bytes": _bytes(house),
                **house.access.counts(house.clock.now()),
                "newest_checkpoint": None if head is None else head.size,
                "newest_backup": _newest_backup(house),
            }
        )


@store.command("verify")
@click.pass_obj
def verify_(desk: Desk) -> int:
    """Look for gaps, unreadable events, keys that do not open. Exit code 1 when there are some.

    Signatures are not looked at: that is `gatebook audit verify`.
    """
    desk.offline_only("store verify")
    house = open_house(desk.settings())
    try:
        with bar(desk, "events") as tell:
            found = list(structure.findings(house, tell))
        head = house.store.head()
    finally:
        house.close()
    if desk.as_json:
        desk.show({"ok": not found, "events": head, "findings": msgspec.to_builtins(found)})
    else:
        for one in found:
            desk.errors.print(plain(f"{one.what}: {one.message}"), markup=False, soft_wrap=True)
        if not found:
            desk.say(f"The store is sound: {head:,} events, and every key opens.")
            desk.say("Whether an event was changed is for: gatebook audit verify")
    return 1 if found else 0


@store.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--keyring", metavar="FILE", help="Copy the keyring too, into a file of its own.")
@click.pass_obj
def backup(desk: Desk, file: str, keyring: str | None) -> None:
    """Copy the log into one file, beside whatever goes on. This is recorded in the log.

    What is copied is held against the newest signed head. Exit code 1 when that disagrees: the copy
    is FILE.bad then.
    """
    desk.offline_only("store backup")
    with desk.house() as house, _refusals(), bar(desk, "backup") as tell:
        follow_up(house)  # without a server nobody else signs what is newer than the last head
        made = backups.back_up(house, local(local_user()), file, keyring, tell)
    copied = made.copied
    _show(desk, copied, file=made.path, bytes=os.path.getsize(made.path), keyring=keyring)
    if made.refuted is not None:
        raise Failed(
            f"the log does not agree with what was signed: {made.refuted}. It was copied as it is, "
            f"to {made.path}. Run gatebook audit verify, and keep the backups from before"
        )
    if copied.size < copied.head:
        desk.errors.print(
            f"note: {copied.head - copied.size} events of the backup are newer than the newest "
            "signed head in it",
            markup=False,
            soft_wrap=True,
        )
    if keyring is None:
        desk.say("The keyring is not in it, and without it nobody can sign in: --keyring FILE.")


@store.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--keyring", metavar="FILE", help="The keyring's backup; else the one in place.")
@click.option(
    "--to-position", "upto", type=click.IntRange(1), help="Leave out what came after this event."
)
@click.pass_obj
def restore(desk: Desk, file: str, keyring: str | None, upto: int | None) -> None:
    """Make the store of the configuration from a backup, where there is none.

    The backup is verified before. The next event of the new store says that it was restored.
    """
    desk.offline_only("store restore")
    settings = desk.settings()
    with _refusals(), opened_keyring(settings, keyring) as ring:
        check_no_log(settings.store_url)
        backups.check_backup(file)
        key = str(checkpoint_key(ring).verifier) if ring.has(CHECKPOINT_KEY) else None
        _check(desk, file, None if key is None else verify.Key.parse(key), upto)
        record = backups.restored_row(EventMapper(ring), local(local_user()), SystemClock().now())
        with bar(desk, "restore") as tell:
            copied = backups.restore(
                file, settings.store_url, keyring=keyring, upto=upto, record=record, tell=tell
            )
    _show(desk, copied)
    desk.say("Its read models are built when the server starts.")


@store.command("copy")
@click.argument("url")
@click.pass_obj
def copy_(desk: Desk, url: str) -> None:
    """Copy log and keyring into a new store of either kind. This is recorded in this log."""
    desk.offline_only("store copy")
    settings = desk.settings()
    with desk.house() as house, _refusals(), bar(desk, "copy") as tell:
        follow_up(house)
        to = _absolute(settings, url)
        copied = backups.copy_store(house, local(local_user()), to, tell)
    _show(desk, copied, url=_shown(url))
    desk.say(f'Now set [store] url = "{_shown(url)}" and start the servers.')
    if _shown(url) != url:
        desk.say(
            "What may be secret is left out of it: put the password into ~/.pgpass, mode 0600,"
        )
        desk.say("or into a file that PGPASSFILE names.")
    desk.say(f"What was appended after event {copied.head} is not in it.")


def _check(desk: Desk, file: str, key: verify.Key | None, upto: int | None) -> None:
    """Raises Failed unless all signed heads of a backup agree with it. One without any passes.

    Of a backup that is restored up to a position, what comes after it is not looked at.
    """
    if key is None:
        desk.say("The keyring has no key for signed heads: only the structure was checked.")
        return
    with failures(), bar(desk, "verify") as tell:
        report = verify.verify(file, [key], tell=tell, upto=upto)
    wrong = [one for one in report.problems if one.kind != "unproven"]
    if wrong:
        said = f"{file} is not restored: {wrong[0].message}"
        if report.first_bad is not None:
            said += f"; first bad position: {report.where}"
        if report.first_bad is not None and report.first_bad > 1:
            said += f". What is before it can be restored: --to-position {report.first_bad - 1}"
        raise Failed(plain(said))
    notes = []
    if upto is not None:
        notes.append(f"only events 1 to {upto} were verified; the backup may be bad after them")
    if report.uncovered and report.heads:
        notes.append(f"no signed head vouches for the newest {report.uncovered} of them")
    if not report.heads:
        notes.append("no signed head was found for them: only the structure was checked")
    for note in notes:
        desk.errors.print(f"note: {note}", markup=False, soft_wrap=True)


def _show(desk: Desk, copied: Copied, **more: Any) -> None:
    named = {name: value for name, value in more.items() if value is not None}
    size, root = copied.size or None, copied.root.hex() or None
    signed = None if size is None else f"of {size:,} events, root {root}"
    desk.show(
        {**named, "head": copied.head, "checkpoint": size, "root": root},
        [*named.items(), ("events", copied.head), ("newest signed head", signed)],
    )


def _bytes(house: House) -> int:
    """What the database takes, all tables together."""
    if house.store.dialect == "sqlite":
        path = sqlite_path(house.settings.store_url)
        files = [name for name in (path, f"{path}-wal") if os.path.exists(name)]
        return sum(os.path.getsize(name) for name in files)
    sql = (
        "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class AS c "
        "JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname = current_schema() AND c.relkind = 'r'"
    )
    found = house.store.query(sql)[0][0]
    return found if isinstance(found, int) else 0


def _newest_backup(house: House) -> dict[str, Any] | None:
    for recorded in reversed(house.store.stream(custody.STREAM_ID)):
        if isinstance(recorded.event, custody.StoreBackedUp):
            at = rfc3339(recorded.recorded_at)
            return {"head": recorded.event.head, "at": at, "checkpoint": recorded.event.size}
    return None


def _absolute(settings: Settings, url: str) -> str:
    """A relative path is taken from the configuration file, as it is in `[store] url`."""
    if url.startswith((SQLITE + "/", *POSTGRESQL)) or not url.startswith(SQLITE):
        return url
    return SQLITE + str(settings.path(url.removeprefix(SQLITE)))


def _shown(url: str) -> str:
    """A URL with who signs in to it, and without a password, which may be in the query as well."""
    scheme, mark, rest = url.partition("://")
    if not url.startswith(POSTGRESQL):
        return url
    # As libpq reads it: what stands before an @ in front of the first / is user and password.
    authority, slash, path = rest.partition("/")
    credentials, at, host = authority.rpartition("@")
    user = credentials.partition(":")[0] if "?" not in credentials else ""
    host, _, asked = host.partition("?")
    path, _, more = path.partition("?")
    parts = [one for one in (asked or more).split("&") if one.partition("=")[0] in HARMLESS]
    shown = f"{scheme}{mark}{user}{'@' if user and at else ''}{host}{slash}{path}"
    return shown + (f"?{'&'.join(parts)}" if parts else "")


@contextmanager
def _refusals() -> Iterator[None]:
    """Code 1 for what is refused as it stands; the store's own failures end with code 3."""
    try:
        yield
    except StoreRefused as error:
        raise Failed(plain(str(error))) from error
    except (OSError, PersistenceError) as error:
        if isinstance(error, OSError):
            raise refused_file(error) from error
        raise
