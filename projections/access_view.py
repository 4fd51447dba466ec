"""The questions that `access` answers. Every instant is given by the caller, in microseconds."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from gatebook.domain.access import Caller, HeldCredential, LiveAccount
from gatebook.domain.signing_keys import Key
from gatebook.projections import api_keys, break_glass, credentials
from gatebook.projections.callers import find, granted
from gatebook.projections.opened import Opened, OpeningLog
from gatebook.projections.ports import Row
from gatebook.projections.rows import (
    Queries,
    maybe_number,
    maybe_uuid,
    number,
    text,
    uuid,
)

_ACCOUNT = """
SELECT a.account_id, a.profile_at, a.kind, a.status, a.epoch, a.version, r.role, r.permissions
FROM access_accounts a
LEFT JOIN access_grants g
    ON g.account_id = a.account_id AND (g.expires_at IS NULL OR g.expires_at > ?)
LEFT JOIN access_roles r ON r.role = g.role AND r.generation = g.generation
WHERE a.account_id = ?
ORDER BY r.role
"""
_SESSIONS = """
SELECT s.session_id, s.account_id, s.origin, s.amr, s.auth_time, s.opened_at, s.renewed_at,
       s.expires_at, s.idle
FROM access_sessions s
JOIN access_accounts a
    ON a.account_id = s.account_id AND a.epoch = s.epoch AND a.status = 'active'
WHERE s.account_id = ? AND s.expires_at > ?
ORDER BY s.opened_at DESC, s.session_id DESC LIMIT ?
"""
_TOKENS = """
SELECT t.jti, t.account_id, t.session_id, t.kid, t.issued_at, t.expires_at, t.audience, t.scope
FROM (
    SELECT jti, account_id, session_id, epoch, kid, renewed_at AS issued_at,
           access_expires_at AS expires_at, '' AS audience, '' AS scope
    FROM access_sessions WHERE account_id = ? AND jti IS NOT NULL
    UNION ALL
    SELECT jti, account_id, NULL, epoch, kid, issued_at, expires_at, audience, scope
    FROM access_tokens WHERE account_id = ?
) t
JOIN access_accounts a
    ON a.account_id = t.account_id AND a.epoch = t.epoch AND a.status = 'active'
