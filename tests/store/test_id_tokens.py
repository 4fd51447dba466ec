"""ID tokens: what is taken, and every alteration that is not."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import msgspec
import pytest

from gatebook.domain.federated_claims import FederationRefused
from gatebook.store import id_tokens
from gatebook.store.id_tokens import ALGORITHMS, LONGEST, SKEW
from tests.store.provider_tokens import (
    ACCESS,
    EXPECTED,
    KEY,
    NOW,
    Signer,
    at_hash,
    claims,
    read,
    refused,
)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_of_the_list(algorithm: str) -> None:
    """Taken under its own key, with the hash of its own family; refused under another's."""
    signer = Signer(algorithm)
    token = signer.sign(claims(algorithm))
    assert read(token, signer) == claims(algorithm)
    assert refused(token, Signer(algorithm)) == "signature_invalid"


def test_every_altered_character_is_noticed() -> None:
    """At every place of the token: refused, whatever the part."""
    token = KEY.sign(claims())
    for place, character in enumerate(token):
        for other in "A-.":
            if other != character:
                refused(token[:place] + other + token[place + 1 :])


def test_cut_and_joined() -> None:
    """Cut short, made longer, one part of another token: refused."""
    token, other = KEY.sign(claims()), Signer("ES256").sign(claims(sub="mallory"))
    for end in range(len(token)):
        refused(token[:end])
    for more in ("A", "=", ".", "\n", "é", ".AAAA"):
        refused(token + more)
    (header, _, signature), (_, payload, theirs) = token.split("."), other.split(".")
    assert refused(f"{header}.{payload}.{signature}") == "signature_invalid"
    assert refused(f"{header}.{payload}.{theirs}") == "signature_invalid"
    assert refused("A" * (LONGEST + 1)) == "id_token_malformed"


