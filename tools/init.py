"""`gatebook init`: a configuration, a master key, a store and its first signing key."""

from __future__ import annotations

import json
import os
from base64 import b32encode
from pathlib import Path

import click

from gatebook.domain.application.core import local
from gatebook.store.house import House, open_house
from gatebook.store.master_key import write_key_file
from gatebook.store.settings import ConfigurationError, Settings
from gatebook.tools.desk import Desk, local_user
from gatebook.tools.invoker import denied

INSTALLED = Path("/srv/gatebook/gatebook.toml")
"""Where dist/install.sh puts the configuration."""

TEMPLATE = """\
# Gatebook. Every key: RUNBOOK.md, "Settings". Any key can be overridden by the environment:
# GATEBOOK__SERVER__LISTEN=127.0.0.1:9000

[server]
listen = "127.0.0.1:8440"

[store]
url = "sqlite:///gatebook.db"

[master_key]
key_file = "master.key"
"""


@click.command()
@click.option("--data-dir", metavar="DIR", help="Where everything is put; else beside --config.")
@click.option("--first-admin", metavar="NAME", help="Also create the first admin.")
@click.pass_obj
def init(desk: Desk, data_dir: str | None, first_admin: str | None) -> None:
    """Make the configuration, the master key, the store and the first signing key."""
    desk.offline_only("init")
    config = Path(desk.config) if data_dir is None else Path(data_dir) / "gatebook.toml"
    directory = config.parent
    key = directory / "master.key"
    made: list[str] = []
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not config.exists():
            _write(config, TEMPLATE)
            made.append(str(config))
        settings = Settings.load(config)
        _check_whole(settings)
        if settings.master_key.key_file:
            key = settings.path(settings.master_key.key_file)
            if not key.exists():
                write_key_file(key)
                made.append(str(key))
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: {error.strerror}{denied(error)}") from error
    house = open_house(settings, create=True)
    try:
        before = house.store.head()
        house.prepare()
        made += [f"the store {settings.store.url.rpartition('@')[2]}"] if before == 0 else []
        admin = _seat(house, first_admin)
    finally:
        house.close()
    if desk.as_json:
        click.echo(json.dumps({"config": str(config), "made": made, "first_admin": admin}))
        return
    _tell(desk, config, made, first_admin, admin, _secret(settings))


def _secret(settings: Settings) -> str:
    """What opens the store, in words."""
    source = settings.master_key
    if source.passphrase_env:
        return f"the passphrase in {source.passphrase_env}"
    return str(settings.path(source.key_file or source.passphrase_file))


def _start(config: Path) -> str:
    """How the server is started: what dist/install.sh installed is a unit's."""
    if config.resolve() == INSTALLED:
        return "systemctl enable --now gatebook.service gatebook-backup.timer"
    return f"gatebook --config {config} serve"


def _seat(house: House, username: str | None) -> dict[str, str] | None:
    """The first admin's name and password, shown this once; None when the seat is taken."""
    if username is None or not house.bootstrap.available():
        return None
    password = b32encode(house.ids.secret(15)).decode().lower()
    house.bootstrap.local_admin(local(local_user()), username, house.plaintext(password))
    return {"username": username, "password": password}


def _tell(
    desk: Desk,
    config: Path,
    made: list[str],
    asked: str | None,
    admin: dict[str, str] | None,
    kept: str,
) -> None:
    if asked is not None and admin is None:
        desk.say(f"The first admin exists already; {asked} was not made.")
    if not made and admin is None:
        desk.say(f"{config}: nothing to do, it is all there.")
        return
    if made:
        desk.say("Made " + ", ".join(made) + ".")
    if admin is not None:
        desk.say(f"The first admin is {admin['username']}, the password {admin['password']}")
        desk.say("It is shown this once.")
    desk.say("Next:")
    if admin is None:
        desk.say(f"  gatebook --config {config} account create --username admin --admin")
    desk.say(f"  {_start(config)}")
    desk.say(f"Keep a copy of {kept} somewhere else: without it the store cannot be read.")


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _check_whole(settings: Settings) -> None:
    """Makes all of log, keyring and key, or none: what is missing of a whole was lost."""
    url = settings.store_url
    if not url.startswith("sqlite:///"):
        return
    log = Path(url.removeprefix("sqlite:///"))
    parts = {log: log.exists() and log.stat().st_size > 0}
    parts[log.with_suffix(".keys.db")] = log.with_suffix(".keys.db").exists()
    if settings.master_key.key_file and any(parts.values()):
        key = settings.path(settings.master_key.key_file)
        parts[key] = key.exists()
    missing = [str(path) for path, there in parts.items() if not there]
    if missing and any(parts.values()):
        raise ConfigurationError(
            f"part of a deployment is here, but not {' nor '.join(missing)}; restore the backup"
        )


COMMANDS = (init,)
