"""What accounts hold: one row of the access table, whichever place of the log it stands at."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from gatebook.projections.callers import granted
from gatebook.projections.ports import Row
from gatebook.projections.rows import Queries, number, text, uuid

_HOLDINGS: Final = """
SELECT a.account_id, a.profile_at, a.kind, a.status, r.role, r.permissions
FROM access_accounts a
LEFT JOIN access_grants g
    ON g.account_id = a.account_id AND (g.expires_at IS NULL OR g.expires_at > ?)
LEFT JOIN access_roles r ON r.role = g.role AND r.generation = g.generation
ORDER BY a.account_id, r.role
"""


class Holding(msgspec.Struct, frozen=True):
    """What an account holds. Who is not active may do nothing, whatever roles he has.

    `profile_at` is the event that holds the name, None once it is erased.
    """

    account_id: UUID
    profile_at: int | None
    kind: str
    status: str
    roles: frozenset[str]
    permissions: frozenset[str]


NOTHING: Final = Holding(UUID(int=0), None, "", "absent", frozenset(), frozenset())
"""What is held by an account that does not exist yet."""


def holdings(source: Queries, at: int) -> dict[UUID, Holding]:
    """Of every account in the source, at an instant (microseconds)."""
    found: dict[bytes, list[Row]] = {}
    for row in source.query(_HOLDINGS, (at,)):
        found.setdefault(row[0], []).append(row)  # type: ignore[arg-type]  # a column of bytes
    return {(one := _holding(rows)).account_id: one for rows in found.values()}


def _holding(rows: list[Row]) -> Holding:
    account_id, profile_at, kind, status = rows[0][:4]
    roles, permissions = granted(rows, 4)
    return Holding(
        account_id=uuid(account_id),
        profile_at=None if text(status) == "erased" else number(profile_at),
        kind=text(kind),
        status=text(status),
        roles=frozenset(roles),
        permissions=permissions if text(status) == "active" else frozenset(),
    )
