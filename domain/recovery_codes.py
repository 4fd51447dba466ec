"""Recovery codes: ten, shown once, each used once, kept as keyed hashes."""

from __future__ import annotations

import hmac
from typing import assert_never
from uuid import UUID

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event

COUNT = 10
CODE_BYTES = 7
"""Random bytes that a code is made of; 50 of their bits are used."""

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's: without I, L, O and U."""

LENGTH = 10
TAIL = COUNT + 1
"""A set and each of its codes used: no more of the stream counts."""

_READ_AS = str.maketrans("ILO", "110", "- ")

# --- events


class CodeHashes(msgspec.Struct, frozen=True, array_like=True):
    """The keyed hashes of a set, in the order the codes were shown."""

    hashes: tuple[bytes, ...]


class _CodesEvent(Event, frozen=True):
    STREAM = "recovery-codes"
    CATEGORY = "credential"
    account_id: UUID


class RecoveryCodesGenerated(_CodesEvent, frozen=True):
    """A new set counts; any former one is void."""

    TOPIC = "recovery_codes.generated.1"
    SECRET = "secret"  # noqa: S105 - the name of a field
    secret: CodeHashes | None


class RecoveryCodeUsed(_CodesEvent, frozen=True):
    """One code of the set, counted from 0, is spent."""

    TOPIC = "recovery_code.used.1"
    index: int


class RecoveryCodesRemoved(_CodesEvent, frozen=True):
    """The set is void. `cause`: "operator"."""

    TOPIC = "recovery_codes.removed.1"
    cause: str


Happening = RecoveryCodesGenerated | RecoveryCodeUsed | RecoveryCodesRemoved

# --- state


class RecoveryCodes(msgspec.Struct, frozen=True):
    """The hashes of the set in force and which of them are spent."""

    hashes: tuple[bytes, ...] = ()
    used: frozenset[int] = frozenset()

    @property
    def left(self) -> int:
        """How many can still be used."""
        return len(self.hashes) - len(self.used)

    def index(self, hashed: bytes) -> int | None:
        """The place of a code's hash in the set, compared with every one; None: none of it."""
        same = [hmac.compare_digest(one, hashed) for one in self.hashes]
        return same.index(True) if any(same) else None


def stream_id(account_id: UUID) -> UUID:
    """The stream of an account's codes; its id is that of the credential."""
    return uuid8(b"recovery-codes", account_id.bytes)


def code(random: bytes) -> str:
    """A code in the form it is shown in, out of CODE_BYTES random bytes."""
    number = int.from_bytes(random, "big") >> (8 * CODE_BYTES - 5 * LENGTH)
    symbols = [ALPHABET[number >> (5 * place) & 31] for place in range(LENGTH)]
    return "".join(symbols[:5]) + "-" + "".join(symbols[5:])


def normalised(typed: str) -> str | None:
    """A code as it is hashed; None for what cannot be one. Case, dashes and spaces say nothing."""
    if not typed.isascii():
        return None
    text = typed.upper().translate(_READ_AS)
    if len(text) != LENGTH or any(symbol not in ALPHABET for symbol in text):
        return None
    return text


def evolve(state: RecoveryCodes, event: Happening) -> RecoveryCodes:
    """The state after an event."""
    match event:
        case RecoveryCodesGenerated(secret=secret):
            return RecoveryCodes(secret.hashes if secret is not None else ())
        case RecoveryCodeUsed(index=index):
            if not state.hashes:
                return state
            return RecoveryCodes(state.hashes, state.used | {index})
        case RecoveryCodesRemoved():
            return RecoveryCodes()
        case _:
            assert_never(event)
