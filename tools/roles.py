"""`gatebook role`: what accounts may do."""

from __future__ import annotations

import click

from gatebook.tools.desk import Desk


@click.group()
def role() -> None:
    """What accounts may do."""


@role.command("list")
@click.pass_obj
def list_(desk: Desk) -> None:
    """List roles."""
    with desk.api() as api:
        desk.table(api.items("/v1/roles"), ("name", "built_in", "description", "permissions"))


@role.command()
@click.argument("name", metavar="ROLE")
@click.pass_obj
def show(desk: Desk, name: str) -> None:
    """Show a role."""
    with desk.api() as api:
        desk.show(api.get(f"/v1/roles/{name}"))


@role.command()
@click.argument("name", metavar="ROLE")
@click.argument("permissions", nargs=-1, required=True, metavar="PERMISSION...")
@click.option("--description", default="")
@click.pass_obj
def define(desk: Desk, name: str, permissions: tuple[str, ...], description: str) -> None:
    """Define or redefine a custom role."""
    body = {"permissions": list(permissions), "description": description}
    with desk.api() as api:
        api.call("PUT", f"/v1/roles/{name}", body)
    desk.say(f"The role {name} stands for {', '.join(sorted(permissions))}.")


@role.command()
@click.argument("name", metavar="ROLE")
@click.pass_obj
def delete(desk: Desk, name: str) -> None:
    """Delete a custom role that nobody holds."""
    with desk.api() as api:
        api.call("DELETE", f"/v1/roles/{name}")
    desk.say(f"The role {name} is gone.")


@role.command()
@click.argument("named", metavar="ACCOUNT")
@click.argument("name", metavar="ROLE")
@click.option("--expires-at", metavar="TIME", help="RFC 3339; without it there is no end.")
@click.pass_obj
def grant(desk: Desk, named: str, name: str, expires_at: str | None) -> None:
    """Grant a role to an account."""
    with desk.api() as api:
        path = f"/v1/accounts/{api.account_id(named)}/roles/{name}"
        api.call("PUT", path, query={"expires_at": expires_at})
    desk.say(f"{named} holds {name}.")


@role.command()
@click.argument("named", metavar="ACCOUNT")
@click.argument("name", metavar="ROLE")
@click.pass_obj
def revoke(desk: Desk, named: str, name: str) -> None:
    """Revoke a role from an account."""
    with desk.api() as api:
        api.call("DELETE", f"/v1/accounts/{api.account_id(named)}/roles/{name}")
    desk.say(f"{named} does not hold {name}.")
