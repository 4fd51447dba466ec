"""From what somebody presents to what he may do now: the question behind every request."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from uuid import UUID

from gatebook.domain.access import Caller
from gatebook.domain.proofs import AAL2
from gatebook.projections.opened import Opened
from gatebook.projections.ports import Row
from gatebook.projections.rows import (
    Queries,
    maybe_number,
    maybe_uuid,
    number,
    text,
    uuid,
)

BREAK_GLASS: Final = "break-glass"
"""The origin of a session that stands in for every other way in, second factors included."""

_SOURCES: Final = {
    "token": """
    SELECT session_id, account_id, epoch, amr, acr, auth_time, access_expires_at AS expires_at,
           kid, '' AS audience, '' AS scope, jkt, origin, renewed_at AS opened_at, idle
    FROM access_sessions WHERE jti = ?1
    UNION ALL
    SELECT NULL, account_id, epoch, '', '', NULL, expires_at, kid, audience, scope, jkt, '',
           issued_at, NULL
    FROM access_tokens WHERE jti = ?1""",
    "session": """
    SELECT session_id, account_id, epoch, amr, acr, auth_time, expires_at, '' AS kid,
           '' AS audience, '' AS scope, jkt, origin, opened_at, idle
    FROM access_sessions WHERE session_id = ?1 AND idle IS NOT NULL""",
    # A key follows its account's status, not its epoch: ending sessions leaves machines alone.
    "api-key": """
    SELECT NULL AS session_id, k.account_id, b.epoch, '' AS amr, '' AS acr, NULL AS auth_time,
           k.expires_at, '' AS kid, '' AS audience, k.scope, '' AS jkt, '' AS origin,
           k.created_at AS opened_at, NULL AS idle
    FROM access_api_keys k JOIN access_accounts b ON b.account_id = k.account_id
    WHERE k.key_id = ?1""",
}
"""What each kind of thing presented is looked up in, all in the same columns."""

_CALLER: Final = """
SELECT a.account_id, a.profile_at, a.kind, a.epoch, t.session_id, t.amr, t.acr, t.auth_time,
       t.expires_at, t.kid, t.audience, t.scope, t.jkt, t.origin, t.opened_at, t.idle,
       r.role, r.permissions
FROM ({source}) t
JOIN access_accounts a
    ON a.account_id = t.account_id AND a.epoch = t.epoch AND a.status = 'active'
LEFT JOIN access_keys k ON k.kid = t.kid
LEFT JOIN access_grants g
    ON g.account_id = a.account_id AND (g.expires_at IS NULL OR g.expires_at > ?)
LEFT JOIN access_roles r ON r.role = g.role AND r.generation = g.generation
WHERE (t.kid = '' OR k.retired = 0) AND (t.expires_at IS NULL OR t.expires_at > ?)
ORDER BY r.role
"""
# A role that was deleted while granted finds no row in access_roles, and so gives nothing.

_QUESTIONS: Final = {
    kind: (_CALLER.format(source=inner.replace("?1", "?")), inner.count("?1"))
    for kind, inner in _SOURCES.items()
}
"""The whole of each, and how often it holds the id."""


def find(
    source: Queries,
    opened: Opened,
    kind: str,
    presented_id: UUID,
    at: int,
    mfa_required_for: frozenset[str],
) -> Caller | None:
    """Who presents it; None if it does not count at an instant (microseconds).

    Roles in `mfa_required_for` give nothing to a person who did not sign in with two factors,
    unless it was by break-glass: that is for when a second factor cannot be had.
    """
    sql, times = _QUESTIONS[kind]
    found = source.query(sql, (*[presented_id.bytes] * times, at, at))
    if not found:
        return None
    first = found[0]
    account_kind, acr = text(first[2]), text(first[6])
    exempt = account_kind != "human" or acr == AAL2 or text(first[13]) == BREAK_GLASS
    held_back = frozenset[str]() if exempt else mfa_required_for
    roles, permissions = granted(found, 16, held_back)
    scope = text(first[11])
    profile = opened.profile(number(first[1]))
    return Caller(
        kind=kind,  # type: ignore[arg-type]  # one of the keys above
        id=presented_id,
        account_id=uuid(first[0]),
        username=None if profile is None else profile.username,
        account_kind=account_kind,
        session_id=maybe_uuid(first[4]),
        epoch=number(first[3]),
        roles=roles,
        permissions=permissions & frozenset(scope.split()) if scope else permissions,
        amr=text(first[5]).split(),
        acr=acr,
        auth_time=maybe_number(first[7]),
        expires_at=maybe_number(first[8]),
        kid=text(first[9]),
        audience=text(first[10]),
        scope=scope,
        jkt=text(first[12]),
        origin=text(first[13]),
        opened_at=number(first[14]),
        idle=maybe_number(first[15]),
    )


def granted(
    rows: Iterable[Row], column: int, held_back: frozenset[str] = frozenset()
) -> tuple[list[str], frozenset[str]]:
    """Role names and their permissions, from rows that hold them from `column` on."""
    held = [row for row in rows if row[column] is not None and text(row[column]) not in held_back]
    permissions = frozenset[str]().union(*(_split(text(row[column + 1])) for row in held))
    return [text(row[column]) for row in held], permissions


@lru_cache(1024)
def _split(permissions: str) -> frozenset[str]:
    """The permissions of a role, of which there are few."""
    return frozenset(permissions.split())
