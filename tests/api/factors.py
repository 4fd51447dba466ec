"""A person with an authenticator app: RFC 6238 written anew, and the ways through a sign-in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import time
from typing import Any

from tests.api.served import PASSWORD, Answer, Client, Served

PERIOD = 30


def code_of(secret: str, step: int) -> str:
    """The six digits of a step (RFC 4226, section 5.3)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", step), hashlib.sha1)
    start = digest[-1] & 15
    number = struct.unpack(">I", digest[start : start + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**6:06d}"


def now_step() -> int:
    """The present step, with at least five seconds of it left."""
    left = PERIOD - time.time() % PERIOD
    if left < 5:
        time.sleep(left + 0.05)
    return int(time.time()) // PERIOD


class App:
    """An authenticator app. It gives out the oldest code that still counts and was not used."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.used = 0

    def code(self) -> str:
        """A fresh code; waits for the next step when three were used within one."""
        step = max(now_step() - 1, self.used + 1)
        while step > now_step() + 1:
            time.sleep(0.5)
        self.used = step
        return code_of(self.secret, step)

    def wrong(self) -> str:
        """A code that counts in none of the steps around now."""
        near = {code_of(self.secret, now_step() + n) for n in range(-3, 4)}
        return next(
            one
            for one in ("000000", "000001", "000002", *map(str, range(100000, 100010)))
            if one not in near
        )


def enrol(client: Client) -> App:
    """One-time codes for whoever the client speaks for."""
    offered = client.post("/v1/auth/totp")
    assert offered.status == 200, offered.raw
    app = App(offered.body["secret"])
    confirmed = client.post("/v1/auth/totp/confirm", {"code": app.code()})
    assert confirmed.status == 204, confirmed.raw
    return app


def with_totp(served: Served, *roles: str) -> tuple[Any, Client, App]:
    """A fresh account with one-time codes, its first client and its app."""
    account, client = served.signed_in(*roles)
    return account, client, enrol(client)


def begin(client: Client, username: str, **more: Any) -> Answer:
    """A sign-in by password."""
    return client.post("/v1/auth/login", {"username": username, "password": PASSWORD, **more})


def challenged(client: Client, username: str) -> str:
    """The MFA token of a sign-in by password."""
    answer = begin(client, username)
    assert answer.status == 401, answer.raw
    assert answer.body["type"].endswith("mfa-required"), answer.raw
    return str(answer.body["mfa_token"])


def finish(client: Client, token: str, **code: str) -> Answer:
    """The second step."""
    return client.post("/v1/auth/mfa", {"mfa_token": token, **code})


def claims(client: Client, token: str) -> dict[str, Any]:
    """What an access token says, if it counts."""
    answer = client.post("/v1/token/validate", {"token": token})
    assert answer.body["valid"] is True, answer.raw
    return dict(answer.body["claims"])
