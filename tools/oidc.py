"""`gatebook oidc`: identity providers that people sign in with, and what their groups stand for.

The client secret comes from standard input, a file or a prompt, never from an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from gatebook.api.federation_routes import MAPPINGS, PROVIDERS
from gatebook.tools.desk import REFUSED, USAGE, Api, Desk, Failed, check_id, is_id, read_secret

C = TypeVar("C", bound=Callable[..., Any])

COLUMNS: Final = ("id", "name", "issuer", "groups_claim", "enabled", "linked_accounts")
UNSENT: Final = "a dry run sends no secret"
"""The API asks for a secret with every configuration."""

_OPTIONS: Final = (
    click.option("--client-auth", type=click.Choice(["client_secret_basic", "client_secret_post"])),
    click.option("--scope", "scopes", multiple=True, help="Say it again for each; with `openid`."),
    click.option("--groups-claim", help="A dotted path, or a URL that is the claim's name."),
    click.option("--fetch-userinfo/--no-fetch-userinfo", default=None),
    click.option(
        "--allowed-domain", "allowed_domains", multiple=True, help="Of verified e-mail addresses."
    ),
    click.option("--create-accounts/--no-create-accounts", default=None),
    click.option("--enabled/--disabled", default=None),
    click.option("--iat-window", type=click.IntRange(1, 600), metavar="SECONDS"),
    click.option(
        "--at-hash-required/--at-hash-optional",
        default=None,
        help="Optional is for providers, like Entra ID, that never send it.",
    ),
)
_SECRET: Final = (
    click.option("--client-secret-stdin", is_flag=True, help="Read it from standard input."),
    click.option(
        "--client-secret-file",
        "file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Read it from a file's first line.",
    ),
)


def _with(*options: Callable[[C], C]) -> Callable[[C], C]:
    def decorated(command: C) -> C:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


@click.group()
def oidc() -> None:
    """Identity providers, and what their groups stand for."""


@oidc.group()
def provider() -> None:
    """Identity providers."""


@provider.command("list")
@click.pass_obj
def list_(desk: Desk) -> None:
    """List identity providers."""
    with desk.api() as api:
        desk.table(api.items(PROVIDERS), COLUMNS)


@provider.command()
@click.argument("named", metavar="PROVIDER")
@click.pass_obj
def show(desk: Desk, named: str) -> None:
    """Show a provider by its id or name: what to enter there, and how it is configured."""
    with desk.api() as api:
        desk.show(_found(api, named))


@provider.command()
@click.option("--name", required=True, help="What the login page calls it.")
@click.option("--issuer", required=True, metavar="URL")
@click.option("--client-id", required=True)
@_with(*_SECRET, *_OPTIONS)
@click.pass_obj
def add(desk: Desk, /, client_secret_stdin: bool, file: Path | None, **given: Any) -> None:
    """Let people sign in with a provider. Says which redirect URI to enter there."""
    secret = _secret(client_secret_stdin, file)
    if secret is None:
        secret = read_secret(
            "Client secret", from_stdin=False, confirm=False, option="--client-secret-stdin"
        )
    with desk.api() as api:
        desk.show(api.call("POST", PROVIDERS, {**_said(given), "client_secret": secret}))


@provider.command()
@click.argument("named", metavar="PROVIDER")
@click.option("--name")
@click.option("--client-id")
@_with(*_SECRET, *_OPTIONS)
@click.option("--any-domain", is_flag=True, help="Restrict e-mail domains no more.")
@click.pass_obj
def update(
    desk: Desk,
    /,
    named: str,
    client_secret_stdin: bool,
    file: Path | None,
    any_domain: bool,
    **given: Any,
) -> None:
    """Change what is said, from the next sign-in on. The secret stays unless one is given."""
    changes = _said(given)
    if any_domain:
        changes["allowed_domains"] = []
    secret = _secret(client_secret_stdin, file)
    if secret is not None:
        changes["client_secret"] = secret
    if not changes:
        raise click.UsageError("Say what to change.")
    with desk.api() as api:
        desk.show(api.call("PATCH", _path(api, named), changes))


@provider.command()
@click.argument("named", metavar="PROVIDER")
@click.pass_obj
def remove(desk: Desk, named: str) -> None:
    """Remove a provider that no account is linked to and no mapping names."""
    with desk.api() as api:
        api.call("DELETE", _path(api, named))
    desk.say("The provider is removed.")


@provider.command()
@click.argument("named", metavar="[PROVIDER]", required=False)
@click.option("--issuer", metavar="URL", help="Of a provider that is not configured yet.")
@click.pass_obj
def test(desk: Desk, named: str | None, issuer: str | None) -> int:
    """Ask a provider for what it publishes, step by step. Nothing is kept, no secret is sent."""
    if (named is None) == (issuer is None):
        raise click.UsageError("Name a provider, or say --issuer.")
    with desk.api() as api:
        asked = _found(api, named)["issuer"] if named is not None else issuer
        body = {"name": "test", "issuer": asked, "client_id": "test", "client_secret": UNSENT}
        trial = api.call("POST", f"{PROVIDERS}/test", body)
    if desk.as_json:
        desk.show(trial)
    else:
        desk.table(trial["steps"], ("step", "ok", "detail"))
    return 0 if trial["ok"] else REFUSED


@provider.command()
@click.argument("named", metavar="PROVIDER")
@click.pass_obj
def refresh(desk: Desk, named: str) -> None:
    """Ask a provider for its metadata and keys anew, and show them."""
    with desk.api() as api:
        desk.show(api.call("POST", f"{_path(api, named)}/refresh"))


@oidc.group()
def mapping() -> None:
    """What a provider's groups stand for. A sign-in that no group gives a role is refused."""


