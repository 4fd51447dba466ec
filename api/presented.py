"""What an Authorization header presents: an access token, or an API key."""

from __future__ import annotations

import hmac
from typing import Final
from uuid import UUID

import msgspec

from gatebook.api import headers
from gatebook.api.problems import Problem, unauthenticated
from gatebook.domain import api_key
from gatebook.domain.access import Caller
from gatebook.domain.application.families import SECOND
from gatebook.domain.ports import Claims
from gatebook.store.dpop import InvalidProof, Request
from gatebook.store.house import House
from gatebook.store.jose import ALGORITHMS, InvalidToken

_CHALLENGE: Final = f'DPoP error="{{error}}", algs="{" ".join(ALGORITHMS)}"'


class KeyClaims(msgspec.Struct, frozen=True):
    """An API key in the words of a token. Times in seconds."""

    iss: str
    sub: str
    aud: str
    iat: int
    nbf: int
    jti: str
    client_id: str
    exp: int | None
    scope: str


def key_claims(house: House, key: Caller) -> KeyClaims:
    """What an API key would claim."""
    return KeyClaims(
        iss=house.settings.issuer,
        sub=str(key.account_id),
        aud=house.settings.audience,
        iat=key.opened_at // SECOND,
        nbf=key.opened_at // SECOND,
        jti=str(key.id),
        client_id=str(key.account_id),
        exp=None if key.expires_at is None else key.expires_at // SECOND,
        scope=key.scope,
    )


def live(house: House, token: str, now: int) -> tuple[Claims, Caller] | None:
    """A token's claims with its account's access at this instant; None if it does not count.

    The claims say who it is; what he may do is read from the live state, never from the token.
    """
    try:
        claims = house.verify(token)
        found = house.access.caller("token", UUID(claims.jti), now)
    except (InvalidToken, ValueError):
        return None
    if found is None or str(found.account_id) != claims.sub:
        return None
    if claims.aud != (found.audience or house.settings.audience):
        return None
    return claims, found


def live_key(house: House, presented: str, now: int) -> Caller | None:
    """Whose API key it is, and what it may do at this instant; None if it does not count."""
    parsed = api_key.parse(presented)
    if parsed is None:
        return None
    key_id, digest = parsed
    kept = house.access.api_key_digest(key_id)
    if kept is None or not hmac.compare_digest(kept, digest):
        return None
    caller = house.access.caller("api-key", key_id, now)
    if caller is not None:
        house.activity.seen(key_id, now)
    return caller


def by_header(
    house: House, authorization: str | None, dpop: str | None, about: Request, now: int
) -> Caller:
    """The caller of a request. Raises a Problem.

    A token that is bound to a key comes with a proof of it (RFC 9449), and no other does.
    """
    scheme, token = headers.credentials(authorization)
    if scheme == "bearer":
        caller = live_key(house, token, now) or _ours(house, token, now)
        if caller is None or caller.jkt:
            raise unauthenticated()
        return caller
    caller = _ours(house, token, now)
    if caller is None or not caller.jkt:
        raise _refused("invalid_token")
    about = Request(about.method, about.url, token)
    try:
        jkt = house.dpop.verify(dpop or "", about)
    except InvalidProof:
        raise _refused("invalid_dpop_proof") from None
    if jkt != caller.jkt:
        raise _refused("invalid_token")
    return caller


def proved(house: House, dpop: str | None, about: Request) -> str:
    """The thumbprint of the key that a request for tokens proves; "" when it proves none.

    Raises a Problem for a proof that does not count.
    """
    if dpop is None:
        return ""
    try:
        return house.dpop.verify(dpop, about)
    except InvalidProof as error:
        raise Problem("invalid-dpop-proof", f"The DPoP proof is refused: {error}") from None


def _ours(house: House, token: str, now: int) -> Caller | None:
    """Whose token it is, if it is one for Gatebook itself."""
    found = live(house, token, now)
    if found is None or found[0].aud != house.settings.audience:
        return None
    return found[1]


def _refused(error: str) -> Problem:
    """401 as RFC 9449, section 7.1."""
    headers_ = {"WWW-Authenticate": _CHALLENGE.format(error=error)}
    return Problem(
        "unauthenticated", "A valid bearer token or session cookie is needed.", headers=headers_
    )
