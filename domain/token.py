"""A token minted outside a session, for a system account. Its stream's id is its jti.

The access tokens of a session are recorded by the session's own events; revoking one of those by
its jti is recorded here all the same, as the only event of that stream.
"""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event

PRUNING_STREAM_ID = uuid8(b"token-pruning")


class TokenIssued(Event, frozen=True):
    """A token exists, under the account's `epoch`, until `expires_at` (microseconds).

    `jkt` is the thumbprint (RFC 7638) of the key it is bound to (RFC 9449), or "".
    """

    TOPIC = "token.issued.1"
    STREAM = "token"
    CATEGORY = "token"
    account_id: UUID
    epoch: int
    kid: str
    expires_at: int
    audience: str = ""
    scope: str = ""
    jkt: str = ""


class TokenRevoked(Event, frozen=True):
    """The token is refused from here on."""

    TOPIC = "token.revoked.1"
    STREAM = "token"
    CATEGORY = "token"
    account_id: UUID
    session_id: UUID | None = None


class TokensPruned(Event, frozen=True):
    """Tokens that expired before an instant (microseconds) left the read models, not the log."""

    TOPIC = "token.pruned.1"
    STREAM = "token-pruning"
    CATEGORY = "system"
    before: int


Happening = TokenIssued | TokenRevoked


class Token(msgspec.Struct, frozen=True):
    """Whether the stream knows the token as issued, and as revoked."""

    account_id: UUID | None = None
    revoked: bool = False


def whole(at: int) -> int:
    """Microseconds rounded down to a whole second, as a token itself says it."""
    return at // 1_000_000 * 1_000_000


def revoke(account_id: UUID, session_id: UUID | None, state: Token) -> list[Happening]:
    """Revokes, once."""
    if state.revoked:
        return []
    return [TokenRevoked(account_id=account_id, session_id=session_id)]


def evolve(state: Token, event: Happening) -> Token:
    """The state after an event."""
    match event:
        case TokenIssued(account_id=account_id):
            return Token(account_id=account_id, revoked=state.revoked)
        case TokenRevoked(account_id=account_id):
            return Token(account_id=account_id, revoked=True)
        case _:
            assert_never(event)
