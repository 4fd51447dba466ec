"""What a measured Gatebook is given before it is asked: accounts, secrets and tokens."""

from __future__ import annotations

import base64
import http.client
import json
import math
from contextlib import closing
from typing import Any, Final
from urllib.parse import urlencode

import jwt
import msgspec

from gatebook.store.house import open_house
from gatebook.store.settings import Settings
from gatebook.store.signing import CACHED
from gatebook.tools.bench.forged import Forge

ADMIN: Final = "admin"
PASSWORD: Final = "copper lantern river 27"  # a made-up world's
PEOPLE: Final = 8
TOKENS: Final = 250
COLD: Final = 5 / 4
"""Of what the workers can remember together: so none remembers a token until its next turn."""

FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
JSON: Final = {"Content-Type": "application/json"}


class Seeded(msgspec.Struct, kw_only=True):
    """What the works of a deployment are made of. `cold` tokens count, `refused` ones never do."""

    api: Api
    admin: dict[str, str]
    admin_id: str
    people: list[str]
    basic: dict[str, str]
    tokens: list[str]
    cold: list[str]
    refused: dict[str, str]


class Api:
    """A small client. Each call has a connection of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)

    def call(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        """The decoded answer. Raises RuntimeError when it is none of success."""
        text = body
        if isinstance(body, dict):
            if FORM.items() <= headers.items():
                text = urlencode(body)
            else:
                text, headers = json.dumps(body), JSON | headers
        connection = http.client.HTTPConnection(*self._address, timeout=60)
        with closing(connection):
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            said = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:300]!r}")
        return json.loads(said) if said else None

    def login(self, username: str) -> Any:
        """Tokens of a sign-in."""
        body = {"username": username, "password": PASSWORD}
        return self.call("POST", "/v1/auth/login", body, {})


def seed(host: str, port: int, settings: Settings) -> Seeded:
    """Asks a running server for all of it; the forged tokens are signed with its key."""
    api = Api(host, port)
    signed_in = api.login(ADMIN)
    admin = {"Authorization": f"Bearer {signed_in['access_token']}"}
    people = [f"person-{number}" for number in range(PEOPLE)]
    for name in people:
        body = {"username": name, "type": "human", "password": PASSWORD}
        api.call("POST", "/v1/accounts", body, admin)
    basic = _client(api, admin, "service")
    tokens = [_token(api, basic) for _ in range(TOKENS)]
    refused = _ended(api, admin, tokens)
    cold, forged = _signed(settings, tokens)
    return Seeded(
        api=api,
        admin=admin,
        admin_id=signed_in["account_id"],
        people=people,
        basic=basic,
        tokens=tokens,
        cold=cold,
        refused=refused | forged,
    )


def _client(api: Api, admin: dict[str, str], name: str) -> dict[str, str]:
    """A client's header: a system account with a key."""
    made = api.call("POST", "/v1/accounts", {"username": name, "type": "system"}, admin)
    key = api.call("POST", f"/v1/accounts/{made['id']}/api-keys", {"name": "bench"}, admin)
    pair = base64.b64encode(f"{made['id']}:{key['key']}".encode()).decode()
    return {"Authorization": f"Basic {pair}", **FORM}


def _token(api: Api, basic: dict[str, str]) -> str:
    asked = {"grant_type": "client_credentials"}
    return str(api.call("POST", "/oauth2/token", asked, basic)["access_token"])


def _ended(api: Api, admin: dict[str, str], tokens: list[str]) -> dict[str, str]:
    """Tokens that counted once: takes one of `tokens`, and makes others."""
    revoked = tokens.pop()
    jti = jwt.decode(revoked, options={"verify_signature": False})["jti"]
    api.call("DELETE", f"/v1/token/{jti}", None, admin)
    basic = _client(api, admin, "switched-off")
    disabled = _token(api, basic)
    account_id = jwt.decode(disabled, options={"verify_signature": False})["sub"]
    api.call("PATCH", f"/v1/accounts/{account_id}", {"status": "inactive"}, admin)
    return {"revoked": revoked, "of an inactive account": disabled}


def _signed(settings: Settings, tokens: list[str]) -> tuple[list[str], dict[str, str]]:
    house = open_house(settings)
    with closing(house):
        key = house.keyring.signing_key(jwt.get_unverified_header(tokens[0])["kid"])
    most = COLD * CACHED * max(1, settings.server.workers)
    each = math.ceil(most / len(tokens))
    cold = [text for token in tokens for text in Forge(token, key).variants(each)]
    return cold, Forge(tokens[0], key).refused()
