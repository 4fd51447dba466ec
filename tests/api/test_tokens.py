"""Tokens and signing keys over HTTP: validate, forge, issue, list, revoke, rotate."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.api.served import PASSWORD, Served


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    header, payload, signature = token.split(".")
    opened = [json.loads(base64.urlsafe_b64decode(one + "==")) for one in (header, payload)]
    return opened[0], opened[1], signature


def valid(served: Served, token: str) -> bool:
    answer = served.client.post("/v1/token/validate", {"token": token})
    assert answer.status == 200
    if not answer.body["valid"]:
        assert answer.body == {"valid": False}
    return bool(answer.body["valid"])


def test_validate(served: Served) -> None:
    """A token that counts is answered with its claims and its account, and nothing is appended."""
    account, person = served.signed_in("viewer")
    before = served.head()
    said = served.client.post("/v1/token/validate", {"token": person.token}).body

    assert said["valid"] is True
    assert said["account"] == {
        "id": account["id"],
        "username": account["username"],
        "roles": ["viewer"],
    }
    assert {"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "sid", "amr", "auth_time"} <= (
        said["claims"].keys()
    )
    assert said["claims"]["sub"] == account["id"]
    assert served.head() == before


def test_roles_are_those_of_now(served: Served) -> None:
    """A role granted after the token was made is in the answer at once."""
    account, person = served.signed_in()
    served.admin.put(f"/v1/accounts/{account['id']}/roles/auditor")
    said = served.client.post("/v1/token/validate", {"token": person.token}).body

    assert said["account"]["roles"] == ["auditor"]
    assert said["claims"]["roles"] == ["auditor"]
    assert person.get("/v1/audit").status == 200


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "..", "é", "e" * 60_000, "a.b.c.d", " "])
def test_garbage_is_not_valid(served: Served, token: str) -> None:
    """Whatever is no token is not valid, without a reason and without an error."""
    assert not valid(served, token)


def none_alg(header: Any, claims: Any, served: Served) -> str:
    header["alg"] = "none"
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}."


def hs256_with_the_public_key(header: Any, claims: Any, served: Served) -> str:
    header["alg"] = "HS256"
    key = served.client.get("/.well-known/jwks.json").body["keys"][0]
    signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    mac = hmac.digest(json.dumps(key).encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{b64(mac)}"


def resigned(header: Any, claims: Any, served: Served, **more: Any) -> str:
    """Signed with a key of the forger's own."""
    key = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode(claims, key, algorithm="ES256", headers=header | more)


def unknown_kid(header: Any, claims: Any, served: Served) -> str:
    return resigned(header, claims, served, kid="unknown")


def embedded_jwk(header: Any, claims: Any, served: Served) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return jwt.encode(claims, key, algorithm="ES256", headers=header | {"jwk": jwk})


def jku(header: Any, claims: Any, served: Served) -> str:
    return resigned(header, claims, served, jku="http://127.0.0.1:1/keys")


def crit(header: Any, claims: Any, served: Served) -> str:
    return resigned(header, claims, served, crit=["exp"])


@pytest.mark.parametrize(
    "forge", [none_alg, hs256_with_the_public_key, resigned, unknown_kid, embedded_jwk, jku, crit]
)
def test_forgeries(served: Served, forge: Callable[[Any, Any, Served], str]) -> None:
    """No forged token is valid, and none opens a door."""
    _, person = served.signed_in()
    header, claims, _ = parts(person.token or "")
    forged = forge(dict(header), dict(claims), served)

    assert not valid(served, forged)
    assert served.client.with_token(forged).get("/v1/auth/me").status == 401


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-2] + ("A" if t[-2] != "A" else "B") + t[-1],
        lambda t: t + "=",
        lambda t: t + ".",
        lambda t: t.replace(".", "..", 1),
        lambda t: t.rpartition(".")[0] + ".",
        lambda t: t[:20] + " " + t[20:],
        lambda t: t.upper(),
    ],
)
def test_altered_tokens(served: Served, change: Callable[[str], str]) -> None:
    """A token changed by one character is none."""
    _, person = served.signed_in()

    assert not valid(served, change(person.token or ""))


def test_issue_and_revoke(served: Served) -> None:
    """A system account's token works until it is revoked; another of its tokens goes on."""
    machine = served.account("viewer", kind="system", password=None)
    order = {"account_id": machine["id"], "expires_in": 3600, "scope": "accounts.read b"}
    one, two = (served.admin.post("/v1/token/issue", order) for _ in range(2))

    assert one.status == 201
    assert one.headers["Cache-Control"] == "no-store"
    client = served.client.with_token(one.body["access_token"])
    assert client.get("/v1/accounts").status == 200
    assert client.get("/v1/roles").status == 403, "beyond its scope"
    listed = served.admin.get(f"/v1/accounts/{machine['id']}/tokens").body["items"]
    assert {item["jti"] for item in listed} == {one.body["jti"], two.body["jti"]}
    assert listed[0]["scope"] == "accounts.read b"
    assert served.admin.delete(f"/v1/token/{one.body['jti']}").status == 204
    assert served.admin.delete(f"/v1/token/{one.body['jti']}").status == 204
    assert client.get("/v1/accounts").status == 401
    assert valid(served, two.body["access_token"])
    assert served.admin.delete(f"/v1/accounts/{machine['id']}/tokens").status == 204
    assert not valid(served, two.body["access_token"])


