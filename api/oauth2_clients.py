"""Which OAuth 2 client calls: by secret, by assertion, or as the public client (RFC 6749, 2.3)."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any, Final, NoReturn
from uuid import UUID

import msgspec

from gatebook.api import presented
from gatebook.api.call import Call
from gatebook.api.decoding import unquoted
from gatebook.api.oauth2_errors import INVALID_REQUEST, OAuthError
from gatebook.api.problems import Problem
from gatebook.domain.access import Caller
from gatebook.domain.application.core import By
from gatebook.domain.application.families import CLIENT_ID
from gatebook.domain.client import PRIVATE_KEY_JWT, SECRET_BASIC, SECRET_POST, Client
from gatebook.domain.envelope import account_actor
from gatebook.store.house import House
from gatebook.store.jose import InvalidToken

TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a path
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_BASIC: Final = re.compile(r"basic ([a-z0-9+/]+={0,2})", re.ASCII | re.IGNORECASE)


class Identity(msgspec.Struct, frozen=True):
    """A confidential client that has proved who it is. `key` is the API key that it showed."""

    client_id: UUID
    epoch: int
    client: Client
    key: Caller | None = None

    def by(self, call: Call[Any, Any]) -> By:
        """The client, as it gives a command."""
        return By(
            actor=account_actor(self.client_id),
            request_id=call.request_id,
            source=call.source,
            account_id=self.client_id,
            epoch=self.epoch,
            presented=(self.key.kind, self.key.id) if self.key is not None else None,
        )


def identify(call: Call[Any, None]) -> Identity | None:
    """The client; None for the public one, which proves nothing. Raises OAuthError."""
    form, header = call.body, call.authorization
    asserted = bool(form.client_assertion or form.client_assertion_type)
    if (header is not None) + bool(form.client_secret) + asserted > 1:
        raise OAuthError(INVALID_REQUEST, "There is more than one client authentication.")
    if header is not None:
        return _by_basic(call, header)
    if form.client_secret:
        return _by_secret(call.house, form.client_id, form.client_secret, SECRET_POST, call.now)
    if asserted:
        return _by_assertion(call)
    if form.client_id not in ("", CLIENT_ID):
        refuse()
    return None


def confidential(call: Call[Any, None]) -> Identity:
    """The client, which has to prove who it is. Raises OAuthError."""
    return identify(call) or refuse()


def refuse() -> NoReturn:
    """invalid_client, the same for every cause."""
    raise OAuthError(
        "invalid_client",
        "The client did not prove who it is.",
        status=401,
        headers={"WWW-Authenticate": 'Basic realm="gatebook"'},
    )


def _by_basic(call: Call[Any, None], header: str) -> Identity:
    found = _BASIC.fullmatch(header)
    if found is None:
        refuse()
    try:
        pair = b64decode(found[1], validate=True).decode("ascii")
        client_id, separator, secret = pair.partition(":")
        client_id, secret = unquoted(client_id), unquoted(secret)
    except (ValueError, Problem):
        refuse()
    if not separator:
        refuse()
    if call.body.client_id not in ("", client_id):
        raise OAuthError(INVALID_REQUEST, "client_id names another client than the header.")
    return _by_secret(call.house, client_id, secret, SECRET_BASIC, call.now)


def _by_secret(house: House, client_id: str, secret: str, method: str, now: int) -> Identity:
    key = presented.live_key(house, secret, now)
    if key is None or key.account_kind != "system" or str(key.account_id) != client_id:
        refuse()
    client = house.clients.load(key.account_id).state
    if method not in client.auth_methods:
        refuse()
    return Identity(key.account_id, key.epoch, client, key)


def _by_assertion(call: Call[Any, None]) -> Identity:
    house, form = call.house, call.body
    if form.client_assertion_type != ASSERTION_TYPE or not form.client_assertion:
        raise OAuthError(INVALID_REQUEST, "client_assertion_type is jwt-bearer's.")
    try:
        client_id = house.client_assertions.client_of(form.client_assertion)
    except InvalidToken:
        refuse()
    live = house.access.account(client_id, call.now)
    if live is None or live.status != "active" or live.kind != "system":
        refuse()
    client = house.clients.load(client_id).state
    if PRIVATE_KEY_JWT not in client.auth_methods or form.client_id not in ("", str(client_id)):
        refuse()
    try:
        endpoint = call.site.base_url + TOKEN_PATH
        house.client_assertions.verify(form.client_assertion, client.jwks, endpoint)
    except InvalidToken:
        refuse()
    return Identity(client_id, live.epoch, client)
