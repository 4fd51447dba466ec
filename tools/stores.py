"""`gatebook store`: what it holds, whether it is sound, and its copies."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec
from eventsourcing.persistence import PersistenceError
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

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
from gatebook.store.mapper import EventMapper
from gatebook.store.new_store import check_no_log
from gatebook.store.opening import POSTGRESQL, SQLITE, sqlite_path
from gatebook.store.settings import Settings
from gatebook.store.system import SystemClock
from gatebook.tools import migrations, verify
from gatebook.tools.audit_verify import CHECKPOINT_KEY, failures, opened_keyring
from gatebook.tools.desk import Desk, Failed, local_user, plain

Tell = Callable[[int, int], None]


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
    return 1 if found else 0


@store.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--keyring", metavar="FILE", help="Copy the keyring too, into a file of its own.")
@click.pass_obj
def backup(desk: Desk, file: str, keyring: str | None) -> None:
    """Copy the log into one file, beside whatever goes on. This is recorded in the log."""
    desk.offline_only("store backup")
    with desk.house() as house, _refusals(), bar(desk, "backup") as tell:
        follow_up(house)  # without a server nobody else signs what is newer than the last head
        copied = backups.back_up(house, local(local_user()), file, keyring, tell)
    _show(desk, copied, file=file, bytes=os.path.getsize(file), keyring=keyring)
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
        _check(desk, file, None if key is None else verify.Key.parse(key))
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
    desk.say(f"What was appended after event {copied.head} is not in it.")


def _check(desk: Desk, file: str, key: verify.Key | None) -> None:
    """Raises Failed unless all signed heads of a backup agree with it. One without any passes."""
    if key is None:
        desk.say("The keyring has no key for signed heads: only the structure was checked.")
        return
    with failures(), bar(desk, "verify") as tell:
        report = verify.verify(file, [key], tell=tell)
    wrong = [one for one in report.problems if one.kind != "unproven"]
    if wrong:
        raise Failed(plain(f"{file} is not restored: {wrong[0].message}"))
    if report.uncovered and report.heads:
        desk.say(f"No signed head vouches for the newest {report.uncovered} events of the backup.")
    if not report.heads:
        desk.say("The backup holds no signed head: only its structure was checked.")


def _show(desk: Desk, copied: Copied, **more: Any) -> None:
    desk.show(
        {
            **{name: value for name, value in more.items() if value is not None},
            "head": copied.head,
            "checkpoint": copied.size or None,
            "root": copied.root.hex() or None,
        }
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
            at = recorded.recorded_at // 1_000_000
            return {"head": recorded.event.head, "at": at, "checkpoint": recorded.event.size}
    return None


def _absolute(settings: Settings, url: str) -> str:
    """A relative path is taken from the configuration file, as it is in `[store] url`."""
    if url.startswith((SQLITE + "/", *POSTGRESQL)) or not url.startswith(SQLITE):
        return url
    return SQLITE + str(settings.path(url.removeprefix(SQLITE)))


def _shown(url: str) -> str:
    """A URL without who signs in to it, and with what password: either may be in the query."""
    base, _, query = url.partition("?")
    scheme, mark, rest = base.partition("://")
    schema = "&".join(part for part in query.split("&") if part.startswith("schema="))
    return f"{scheme}{mark}{rest.rpartition('@')[2]}{f'?{schema}' if schema else ''}"


@contextmanager
def _refusals() -> Iterator[None]:
    """Code 1 for what is refused as it stands; the store's own failures end with code 3."""
    try:
        yield
    except StoreRefused as error:
        raise Failed(plain(str(error))) from error
    except (OSError, PersistenceError) as error:
        if isinstance(error, OSError):
            raise Failed(plain(f"{error.filename}: {error.strerror}")) from error
        raise


@contextmanager
def bar(desk: Desk, name: str) -> Iterator[Tell]:
    """A bar on a terminal, with rate and time left."""
    shown = sys.stderr.isatty() and not desk.quiet
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=desk.errors,
        disable=not shown,
    ) as bars:
        task = bars.add_task(name, total=1, rate="")

        def tell(done: int, total: int) -> None:
            speed = bars.tasks[0].speed
            rate = f"{speed:,.0f} events/s" if speed else ""
            bars.update(task, completed=done, total=max(total, 1), rate=rate)

        yield tell
