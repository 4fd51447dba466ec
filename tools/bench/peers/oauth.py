"""The loads of an OAuth server, and how they are written."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Mapping, Sequence

import msgspec

from gatebook.tools.bench.peers.running import Running
from gatebook.tools.bench.subject import Request

CHAINS = 64
"""How many refresh tokens are renewed, and how many tokens are looked at."""

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """An OAuth client's credential, and where the server takes tokens from it."""

    client: str
    secret: str
    token: str
    """The token endpoint's path."""
    introspection: str
    active: str
    """How the answer about a live token spells it."""
    inactive: str
    keys: str
    """Where its public keys are."""

    def basic(self) -> dict[str, str]:
        """The header that says who it is."""
        return basic(self.client, self.secret)


def add_oauth(running: Running, client: Client, refresh: Sequence[str]) -> None:
    """The loads that RFC 6749 and RFC 7662 define: alike for every OAuth server.

    The introspected tokens are taken from the running server. Some questions are about tokens that
    it never issued, and some who ask for a token are nobody it knows.
    """
    headers = client.basic()
    asked = {"grant_type": "client_credentials"}
    token = form(client.token, asked, headers=headers, contains='"access_token"')
    nobody = form(
        client.token,
        asked,
        headers=basic("nobody", client.secret),
        status=401,
        contains='"invalid_client"',
    )
    running.add("client credentials", token, nobody)
    live = [json.loads(running.answered(token).text)["access_token"] for _ in range(CHAINS)]

    def about(text: str, contains: str) -> Request:
        fields = {"token": text, "token_type_hint": "access_token"}
        return form(client.introspection, fields, headers=headers, contains=contains)

    running.add("validate, hot", *(about(text, client.active) for text in live))
    unknown = (about(text[:-6] + "AAAAAA", client.inactive) for text in live[:8])
    running.add("introspect", *running.works["validate, hot"].requests, *unknown)
    running.add("keys (JWKS)", Request(method="GET", path=client.keys, contains='"kty"'))
    if refresh:
        renewals = (
            form(
                client.token,
                {"grant_type": "refresh_token", "refresh_token": text},
                headers=headers,
                contains='"access_token"',
            )
            for text in refresh
        )
        running.add("refresh", *renewals, renewed="refresh_token")


def form(
    path: str,
    fields: Mapping[str, str],
    *,
    headers: Mapping[str, str] | None = None,
    status: int = 200,
    contains: str = "",
) -> Request:
    """A POST of a form."""
    return Request(
        method="POST",
        path=path,
        headers=FORM | dict(headers or {}),
        body=urllib.parse.urlencode(fields),
        status=status,
        contains=contains,
    )


def basic(client: str, secret: str) -> dict[str, str]:
    pair = base64.b64encode(f"{client}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}
