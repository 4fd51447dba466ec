"""A command done: the memory behind `Idempotency-Key`.

The event stands in the same append as what the command did, so a retry finds both or neither.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import msgspec

from gatebook.domain.errors import Conflict, IdempotencyMismatch, Remembered
from gatebook.domain.event import Event

REMEMBERED_FOR = 24 * 3600 * 1_000_000
"""Microseconds."""


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The rendered answer, as the caller got it the first time.

    Sealed once more under the key of the account it shows, so that it is erased with it.
    """

    sealed: bytes


class CommandDone(Event, frozen=True):
    """A command was carried out. `day` names the keyring's key that seals the answer.

    That key is destroyed two days later, so remembered answers do not outlive their use.
    `shown` is the account that the answer shows, if it shows one.
    """

    TOPIC = "command.done.1"
    STREAM = "command"
    CATEGORY = "system"
    SECRET = "answer"  # noqa: S105 - the name of a field
    day: str
    shown: UUID | None
    request_hash: bytes
    expires_at: int
    answer: Answer | None

    def key_name(self, stream_id: UUID) -> str:  # noqa: ARG002 - the day decides, not the stream
        """Sealed by the day's key, not by a person's."""
        return f"answers:{self.day}"


class Done(msgspec.Struct, frozen=True):
    """The last time the key was used."""

    request_hash: bytes = b""
    expires_at: int = 0
    shown: UUID | None = None
    answer: bytes | None = None


Open = Callable[[UUID | None, bytes, bytes], bytes | None]
"""(account, sealed answer, request hash) -> the answer; None once the account is erased."""


def check(request_hash: bytes, at: int, state: Done, unseal: Open) -> None:
    """Returns for a new command; else raises Remembered, Conflict or IdempotencyMismatch."""
    if at >= state.expires_at:
        return
    if state.request_hash != request_hash:
        raise IdempotencyMismatch("This Idempotency-Key was used with another request.")
    sealed = state.answer
    answer = None if sealed is None else unseal(state.shown, sealed, request_hash)
    if answer is None:
        raise Conflict("This was done before; its answer is erased.")
    raise Remembered(answer)


def evolve(_state: Done, event: CommandDone) -> Done:
    """The state after an event."""
    return Done(
        request_hash=event.request_hash,
        expires_at=event.expires_at,
        shown=event.shown,
        answer=event.answer.sealed if event.answer is not None else None,
    )
