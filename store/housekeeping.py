"""What must be done again and again, by the one process that holds the follower's lease.

Each duty is safe to repeat and to be killed in.
"""

from __future__ import annotations

from typing import cast
from uuid import UUID

from gatebook.domain import attempts
from gatebook.domain.application.core import DAY, HOUR
from gatebook.store.house import House, system
from gatebook.store.key_duties import tend_signing_keys

ANSWERS_KEPT = 2
"""Days that a remembered answer's key is kept; the answer counts for one."""

PRUNE_AFTER = DAY

USES_KEPT = 31 * DAY
"""How long it is known when a session was last used."""


def sweep(house: House) -> None:
    """Runs every duty once."""
    now = house.clock.now()
    forget_answers(house, now)
    destroy_erased(house)
    summarise_refusals(house, now)
    house.readings.sweep(now)
    prune_tokens(house, now)
    expire_break_glass(house, now)
    tend_signing_keys(house, now)
    house.guesses.sweep(now)
    house.seen.sweep(now)
    house.activity.sweep(now - USES_KEPT)


def forget_answers(house: House, now: int) -> None:
    """Destroys the keys of answers that no retry can ask for any more."""
    for name in house.keyring.names("answers:"):
        if int(name.removeprefix("answers:")) < now // DAY - ANSWERS_KEPT:
            house.keyring.destroy(name)


def destroy_erased(house: House) -> None:
    """Destroys keys that a crash right after `account.erased` has left."""
    erased = house.store.query("SELECT account_id FROM access_accounts WHERE status = 'erased'")
    for row in erased:
        account_id = UUID(bytes=row[0])  # type: ignore[arg-type]  # a column of 16 bytes
        if house.keyring.has(f"subject:{account_id}"):
            house.keyring.destroy_subject(account_id)


def summarise_refusals(house: House, now: int) -> None:
    """Records what was refused without an event, an hour at a time, once the hour is over.

    A crash after the event and before the row goes records the hour twice, with the same times.
    """
    for subject, count, first_at, last_at in house.refused.before(now // HOUR):
        account_id, method = UUID(bytes=subject[:16]), subject[16:].decode()
        counter = attempts.Counter(account_id, cast("attempts.Method", method))
        nobody = house.access.account(account_id, now) is None  # nor has one who is no account
        stream_id = attempts.unknown_stream_id(first_at // HOUR) if nobody else counter.stream_id
        event = attempts.LoginRefusedWhileLocked(
            account_id=None if nobody else account_id,
            method=method,
            count=count,
            first_at=first_at,
            last_at=last_at,
        )
        house.app.record_one(event, stream_id, system(), now)
        house.refused.forget(subject, first_at // HOUR)


def expire_break_glass(house: House, now: int) -> None:
    """Records the end of break-glass credentials whose time is over."""
    for account_id in house.access.break_glass_due(now):
        house.break_glass.expire(system(), account_id)


def prune_tokens(house: House, now: int) -> None:
    """Lets tokens that expired a day ago leave the read models, when there are any."""
    before = now - PRUNE_AFTER
    if house.access.expired(before):
        house.tokens.prune(system(), before)
