"""Who may change factors: a person in a session, and one who signed in a short while ago."""

from __future__ import annotations

from uuid import UUID

from gatebook.domain.application.core import By, Gatebook
from gatebook.domain.errors import InvalidCredentials, StaleSignIn
from gatebook.domain.proofs import AAL2

FRESH = 15 * 60 * 1_000_000
"""How long after a sign-in factors may be changed. Microseconds."""


def person(app: Gatebook, by: By, now: int) -> UUID:
    """The account of a person who gives a command within a session.

    Raises StaleSignIn for API keys, for tokens outside a session, and for machines.
    """
    if by.account_id is None:
        raise InvalidCredentials("Nobody is signed in.")
    account = app.access.account(by.account_id, now)
    if by.session_id is None or account is None or account.kind != "human":
        raise StaleSignIn("This is for a person who signed in, not for a key or a machine.")
    return by.account_id


def fresh_person(app: Gatebook, by: By, now: int, *, due: bool) -> UUID:
    """The same, signed in no longer than FRESH ago, and with a second factor if one is `due`.

    Raises StaleSignIn: a password alone must not change what is asked for beside it.
    """
    account_id = person(app, by, now)
    # Another node's clock may be a little ahead of this one's.
    skew = app.policy.clock_skew
    if by.auth_time is None or not -skew <= now - by.auth_time <= FRESH:
        minutes = FRESH // 60_000_000
        raise StaleSignIn(f"This needs a sign-in of the last {minutes} minutes. Sign in again.")
    if due and by.acr != AAL2:
        raise StaleSignIn("This account has a second factor. Sign in with it first.")
    return account_id