JOIN access_keys k ON k.kid = t.kid AND k.retired = 0
WHERE t.expires_at > ?
ORDER BY t.issued_at DESC, t.jti DESC LIMIT ?
"""
_REACH = """
SELECT r.permissions, g.expires_at FROM access_grants g
JOIN access_roles r ON r.role = g.role AND r.generation = g.generation
WHERE g.account_id = ? AND (g.expires_at IS NULL OR g.expires_at > ?)
"""
_HOLDERS = """
SELECT count(*) FROM access_grants g
JOIN access_roles r ON r.role = g.role AND r.generation = g.generation
JOIN access_accounts a ON a.account_id = g.account_id AND a.status <> 'erased'
WHERE g.role = ? AND (g.expires_at IS NULL OR g.expires_at > ?)
"""
_ROLES = "SELECT role, permissions, description, built_in FROM access_roles"


MOST = 1_000
"""Sessions or tokens of one account that are listed; older ones count, and end, all the same."""


class LiveSession(msgspec.Struct, frozen=True):
    """A session that counts now. `idle`: microseconds without a request that end it, or None."""

    session_id: UUID
    account_id: UUID
    origin: str
    amr: list[str]
    auth_time: int
    opened_at: int
    renewed_at: int
    expires_at: int
    idle: int | None


class ListedToken(msgspec.Struct, frozen=True):
    """An access token that counts now. `session_id` None: minted outside a session."""

    jti: UUID
    account_id: UUID
    session_id: UUID | None
    kid: str
    issued_at: int
    expires_at: int
    audience: str
    scope: str


class DefinedRole(msgspec.Struct, frozen=True):
    """A role and what it stands for."""

    name: str
    permissions: frozenset[str]
    description: str
    built_in: bool


class HeldRole(msgspec.Struct, frozen=True):
    """A role that an account holds, and until when (None: no end)."""

    role: str
    expires_at: int | None


class AccessView:
    """Answers from the store, as fresh as the last append."""

    def __init__(
        self,
        source: OpeningLog,
        mfa_required_for: frozenset[str] = frozenset(),
        opened: Opened | None = None,
    ) -> None:
        """`mfa_required_for`: roles that count only after a sign-in with two factors."""
        self._source: Queries = source
        self._opened = opened or Opened(source)
        self._mfa_required_for = mfa_required_for

    def caller(self, kind: str, presented_id: UUID, at: int) -> Caller | None:
        """Who presents a token, session or API key; None if it does not count at an instant."""
        return find(self._source, self._opened, kind, presented_id, at, self._mfa_required_for)

    def account(self, account_id: UUID, at: int) -> LiveAccount | None:
        """The account in whatever status, with the access it holds at an instant."""
        found = self._source.query(_ACCOUNT, (at, account_id.bytes))
        if not found:
            return None
        first = found[0]
        roles, permissions = granted(found, 6)
        is_erased = text(first[3]) == "erased"
        profile = None if is_erased else self._opened.profile(number(first[1]))
        return LiveAccount(
            account_id=account_id,
            username=None if profile is None else profile.username,
            kind=text(first[2]),
            status=text(first[3]),
            epoch=number(first[4]),
            version=number(first[5]),
            roles=roles,
            permissions=permissions,
        )

    def api_key_digest(self, key_id: UUID) -> bytes | None:
        """The SHA-256 of an API key's secret; None when there is no such key."""
        return api_keys.digest_of(self._source, self._opened, key_id)

    def live_api_keys(self, account_id: UUID, at: int) -> int:
        """How many API keys of an account count at an instant."""
        return api_keys.count_of(self._source, account_id, at)

    def api_keys_of(self, account_id: UUID, at: int) -> list[api_keys.LiveApiKey]:
        """An account's API keys that count at an instant, oldest first."""
        return api_keys.keys_of(self._source, self._opened, account_id, at)

    def token_owner(self, jti: UUID) -> tuple[UUID, UUID | None] | None:
        """(account, session) of a token that has not been dropped, expired or not."""
        found = self._source.query(
            "SELECT account_id, session_id FROM access_sessions WHERE jti = ? "
            "UNION ALL SELECT account_id, NULL FROM access_tokens WHERE jti = ?",
            (jti.bytes, jti.bytes),
        )
        return (uuid(found[0][0]), maybe_uuid(found[0][1])) if found else None

    def roles_of(self, account_id: UUID, at: int) -> list[HeldRole]:
        """The roles in force for an account, by name."""
        found = self._source.query(
            "SELECT g.role, g.expires_at FROM access_grants g "
            "JOIN access_roles r ON r.role = g.role AND r.generation = g.generation "
            "WHERE g.account_id = ? AND (g.expires_at IS NULL OR g.expires_at > ?) "
            "ORDER BY g.role",
            (account_id.bytes, at),
        )
        return [HeldRole(text(name), maybe_number(expires_at)) for name, expires_at in found]

    def anything_lives(self, account_id: UUID, at: int) -> bool:
        """Whether a session or a token of an account counts at an instant, or could be renewed."""
        return bool(
            self.sessions_of(account_id, at, most=1)
            or self._source.query(_TOKENS, (account_id.bytes, account_id.bytes, at, 1))
        )

    def reach(self, account_id: UUID, at: int) -> dict[str, int | None]:
        """Each permission that an account holds, and until when (None: no end)."""
        found = self._source.query(_REACH, (account_id.bytes, at))
        ends: dict[str, int | None] = {}
        for permissions, end in found:
            until = maybe_number(end)
            for permission in text(permissions).split():
                known = ends.get(permission, 0)
                longer = until is None or (known is not None and until > known)
                ends[permission] = until if longer else known
        return ends

    def erasures(self) -> int:
        """How many accounts were ever erased: changes whenever one more is."""
        return number(self._source.query("SELECT count(*) FROM access_erasures")[0][0])

    def erased_among(self, account_ids: Sequence[UUID]) -> set[UUID]:
        """Those of some accounts that are erased."""
        if not account_ids:
            return set()
        marks = ", ".join("?" * len(account_ids))
        found = self._source.query(
            f"SELECT account_id FROM access_erasures WHERE account_id IN ({marks})",  # noqa: S608 - only marks
            tuple(account_id.bytes for account_id in account_ids),
        )
        return {uuid(row[0]) for row in found}

    def permissions_of(self, role: str) -> frozenset[str] | None:
        """What a role stands for; None when there is no such role."""
        defined = self.role(role)
        return None if defined is None else defined.permissions

    def holders(self, role: str, at: int) -> int:
        """How many accounts that are not erased hold a role, deleted ones included."""
        return number(self._source.query(_HOLDERS, (role, at))[0][0])

    def role(self, name: str) -> DefinedRole | None:
        """A role by name."""
        found = self._source.query(_ROLES + " WHERE role = ?", (name,))
        return _role(found[0]) if found else None

    def roles(self) -> list[DefinedRole]:
        """All roles, by name."""
        return [_role(row) for row in self._source.query(_ROLES + " ORDER BY role")]

    def keys(self, *, retired: bool = False) -> list[Key]:
        """The published signing keys in the order they were made; with `retired`, those too."""
        found = self._source.query(
            "SELECT kid, algorithm, public_jwk, signs_from, retired FROM access_keys "
            "WHERE retired <= ? ORDER BY created_at, kid",
            (int(retired),),
        )
        return [
            Key(
                kid=text(kid),
                algorithm=text(algorithm),
                public_jwk=text(public_jwk),
                signs_from=maybe_number(signs_from),
                retired=bool(gone),
            )
            for kid, algorithm, public_jwk, signs_from, gone in found
        ]

    def sessions_of(self, account_id: UUID, at: int, most: int = MOST) -> list[LiveSession]:
        """An account's newest sessions that count at an instant, oldest of them first."""
        found = self._source.query(_SESSIONS, (account_id.bytes, at, most))
        return [
            LiveSession(
                session_id=uuid(row[0]),
                account_id=uuid(row[1]),
                origin=text(row[2]),
                amr=text(row[3]).split(),
                auth_time=number(row[4]),
                opened_at=number(row[5]),
                renewed_at=number(row[6]),
                expires_at=number(row[7]),
                idle=maybe_number(row[8]),
            )
            for row in reversed(found)
        ]

    def sessions_opened_by(self, account_id: UUID, origin: str, at: int) -> list[UUID]:
        """An account's live sessions that one way of signing in has opened."""
        found = self._source.query(
            "SELECT session_id FROM access_sessions "
            "WHERE account_id = ? AND origin = ? AND expires_at > ? ORDER BY session_id",
            (account_id.bytes, origin, at),
        )
        return [uuid(row[0]) for row in found]

    def break_glass(self, at: int) -> list[break_glass.ListedCredential]:
        """Every break-glass credential that counts at an instant."""
        return break_glass.listed(self._source, self._opened, at)

    def break_glass_due(self, at: int) -> list[UUID]:
        """Accounts whose break-glass credential is over by its time."""
        return break_glass.due(self._source, at)

    def credentials_of(self, account_id: UUID) -> list[HeldCredential]:
        """An account's credentials, oldest first."""
        return credentials.credentials_of(self._source, account_id)

    def locked_counters(self, account_id: UUID) -> list[tuple[UUID, str]]:
        """(stream, method) of every counter of failures of an account that stands above zero."""
        found = self._source.query(
            "SELECT stream_id, method FROM access_attempts WHERE account_id = ? ORDER BY stream_id",
            (account_id.bytes,),
        )
        return [(uuid(row[0]), text(row[1])) for row in found]

    def tokens_of(self, account_id: UUID, at: int) -> list[ListedToken]:
        """An account's newest access tokens that count at an instant, oldest of them first."""
        found = self._source.query(_TOKENS, (account_id.bytes, account_id.bytes, at, MOST))[::-1]
        return [
            ListedToken(
                jti=uuid(row[0]),
                account_id=uuid(row[1]),
                session_id=maybe_uuid(row[2]),
                kid=text(row[3]),
                issued_at=number(row[4]),
                expires_at=number(row[5]),
                audience=text(row[6]),
                scope=text(row[7]),
            )
            for row in found
        ]

    def expired(self, before: int) -> bool:
        """Whether there is a token or session that ended for good before an instant."""
        return bool(
            self._source.query(
                "SELECT 1 FROM access_tokens WHERE expires_at < ? "
                "UNION ALL SELECT 1 FROM access_sessions WHERE expires_at < ? "
                "UNION ALL SELECT 1 FROM access_api_keys WHERE expires_at < ? LIMIT 1",
                (before, before, before),
            )
        )

    def counts(self, at: int) -> dict[str, int]:
        """For the metrics: accounts by status, sessions, tokens, and locks at an instant."""
        found = self._source.query("SELECT status, count(*) FROM access_accounts GROUP BY status")
        counted = {f"accounts_{text(status)}": number(count) for status, count in found}
        for name in ("access_sessions", "access_tokens"):
            rows = self._source.query(f"SELECT count(*) FROM {name}")  # noqa: S608 - two constants
            counted[name.removeprefix("access_")] = number(rows[0][0])
        locked = self._source.query(
            "SELECT count(*) FROM access_attempts WHERE locked_until > ?", (at,)
        )
        return counted | {"locks": number(locked[0][0])}


def _role(row: Row) -> DefinedRole:
    name, permissions, description, built_in = row
    return DefinedRole(
        text(name), frozenset(text(permissions).split()), text(description), bool(built_in)
    )
