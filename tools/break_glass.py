"""`gatebook breakglass`: who has an emergency password, when it was used; set, unlock, remove.

Without `--server` it works on the store itself: an account that strangers have locked is unlocked
at the machine, whatever else is broken.
"""

from __future__ import annotations

from typing import Any, Final

import click

from gatebook.api.break_glass_routes import CREDENTIALS
from gatebook.tools.desk import Api, Desk, Failed, read_secret

COLUMNS: Final = (
    "account_id",
    "username",
    "set_at",
    "expires_at",
    "once",
    "last_used_at",
    "locked_until",
)
LOGIN: Final = "auth.breakglass.login"
USED: Final = "breakglass.login_succeeded"
LATEST: Final = 20
"""Uses that `status` shows unless it is told otherwise."""

OFF: Final = "break-glass is off; [breakglass] enabled = true in the configuration switches it on"


@click.group()
def breakglass() -> None:
    """The emergency credentials."""


@breakglass.command()
@click.option("-n", "most", type=click.IntRange(1), default=LATEST, help="At most so many uses.")
@click.pass_obj
def status(desk: Desk, most: int) -> None:
    """Every credential that counts, and every use, newest first. Works while it is off, too."""
    with desk.api() as api:
        enabled = _enabled(desk, api)
        held = api.items(CREDENTIALS) if enabled else []
        uses = [
            {
                "at": event["recorded_at"],
                "account_id": event["account_id"],
                "position": event["position"],
                "ip": (event["source"] or {}).get("ip"),
            }
            for event in api.items("/v1/audit", most, type=USED, order="desc")
        ]
    if desk.as_json:
        desk.show({"enabled": enabled, "credentials": held, "uses": uses})
        return
    desk.say("Break-glass is on." if enabled else "Break-glass is off.")
    desk.table(held, COLUMNS)
    desk.say("Uses:")
    desk.table(uses, ("at", "account_id", "ip", "position"))


@breakglass.command("set")
@click.argument("named", metavar="ACCOUNT")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def set_password(desk: Desk, named: str, password_stdin: bool) -> None:
    """Set or replace an account's emergency password. Sessions that it opened end."""
    password = read_secret("Break-glass password", from_stdin=password_stdin, confirm=True)
    with desk.api() as api:
        _check(desk, api)
        account_id = api.account_id(named)
        body = {"account_id": account_id, "password": password}
        desk.show(api.call("POST", CREDENTIALS, body))
        if not _may_use(api, account_id):
            click.echo(
                f"gatebook: {named} holds no role with {LOGIN}: it cannot use this", err=True
            )


@breakglass.command()
@click.argument("named", metavar="ACCOUNT")
@click.pass_obj
def unlock(desk: Desk, named: str) -> None:
    """Clear every break-glass lock of an account, whatever address it was for."""
    with desk.api() as api:
        _check(desk, api)
        api.call("POST", f"{CREDENTIALS}/{api.account_id(named)}/unlock")
    desk.say("The break-glass locks are cleared.")


@breakglass.command()
@click.argument("named", metavar="ACCOUNT")
@click.pass_obj
def remove(desk: Desk, named: str) -> None:
    """Take an account's emergency password away. Sessions that it opened end."""
    with desk.api() as api:
        _check(desk, api)
        api.call("DELETE", f"{CREDENTIALS}/{api.account_id(named)}")
    desk.say("The break-glass password is removed; sessions that it opened have ended.")


def _enabled(desk: Desk, api: Api) -> bool:
    """Whether it is on: here by the configuration, there by whether its routes are."""
    if desk.server is None:
        return desk.settings().breakglass.enabled
    paths: dict[str, Any] = api.get("/openapi.json")["paths"]
    return CREDENTIALS in paths


def _check(desk: Desk, api: Api) -> None:
    if not _enabled(desk, api):
        raise Failed(OFF)


def _may_use(api: Api, account_id: str) -> bool:
    """Whether a role of the account lets it in. Whoever may not look is told nothing."""
    try:
        held = api.get(f"/v1/accounts/{account_id}")["roles"]
        return any(LOGIN in api.get(f"/v1/roles/{role}")["permissions"] for role in held)
    except Failed:
        return True
