"""`gatebook account`: people and machines."""

from __future__ import annotations

from typing import Any

import click

from gatebook.domain.application.core import local
from gatebook.tools.desk import Desk, check_id, local_user, read_secret

COLUMNS = ("id", "username", "type", "status", "roles", "created_at")


@click.group()
def account() -> None:
    """People and machines."""


@account.command("list")
@click.option("--status", type=click.Choice(["active", "inactive", "deleted"]))
@click.option("--type", "kind", type=click.Choice(["human", "system"]))
@click.option("--role")
@click.option("-q", "text", metavar="TEXT", help="In the username, name or e-mail.")
@click.pass_obj
def list_(
    desk: Desk, status: str | None, kind: str | None, role: str | None, text: str | None
) -> None:
    """List accounts."""
    with desk.api() as api:
        query: dict[str, Any] = {"status": status, "type": kind, "role": role, "q": text}
        desk.table(api.items("/v1/accounts", **query), COLUMNS)


@account.command()
@click.argument("named", metavar="ACCOUNT")
@click.option("--at", metavar="TIME", help="As it stood at an RFC 3339 time.")
@click.option("--position", type=int, help="As it stood at a position of the log.")
@click.pass_obj
def show(desk: Desk, named: str, at: str | None, position: int | None) -> None:
    """Show an account, now or as it stood."""
    with desk.api() as api:
        path = f"/v1/accounts/{api.account_id(named)}"
        desk.show(api.get(path, at=at, position=position))


@account.command()
@click.option("--username", required=True)
@click.option("--type", "kind", type=click.Choice(["human", "system"]), default="human")
@click.option("--display-name", default="")
@click.option("--email", default="")
@click.option("--admin", is_flag=True, help="Grant admin; takes the first-admin seat if free.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--no-password", is_flag=True, help="Create it without a password.")
@click.pass_obj
def create(
    desk: Desk,
    username: str,
    kind: str,
    display_name: str,
    email: str,
    admin: bool,
    password_stdin: bool,
    no_password: bool,
) -> None:
    """Create an account. Its password is asked for, or read from standard input."""
    wanted = not no_password and (kind == "human" or password_stdin)
    password = None
    if wanted:
        password = read_secret("Password", from_stdin=password_stdin, confirm=True)
    if admin and desk.server is None:
        account_id = _create_local_admin(desk, username, password)
    else:
        body = {"username": username, "type": kind, "display_name": display_name, "email": email}
        if password is not None:
            body["password"] = password
        with desk.api() as api:
            account_id = api.call("POST", "/v1/accounts", body)["id"]
            if admin:
                api.call("PUT", f"/v1/accounts/{account_id}/roles/admin")
    desk.show({"id": account_id})


def _create_local_admin(desk: Desk, username: str, password: str | None) -> str:
    """In one append: account, name, password, role and the first-admin seat if it is free."""
    with desk.house() as house:
        plaintext = None if password is None else house.plaintext(password)
        view = house.bootstrap.local_admin(local(local_user()), username, plaintext)
        return str(view.id)


@account.command()
@click.argument("named", metavar="ACCOUNT")
@click.option("--username")
@click.option("--display-name")
@click.option("--email")
@click.pass_obj
def update(
    desk: Desk, named: str, username: str | None, display_name: str | None, email: str | None
) -> None:
    """Change a username, a display name or an e-mail address."""
    changes = {"username": username, "display_name": display_name, "email": email}
    wanted = {name: value for name, value in changes.items() if value is not None}
    if not wanted:
        raise click.UsageError("Say what to change.")
    with desk.api() as api:
        desk.show(api.call("PATCH", f"/v1/accounts/{api.account_id(named)}", wanted))


@account.command("set-password")
@click.argument("named", metavar="ACCOUNT")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def set_password(desk: Desk, named: str, password_stdin: bool) -> None:
    """Set a password. Sessions and tokens issued until now end."""
    password = read_secret("New password", from_stdin=password_stdin, confirm=True)
    with desk.api() as api:
        account_id = api.account_id(named)
        api.call("PUT", f"/v1/accounts/{account_id}/password", {"password": password})
    desk.say("The password is set; sessions and tokens issued until now have ended.")