def part(value: object) -> str:
    """A part of a token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "HS512", "RS1", "ES256K", ""])
def test_no_other_algorithm(algorithm: str) -> None:
    """Above all not the published key as an HMAC secret, nor none at all."""
    signed = f"{part({'alg': algorithm, 'kid': 'k'})}.{part(claims())}"
    secret = json.dumps(KEY.jwk).encode()
    mac = hmac.digest(secret, signed.encode(), "sha256")
    assert refused(f"{signed}.{part(mac)}") == "alg_rejected"
    assert refused(f"{signed}.") == "id_token_malformed"


@pytest.mark.parametrize(
    "headers",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": None},
        {"b64": None},
        {"b64": False},
        {"typ": "logout+jwt"},
        {"typ": "at+jwt"},
    ],
)
def test_headers_that_mean_something_else(headers: dict[str, Any]) -> None:
    """Signed well, and still no ID token."""
    whole = {"alg": "ES256", "kid": "k", **headers}
    signed = f"{part(whole)}.{part(claims())}"
    raw = jwt.get_algorithm_by_name("ES256").sign(signed.encode(), KEY.private)
    assert refused(f"{signed}.{part(raw)}") == "id_token_malformed"


def test_a_member_that_stands_twice() -> None:
    """Two libraries would read two values."""
    payload = json.dumps(claims())[:-1] + ', "sub": "mallory"}'
    signed = f"{part({'alg': 'ES256', 'kid': 'k'})}.{part(payload.encode())}"
    raw = jwt.get_algorithm_by_name("ES256").sign(signed.encode(), KEY.private)
    assert refused(f"{signed}.{part(raw)}") == "id_token_malformed"


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("id_token_iss_mismatch", {"iss": "https://id.example.org/"}),
        ("id_token_iss_mismatch", {"iss": ...}),
        ("audience_mismatch", {"aud": "other"}),
        ("audience_mismatch", {"aud": ["other"]}),
        ("audience_mismatch", {"aud": []}),
        ("audience_mismatch", {"aud": ["gatebook", 1]}),
        ("audience_mismatch", {"aud": ...}),
        ("azp_mismatch", {"aud": ["gatebook", "other"]}),
        ("azp_mismatch", {"aud": ["gatebook", "other"], "azp": "other"}),
        ("azp_mismatch", {"azp": "other"}),
        ("subject_missing", {"sub": ""}),
        ("subject_missing", {"sub": 7}),
        ("subject_missing", {"sub": ...}),
        ("token_expired", {"exp": NOW - SKEW}),
        ("token_expired", {"exp": "soon"}),
        ("token_expired", {"exp": True}),
        ("token_expired", {"exp": ...}),
        ("iat_window", {"iat": NOW - 300 - SKEW - 1}),
        ("iat_window", {"iat": NOW + SKEW + 1}),
        ("iat_window", {"iat": ...}),
        ("iat_window", {"nbf": NOW + SKEW + 1}),
        ("iat_window", {"nbf": "now"}),
        ("nonce_mismatch", {"nonce": "m"}),
        ("nonce_mismatch", {"nonce": ["n"]}),
        ("nonce_mismatch", {"nonce": ...}),
        ("at_hash_missing", {"at_hash": ...}),
        ("at_hash_mismatch", {"at_hash": at_hash("ES384")}),
        ("at_hash_mismatch", {"at_hash": at_hash("ES256", "another")}),
        ("at_hash_mismatch", {"at_hash": ""}),
    ],
)
def test_claims_that_do_not_fit(reason: str, changes: dict[str, Any]) -> None:
    """Each with its own reason."""
    assert refused(KEY.sign(claims(**changes))) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW - SKEW + 1},
        {"iat": NOW - 300 - SKEW},
        {"iat": NOW + SKEW},
        {"nbf": NOW + SKEW},
        {"exp": NOW + 0.5},
        {"aud": ["gatebook"]},
        {"aud": ["other", "gatebook"], "azp": "gatebook"},
        {"azp": "gatebook"},
    ],
)
def test_the_edges_are_inside(changes: dict[str, Any]) -> None:
    """A clock a minute off, the last second of the window, one audience of several."""
    assert read(KEY.sign(claims(**changes)))["sub"] == "alice-1"


def test_at_hash_where_it_is_optional() -> None:
    """A hash that is missing is no fault then, and a wrong one still is; without a token, none."""
    optional = msgspec.structs.replace(EXPECTED, at_hash_required=False)
    bare = KEY.sign(claims(at_hash=...))
    assert read(bare, expected=optional)["sub"] == "alice-1"
    for wrong in (at_hash("ES256", "another"), "", 1, None):
        refused(KEY.sign(claims(at_hash=wrong)), expected=optional)
    assert id_tokens.id_token(bare, KEY.find, EXPECTED, nonce="n", access_token=None)


@pytest.mark.parametrize(
    ("changes", "algorithm", "good"),
    [
        ({}, "ES256", True),
        ({}, "ES384", False),
        ({}, "RS256", False),
        ({"crv": "P-384"}, "ES256", False),
        ({"use": "enc"}, "ES256", False),
        ({"use": "sig"}, "ES256", True),
        ({"alg": "ES256"}, "ES256", True),
        ({"alg": "ES384"}, "ES256", False),
        ({"key_ops": ["verify"]}, "ES256", True),
        ({"key_ops": ["sign"]}, "ES256", False),
        ({"key_ops": "verify"}, "ES256", False),
    ],
)
def test_what_a_key_is_for(changes: dict[str, Any], algorithm: str, good: bool) -> None:
    """Its kind, curve, algorithm, use and operations all count."""
    assert id_tokens.fits({**KEY.jwk, **changes}, algorithm) is good


@pytest.mark.parametrize("jwk", [{}, {"kty": "EC"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}])
def test_published_keys_that_are_none(jwk: dict[str, Any]) -> None:
    """What cannot be loaded refuses the token, without an error of the library."""
    with pytest.raises(FederationRefused) as found:
        id_tokens.id_token(
            KEY.sign(claims()), lambda _k, _a: jwk, EXPECTED, nonce="n", access_token=ACCESS
        )
    assert found.value.reason == "signature_invalid"


def test_a_short_rsa_key() -> None:
    """1024 bits verify nothing."""
    weak = Signer("RS256", bits=1024)
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        token = weak.sign(claims("RS256"))
    assert refused(token, weak) == "signature_invalid"


def test_whom_a_token_is_addressed_to() -> None:
    """Read before anything is checked: issuer and audiences, strings only."""
    assert id_tokens.addressed(KEY.sign(claims())) == (EXPECTED.issuer, ["gatebook"])
    assert id_tokens.addressed(KEY.sign(claims(aud=["a", 1, "b"])))[1] == ["a", "b"]
    assert id_tokens.addressed(KEY.sign(claims(aud=...)))[1] == []
    for bad in ("", "a.b", "a.b.c", "é.b.c", f"{part([])}.{part([])}.AA"):
        with pytest.raises(FederationRefused):
            id_tokens.addressed(bad)
