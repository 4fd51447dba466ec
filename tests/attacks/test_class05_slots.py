"""Class 5, confusion of kinds: nothing that proves one thing is taken where another is due.

Every kind of token that Gatebook gives or takes, in every place where one is read; and one token
damaged at every place it has.
"""

from __future__ import annotations

import http.client
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from jwt import PyJWK

from tests.api.factors import begin, code_of, now_step, with_totp
from tests.api.oauth2 import ASSERTION_TYPE, Key, Machine, post, url_of
from tests.api.served import PASSWORD, Answer, Served
from tests.attacks.test_class05_confusion import Forge, forge, refused

__all__ = ["forge"]
"""A fixture."""

ME = "/v1/auth/me"


class Kinds:
    """One good token of every kind, made afresh each time: some count only once."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.key = Key()
        self.machine = Machine(served, "viewer")
        jwks = {"keys": [self.key.jwk]}
        methods = ["client_secret_post", "private_key_jwt"]
        self.machine.configure(jwks=jwks, auth_methods=methods)
        self.issuer = served.client.get("/.well-known/openid-configuration").body["issuer"]
        self.person = served.account("viewer")
        self.careful, _, self.app = with_totp(served)

    def pair(self) -> Any:
        return self.served.client.login(self.person["username"], PASSWORD)

    def cookies(self) -> dict[str, str]:
        body = {"username": self.person["username"], "password": PASSWORD}
        answer = self.served.client.post("/v1/auth/login?session=cookie", body)
        assert answer.status == 200, answer.raw
        set_ = answer.headers.get_all("Set-Cookie") or []
        return dict(one.split(";")[0].split("=", 1) for one in set_)

    def assertion_of_check(self) -> str:
        client = self.served.client.with_token(self.pair()["access_token"])
        return str(client.get("/v1/auth/check").headers["Gatebook-Assertion"])

    def mfa(self) -> str:
        return str(begin(self.served.client, self.careful["username"]).body["mfa_token"])

    def bound(self) -> str:
        url = url_of(self.served.client, "/v1/auth/login")
        body = {"username": self.person["username"], "password": PASSWORD}
        headers = {"DPoP": self.key.proof("POST", url)}
        answer = self.served.client.post("/v1/auth/login", body, headers=headers)
        return str(answer.body["access_token"])

    def made(self) -> dict[str, Callable[[], str]]:
        """How to get one of each kind."""
        return {
            "access": lambda: str(self.pair()["access_token"]),
            "bound access": self.bound,
            "refresh": lambda: str(self.pair()["refresh_token"]),
            "assertion": self.assertion_of_check,
            "mfa": self.mfa,
            "session cookie": lambda: self.cookies()["gatebook_session"],
            "csrf": lambda: self.cookies()["gatebook_csrf"],
            "device cookie": lambda: self.cookies()["gatebook_device"],
            "api key": lambda: self.machine.secret,
            "client assertion": lambda: self.key.assertion(self.machine.id, self.issuer),
            "proof": lambda: self.key.proof("GET", url_of(self.served.client, ME)),
            "id": lambda: str(self.person["id"]),
        }


def slots(kinds: Kinds) -> dict[str, Callable[[str], Answer]]:
    """How to show something in each place where a token is read."""
    client, machine = kinds.served.client, kinds.machine
    token = {"grant_type": "client_credentials", "client_id": machine.id}

    def with_header(name: str, prefix: str) -> Callable[[str], Answer]:
        return lambda text: client.call("GET", ME, headers={name: prefix + text})

    def with_proof(text: str) -> Answer:
        bound = kinds.bound()
        proof = text
        if text.count(".") == 2 and "dpop" in str(header_of(text).get("typ")):
            proof = kinds.key.proof("GET", url_of(client, ME), bound)
        return client.call("GET", ME, headers={"Authorization": f"DPoP {bound}", "DPoP": proof})

    def asserted(text: str) -> Answer:
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": text}
        return post(client, "/oauth2/token", token | form)

    def second_step(text: str) -> Answer:
        # The code is right, and stays so until a token is taken with it.
        code = code_of(kinds.app.secret, now_step() + 1)
        body = {"mfa_token": text, "totp_code": code}
        return client.post("/v1/auth/mfa", body)

    def renewed(text: str) -> Answer:
        return client.post("/v1/auth/renew", {"refresh_token": text})

    def granted(text: str) -> Answer:
        form = {"grant_type": "refresh_token", "refresh_token": text}
        return post(client, "/oauth2/token", form)

    return {
        "bearer": with_header("Authorization", "Bearer "),
        "dpop": with_header("Authorization", "DPoP "),
        "session": with_header("Cookie", "gatebook_session="),
        "device": with_header("Cookie", "gatebook_device="),
        "proof": with_proof,
        "renewal": renewed,
        "refresh grant": granted,
        "second step": second_step,
        "client secret": lambda text: post(
            client, "/oauth2/token", token | {"client_secret": text}
        ),
        "client assertion": asserted,
        "asker": lambda text: post(
            client, "/oauth2/introspect", {"token": "x"}, {"Authorization": f"Bearer {text}"}
        ),
        "validation": lambda text: client.post("/v1/token/validate", {"token": text}),
    }


def header_of(token: str) -> Any:
    head = token.split(".")[0]
    return json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))


FITS = {
    "bearer": {"access", "api key"},
    "dpop": set(),
    "session": {"session cookie"},
    "device": set(),
    "proof": {"proof"},
    "renewal": {"refresh"},
    "refresh grant": {"refresh"},
    "second step": {"mfa"},
    "client secret": {"api key"},
    "client assertion": {"client assertion"},
    "asker": {"access", "api key"},
    "validation": {"access", "bound access", "api key"},
}
"""What is taken where. A device cookie proves nothing, so it opens nothing anywhere."""


@pytest.fixture(scope="module")
def kinds(served: Served) -> Kinds:
    return Kinds(served)


def took(slot: str, answer: Answer) -> bool:
    if slot == "validation":
        return bool(answer.body["valid"])
    assert answer.status in (200, 400, 401), (slot, answer.raw)
    return answer.status == 200


@pytest.mark.parametrize("slot", sorted(FITS))
def test_each_kind_in_each_place(kinds: Kinds, slot: str) -> None:
    """A place takes its own kinds, and no other."""
    show = slots(kinds)[slot]
    taken = {kind for kind, make in kinds.made().items() if took(slot, show(make()))}
    assert taken == FITS[slot]


def test_every_place_of_a_token_counts(served: Served, forge: Forge) -> None:
    """One character changed anywhere, or any number cut off either end, and it is nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = forge.token
    damaged = [token[:end] for end in range(len(token))] + [
        token[start:] for start in range(1, len(token))
    ]
    for place, character in enumerate(token):
        if character == ".":
            damaged += [token[:place] + other + token[place + 1 :] for other in "A-"]
            continue
        bits = alphabet.index(character)
        for bit in (1, 4, 32):
            changed = alphabet[bits ^ bit]
            damaged.append(token[:place] + changed + token[place + 1 :])
    connection = http.client.HTTPConnection(served.client.host, served.client.port, timeout=30)
    try:
        assert verdict(connection, token) is True
        for one in damaged:
            assert verdict(connection, one) is False, one
    finally:
        connection.close()


