"""ID tokens and logout tokens of a provider, checked in full.

OpenID Connect Core 1.0, section 3.1.3.7 and Back-Channel Logout 1.0, section 2.6. The algorithm is
one of a closed list and fits the key; what reads differently in two libraries is refused before.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt
import msgspec

from gatebook.domain.federated_claims import FederationRefused, subject
from gatebook.store import jose

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
LONGEST: Final = 65_536
SKEW: Final = 60
"""Seconds that a provider's clock may be off."""

LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_WINDOW: Final = 120
"""Seconds that a logout token is good for after it was issued."""

_KINDS: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}

FindKey = Callable[[str | None, str], Mapping[str, Any]]
"""(kid, algorithm) -> the JWK. Raises FederationRefused."""


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: Any = msgspec.UNSET
    b64: Any = msgspec.UNSET


class Expected(msgspec.Struct, frozen=True):
    """What a token of a sign-in must fit. `now` and `iat_window` in seconds.

    Without `at_hash_required` a missing `at_hash` is no fault; a wrong one is.
    """

    issuer: str
    client_id: str
    now: int
    iat_window: int
    at_hash_required: bool = True


def id_token(
    token: str, find_key: FindKey, expected: Expected, *, nonce: str, access_token: str | None
) -> dict[str, Any]:
    """The claims of an ID token. Raises FederationRefused with the first thing wrong."""
    header, claims = _verified(token, find_key)
    if header.typ is not None and header.typ.upper() != "JWT":
        raise FederationRefused("id_token_malformed", "its typ is another")
    _check_for(claims, expected)
    subject(claims)
    _check_times(claims, expected)
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise FederationRefused("nonce_mismatch")
    if access_token is not None and (expected.at_hash_required or "at_hash" in claims):
        _check_at_hash(claims.get("at_hash"), access_token, header.alg)
    return claims


def addressed(token: str) -> tuple[str, list[str]]:
    """(issuer, audiences) that a token names, before anything of it is checked."""
    try:
        claims = jose.read(jose.parse(token, LONGEST).payload, dict[str, Any])
    except jose.InvalidToken as error:
        raise FederationRefused("id_token_malformed", str(error)) from error
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    return str(claims.get("iss")), [one for one in audiences if isinstance(one, str)]


def logout_token(token: str, find_key: FindKey, expected: Expected) -> dict[str, Any]:
    """The claims of a logout token: `jti`, and `sub` or `sid` or both. Raises FederationRefused."""
    header, claims = _verified(token, find_key)
    if header.typ is not None and header.typ.lower() not in ("logout+jwt", "jwt"):
        raise FederationRefused("id_token_malformed", "its typ is another")
    _check_for(claims, expected)
    _check_times(claims, msgspec.structs.replace(expected, iat_window=LOGOUT_WINDOW))
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise FederationRefused("id_token_malformed", "it has no logout event")
    if "nonce" in claims:
        raise FederationRefused("id_token_malformed", "a logout token has no nonce")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= 500:
        raise FederationRefused("id_token_malformed", "it has no jti")
    if "sub" in claims:
        subject(claims)
    sid = claims.get("sid")
    if "sid" in claims and (not isinstance(sid, str) or not 1 <= len(sid) <= 500):
        raise FederationRefused("id_token_malformed", "its sid is no string")
    if "sub" not in claims and "sid" not in claims:
        raise FederationRefused("id_token_malformed", "it names neither sub nor sid")
    return claims


def _verified(token: str, find_key: FindKey) -> tuple[_Header, dict[str, Any]]:
    try:
        parts = jose.parse(token, LONGEST)
        header = jose.read(parts.header, _Header)
        payload = jose.read(parts.payload, dict[str, Any])
    except jose.InvalidToken as error:
        raise FederationRefused("id_token_malformed", str(error)) from error
    if header.crit is not msgspec.UNSET or header.b64 is not msgspec.UNSET:
        raise FederationRefused("id_token_malformed", "it has critical header members")
    if header.alg not in ALGORITHMS:
        raise FederationRefused("alg_rejected", header.alg[:20])
    key = _loaded(find_key(header.kid, header.alg), header.alg)
    try:
        jwt.api_jws.decode(token, key, algorithms=[header.alg])
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise FederationRefused("signature_invalid", type(error).__name__) from error
    return header, payload


def fits(jwk: Mapping[str, Any], algorithm: str) -> bool:
    """Whether a published key may verify an algorithm: its kind, curve, alg, use and operations."""
    operations = jwk.get("key_ops")
    return (
        jwk.get("kty") == _KINDS[algorithm[:2]]
        and jwk.get("crv") == _CURVES.get(algorithm)
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
    )


def _loaded(jwk: Mapping[str, Any], algorithm: str) -> Any:
    try:
        key = jwt.PyJWK(dict(jwk), algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise FederationRefused("signature_invalid", "the published key is unusable") from error
    if _KINDS[algorithm[:2]] == "RSA" and key.key_size < jose.RSA_BITS[0]:
        raise FederationRefused("signature_invalid", "the published RSA key is too short")
    return key


def _check_for(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise FederationRefused("id_token_iss_mismatch")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(one, str) for one in audiences) or expected.client_id not in audiences:
        raise FederationRefused("audience_mismatch")
    party = claims.get("azp")
    if len(audiences) > 1 and party is None:
        raise FederationRefused("azp_mismatch", "several audiences and no azp")
    if party is not None and party != expected.client_id:
        raise FederationRefused("azp_mismatch")


def _check_times(claims: Mapping[str, Any], expected: Expected) -> None:
    ends, issued, begins = (_seconds(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if ends is None or expected.now >= ends + SKEW:
        raise FederationRefused("token_expired")
    if issued is None or not -SKEW <= expected.now - issued <= expected.iat_window + SKEW:
        raise FederationRefused("iat_window")
    if "nbf" in claims and (begins is None or expected.now < begins - SKEW):
        raise FederationRefused("iat_window", "its nbf is to come")


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        return None
    return value


def _check_at_hash(given: object, access_token: str, algorithm: str) -> None:
    """Core 1.0, section 3.1.3.6: the left half of the hash that the signature uses."""
    if given is None:
        raise FederationRefused("at_hash_missing")
    bits = "512" if algorithm == "EdDSA" else algorithm[2:]
    digest = hashlib.new(f"sha{bits}", access_token.encode()).digest()
    expected = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected):
        raise FederationRefused("at_hash_mismatch")
