"""`gatebook audit verify`: the log against its checkpoints, with what the configuration knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from eventsourcing.persistence import PersistenceError

from gatebook.store.checkpoint_key import checkpoint_key
from gatebook.store.faults import StoreRefused
from gatebook.store.keyring import CHECKPOINT_KEY, Keyring
from gatebook.store.keyring_table import KeyTable, SqliteKeyTable
from gatebook.store.master_key import open_master_key
from gatebook.store.opening import check_log_exists, open_keys
from gatebook.store.settings import ConfigurationError, Settings
from gatebook.store.system import SystemClock
from gatebook.tools import verify
from gatebook.tools.desk import UNAVAILABLE, Desk, Failed, plain


@click.command("verify")
@click.option(
    "--checkpoint",
    "files",
    multiple=True,
    metavar="FILE",
    help="A file of signed heads that was kept elsewhere; may be said more than once.",
)
@click.option(
    "--key",
    "given",
    multiple=True,
    metavar="VKEY|FILE",
    help="The verifier key to trust, or a file that holds it; else that of the keyring.",
)
@click.pass_obj
def verify_(desk: Desk, files: tuple[str, ...], given: tuple[str, ...]) -> int:
    """Recompute the tree from the events and hold it against every signed head.

    Exit code 1, and the first bad position, when something was changed. Writes nothing.
    """
    desk.offline_only("audit verify")
    settings = desk.settings()
    check_exists(settings)
    kept = [str(settings.path(name)) for name in settings.audit.witness_files]
    there = [path for path in kept if Path(path).is_file()]
    with failures():
        keys = [verify.read_key(one) for one in given] or [key_of(settings)]
        given_files = verify.read_files(dict.fromkeys(files))
        witnesses = verify.read_files(path for path in dict.fromkeys(there) if path not in files)
        report = verify.verify(
            settings.store_url, keys, given_files, tell(desk), witnesses=witnesses
        )
    report.warnings += [f"the witness {path} is not there" for path in kept if path not in there]
    say(desk, report)
    return 0 if report.ok else 1


def key_of(settings: Settings, keyring: str | None = None) -> verify.Key:
    """The key that heads are signed with: out of the keyring, or another's file.

    The master key vouches for it. Raises Failed when there is none, and ConfigurationError.
    """
    with opened_keyring(settings, keyring) as ring:
        if not ring.has(CHECKPOINT_KEY):
            raise Failed("the keyring has no key for heads: none was signed with it yet")
        return verify.Key.parse(str(checkpoint_key(ring).verifier))


@contextmanager
def opened_keyring(settings: Settings, keyring: str | None = None) -> Iterator[Keyring]:
    """The keyring of the store, or that in a file, opened with the configured master key."""
    now = SystemClock().now
    try:
        table: KeyTable = SqliteKeyTable(keyring) if keyring else open_keys(settings.store_url)
    except (StoreRefused, PersistenceError) as error:
        raise ConfigurationError(str(error)) from error
    with closing(table):
        if not table.names():
            raise ConfigurationError("the keyring is empty: restore it from its backup")
        with closing(open_master_key(settings, table, now())) as masters:
            yield Keyring(table, masters, now)


def check_exists(settings: Settings) -> None:
    """Raises ConfigurationError when there is no log to look at."""
    try:
        check_log_exists(settings.store_url)
    except StoreRefused as error:
        raise ConfigurationError(str(error)) from error


@contextmanager
def failures() -> Iterator[None]:
    """What cannot be read at all ends with code 3."""
    try:
        yield
    except verify.Unreadable as error:
        raise Failed(plain(str(error)), UNAVAILABLE) from error


def tell(desk: Desk) -> verify.Tell:
    """Progress on a terminal, unless --quiet was said."""
    return (lambda _done, _total: None) if desk.quiet else verify.on_terminal()


def say(desk: Desk, report: verify.Report) -> None:
    """The verdict, for people or programs."""
    if desk.as_json:
        click.echo(json.dumps(asdict(report), indent=2, ensure_ascii=False))
        return
    lines = str(report).splitlines()
    for line in lines[-1:] if desk.quiet else lines:
        click.echo(plain(line))
