"""`gatebook key`: signing keys."""

from __future__ import annotations

import click

from gatebook.tools.desk import Desk


@click.group()
def key() -> None:
    """Signing keys."""


@key.command("list")
@click.pass_obj
def list_(desk: Desk) -> None:
    """List signing keys."""
    with desk.api() as api:
        desk.table(api.items("/v1/keys"), ("kid", "algorithm", "status", "signs_from"))


@key.command("rotate-signing")
@click.option(
    "--lead",
    type=click.IntRange(0),
    metavar="SECONDS",
    help="How long the new key is published before it signs.",
)
@click.pass_obj
def rotate_signing(desk: Desk, lead: int | None) -> None:
    """Publish a new signing key, which then takes over."""
    with desk.api() as api:
        body = {} if lead is None else {"lead": lead}
        desk.show(api.call("POST", "/v1/keys/rotate", body))


@key.command()
@click.argument("kid")
@click.pass_obj
def retire(desk: Desk, kid: str) -> None:
    """End a key that no longer signs. What it signed is refused from then on."""
    desk.confirm(f"Retire {kid}? Tokens it signed will be refused.")
    with desk.api() as api:
        desk.show(api.call("POST", f"/v1/keys/{kid}/retire"))
