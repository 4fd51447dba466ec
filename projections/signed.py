"""What a signing key signed and what still counts of it."""

from __future__ import annotations

from gatebook.projections.rows import Queries

_COUNTS = """
SELECT 1 FROM access_sessions WHERE kid = ? AND jti IS NOT NULL AND access_expires_at > ?
UNION ALL SELECT 1 FROM access_tokens WHERE kid = ? AND expires_at > ? LIMIT 1
"""


def anything_counts(source: Queries, kid: str, at: int) -> bool:
    """Whether a token that the key signed has not expired at an instant (microseconds)."""
    return bool(source.query(_COUNTS, (kid, at, kid, at)))
