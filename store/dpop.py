"""DPoP proofs (RFC 9449): that whoever sends a request has the private key it names.

A proof is good for one request within a minute of being made. No nonce is asked for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from gatebook.store import jose
from gatebook.store.jose import InvalidToken

TYPE: Final = "dpop+jwt"
WINDOW: Final = 60
"""Seconds that a proof's `iat` may be away from now, either way."""

LONGEST_JTI: Final = 256
_PORTS: Final = {"http": 80, "https": 443}
_URL: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)


class InvalidProof(Exception):
    """No proof that counts. The reason may be told: whoever sent it made it."""


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: str
    typ: str
    jwk: dict[str, Any]


class _Proof(msgspec.Struct, frozen=True):
    jti: str
    htm: str
    htu: str
    iat: int
    ath: str | None = None


class Request(msgspec.Struct, frozen=True):
    """What a proof must be about: the method, the URL, the access token if one is used."""

    method: str
    url: str
    token: str | None = None


class DpopVerifier:
    """Verifies proofs, each once."""

    def __init__(self, *, now: Callable[[], int], first: Callable[[bytes, int, int], bool]) -> None:
        """`now` is in microseconds; `first(digest, now, until)` says whether it is shown first."""
        self._now = now
        self._first = first

    def verify(self, proof: str, request: Request) -> str:
        """The thumbprint (RFC 7638) of the key that made the proof.

        Raises InvalidProof, or StoreUnavailable when replays cannot be told apart.
        """
        try:
            parsed = jose.parse(proof)
            header = jose.read(parsed.header, _Header)
            key = jose.public_key(header.jwk)
            if header.typ != TYPE or header.alg != key.algorithm:
                raise InvalidProof("typ is not dpop+jwt, or alg is not the key's.")
            jose.check(parsed, key)
            said = jose.read(parsed.payload, _Proof)
        except (InvalidToken, jose.InvalidKey) as error:
            raise InvalidProof(str(error)) from error
        self._check(said, request)
        now = self._now()
        digest = hashlib.sha256(f"{key.thumbprint} {said.jti}".encode()).digest()
        if not self._first(digest, now, (said.iat + WINDOW + 1) * 1_000_000):
            raise InvalidProof("The proof was used before.")
        return key.thumbprint

    def _check(self, said: _Proof, request: Request) -> None:
        if not 0 < len(said.jti) <= LONGEST_JTI or not said.jti.isprintable():
            raise InvalidProof(f"jti is 1 to {LONGEST_JTI} characters.")
        if said.htm != request.method:
            raise InvalidProof("htm is not the request's method.")
        wanted = normalised(request.url)
        if wanted is None or normalised(said.htu) != wanted:
            raise InvalidProof("htu is not the request's URL.")
        if abs(self._now() / 1_000_000 - said.iat) > WINDOW:
            raise InvalidProof(f"iat is more than {WINDOW} seconds away.")
        if request.token is not None and not _matches(said.ath, request.token):
            raise InvalidProof("ath is not the access token's hash.")


def normalised(url: str) -> tuple[str, str, int, str] | None:
    """A URL without query and fragment, as RFC 3986 (6.2.2, 6.2.3) compares; None for no URL."""
    if _URL.fullmatch(url) is None:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in _PORTS or not host or "@" in parts.netloc:
        return None
    return scheme, host, port or _PORTS[scheme], unquote(parts.path) or "/"


def token_hash(token: str) -> str:
    """`ath`: base64url of the SHA-256 of an access token."""
    return urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def _matches(ath: str | None, token: str) -> bool:
    return ath is not None and hmac.compare_digest(ath.encode(), token_hash(token).encode())