@account.command("set-status")
@click.argument("named", metavar="ACCOUNT")
@click.argument("status", type=click.Choice(["active", "inactive", "deleted"]))
@click.pass_obj
def set_status(desk: Desk, named: str, status: str) -> None:
    """Switch an account on or off, or delete it."""
    with desk.api() as api:
        path = f"/v1/accounts/{api.account_id(named)}"
        if status == "deleted":
            api.call("DELETE", path)
        else:
            api.call("PATCH", path, {"status": status})
    desk.say(f"The account is {status}.")


@account.command()
@click.argument("named", metavar="ACCOUNT")
@click.pass_obj
def unlock(desk: Desk, named: str) -> None:
    """Clear a lockout."""
    with desk.api() as api:
        api.call("POST", f"/v1/accounts/{api.account_id(named)}/unlock")
    desk.say("The account is unlocked.")


@account.command()
@click.argument("named", metavar="ACCOUNT")
@click.pass_obj
def credentials(desk: Desk, named: str) -> None:
    """List how an account can prove who it is: kinds and dates."""
    with desk.api() as api:
        path = f"/v1/accounts/{api.account_id(named)}/credentials"
        columns = ("id", "kind", "name", "created_at", "last_used_at", "expires_at")
        desk.table(api.items(path), columns)


@account.command("remove-credential")
@click.argument("named", metavar="ACCOUNT")
@click.argument("credential_id", metavar="ID")
@click.pass_obj
def remove_credential(desk: Desk, named: str, credential_id: str) -> None:
    """Remove a credential of an account, by the id that `credentials` shows."""
    check_id(credential_id, "credential", "account credentials")
    with desk.api() as api:
        path = f"/v1/accounts/{api.account_id(named)}/credentials/{credential_id}"
        api.call("DELETE", path)
    desk.say("The credential is removed.")


@account.command()
@click.argument("named", metavar="ACCOUNT")
@click.pass_obj
def identities(desk: Desk, named: str) -> None:
    """List the identities at providers that sign in to an account."""
    with desk.api() as api:
        found = api.items(f"/v1/accounts/{api.account_id(named)}/identities")
        desk.table(found, ("id", "provider_id", "linked_at"))


@account.command()
@click.argument("named", metavar="ACCOUNT")
@click.argument("identity_id", metavar="IDENTITY")
@click.pass_obj
def unlink(desk: Desk, named: str, identity_id: str) -> None:
    """End an identity's link, by the id that `identities` shows. Its roles and sessions end.

    Whoever signs in with it afterwards gets another account, if the provider may create one.
    """
    check_id(identity_id, "identity", "account identities")
    with desk.api() as api:
        path = f"/v1/accounts/{api.account_id(named)}/identities/{identity_id}"
        desk.confirm(f"Unlink {named}? The next sign-in with it makes another account.")
        api.call("DELETE", path)
    desk.say("The identity is unlinked; its roles and all sessions have ended.")


@account.command()
@click.argument("named", metavar="ACCOUNT")
@click.pass_obj
def restore(desk: Desk, named: str) -> None:
    """Undo a deletion, roles included."""
    with desk.api() as api:
        api.call("POST", f"/v1/accounts/{api.account_id(named)}/restore")
    desk.say("The account is restored.")


@account.command()
@click.argument("named", metavar="ACCOUNT")
@click.pass_obj
def erase(desk: Desk, named: str) -> None:
    """Destroy an account's personal data for good."""
    with desk.api() as api:
        account_id = api.account_id(named)
        username = api.get(f"/v1/accounts/{account_id}")["username"]
        desk.confirm(f"Erase {named}? Nobody can undo this.")
        api.call("POST", f"/v1/accounts/{account_id}/erase", {"confirm": username or ""})
    desk.say("The personal data is gone for good.")


@account.command()
@click.argument("named", metavar="ACCOUNT")
@click.option("-n", "most", type=click.IntRange(1), default=50, help="At most so many.")
@click.pass_obj
def history(desk: Desk, named: str, most: int) -> None:
    """What happened to an account, newest first."""
    with desk.api() as api:
        path = f"/v1/accounts/{api.account_id(named)}/history"
        columns = ("position", "at", "text", "actor")
        desk.table(api.items(path, most), columns)
