"""`gatebook key`: signing keys, and how all keys stand."""

from __future__ import annotations

from typing import Any

import click

from gatebook.domain import custody
from gatebook.domain.application.core import DAY
from gatebook.domain.application.keys import LEAD, KeyView
from gatebook.store.house import House
from gatebook.tools.desk import Desk, Failed, rfc3339
from gatebook.tools.master import escrow_, recover, rotate_master

KID_LENGTH = 43
"""Characters of a SHA-256 thumbprint in base64url (RFC 7638)."""

SHOWN = ("kid", "algorithm", "status", "signs_from")


@click.group()
def key() -> None:
    """Signing keys and the master key."""


@key.command("list")
@click.pass_obj
def list_(desk: Desk) -> None:
    """List signing keys."""
    with desk.api() as api:
        desk.table(api.items("/v1/keys"), SHOWN)


class OfKid(click.Command):
    """A command whose only argument is a kid, of which one in 64 begins with a "-"."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """What is as long as a kid is one, not an option."""
        if len(args) == 1 and len(args[0]) == KID_LENGTH:
            args = ["--", *args]
        return super().parse_args(ctx, args)


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
        _show(desk, api.call("POST", "/v1/keys/rotate", body))


@key.command(cls=OfKid)
@click.argument("kid")
@click.pass_obj
def retire(desk: Desk, kid: str) -> None:
    """End a key that no longer signs. What it signed is refused from then on."""
    with desk.api() as api:
        if all(one["kid"] != kid for one in api.items("/v1/keys")):
            raise Failed(f"there is no key {kid}: gatebook key list")
        desk.confirm(f"Retire {kid}? Tokens it signed will be refused.")
        _show(desk, api.call("POST", f"/v1/keys/{kid}/retire"))


@key.command()
@click.pass_obj
def status(desk: Desk) -> None:
    """How the master key, the keyring and the signing keys stand."""
    desk.offline_only("key status")
    with desk.house() as house:
        house.masters.look()
        now = house.clock.now()
        age = int(house.settings.tokens.signing_key_age)
        shown = {
            "master_key": _master(house),
            "escrow": _escrow(house),
            "keys": {kind: n for kind, n in house.key_table.kinds().items() if kind != "master"},
        }
        signing = [_signing(view, now, age) for view in house.keys.all(now)]
    if desk.as_json:
        desk.show({**shown, "signing_keys": signing})
        return
    desk.show(shown)
    desk.say("")
    desk.table(signing, ("kid", "algorithm", "status", "age", "next"))


def _show(desk: Desk, key: dict[str, Any]) -> None:
    """A signing key: for people without its public half, which is in the JWKS."""
    desk.show(key, [(name, key.get(name)) for name in SHOWN])


def _master(house: House) -> dict[str, Any]:
    record = house.masters.record
    shown: dict[str, Any] = {"id": house.masters.id.hex(), "kind": record.shape.kind}
    former = house.masters.opened.former
    if record.under_way is not None and former is not None:
        _total, left = house.key_table.counts(house.masters.id)
        shown["rotation"] = "under way: run the same key rotate-master again"
        shown |= {
            "from": former.id.hex(),
            "since": rfc3339(record.under_way.began_at),
            "left": left,
        }
    elif record.replaced is not None:
        shown["rotation"] = f"last at {rfc3339(record.replaced.at)}"
        shown["from"] = record.replaced.former_id.hex()
    else:
        shown["rotation"] = "never"
    return shown


def _escrow(house: House) -> str:
    """What the newest shares are good for."""
    said = "none: gatebook key escrow splits the master key among people"
    for recorded in house.store.stream(custody.STREAM_ID):
        event = recorded.event
        if not isinstance(event, custody.MasterKeyEscrowed):
            continue
        said = f"of {rfc3339(recorded.metadata.at)}"
        if event.key_id == house.masters.id.hex():
            said += f": any {event.threshold} of {event.shares} shares"
        else:
            said += f", of the former key {event.key_id}: it opens nothing; make new shares"
    return said


def _signing(view: KeyView, now: int, age: int) -> dict[str, Any]:
    signs_from = view.signs_from
    signed_for = None if signs_from is None else max(0, now - signs_from)
    return {
        "kid": view.kid,
        "algorithm": view.algorithm,
        "status": view.status,
        "age": "-" if signed_for is None else f"{signed_for // DAY}d",
        "next": _next(view, age),
    }


def _next(view: KeyView, age: int) -> str:
    if view.status == "published":
        return (
            "signs when rotated" if view.signs_from is None else f"signs {rfc3339(view.signs_from)}"
        )
    if view.status == "active":
        due = (view.signs_from or 0) + age - LEAD
        return f"successor published {rfc3339(due)}" if age else "rotated by hand"
    if view.status == "verifying":
        return "retired when its last token has expired"
    return "-"


for command in (rotate_master, escrow_, recover):
    key.add_command(command)