@mapping.command("list")
@click.option("--provider", "named", metavar="PROVIDER")
@click.pass_obj
def mappings(desk: Desk, named: str | None) -> None:
    """List group mappings."""
    with desk.api() as api:
        wanted = None if named is None else _found(api, named)["id"]
        found = api.items(MAPPINGS)
    kept = [one for one in found if wanted in (None, one["provider_id"])]
    desk.table(kept, ("id", "provider_id", "group", "role", "created_at"))


@mapping.command("add")
@click.argument("named", metavar="PROVIDER")
@click.argument("group")
@click.argument("role")
@click.pass_obj
def add_mapping(desk: Desk, named: str, group: str, role: str) -> None:
    """Let a group stand for a role, from each member's next sign-in on."""
    with desk.api() as api:
        body = {"provider_id": _found(api, named)["id"], "group": group, "role": role}
        desk.show(api.call("POST", MAPPINGS, body))


@mapping.command("remove")
@click.argument("mapping_id", metavar="MAPPING")
@click.pass_obj
def remove_mapping(desk: Desk, mapping_id: str) -> None:
    """End a mapping. What it gave ends at each member's next sign-in."""
    check_id(mapping_id, "mapping", "oidc mapping list")
    with desk.api() as api:
        api.call("DELETE", f"{MAPPINGS}/{mapping_id}")
    desk.say("The mapping is removed.")


# --- details


def _said(given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, under their names in the API."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value is not None and value != ()
    }


def _secret(from_stdin: bool, file: Path | None) -> str | None:
    """The secret, if the command says where it is."""
    if from_stdin and file is not None:
        raise click.UsageError("Say --client-secret-stdin or --client-secret-file.")
    if from_stdin:
        return read_secret("", from_stdin=True, option="--client-secret-stdin")
    if file is None:
        return None
    try:
        line = file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, ValueError) as error:
        raise Failed(f"{file} cannot be read: {error}", USAGE) from error
    if not line:
        raise Failed(f"{file} holds no secret in its first line", USAGE)
    return line


def _found(api: Api, named: str) -> dict[str, Any]:
    """A provider by its id, or by its name if no other has it."""
    if is_id(named):
        shown: dict[str, Any] = api.get(f"{PROVIDERS}/{named}")
        return shown
    found = [one for one in api.items(PROVIDERS) if one["name"] == named]
    if len(found) != 1:
        if not found:
            raise Failed(f"there is no provider {named!r}")
        ids = ", ".join(one["id"] for one in found)
        raise Failed(f"{len(found)} providers are called {named!r}; say an id: {ids}")
    return found[0]


def _path(api: Api, named: str) -> str:
    return f"{PROVIDERS}/{_found(api, named)['id']}"
