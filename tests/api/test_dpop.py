"""DPoP (RFC 9449): tokens bound to a key, and every proof that is not exactly right."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.api.oauth2 import Key, Machine, b64, error, post, url_of
from tests.api.served import PASSWORD, Answer, Served

ME = "/v1/auth/me"


def call(
    served: Served, token: str, proof: str | None, path: str = ME, scheme: str = "DPoP"
) -> Answer:
    headers = {"Authorization": f"{scheme} {token}"}
    if proof is not None:
        headers["DPoP"] = proof
    return served.client.call("GET", path, headers=headers)


class Bound:
    """A token that is bound to a key."""

    def __init__(self, served: Served, algorithm: str = "ES256", *roles: str) -> None:
        self.key = Key(algorithm)
        self.machine = Machine(served, *roles)
        self.url = url_of(served.client, "/oauth2/token")
        answer = self.machine.token(headers={"DPoP": self.key.proof("POST", self.url)})
        assert (answer.status, answer.body["token_type"]) == (200, "DPoP"), answer.raw
        self.token = str(answer.body["access_token"])

    def proof(self, served: Served, **changed: Any) -> str:
        return self.key.proof("GET", url_of(served.client, ME), self.token, **changed)


@pytest.fixture
def bound(served: Served) -> Bound:
    return Bound(served)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_a_bound_token(served: Served, algorithm: str) -> None:
    """It says the key's thumbprint, and counts with a proof of that key."""
    bound = Bound(served, algorithm)
    said = bound.machine.introspect(bound.token)
    assert (said["token_type"], said["cnf"]) == ("DPoP", {"jkt": bound.key.thumbprint})
    assert call(served, bound.token, bound.proof(served)).status == 200
    assert call(served, bound.token, bound.proof(served), scheme="dpop").status == 200


