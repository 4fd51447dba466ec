"""`gatebook token`: tokens of accounts."""

from __future__ import annotations

import click

from gatebook.domain.application.core import local
from gatebook.tools.desk import Desk, local_user


@click.group()
def token() -> None:
    """Tokens of accounts."""


@token.command("list")
@click.argument("named", metavar="ACCOUNT")
@click.pass_obj
def list_(desk: Desk, named: str) -> None:
    """List an account's tokens that count now."""
    with desk.api() as api:
        path = f"/v1/accounts/{api.account_id(named)}/tokens"
        desk.table(api.items(path), ("jti", "session_id", "issued_at", "expires_at", "kid"))


@token.command()
@click.argument("named", metavar="ACCOUNT")
@click.option("--expires-in", type=click.IntRange(1), metavar="SECONDS")
@click.option("--scope")
@click.option("--audience")
@click.pass_obj
def issue(
    desk: Desk, named: str, expires_in: int | None, scope: str | None, audience: str | None
) -> None:
    """Issue a token for a system account. It is shown once."""
    with desk.api() as api:
        body = {
            "account_id": api.account_id(named),
            "expires_in": expires_in,
            "scope": scope,
            "audience": audience,
        }
        given = {name: value for name, value in body.items() if value is not None}
        desk.show(api.call("POST", "/v1/token/issue", given))


@token.command()
@click.argument("jti")
@click.pass_obj
def revoke(desk: Desk, jti: str) -> None:
    """Revoke one token by its id."""
    with desk.api() as api:
        api.call("DELETE", f"/v1/token/{jti}")
    desk.say("The token is revoked.")


@token.command("revoke-all")
@click.argument("named", metavar="ACCOUNT")
@click.pass_obj
def revoke_all(desk: Desk, named: str) -> None:
    """End every session and token of an account issued until now."""
    with desk.api() as api:
        api.call("DELETE", f"/v1/accounts/{api.account_id(named)}/tokens")
    desk.say("Every session and token issued until now has ended.")


@token.command()
@click.pass_obj
def prune(desk: Desk) -> None:
    """Let expired tokens leave the read models. The log keeps them."""
    desk.offline_only("token prune")
    with desk.house() as house:
        before = house.clock.now()
        if house.access.expired(before):
            house.tokens.prune(local(local_user()), before)
            desk.say("Expired tokens have left the read models.")
        else:
            desk.say("There is nothing to prune.")
