"""What Gatebook is asked on each measured path."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlencode

from gatebook.tools.bench.seed import FORM, JSON, PASSWORD, Seeded
from gatebook.tools.bench.subject import Request, Work

CHAINS: Final = 64
LOGINS: Final = 8
"""Clients that sign in at once: more only wait longer, and are told to come back at last."""


def work(path: str, seeded: Seeded) -> Work | None:
    """The load for a path; each call may make tokens anew."""
    make = WORKS.get(path)
    return None if make is None else make(seeded, path)


def _validate(tokens: Sequence[str], seeded: Seeded, path: str) -> Work:
    """Tokens that count, and beside them every kind that does not."""
    good = [_validated(token, '"valid":true') for token in tokens]
    bad = [_validated(token, '"valid":false') for token in seeded.refused.values()]
    return Work(path=path, requests=good + bad)


def _validated(token: str, contains: str) -> Request:
    body = json.dumps({"token": token})
    return Request(
        method="POST", path="/v1/token/validate", headers=JSON, body=body, contains=contains
    )


def _hot(seeded: Seeded, path: str) -> Work:
    return _validate(seeded.tokens[:CHAINS], seeded, path)


def _cold(seeded: Seeded, path: str) -> Work:
    return _validate(seeded.cold, seeded, path)


def _introspect(seeded: Seeded, path: str) -> Work:
    def asked(token: str, contains: str) -> Request:
        body = urlencode({"token": token})
        return Request(
            method="POST",
            path="/oauth2/introspect",
            headers=seeded.basic,
            body=body,
            contains=contains,
        )

    good = [asked(token, '"active":true') for token in seeded.tokens[:CHAINS]]
    bad = [asked(token, '"active":false') for token in seeded.refused.values()]
    return Work(path=path, requests=good + bad)


def _keys(_seeded: Seeded, path: str) -> Work:
    one = Request(method="GET", path="/.well-known/jwks.json", contains='"kty"')
    return Work(path=path, requests=[one])


def _client_credentials(seeded: Seeded, path: str) -> Work:
    body = urlencode({"grant_type": "client_credentials"})
    wrong = seeded.basic | {"Authorization": "Basic bm9ib2R5OndpdGgtYS13cm9uZy1zZWNyZXQ="}
    good = Request(
        method="POST",
        path="/oauth2/token",
        headers=seeded.basic,
        body=body,
        contains='"access_token"',
    )
    bad = Request(
        method="POST",
        path="/oauth2/token",
        headers=wrong,
        body=body,
        status=401,
        contains='"invalid_client"',
    )
    return Work(path=path, requests=[good, bad])


def _refresh(seeded: Seeded, path: str) -> Work:
    chains = []
    for number in range(CHAINS):
        held = seeded.api.login(seeded.people[number % len(seeded.people)])["refresh_token"]
        body = urlencode({"grant_type": "refresh_token", "refresh_token": held})
        chains.append(
            Request(
                method="POST",
                path="/oauth2/token",
                headers=FORM,
                body=body,
                contains='"access_token"',
            )
        )
    return Work(path=path, requests=chains, renewed="refresh_token", connections=CHAINS)


def _login(seeded: Seeded, path: str) -> Work:
    # Each once before: a password is hashed anew by its first sign-in under other parameters.
    for name in seeded.people:
        seeded.api.login(name)
    asked = [
        Request(
            method="POST",
            path="/v1/auth/login",
            headers=JSON,
            body=json.dumps({"username": name, "password": PASSWORD}),
            contains='"access_token"',
        )
        for name in seeded.people
    ]
    return Work(path=path, requests=asked, connections=LOGINS)


def _life(seeded: Seeded, path: str) -> Work:
    headers = JSON | seeded.admin
    account = "/v1/accounts/{id}"
    steps = [
        Request(
            method="POST",
            path="/v1/accounts",
            headers=headers,
            body=json.dumps({"username": "made-{n}", "type": "human"}),
            status=201,
            contains='"active"',
        ),
        Request(
            method="PATCH",
            path=account,
            headers=headers,
            body='{"status": "inactive"}',
            contains='"inactive"',
        ),
        Request(method="DELETE", path=account, headers=seeded.admin, status=204),
    ]
    return Work(path=path, requests=steps, renewed="id", connections=16, steps=True)


def _audit(seeded: Seeded, path: str) -> Work:
    queries = ("", f"&account={seeded.admin_id}", "&type=token.issued")
    asked = [_read(f"/v1/audit?order=desc&limit=50{one}", seeded) for one in queries]
    return Work(path=path, requests=asked, connections=16)


def _feed(seeded: Seeded, path: str) -> Work:
    asked = [_read(f"/v1/audit/feed?after={10 * one}&limit=50", seeded) for one in range(20)]
    return Work(path=path, requests=asked, connections=16)


def _read(path: str, seeded: Seeded) -> Request:
    return Request(method="GET", path=path, headers=seeded.admin, contains='"items":[{')


WORKS: Final[dict[str, Callable[[Seeded, str], Work]]] = {
    "validate, hot": _hot,
    "validate, cold": _cold,
    "introspect": _introspect,
    "keys (JWKS)": _keys,
    "client credentials": _client_credentials,
    "refresh": _refresh,
    "login": _login,
    "login, light hash": _login,
    "account made, disabled, deleted": _life,
    "audit query": _audit,
    "feed": _feed,
}
