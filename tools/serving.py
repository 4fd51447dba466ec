"""`gatebook init`, `serve`, `login`, `logout`, `whoami`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from base64 import b32encode
from pathlib import Path
from typing import Any

import click

from gatebook.api.server import serve as serve_forever
from gatebook.domain.application.core import local
from gatebook.store.file_lock import FileLock
from gatebook.store.house import House, open_house
from gatebook.store.master_key import write_key_file
from gatebook.store.settings import ConfigurationError, Settings
from gatebook.tools.desk import (
    DONE,
    REFUSED,
    TOKEN_VARIABLE,
    UNAVAILABLE,
    USAGE,
    Api,
    Desk,
    Failed,
    local_user,
    read_secret,
    refused_file,
)
from gatebook.tools.invoker import denied, remote, session_file

RELOAD_SECONDS = 150
"""A little more than the server gives its new processes."""

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


@click.command()
@click.pass_obj
def serve(desk: Desk) -> int:
    """Serve until SIGTERM."""
    desk.offline_only("serve")
    return serve_forever(desk.config)


@click.command()
@click.pass_obj
def reload(desk: Desk) -> int:
    """Have the server on this machine take up its configuration anew, whole or not at all."""
    desk.offline_only("reload")
    slots = desk.settings().path("slots")
    pid = _supervisor(slots)
    before = _outcome(slots)["count"]
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise Failed(f"the server {pid}: {error.strerror}", UNAVAILABLE) from error
    deadline = time.monotonic() + RELOAD_SECONDS
    while time.monotonic() < deadline:
        told = _outcome(slots)
        if told["count"] > before:
            desk.show({"outcome": told["outcome"], "reason": told["reason"] or None})
            return DONE if told["outcome"] == "reloaded" else REFUSED
        time.sleep(0.05)
    raise Failed(f"the server {pid} did not say within {RELOAD_SECONDS} s what came of it", 3)


def _supervisor(slots: Path) -> int:
    """The process that holds the lock of a server on these files."""
    try:
        lock = FileLock(str(slots / "supervisor.lock"))
        is_free = lock.acquire(0)
        lock.close()
        if not is_free:
            pid = int((slots / "supervisor.pid").read_text())
            if pid < 1:  # a signal to it would be one to many
                raise ValueError(f"{pid} is no process")
            return pid
    except (OSError, ValueError) as error:
        raise Failed(f"{slots}: {error}", UNAVAILABLE) from error
    raise Failed("no server runs with this configuration on this machine", UNAVAILABLE)


def _outcome(slots: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads((slots / "reload.json").read_text())
        return told
    except FileNotFoundError:
        return {"count": 0}


@click.command()
@click.option("--username", prompt=True)
@click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from standard input; from a second line the code, if one is due.",
)
@click.pass_obj
def login(desk: Desk, username: str, password_stdin: bool) -> None:
    """Sign in to --server, for the commands that follow."""
    server = desk.checked_server()
    password = read_secret("Password", from_stdin=password_stdin)
    path = session_file()
    try:
        # Before the sign-in: a session whose tokens cannot be kept would stay open.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        _write(path, "")
        with remote(server) as client:
            body = {"username": username, "password": password}
            pair = _signed_in(Api(client), body, from_stdin=password_stdin)
        path.write_text(json.dumps({"server": desk.server, **pair}), encoding="utf-8")
    except OSError as error:
        raise refused_file(error) from error
    desk.say(f"Signed in to {desk.server} as {username} for {pair['expires_in']} seconds.")


def _signed_in(api: Api, body: dict[str, str], *, from_stdin: bool) -> dict[str, Any]:
    """The answer to a sign-in, after a second step if the account has a second factor."""
    try:
        pair: dict[str, Any] = api.call("POST", "/v1/auth/login", body)
    except Failed as failure:
        methods = failure.problem.get("methods", ())
        if not methods:
            raise
        if not {"totp", "recovery_code"} & set(methods):
            raise Failed(f"a passkey is needed, in a browser; or set {TOKEN_VARIABLE}") from failure
        code = _code(from_stdin=from_stdin)
        kind = "totp_code" if len(code) == 6 and code.isdigit() else "recovery_code"
        step = {"mfa_token": failure.problem["mfa_token"], kind: code}
        pair = api.call("POST", "/v1/auth/mfa", step)
    return pair


def _code(*, from_stdin: bool) -> str:
    """One of the account's codes, of an authenticator app or for recovery."""
    if not from_stdin:
        return "".join(read_secret("One-time or recovery code", from_stdin=False).split())
    code = "".join(sys.stdin.readline().split())
    if not code:
        raise Failed("a second factor is needed: its code is the second line of standard input")
    return code


@click.command()
@click.pass_obj
def logout(desk: Desk) -> None:
    """End the session that `login` began."""
    if desk.server is None:
        raise Failed("logout needs --server URL", USAGE)
    try:
        with desk.api() as api:
            api.call("POST", "/v1/auth/logout")
    except Failed as failure:
        if failure.code == UNAVAILABLE:
            raise
    session_file().unlink(missing_ok=True)
    desk.say("Signed out.")


@click.command()
@click.pass_obj
def whoami(desk: Desk) -> None:
    """Show who the commands act as."""
    if desk.server is None:
        desk.show({"actor": f"local:{local_user()}"})
        return
    with desk.api() as api:
        me = api.get("/v1/auth/me")
    account = me["account"]
    desk.show(
        me,
        [
            ("account", account["id"]),
            ("username", account["username"]),
            ("roles", account["roles"]),
            ("permissions", me["permissions"]),
        ],
    )


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


COMMANDS = (init, serve, reload, login, logout, whoami)