def verdict(connection: http.client.HTTPConnection, token: str) -> bool:
    """On one connection: there are thousands."""
    body = json.dumps({"token": token})
    connection.request("POST", "/v1/token/validate", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    said = json.loads(response.read())
    assert response.status == 200
    return bool(said["valid"])


def test_every_published_key_as_an_hmac_secret(served: Served, forge: Forge) -> None:
    """Each key of the JWKS, of each algorithm, in each spelling, under each HMAC."""
    for algorithm in ("EdDSA", "RS256", "ES256"):
        made = served.admin.post("/v1/keys", {"algorithm": algorithm})
        assert made.status == 201, made.raw
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    keys = served.client.get("/.well-known/jwks.json").body["keys"]
    assert {key["alg"] for key in keys} == {"EdDSA", "RS256", "ES256"}
    for key in keys:
        public = PyJWK(key).key
        pem = public.public_bytes(serialization.Encoding.PEM, shape)
        raw = key.get("x") or key["n"]
        spellings = [
            pem,
            pem.strip(),
            pem.replace(b"\n", b""),
            public.public_bytes(serialization.Encoding.DER, shape),
            json.dumps(key).encode(),
            json.dumps(key, sort_keys=True, separators=(",", ":")).encode(),
            raw.encode(),
            urlsafe_b64decode(raw + "=" * (-len(raw) % 4)),
        ]
        for secret in spellings:
            for algorithm in ("HS256", "HS384", "HS512"):
                token = forge.hmaced(secret, algorithm)
                said = served.client.post("/v1/token/validate", {"token": token}).body
                assert said == {"valid": False}


def test_our_own_signature_under_another_type(served: Served, forge: Forge) -> None:
    """The true key under the type of every other kind of token: none is an access token."""
    for kind in (
        "gatebook-assertion+jwt",
        "dpop+jwt",
        "client-authentication+jwt",
        "logout+jwt",
        "JWT",
        "secevent+jwt",
        "AT+JWT",
    ):
        refused(served, forge.signed(header={"typ": kind}))
