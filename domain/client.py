"""An OAuth 2 client: how a system account may ask for tokens. Its id is the account's."""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event

SECRET_BASIC = "client_secret_basic"  # noqa: S105 - the name of a method
SECRET_POST = "client_secret_post"  # noqa: S105 - the name of a method
PRIVATE_KEY_JWT = "private_key_jwt"
AUTH_METHODS = (SECRET_BASIC, SECRET_POST, PRIVATE_KEY_JWT)


class ClientConfigured(Event, frozen=True):
    """How the client proves who it is, and what it may ask for, from here on.

    `jwks` is a JWK set as JSON, public members only. With `dpop_bound` its tokens are bound to a
    key (RFC 9449).
    """

    TOPIC = "client.configured.1"
    STREAM = "client"
    CATEGORY = "config"
    account_id: UUID
    jwks: str
    auth_methods: tuple[str, ...]
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    dpop_bound: bool


class ClientRemoved(Event, frozen=True):
    """Nothing is configured any more: what holds for an account without it holds again."""

    TOPIC = "client.removed.1"
    STREAM = "client"
    CATEGORY = "config"
    account_id: UUID


Happening = ClientConfigured | ClientRemoved

TAIL = 1
"""How many of the stream's last events are its state: each replaces what was before."""


class Client(msgspec.Struct, frozen=True):
    """What holds for a client; as it is here, when nothing was configured."""

    configured: bool = False
    jwks: str = '{"keys":[]}'
    auth_methods: tuple[str, ...] = (SECRET_BASIC, SECRET_POST)
    scopes: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    dpop_bound: bool = False


def stream_id(account_id: UUID) -> UUID:
    """The stream of a client's configuration."""
    return uuid8(b"client", account_id.bytes)


def configure(account_id: UUID, wanted: Client, state: Client) -> list[Happening]:
    """Configures, if anything changes."""
    if state == wanted:
        return []
    return [
        ClientConfigured(
            account_id=account_id,
            jwks=wanted.jwks,
            auth_methods=wanted.auth_methods,
            scopes=wanted.scopes,
            resources=wanted.resources,
            dpop_bound=wanted.dpop_bound,
        )
    ]


def remove(account_id: UUID, state: Client) -> list[Happening]:
    """Removes, once."""
    return [ClientRemoved(account_id=account_id)] if state.configured else []


def evolve(_state: Client, event: Happening) -> Client:
    """The state after an event."""
    match event:
        case ClientConfigured():
            return Client(
                configured=True,
                jwks=event.jwks,
                auth_methods=event.auth_methods,
                scopes=event.scopes,
                resources=event.resources,
                dpop_bound=event.dpop_bound,
            )
        case ClientRemoved():
            return Client()
        case _:
            assert_never(event)