def test_neither_scheme_stands_in_for_the_other(served: Served, bound: Bound) -> None:
    """A bound token as Bearer, and an unbound one as DPoP, are refused."""
    as_bearer = call(served, bound.token, bound.proof(served), scheme="Bearer")
    assert (as_bearer.status, as_bearer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert call(served, bound.token, None, scheme="Bearer").status == 401
    unbound = bound.machine.token().body["access_token"]
    proof = bound.key.proof("GET", url_of(served.client, ME), unbound)
    refused = call(served, unbound, proof)
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith('DPoP error="invalid_token"')
    key_proof = bound.key.proof("GET", url_of(served.client, ME), bound.machine.secret)
    assert call(served, bound.machine.secret, key_proof).status == 401


def test_proofs_that_differ_in_one_thing(served: Served, bound: Bound) -> None:
    """Method, URL, time, token, key, type and algorithm must all be right."""
    now, other = int(time.time()), Key()
    elsewhere = url_of(served.client, "/v1/accounts")
    url = url_of(served.client, ME)
    ath = b64(b"0" * 32)
    wrong: dict[str, str | None] = {
        "none": None,
        "htm": bound.proof(served, htm="POST"),
        "htm case": bound.proof(served, htm="get"),
        "htu path": bound.proof(served, htu=elsewhere),
        "htu host": bound.proof(served, htu=url.replace("127.0.0.1", "127.0.0.2")),
        "htu port": bound.proof(served, htu=url.replace(f":{served.client.port}", "")),
        "htu scheme": bound.proof(served, htu=url.replace("http:", "https:")),
        "htu user": bound.proof(served, htu=url.replace("http://", "http://a@")),
        "htu relative": bound.proof(served, htu=ME),
        "no htu": bound.proof(served, htu=None),
        "iat old": bound.proof(served, iat=now - 62),
        "iat ahead": bound.proof(served, iat=now + 62),
        "iat text": bound.proof(served, iat=str(now)),
        "no iat": bound.proof(served, iat=None),
        "no jti": bound.proof(served, jti=None),
        "empty jti": bound.proof(served, jti=""),
        "long jti": bound.proof(served, jti="x" * 257),
        "no ath": bound.proof(served, ath=None),
        "other ath": bound.proof(served, ath=ath),
        "other key": other.proof("GET", url, bound.token),
        "key swapped": bound.proof(served, header={"jwk": other.jwk}),
        "private key": bound.proof(served, header={"jwk": bound.key.jwk | {"d": "AAAA"}}),
        "no jwk": bound.proof(served, header={"jwk": None}),
        "oct": bound.proof(served, header={"jwk": {"kty": "oct", "k": "AAAA"}}),
        "typ": bound.proof(served, header={"typ": "JWT"}),
        "crit": bound.proof(served, header={"crit": ["exp"]}),
        "kid": bound.proof(served, header={"kid": "k"}),
        "two": f"{bound.proof(served)}, {bound.proof(served)}",
        "cut": bound.proof(served)[:-3],
        "the token": bound.token,
        "garbage": "x",
    }
    for name, proof in wrong.items():
        answer = call(served, bound.token, proof)
        assert answer.status == 401, name
        assert answer.headers["WWW-Authenticate"].startswith("DPoP error="), name
    assert call(served, bound.token, bound.proof(served)).status == 200


def test_a_proof_counts_once(served: Served, bound: Bound) -> None:
    """The same proof again is refused, on any worker; a query and case do not matter."""
    proof = bound.proof(served, htu=url_of(served.client, ME).replace("http", "HTTP") + "?a=1#b")
    assert call(served, bound.token, proof).status == 200
    for _ in range(8):
        assert call(served, bound.token, proof).status == 401


def test_at_the_token_endpoint(served: Served) -> None:
    """A bad proof buys nothing; a client can require that there is one."""
    machine, key = Machine(served), Key()
    url = url_of(served.client, "/oauth2/token")
    proof = key.proof("POST", url)
    assert machine.token(headers={"DPoP": proof}).status == 200
    for bad in (proof, key.proof("GET", url), key.proof("POST", url + "x"), "x"):
        assert error(machine.token(headers={"DPoP": bad})) == (400, "invalid_dpop_proof")
    machine.configure(dpop_bound_access_tokens=True)
    assert error(machine.token()) == (400, "invalid_dpop_proof")
    assert machine.token(headers={"DPoP": key.proof("POST", url)}).body["token_type"] == "DPoP"


def signed_in(served: Served, key: Key) -> tuple[Any, Any]:
    account = served.account()
    body = {"username": account["username"], "password": PASSWORD}
    proof = key.proof("POST", url_of(served.client, "/v1/auth/login"))
    answer = served.client.post("/v1/auth/login", body, headers={"DPoP": proof})
    assert (answer.status, answer.body["token_type"]) == (200, "DPoP")
    return account, answer.body


def test_a_device_bound_sign_in(served: Served) -> None:
    """Signed in with a proof, both tokens are bound: a stolen refresh token renews nothing."""
    key, thief = Key(), Key()
    _, pair = signed_in(served, key)
    renew, token = (url_of(served.client, path) for path in ("/v1/auth/renew", "/oauth2/token"))
    body = {"refresh_token": pair["refresh_token"]}
    assert served.client.post("/v1/auth/renew", body).status == 401
    stolen = {"DPoP": thief.proof("POST", renew)}
    assert served.client.post("/v1/auth/renew", body, headers=stolen).status == 401
    form = {"grant_type": "refresh_token", **body}
    assert error(post(served.client, "/oauth2/token", form)) == (400, "invalid_grant")
    again = {"DPoP": thief.proof("POST", token)}
    assert error(post(served.client, "/oauth2/token", form, again)) == (400, "invalid_grant")

    mine = {"DPoP": key.proof("POST", renew)}
    renewed = served.client.post("/v1/auth/renew", body, headers=mine)
    assert (renewed.status, renewed.body["token_type"]) == (200, "DPoP")
    form["refresh_token"] = renewed.body["refresh_token"]
    newest = post(served.client, "/oauth2/token", form, {"DPoP": key.proof("POST", token)})
    access = newest.body["access_token"]
    assert newest.status == 200
    proof = key.proof("GET", url_of(served.client, ME), access)
    assert call(served, access, proof).status == 200
    assert served.client.with_token(access).get(ME).status == 401


def test_a_bad_proof_signs_nobody_in(served: Served) -> None:
    """The password is right, the proof is not: nothing is recorded."""
    account = served.account()
    body = {"username": account["username"], "password": PASSWORD}
    head = served.head()
    proof = Key().proof("POST", url_of(served.client, ME))
    answer = served.client.post("/v1/auth/login", body, headers={"DPoP": proof})
    assert (answer.status, answer.body["type"].rpartition("/")[2]) == (400, "invalid-dpop-proof")
    assert served.head() == head


def test_behind_a_proxy(served: Served, bound: Bound) -> None:
    """/v1/auth/check takes a proof for itself, and no proof for what the proxy was asked."""
    path = "/v1/auth/check"
    own = bound.key.proof("GET", url_of(served.client, path), bound.token)
    assert call(served, bound.token, own, path).status == 204
    others = bound.key.proof("GET", "https://app.example/page", bound.token)
    headers = {
        "Authorization": f"DPoP {bound.token}",
        "DPoP": others,
        "X-Forwarded-Uri": "/page",
        "X-Forwarded-Host": "app.example",
    }
    assert served.client.call("GET", path, headers=headers).status == 401
