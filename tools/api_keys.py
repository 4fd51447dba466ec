"""`gatebook apikey`: the API keys of accounts."""

from __future__ import annotations

import click

from gatebook.tools.desk import Desk, check_id


@click.group()
def apikey() -> None:
    """API keys of accounts."""


@apikey.command("list")
@click.argument("named", metavar="ACCOUNT")
@click.pass_obj
def list_(desk: Desk, named: str) -> None:
    """List an account's API keys that count now."""
    with desk.api() as api:
        path = f"/v1/accounts/{api.account_id(named)}/api-keys"
        columns = ("id", "name", "scope", "created_at", "expires_at", "last_used_at")
        desk.table(api.items(path), columns)


@apikey.command()
@click.argument("named", metavar="ACCOUNT")
@click.option("--name", default="", help="What to call it.")
@click.option("--scope", default="", help="The permissions it is narrowed to.")
@click.option("--expires-at", metavar="TIME", help="An RFC 3339 time; without it, no end.")
@click.pass_obj
def create(desk: Desk, named: str, name: str, scope: str, expires_at: str | None) -> None:
    """Make an API key. It is shown once."""
    body = {"name": name, "scope": scope}
    if expires_at is not None:
        body["expires_at"] = expires_at
    with desk.api() as api:
        desk.show(api.call("POST", f"/v1/accounts/{api.account_id(named)}/api-keys", body))


@apikey.command()
@click.argument("named", metavar="ACCOUNT")
@click.argument("key_id", metavar="KEY")
@click.option(
    "--overlap",
    type=click.IntRange(0, 604_800),
    default=0,
    metavar="SECONDS",
    help="How long the old key counts beside the new one.",
)
@click.pass_obj
def rotate(desk: Desk, named: str, key_id: str, overlap: int) -> None:
    """Make the key that follows one. It is shown once."""
    check_id(key_id, "key", "apikey list")
    with desk.api() as api:
        path = f"/v1/accounts/{api.account_id(named)}/api-keys/{key_id}/rotate"
        desk.show(api.call("POST", path, {"overlap": overlap}))


@apikey.command()
@click.argument("named", metavar="ACCOUNT")
@click.argument("key_id", metavar="KEY")
@click.pass_obj
def revoke(desk: Desk, named: str, key_id: str) -> None:
    """End an API key at once."""
    check_id(key_id, "key", "apikey list")
    with desk.api() as api:
        api.call("DELETE", f"/v1/accounts/{api.account_id(named)}/api-keys/{key_id}")
    desk.say("The API key is revoked.")
