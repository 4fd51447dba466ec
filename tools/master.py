"""`gatebook key rotate-master`, `escrow`, `recover`: the master key."""

from __future__ import annotations

import os
import secrets
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from gatebook.domain import custody
from gatebook.domain.application.core import local
from gatebook.store import escrow, master_record
from gatebook.store.faults import StoreMissing, StoreRefused
from gatebook.store.house import House, open_house
from gatebook.store.master_key import (
    ROW,
    read_private_file,
    read_secret,
    write_key_file,
    write_private_file,
)
from gatebook.store.master_record import MasterKey, Record, Secret, WrongMasterKey
from gatebook.store.opening import open_keys
from gatebook.store.rotation import record_custody, rotate
from gatebook.store.setting_sections import MasterKey as Source
from gatebook.store.settings import ConfigurationError, Settings
from gatebook.tools.desk import Desk, Failed, local_user, refused_file
from gatebook.tools.progress import bar

HINT = "Then tell a running server: kill -HUP its process."


@click.command("rotate-master")
@click.option("--key-file", metavar="FILE", help="The new master key: 64 hexadecimal digits.")
@click.option("--passphrase-file", metavar="FILE", help="A file with the new passphrase.")
@click.option("--passphrase-env", metavar="NAME", help="A variable that holds it.")
@click.option("--generate", is_flag=True, help="Make the file, unless it is there.")
@click.pass_obj
def rotate_master(
    desk: Desk,
    key_file: str | None,
    passphrase_file: str | None,
    passphrase_env: str | None,
    generate: bool,
) -> None:
    """Wrap every key under a new master key, while servers run. Run it again if it was killed."""
    desk.offline_only("key rotate-master")
    given = {
        "key_file": _absolute(key_file),
        "passphrase_file": _absolute(passphrase_file),
        "passphrase_env": passphrase_env,
    }
    named = {name: value for name, value in given.items() if value}
    if len(named) != 1:
        raise click.UsageError("Say one of --key-file, --passphrase-file, --passphrase-env.")
    source = Source(**named)
    if generate:
        _make(source)
    secret = read_secret(desk.settings(), source)
    with _house(desk, source) as house, bar(desk, "wrapping", "keys") as progress:
        outcome = rotate(house, secret, local(local_user()), progress)
    if desk.as_json:
        desk.show(msgspec.to_builtins(outcome))
        return
    if not outcome.keys:
        desk.say(f"{outcome.key_id} is the master key already.")
        return
    ((name, value),) = named.items()
    desk.say(f"{outcome.keys} keys are wrapped by the master key {outcome.key_id} now.")
    desk.say(f"The former one, {outcome.former_id}, opens nothing any more. Set")
    desk.say(f'  [master_key] {name} = "{value}"')
    desk.say(HINT)


