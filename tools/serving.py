"""`gatebook serve`, `reload`, `login`, `logout`, `whoami`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click

from gatebook.api.server import serve as serve_forever
from gatebook.store.file_lock import FileLock
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
from gatebook.tools.invoker import remote, session_file

RELOAD_SECONDS = 150
"""A little more than the server gives its new processes."""


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
        path.touch(0o600, exist_ok=False)
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


COMMANDS = (serve, reload, login, logout, whoami)
