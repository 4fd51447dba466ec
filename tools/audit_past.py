"""`gatebook audit as-of|diff|explain`: the past, asked."""

from __future__ import annotations

from typing import Any

import click

from gatebook.tools.audit_decision import explain_event
from gatebook.tools.desk import USAGE, Api, Desk, Failed, check_id
from gatebook.tools.moments import MOMENT, asked

Moment = tuple[str, str | int]

HELD = ("username", "account_id", "type", "status", "roles")


@click.command("as-of")
@click.argument("moment", type=MOMENT, metavar="TIME|POSITION")
@click.argument("named", metavar="[ACCOUNT]", required=False)
@click.option("--role", help="Only who held this role.")
@click.option("--permission", help="Only who held this permission.")
@click.option("--session", "session_id", metavar="ID", help="What a session was worth.")
@click.option("--jti", metavar="JTI", help="What an access token was worth.")
@click.option("--provider", "provider_id", metavar="ID", help="How a provider was configured.")
@click.option("--roles", "roles_too", is_flag=True, help="What each role stood for.")
@click.pass_obj
def as_of(
    desk: Desk,
    moment: Moment,
    named: str | None,
    role: str | None,
    permission: str | None,
    session_id: str | None,
    jti: str | None,
    provider_id: str | None,
    roles_too: bool,
) -> None:
    """Show things as they stood: an account, or the access of everybody."""
    single = [one for one in (named, session_id, jti, provider_id) if one is not None]
    if len(single) + roles_too > 1:
        raise Failed("ask for one thing at a time", USAGE)
    if (single or roles_too) and (role or permission) is not None:
        raise Failed("--role and --permission pick from everybody: leave out the rest", USAGE)
    then = asked(moment)
    with desk.api() as api:
        if named is not None:
            _account(desk, api, api.account_id(named), then)
        elif session_id is not None:
            check_id(session_id, "session", "audit query --type session.opened")
            _grounded(desk, api.get(f"/v1/audit/sessions/{session_id}", **then))
        elif jti is not None:
            check_id(jti, "token", "token list")
            _grounded(desk, api.get(f"/v1/audit/tokens/{jti}", **then))
        elif provider_id is not None:
            check_id(provider_id, "provider", "oidc provider list")
            desk.show(api.get(f"/v1/auth/oidc/providers/{provider_id}", **then))
        elif roles_too:
            desk.table(
                api.items("/v1/roles", **then), ("name", "built_in", "permissions", "description")
            )
        else:
            found = api.items("/v1/audit/access", role=role, permission=permission, **then)
            desk.table(found, HELD)


def _account(desk: Desk, api: Api, account_id: str, then: dict[str, Any]) -> None:
    path = f"/v1/accounts/{account_id}"
    shown = {
        **api.get(path, **then),
        "grants": api.items(f"{path}/roles", **then),
        "sessions": api.items(f"{path}/sessions", **then),
        "tokens": api.items(f"{path}/tokens", **then),
    }
    if desk.as_json:
        desk.show(shown)
        return
    listed = {name: shown.pop(name) for name in ("grants", "sessions", "tokens")}
    desk.show(shown)
    for name, columns in (
        ("grants", ("role", "expires_at")),
        ("sessions", ("id", "origin", "amr", "opened_at", "expires_at")),
        ("tokens", ("jti", "session_id", "issued_at", "expires_at", "scope")),
    ):
        if listed[name]:
            desk.say(f"\n{name}")
            desk.table(listed[name], columns)


@click.command()
@click.argument("before", type=MOMENT, metavar="FROM")
@click.argument("after", type=MOMENT, metavar="[TO]", required=False)
@click.pass_obj
def diff(desk: Desk, before: Moment, after: Moment | None) -> None:
    """Who gained and lost what between two moments; TO is now when it is left out."""
    query: dict[str, Any] = {_end("from", before[0]): before[1]}
    if after is not None:
        query[_end("to", after[0])] = after[1]
    with desk.api() as api:
        found = api.items("/v1/audit/diff", **query)
    if desk.as_json:
        desk.show(found)
        return
    desk.table(
        [
            {
                "account": one["username"] or one["account_id"],
                "status": _status(one),
                "gained": _moved(one, "gained"),
                "lost": _moved(one, "lost"),
            }
            for one in found
        ],
        ("account", "status", "gained", "lost"),
    )


def _end(name: str, kind: str) -> str:
    return name if kind == "at" else f"{name}_position"


def _status(one: dict[str, Any]) -> str:
    before, after = one["status_before"], one["status_after"]
    return str(after) if before == after else f"{before} -> {after}"


def _moved(one: dict[str, Any], way: str) -> list[str]:
    """Roles first, then the permissions, which is what counts."""
    return [f"role {name}" for name in one["roles"][way]] + list(one["permissions"][way])


@click.command()
@click.argument("named", metavar="[ACCOUNT]", required=False)
@click.argument("permission", metavar="[PERMISSION]", required=False)
@click.option("--at", "moment", type=MOMENT, metavar="TIME|POSITION", help="Then, not now.")
@click.option(
    "--event", "event", type=click.IntRange(1), metavar="POSITION", help="A decision, made again."
)
@click.pass_obj
def explain(
    desk: Desk,
    named: str | None,
    permission: str | None,
    moment: Moment | None,
    event: int | None,
) -> int:
    """Why an account holds a permission, or does not: the events that make it so.

    With --event: make the decision that an event recorded again. Exit code 1 when another comes of
    it.
    """
    if event is not None:
        if named is not None or moment is not None:
            raise Failed("--event stands alone", USAGE)
        return explain_event(desk, event)
    if named is None or permission is None:
        raise Failed("say an ACCOUNT and a PERMISSION, or --event POSITION", USAGE)
    with desk.api() as api:
        found = api.get(
            "/v1/audit/explain",
            account=api.account_id(named),
            permission=permission,
            **asked(moment),
        )
    if desk.as_json:
        desk.show(found)
        return 0
    desk.say(f"{found['text']} ({named}, {permission}, {found['at']}, event {found['position']})")
    _evidence(desk, found["grounds"])
    for reason in found["reasons"]:
        until = f" It ends at {reason['expires_at']}." if reason["expires_at"] else ""
        factors = (
            " It counts only after a sign-in with two factors."
            if reason["needs_two_factors"]
            else ""
        )
        desk.say(f"\n{reason['role']}: {reason['text']}{until}{factors}")
        _evidence(desk, reason["grounds"])
    return 0


def _grounded(desk: Desk, found: dict[str, Any]) -> None:
    """A thing, and the events that made it what it was."""
    if desk.as_json:
        desk.show(found)
        return
    desk.show({name: value for name, value in found.items() if name != "grounds"})
    desk.say("")
    _evidence(desk, found["grounds"])


def _evidence(desk: Desk, grounds: list[dict[str, Any]]) -> None:
    if grounds:
        desk.table(
            [
                {
                    "position": ground["event"]["position"],
                    "recorded_at": ground["event"]["recorded_at"],
                    "actor": _actor(ground["event"]["actor"]),
                    "what": ground["text"],
                }
                for ground in grounds
            ],
            ("position", "recorded_at", "actor", "what"),
        )


def _actor(actor: dict[str, str]) -> str:
    return f"{actor['type']}:{actor['id']}" if actor["id"] else actor["type"]