@click.command("escrow")
@click.option(
    "--shares",
    type=click.IntRange(2, escrow.MOST),
    required=True,
    metavar="N",
    help="How many shares there are.",
)
@click.option(
    "--threshold",
    type=click.IntRange(2, escrow.MOST),
    required=True,
    metavar="K",
    help="How many of them it takes.",
)
@click.option("--out", required=True, metavar="DIR", help="Where the files are put, one a share.")
@click.pass_obj
def escrow_(desk: Desk, shares: int, threshold: int, out: str) -> None:
    """Split the master key: any K of N shares give it back."""
    desk.offline_only("key escrow")
    if threshold > shares:
        raise click.UsageError("--threshold is at most --shares.")
    directory = Path(out)
    with desk.house() as house, _files():
        house.masters.look()
        key = house.masters.opened.current
        made = datetime.fromtimestamp(house.clock.now() / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
        texts = escrow.split(key, shares, threshold, made)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        stem = f"master-key-{key.id.hex()}-share"
        paths = [directory / f"{stem}-{number}-of-{shares}" for number in range(1, shares + 1)]
        taken = list(directory.glob(f"{stem}-*"))
        if taken:
            raise Failed(f"{taken[0]} is there already; say another directory")
        # The event first: a crash behind it leaves fewer shares than it says, never unseen ones.
        event = custody.MasterKeyEscrowed(key_id=key.id.hex(), shares=shares, threshold=threshold)
        record_custody(house, local(local_user()), event)
        for path, text in zip(paths, texts, strict=True):
            write_private_file(path, text.encode())
    if desk.as_json:
        desk.show({"key_id": key.id.hex(), "files": [str(path) for path in paths]})
        return
    desk.say(f"Any {threshold} of these {shares} files give the master key back:")
    for path in paths:
        desk.say(f"  {path}")
    desk.say("Give each to another person, and keep none of them here.")


@click.command()
@click.option(
    "--share",
    "names",
    multiple=True,
    required=True,
    metavar="FILE",
    help="A share; said more than once, as often as there are shares at hand.",
)
@click.option("--key-file", required=True, metavar="OUT", help="Where the key is written.")
@click.pass_obj
def recover(desk: Desk, names: tuple[str, ...], key_file: str) -> None:
    """Put the master key together again from its shares."""
    desk.offline_only("key recover")
    path = Path(_absolute(key_file) or "")
    try:
        recovered = escrow.join([(name, _share(name)) for name in names])
    except escrow.BadShares as error:
        raise Failed(str(error)) from error
    settings = _settings(desk)
    stored = None if settings is None else _master_row(settings)
    if stored is not None:
        _check(stored, recovered.key)
    with _files():
        write_key_file(path, recovered.key.key)
    if settings is not None and stored is not None:
        _record(msgspec.structs.replace(settings, master_key=Source(key_file=str(path))), path)
    if desk.as_json:
        desk.show({"key_id": recovered.key.id.hex(), "key_file": str(path)})
        return
    desk.say(f"{path} holds the master key {recovered.key.id.hex()}. Set")
    desk.say(f'  [master_key] key_file = "{path}"')
    desk.say("in the place of what stands there, and start the server. A new passphrase:")
    desk.say("  gatebook key rotate-master --passphrase-file FILE --generate")


def _settings(desk: Desk) -> Settings | None:
    """The configuration; None where there is none, and the key cannot be held against a store."""
    return desk.settings() if Path(desk.config).exists() else None


def _master_row(settings: Settings) -> bytes | None:
    """What the key is held against; None before the keyring is restored."""
    try:
        table = open_keys(settings.store_url)
    except StoreMissing:
        return None
    except StoreRefused as error:
        raise ConfigurationError(str(error)) from error
    try:
        return table.get(ROW)
    finally:
        table.close()


def _check(stored: bytes, key: MasterKey) -> None:
    """Raises Failed, with what it is instead, for a key that does not open the store."""
    record = master_record.decode(stored)
    if master_record.opened(record, Secret(key.key, is_key=True)) is None:
        raise Failed(_which(record, key))


def _which(record: Record, key: MasterKey) -> str:
    replaced = record.replaced
    if replaced is not None and replaced.former_id == key.id:
        return f"these are shares of {key.id.hex()}, the former master key, which opens nothing"
    return f"these are shares of {key.id.hex()}, which is not the master key of this store"


def _record(settings: Settings, path: Path) -> None:
    try:
        house = open_house(settings)
    except ConfigurationError as error:
        raise Failed(f"{path} is written, but the log cannot be told so: {error}") from error
    try:
        house.prepare()
        event = custody.MasterKeyRecovered(key_id=house.masters.id.hex())
        record_custody(house, local(local_user()), event)
    finally:
        house.close()


def _share(name: str) -> str:
    return read_private_file(Path(name), "share").decode("utf-8", "replace")


def _make(source: Source) -> None:
    """The file of a new secret, if it is not there yet: run again, the command goes on with it."""
    if source.passphrase_env:
        raise click.UsageError("--generate makes a file; a variable it cannot set.")
    path = Path(source.key_file or source.passphrase_file)
    if path.exists():
        return
    with _files():
        if source.key_file:
            write_key_file(path)
        else:
            write_private_file(path, b64encode(secrets.token_bytes(32)) + b"\n")


def _absolute(name: str | None) -> str | None:
    """A path on the command line is of the working directory, not of the configuration file."""
    return None if name is None else os.path.abspath(name)


@contextmanager
def _house(desk: Desk, source: Source) -> Iterator[House]:
    """The store, by the configured master key; by the new one when that took over already."""
    settings = desk.settings()
    try:
        house = open_house(settings)
    except WrongMasterKey as error:
        try:
            house = open_house(msgspec.structs.replace(settings, master_key=source))
        except WrongMasterKey:
            raise error from None
    try:
        house.prepare()
        yield house
    finally:
        house.close()


@contextmanager
def _files() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refused_file(error) from error
