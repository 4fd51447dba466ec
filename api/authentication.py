"""Who calls: from a bearer token to an account's live access."""

from __future__ import annotations

from uuid import UUID

from gatebook.api import headers
from gatebook.api.problems import unauthenticated
from gatebook.api.route import Need
from gatebook.domain.errors import Forbidden
from gatebook.domain.permissions import ALL
from gatebook.domain.ports import Claims, LiveToken
from gatebook.store.house import House
from gatebook.store.signing import InvalidToken

NOBODY = UUID(int=0)


def live(house: House, token: str, now: int) -> tuple[Claims, LiveToken] | None:
    """A token's claims with its account's access at this instant; None if it does not count.

    The claims say who it is; what he may do is read from the live state, never from the token.
    """
    try:
        claims = house.verify(token)
        found = house.access.live_token(UUID(claims.jti), now)
    except (InvalidToken, ValueError):
        return None
    if found is None or str(found.account_id) != claims.sub:
        return None
    if claims.aud != (found.audience or house.settings.audience):
        return None
    return claims, found


def authenticate(
    house: House, authorization: str | None, now: int, *, operator: str | None = None
) -> LiveToken:
    """The caller. Raises a Problem, the same for every cause."""
    if operator is not None:
        return _at_the_console(operator, now)
    found = live(house, headers.bearer(authorization), now)
    if found is None or found[0].aud != house.settings.audience:
        raise unauthenticated()
    return found[1]


def permit(need: Need, principal: LiveToken, account_id: UUID | None) -> None:
    """Raises Forbidden unless the caller holds what the route needs.

    Whether another's account exists is not asked: the answer is the same either way.
    """
    if need.kind == "own" and account_id == principal.account_id:
        return
    if need.kind in ("own", "permission") and need.permission not in principal.permissions:
        raise Forbidden(need.permission)


def _at_the_console(operator: str, now: int) -> LiveToken:
    """Somebody at the command line of this machine: no account, and every permission."""
    return LiveToken(
        jti=NOBODY,
        account_id=NOBODY,
        username=operator,
        kind="local",
        session_id=None,
        epoch=0,
        roles=[],
        permissions=ALL,
        amr=[],
        auth_time=None,
        expires_at=now,
        kid="",
        audience="",
        scope="",
    )