def test_token_for_another_audience(served: Served) -> None:
    """A token for somebody else's door validates, and does not open ours."""
    machine = served.account("viewer", kind="system", password=None)
    order = {"account_id": machine["id"], "audience": "https://other.example"}
    token = served.admin.post("/v1/token/issue", order).body["access_token"]

    assert valid(served, token)
    assert served.client.with_token(token).get("/v1/accounts").status == 401


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"expires_in": 0}, 400),
        ({"expires_in": 10**9}, 400),
        ({"expires_in": "1h"}, 400),
        ({"scope": "a  b"}, 400),
        ({"scope": "ä"}, 400),
        ({"audience": ""}, 400),
        ({"account_id": str(uuid.UUID(int=5))}, 404),
    ],
)
def test_issue_refuses(served: Served, more: dict[str, Any], status: int) -> None:
    """An order that makes no sense is refused."""
    machine = served.account(kind="system", password=None)

    assert served.admin.post("/v1/token/issue", {"account_id": machine["id"]} | more).status == (
        status
    )


def test_people_get_no_tokens(served: Served) -> None:
    """People sign in: a token is issued for system accounts only."""
    order = {"account_id": served.account()["id"]}

    assert served.admin.post("/v1/token/issue", order).status == 409


def test_token_expires(served: Served) -> None:
    """A token is refused from the second it names on."""
    machine = served.account(kind="system", password=None)
    order = {"account_id": machine["id"], "expires_in": 1}
    token = served.admin.post("/v1/token/issue", order).body["access_token"]
    time.sleep(1.1)

    assert not valid(served, token)


def test_revoked_session_token(served: Served) -> None:
    """The access token of a session can be revoked by its id; the session renews."""
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    jti = parts(pair["access_token"])[1]["jti"]

    assert served.admin.delete(f"/v1/token/{jti}").status == 204
    assert not valid(served, pair["access_token"])
    renewed = served.client.post("/v1/auth/renew", {"refresh_token": pair["refresh_token"]})
    assert valid(served, renewed.body["access_token"])


def test_revoking_nothing(served: Served) -> None:
    """A token that never was is a 404."""
    assert served.admin.delete(f"/v1/token/{uuid.uuid4()}").status == 404
    assert served.admin.delete("/v1/token/x").status == 404


def test_keys(served: Served) -> None:
    """A rotation publishes first and signs later; what the old key signed goes on counting."""
    _, person = served.signed_in()
    before = {key["kid"]: key for key in served.admin.get("/v1/keys").body["items"]}
    active = next(kid for kid, key in before.items() if key["status"] == "active")

    made = served.admin.post("/v1/keys", {}).body
    waiting = served.admin.post("/v1/keys/rotate", {"lead": 3600}).body
    rotated = served.admin.post("/v1/keys/rotate", {"lead": 0}).body

    assert (made["status"], waiting["status"], rotated["status"]) == (
        "published",
        "published",
        "active",
    )
    published = {key["kid"] for key in served.client.get("/.well-known/jwks.json").body["keys"]}
    assert {active, made["kid"], waiting["kid"], rotated["kid"]} <= published
    assert valid(served, person.token or "")
    fresh = served.signed_in()[1].token or ""
    assert parts(fresh)[0]["kid"] == rotated["kid"]
    assert served.admin.post(f"/v1/keys/{rotated['kid']}/retire").status == 409
    assert served.admin.post(f"/v1/keys/{made['kid']}/retire").body["status"] == "retired"
    assert served.admin.post("/v1/keys/unknown/retire").status == 404


@pytest.mark.parametrize("body", [{"algorithm": "HS256"}, {"algorithm": "none"}, {"lead": -1}])
def test_keys_refuse(served: Served, body: dict[str, Any]) -> None:
    """Only the three algorithms, and no negative time."""
    assert served.admin.post("/v1/keys/rotate", body).status == 400


def test_retired_key_verifies_nothing(served: Served) -> None:
    """What a retired key signed is refused, on every process."""
    _, person = served.signed_in()
    token = person.token or ""
    kid = parts(token)[0]["kid"]
    assert [valid(served, token) for _ in range(8)] == [True] * 8
    served.admin.post("/v1/keys/rotate", {"lead": 0})
    admin = served.client.with_token(served.signed_in("admin")[1].token)
    served._admin = admin  # the former token was signed by the key that goes now

    assert admin.post(f"/v1/keys/{kid}/retire").status == 200
    assert [valid(served, token) for _ in range(8)] == [False] * 8
