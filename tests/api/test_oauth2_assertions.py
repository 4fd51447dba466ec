"""OAuth 2 over HTTP: private_key_jwt (RFC 7523), and how a client is configured."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.api.oauth2 import (
    ASSERTION_TYPE,
    Key,
    Machine,
    error,
    issuer,
    post,
)
from tests.api.served import Served


def asked(served: Served, assertion: str, **more: str) -> Any:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        **more,
    }
    return post(served.client, "/oauth2/token", form)


def keyed(served: Served, *keys: Key, **more: Any) -> Machine:
    machine = Machine(served, "viewer")
    jwks = {"keys": [key.jwk | {"kid": f"k{n}"} for n, key in enumerate(keys)]}
    machine.configure(jwks=jwks, auth_methods=["private_key_jwt"], **more)
    return machine


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_private_key_jwt(served: Served, algorithm: str) -> None:
    """An assertion under a registered key buys a token, for issuer or endpoint as audience."""
    key = Key(algorithm)
    machine = keyed(served, key)
    endpoint = served.client.get("/.well-known/oauth-authorization-server").body["token_endpoint"]
    for audience in (issuer(served), endpoint, [endpoint]):
        for header in ({}, {"kid": "k0"}, {"typ": "client-authentication+jwt"}):
            answer = asked(served, key.assertion(machine.id, audience, header=header))
            assert answer.status == 200, answer.raw
    assert error(machine.token()) == (401, "invalid_client")


def test_an_assertion_counts_once(served: Served) -> None:
    """The same jti again is refused, whichever worker it reaches."""
    key = Key()
    machine = keyed(served, key)
    assertion = key.assertion(machine.id, issuer(served))
    assert asked(served, assertion).status == 200
    for _ in range(6):
        assert error(asked(served, assertion)) == (401, "invalid_client")


def test_wrong_assertions(served: Served) -> None:
    """An assertion that differs from a good one in one thing buys nothing."""
    key, stranger, second = Key(), Key(), Key()
    machine, other = keyed(served, key, second), keyed(served, Key())
    now = int(time.time())
    aud = issuer(served)
    wrong: dict[str, str] = {
        "key": stranger.assertion(machine.id, aud, header={"kid": "k0"}),
        "other client": key.assertion(other.id, aud, header={"kid": "k0"}),
        "sub": key.assertion(machine.id, aud, header={"kid": "k0"}, sub=other.id),
        "no kid, two keys": key.assertion(machine.id, aud),
        "wrong kid": key.assertion(machine.id, aud, header={"kid": "k1"}),
        "unknown kid": key.assertion(machine.id, aud, header={"kid": "k9"}),
        "aud": key.assertion(machine.id, "https://elsewhere.example", header={"kid": "k0"}),
        "two aud": key.assertion(
            machine.id, [aud, "https://elsewhere.example"], header={"kid": "k0"}
        ),
        "aud with slash": key.assertion(machine.id, aud + "/", header={"kid": "k0"}),
        "no exp": key.assertion(machine.id, aud, header={"kid": "k0"}, exp=None),
        "exp past": key.assertion(machine.id, aud, header={"kid": "k0"}, exp=now - 1),
        "exp far": key.assertion(machine.id, aud, header={"kid": "k0"}, exp=now + 3700),
        "exp text": key.assertion(machine.id, aud, header={"kid": "k0"}, jti=5),
        "iat ahead": key.assertion(machine.id, aud, header={"kid": "k0"}, iat=now + 600),
        "nbf ahead": key.assertion(machine.id, aud, header={"kid": "k0"}, nbf=now + 600),
        "no jti": key.assertion(machine.id, aud, header={"kid": "k0"}, jti=None),
        "empty jti": key.assertion(machine.id, aud, header={"kid": "k0"}, jti=""),
        "typ": key.assertion(machine.id, aud, header={"kid": "k0", "typ": "at+jwt"}),
        "crit": key.assertion(machine.id, aud, header={"kid": "k0", "crit": ["exp"]}),
        "jwk": key.assertion(machine.id, aud, header={"kid": "k0", "jwk": key.jwk}),
        "cut": key.assertion(machine.id, aud, header={"kid": "k0"})[:-2],
        "nothing": "x",
    }
    for name, assertion in wrong.items():
        assert error(asked(served, assertion)) == (401, "invalid_client"), name
    good = key.assertion(machine.id, aud, header={"kid": "k0"})
    mismatched = asked(served, good, client_id=other.id)
    assert error(mismatched) == (401, "invalid_client")
    assert asked(served, good, client_id=machine.id).status == 200
    odd = {"grant_type": "client_credentials", "client_assertion_type": "x"}
    assert error(post(served.client, "/oauth2/token", odd)) == (400, "invalid_request")


def test_the_configuration(served: Served) -> None:
    """GET, PUT and DELETE with ETag and If-Match; people are no clients."""
    machine = Machine(served)
    path = f"/v1/accounts/{machine.id}/client"
    shown = served.admin.get(path)
    assert (shown.body["configured"], shown.headers["ETag"]) == (False, '"0"')
    key = Key()
    body = {"jwks": {"keys": [key.jwk]}, "auth_methods": ["private_key_jwt"]}
    put = served.admin.put(path, body, headers={"If-Match": '"0"'})
    assert (put.status, put.headers["ETag"], put.body["jwks"]) == (200, '"1"', {"keys": [key.jwk]})
    assert served.admin.put(path, body, headers={"If-Match": '"0"'}).status == 412
    head = served.head()
    assert served.admin.put(path, body).status == 200
    assert served.head() == head
    assert served.admin.delete(path, headers={"If-Match": '"1"'}).status == 204
    assert served.admin.get(path).body["configured"] is False
    person = served.account()
    assert served.admin.put(f"/v1/accounts/{person['id']}/client", {}).status == 409
    boss = served.account("admin", kind="system")
    operator = served.signed_in("operator")[1]
    assert operator.put(f"/v1/accounts/{boss['id']}/client", {}).status == 403


def test_bad_configurations(served: Served) -> None:
    """Private keys, weak keys, doubled kids, relative resources and odd scopes are refused."""
    machine = Machine(served)
    key = Key()
    whole = key.jwk | {"d": "AAAA"}
    small = {"kty": "RSA", "n": "sXch" * 40, "e": "AQAB"}
    bodies: list[dict[str, Any]] = [
        {"jwks": {"keys": [whole]}},
        {"jwks": {"keys": [small]}},
        {"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}},
        {"jwks": {"keys": [key.jwk | {"alg": "HS256"}]}},
        {"jwks": {"keys": [key.jwk | {"use": "enc"}]}},
        {"jwks": {"keys": [key.jwk | {"x": "AAAA"}]}},
        {"jwks": {"keys": [key.jwk | {"kid": "a"}, Key().jwk | {"kid": "a"}]}},
        {"jwks": {"keys": [key.jwk | {"kid": 5}]}},
        {"auth_methods": ["private_key_jwt"]},
        {"auth_methods": []},
        {"auth_methods": ["none"]},
        {"scopes": ["a b"]},
        {"scopes": ['"']},
        {"resources": ["/relative"]},
        {"resources": ["https://shop.example/#part"]},
        {"resources": ["shop"]},
    ]
    for body in bodies:
        answer = served.admin.put(f"/v1/accounts/{machine.id}/client", body)
        assert answer.status == 400, (body, answer.raw)
    assert served.admin.get(f"/v1/accounts/{machine.id}/client").body["configured"] is False
