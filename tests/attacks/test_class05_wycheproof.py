"""Class 5, confusion of algorithm, key and format: Project Wycheproof's vectors for JWS and JWK.

They are read from `../shared/vectors/wycheproof` beside the repository, where it is there. What is
under test is the one layer that access tokens, client assertions and DPoP proofs are all read with,
and then those three themselves.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatebook.store import jose
from gatebook.store.client_assertion import ClientAssertions
from gatebook.store.dpop import DpopVerifier, InvalidProof, Request
from gatebook.store.jose import InvalidKey, InvalidToken, Jws
from gatebook.store.signing import PublicKey, Verifier

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "wycheproof"
NOW = 1_800_000_000_000_000
PUBLIC = ("kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops")

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="there are no Wycheproof vectors beside the repository"
)


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What any of our three kinds of token may have in its header."""

    alg: str
    kid: str | None = None
    typ: str | None = None


def groups(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / name).read_text())["testGroups"]
    return found


def vectors(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each vector with the one public key, or key set, it is to be verified with."""
    for group in groups(name):
        jwk = group.get("public") or group.get("private") or {}
        for test in group["tests"]:
            yield jwk, test


def public(jwk: dict[str, Any]) -> dict[str, Any]:
    """A vector's key as it would be registered here: without its private members, if EC or RSA."""
    if jwk.get("kty") == "oct":
        return jwk
    return {name: value for name, value in jwk.items() if name in PUBLIC}


def accepted(text: object, jwk: dict[str, Any]) -> bool:
    """Whether the shared layer takes it, with the algorithm pinned to the key."""
    if not isinstance(text, str):
        return False
    try:
        parsed = jose.parse(text)
        header = jose.read(parsed.header, Header)
        key = jose.public_key(jwk)
        if header.alg != key.algorithm or (header.kid and header.kid != jwk.get("kid")):
            return False
        jose.check(parsed, key)
    except (InvalidToken, InvalidKey):
        return False
    return True


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("json_web_signature_test.json", 401),
        ("json_web_key_test.json", 26),
        ("json_web_crypto_test.json", 83),
    ],
)
def test_signatures(name: str, count: int) -> None:
    """No invalid vector is accepted; of the valid ones, all of our algorithms that say something.

    A JWS without a payload is valid by RFC 7515, and none of our three kinds of token.
    """
    seen = 0
    for jwk, test in vectors(name):
        seen += 1
        keys = [public(key) for key in jwk.get("keys", [jwk])]
        ours = any(key.get("alg") in ("ES256", "RS256") for key in keys)
        good = test["result"] == "valid" and test["comment"] != "emptyPayload"
        took = any(accepted(test.get("jws"), key) for key in keys)
        assert took == (good and ours), (test["tcId"], test["comment"])
    assert seen == count


def jwk_of(key: dict[str, Any]) -> dict[str, str]:
    """The JWK of a key in hexadecimal."""
    if key["curve"] == "edwards25519":
        return {"kty": "OKP", "crv": "Ed25519", "x": encoded(bytes.fromhex(key["pk"]))}
    point = bytes.fromhex(key["uncompressed"])[1:]
    return {"kty": "EC", "crv": "P-256", "x": encoded(point[:32]), "y": encoded(point[32:])}


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("name", "count"),
    [("ecdsa_secp256r1_sha256_p1363_test.json", 262), ("ed25519_test.json", 151)],
)
def test_raw_signatures(name: str, count: int) -> None:
    """ES256 and Ed25519 signatures are judged exactly as the vectors say."""
    seen = 0
    for group in groups(name):
        key = jose.public_key(jwk_of(group["publicKey"]))
        for test in group["tests"]:
            seen += 1
            jws = Jws(b"", b"", bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]))
            try:
                jose.check(jws, key)
                result = "valid"
            except InvalidToken:
                result = "invalid"
            assert result == test["result"], (test["tcId"], test["comment"])
    assert seen == count


def test_the_three_verifiers() -> None:
    """Not one vector, with its own key in the right place, is a token, an assertion or a proof."""
    names = ("json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json")
    proofs = DpopVerifier(now=lambda: NOW, first=lambda _d, _n, _u: True)
    request = Request("GET", "http://127.0.0.1/")
    assertions = ClientAssertions(
        now=lambda: NOW, first=lambda _d, _u: True, issuer="https://gatebook.example", skew=0
    )
    seen = 0
    for name in names:
        for jwk, test in vectors(name):
            text = test.get("jws")
            if not isinstance(text, str):
                continue
            seen += 1
            keys = [public(key) for key in jwk.get("keys", [jwk])]
            found = PublicKey("ES256", json.dumps(keys[0]))
            verifier = Verifier(
                find_key=lambda _kid, found=found: found,
                now=lambda: NOW,
                issuer="https://gatebook.example",
                skew=0,
            )
            with pytest.raises((InvalidToken, InvalidKey)):
                verifier.verify(text)
            with pytest.raises((InvalidToken, InvalidKey)):
                assertions.verify(text, json.dumps({"keys": keys}), "https://gatebook.example")
            with pytest.raises(InvalidProof):
                proofs.verify(text, request)
    assert seen > 400
