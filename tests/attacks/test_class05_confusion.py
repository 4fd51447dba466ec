"""Class 5, confusion of algorithm, key and format.

Teleport CVE-2025-49825; Authlib CVE-2024-37568; Keycloak CVE-2026-9793, -18569, -1529, -18208;
Zitadel CVE-2026-27840; better-auth CVE-2026-121802; CVE-2015-9235; CVE-2018-0114.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from tests.api.served import PASSWORD, Served


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(part: str) -> Any:
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Forge:
    """A good token of an admin, taken apart, and the key it was signed with."""

    def __init__(self, served: Served, house: House) -> None:
        account = served.account("admin")
        self.pair = served.client.login(account["username"], PASSWORD)
        self.token = str(self.pair["access_token"])
        head, body, self.signature = self.token.split(".")
        self.header, self.claims = decoded(head), decoded(body)
        self.key = house.keyring.signing_key(self.header["kid"])
        (self.jwk,) = [
            key
            for key in served.client.get("/.well-known/jwks.json").body["keys"]
            if key["kid"] == self.header["kid"]
        ]

    def signed(self, *, key: Any = None, header: Any = None, **claims: Any) -> str:
        """With the true key unless another is given; a claim of None is left out."""
        members = {k: v for k, v in {**self.claims, **claims}.items() if v is not None}
        extra = {"kid": self.header["kid"], "typ": "at+jwt", **(header or {})}
        return jwt.encode(members, key or self.key, algorithm="ES256", headers=extra)

    def hmaced(self, secret: bytes, algorithm: str) -> str:
        head = encoded(json.dumps({**self.header, "alg": algorithm}).encode())
        signing = f"{head}.{encoded(json.dumps(self.claims).encode())}"
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
        return f"{signing}.{encoded(hmac.digest(secret, signing.encode(), digest[algorithm]))}"

    def unsigned(self, algorithm: str, signature: str) -> str:
        head = encoded(json.dumps({**self.header, "alg": algorithm}).encode())
        return f"{head}.{encoded(json.dumps(self.claims).encode())}.{signature}"


@pytest.fixture(scope="module")
def forge(served: Served) -> Iterator[Forge]:
    house = open_house(Settings.load(served.deployment.config, {}))
    try:
        yield Forge(served, house)
    finally:
        house.close()


def refused(served: Served, token: str) -> None:
    """As a bearer token, as a token to validate, and as a refresh token."""
    if token.isascii() and token.isprintable():
        assert served.client.with_token(token).get("/v1/auth/me").status == 401, token
    verdict = served.client.post("/v1/token/validate", {"token": token})
    assert (verdict.status, verdict.body) == (200, {"valid": False}), token
    renewal = {"refresh_token": token[:8192]}
    assert served.client.post("/v1/auth/renew", renewal).status == 401, token


def test_the_forge_works(served: Served, forge: Forge) -> None:
    """What is forged with the true key and the true claims counts: the others differ by one."""
    assert served.client.with_token(forge.signed()).get("/v1/auth/me").status == 200


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", "null", "none "])
def test_none(served: Served, forge: Forge, algorithm: str) -> None:
    """No spelling of none is an algorithm."""
    for signature in ("", forge.signature, "AA"):
        refused(served, forge.unsigned(algorithm, signature))


def test_hmac_with_the_public_key(served: Served, forge: Forge) -> None:
    """The published key in any spelling is no HMAC secret."""
    public = ECAlgorithm.from_jwk(json.dumps(forge.jwk))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    secrets = [
        public.public_bytes(serialization.Encoding.PEM, shape),
        public.public_bytes(serialization.Encoding.PEM, shape).strip(),
        public.public_bytes(serialization.Encoding.DER, shape),
        json.dumps(forge.jwk).encode(),
        urlsafe_b64decode(forge.jwk["x"] + "=="),
        forge.jwk["kid"].encode(),
        b"",
    ]
    for secret in secrets:
        for algorithm in ("HS256", "HS384", "HS512"):
            refused(served, forge.hmaced(secret, algorithm))


def test_keys_of_the_attacker(served: Served, forge: Forge) -> None:
    """Neither a key in the header nor one that it points to is used."""
    mine = ec.generate_private_key(ec.SECP256R1())
    jwk = ECAlgorithm.to_jwk(mine.public_key(), as_dict=True)
    url = f"http://{served.client.host}:{served.client.port}/openapi.json"
    for header in (
        {},
        {"jwk": jwk},
        {"jku": url},
        {"x5u": url},
        {"x5c": ["MIIB"]},
        {"jwk": jwk, "kid": "mine"},
    ):
        refused(served, forge.signed(key=mine, header=header))


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"typ": "JWT"},
        {"typ": "at+JWT "},
        {"typ": "application/at+jwt"},
        {"typ": "id_token"},
        {"jku": "http://127.0.0.1:1/"},
    ],
    ids=str,
)
def test_headers(served: Served, forge: Forge, header: dict[str, Any]) -> None:
    """The true key does not help a header that is not exactly ours."""
    refused(served, forge.signed(header=header))


@pytest.mark.parametrize(
    "kid",
    [
        "",
        "../../../../dev/null",
        "/dev/null",
        "' OR '1'='1",
        "x' UNION SELECT 'k'--",
        "0",
        "null",
        "\u0000",
        "k" * 4000,
        "http://127.0.0.1:1/",
        "$(id)",
    ],
)
def test_kids(served: Served, forge: Forge, kid: str) -> None:
    """A key's name is looked up, and nothing else is done with it."""
    refused(served, forge.signed(header={"kid": kid}))


