"""The one reader of everything signed: what it takes, and every key and spelling it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from gatebook.store import dpop, jose
from gatebook.store.jose import InvalidKey, InvalidToken
from tests.api.oauth2 import Key, b64

KEY = Key()


def token(**claims: Any) -> str:
    return KEY.sign({"a": 1} | claims, {})


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_what_a_key_signed(algorithm: str) -> None:
    """A signature is taken under its own key and no other; the thumbprint is RFC 7638's."""
    key, other = Key(algorithm), Key(algorithm)
    loaded = jose.public_key(key.jwk)
    parsed = jose.parse(key.sign({"a": 1}, {}))
    jose.check(parsed, loaded)
    assert (loaded.algorithm, loaded.thumbprint) == (algorithm, key.thumbprint)
    assert json.loads(parsed.payload) == {"a": 1}
    with pytest.raises(InvalidToken):
        jose.check(parsed, jose.public_key(other.jwk))


def test_thumbprint_of_the_rfc() -> None:
    """The example of RFC 7638, section 3.1."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"
        "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0"
        "_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWh"
        "AI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert jose.public_key(jwk).thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def bad_keys() -> dict[str, dict[str, Any]]:
    good, weak = Key("RS256").jwk, rsa.generate_private_key(65537, 1024).public_key()
    n = weak.public_numbers().n
    return {
        "private": KEY.jwk | {"d": "AA"},
        "symmetric": {"kty": "oct", "k": "AAAA"},
        "curve": KEY.jwk | {"crv": "P-384"},
        "secp256k1": KEY.jwk | {"crv": "secp256k1"},
        "off the curve": KEY.jwk | {"x": KEY.jwk["y"]},
        "at infinity": KEY.jwk | {"x": b64(bytes(32)), "y": b64(bytes(32))},
        "short": KEY.jwk | {"x": b64(bytes(31))},
        "padded": KEY.jwk | {"x": KEY.jwk["x"] + "="},
        "number": KEY.jwk | {"x": 5},
        "no x": {"kty": "EC", "crv": "P-256", "y": KEY.jwk["y"]},
        "alg": KEY.jwk | {"alg": "HS256"},
        "use": KEY.jwk | {"use": "enc"},
        "ops": KEY.jwk | {"key_ops": ["sign", "verify"]},
        "weak": {"kty": "RSA", "n": number(n), "e": "AQAB"},
        "e is 3": good | {"e": "Aw"},
        "e is even": good | {"e": number(65538)},
        "e is huge": good | {"e": number(2**40 + 1)},
        "long": good | {"n": "A" * 3000},
        "kty": {"kty": ["EC"], "crv": "P-256"},
        "nothing": {},
    }


def test_bad_keys() -> None:
    """A key that is private, weak, of another use, or no key at all."""
    for name, jwk in bad_keys().items():
        try:
            jose.public_key(jwk)
        except InvalidKey:
            continue
        raise AssertionError(name)


@given(st.text(max_size=60) | st.binary(max_size=60).map(b64))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever is given, it is taken apart or refused."""
    try:
        parsed = jose.parse(text)
    except InvalidToken:
        return
    assert f"{b64(parsed.header)}.{b64(parsed.payload)}.{b64(parsed.signature)}" == text


def test_one_spelling() -> None:
    """A token too long, padded, spaced, or with a member twice is refused."""
    good = token()
    for bad in (good + "=", good + " ", "\n" + good, good.replace(".", " .", 1), good + "." + good):
        with pytest.raises(InvalidToken):
            jose.parse(bad)
    with pytest.raises(InvalidToken):
        jose.parse(token(long="x" * 9000))
    with pytest.raises(InvalidToken):
        jose.read(b'{"a": 1, "a": 1}', dict)
    with pytest.raises(InvalidToken):
        jose.read(b"[" * 100_000, dict)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("http://a.example/x", "HTTP://A.EXAMPLE:80/x?q=1#f", True),
        ("https://a.example", "https://a.example:443/", True),
        ("https://a.example/a%7Eb", "https://a.example/a~b", True),
        ("https://a.example/x", "https://a.example/X", False),
        ("https://a.example/x", "https://a.example/x/", False),
        ("https://a.example/x", "http://a.example/x", False),
        ("https://a.example/x", "https://a.example:444/x", False),
        ("https://a.example/x", "https://a.example.evil/x", False),
        ("https://a.example/x", "https://u@a.example/x", False),
        ("https://a.example/x", "//a.example/x", False),
        ("https://a.example/x", "https://a.example:port/x", False),
        ("https://a.example/x", "https://a.example/x\n", False),
    ],
)
def test_urls(one: str, two: str, same: bool) -> None:
    """URLs of proofs are compared as RFC 9449, 4.3 says, and never by their beginning."""
    assert dpop.normalised(one) is not None
    assert (dpop.normalised(one) == dpop.normalised(two)) == same