def claims_of(forge: Forge) -> dict[str, dict[str, Any]]:
    now = int(time.time())
    return {
        "no exp": {"exp": None},
        "exp past": {"exp": now - 1},
        "exp text": {"exp": str(now + 900)},
        "exp float": {"exp": now + 900.5},
        "exp true": {"exp": True},
        "nbf far": {"nbf": now + 3600},
        "iat far": {"iat": now + 3600},
        "no iat": {"iat": None},
        "no jti": {"jti": None},
        "jti unknown": {"jti": "01890000-0000-7000-8000-000000000000"},
        "jti is an account": {"jti": forge.claims["sub"]},
        "sub other": {"sub": "01890000-0000-4000-8000-000000000000"},
        "iss other": {"iss": "https://elsewhere.example"},
        "iss prefix": {"iss": forge.claims["iss"] + "/"},
        "aud other": {"aud": "https://elsewhere.example"},
        "aud list": {"aud": [forge.claims["aud"], "https://elsewhere.example"]},
        "no aud": {"aud": None},
    }


def test_claims(served: Served, forge: Forge) -> None:
    """The true key does not help claims that are not ours."""
    for name, changed in claims_of(forge).items():
        token = forge.signed(**changed)
        client = served.client.with_token(token)
        assert client.get("/v1/auth/me").status == 401, name
        verdict = served.client.post("/v1/token/validate", {"token": token}).body
        assert verdict == {"valid": False}, name


def test_damage(served: Served, forge: Forge) -> None:
    """Every flipped last bit, cut and added byte is refused, whatever was verified before."""
    head, body, signature = forge.token.split(".")
    last = {"A": "B", "Q": "R", "g": "h", "w": "x"}.get(signature[-1], "A")
    damaged = [
        forge.token[:-1],
        forge.token[:-1] + last,
        forge.token + "A",
        forge.token + "=",
        forge.token + ".",
        "." + forge.token,
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}..{signature}",
        f"{head}.{body}.{signature}.{signature}",
        f"{head}.{body}.{signature[::-1]}",
        f"{body}.{head}.{signature}",
        forge.token.replace(".", "..", 1),
        forge.token.swapcase(),
        f"{head}.{body[:-4]}.{signature}",
    ]
    for token in damaged:
        refused(served, token)
    for place in range(0, len(signature) - 1, 7):
        flipped = "A" if signature[place] != "A" else "B"
        refused(served, f"{head}.{body}.{signature[:place]}{flipped}{signature[place + 1 :]}")


def test_doubled_members(served: Served, forge: Forge) -> None:
    """A claim that stands twice is refused though the signature is right."""
    header = encoded(json.dumps({**forge.header}).encode())
    text = json.dumps(forge.claims)[:-1] + f', "sub": "{forge.claims["sub"]}"}}'
    token = jwt.api_jws.encode(
        text.encode(), forge.key, "ES256", {"kid": forge.header["kid"], "typ": "at+jwt"}
    )
    assert header
    refused(served, token)


def test_slots(served: Served, forge: Forge) -> None:
    """A refresh token is no bearer token, and an access token renews nothing."""
    refresh = str(forge.pair["refresh_token"])
    assert served.client.with_token(refresh).get("/v1/auth/me").status == 401
    assert served.client.post("/v1/token/validate", {"token": refresh}).body == {"valid": False}
    renewal = {"refresh_token": forge.token}
    assert served.client.post("/v1/auth/renew", renewal).status == 401


def test_published_keys_are_public(served: Served) -> None:
    """No private member of a JWK is shown anywhere."""
    for path in ("/.well-known/jwks.json", "/v1/keys"):
        said = served.admin.get(path).body
        keys = said["keys"] if "keys" in said else [item["public_jwk"] for item in said["items"]]
        assert keys
        for key in keys:
            assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
