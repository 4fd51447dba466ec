"""A command done: the memory behind `Idempotency-Key`.

The event stands in the same append as what the command did, so a retry finds both or neither.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain.errors import IdempotencyMismatch, Remembered
from gatebook.domain.event import Event

REMEMBERED_FOR = 24 * 3600 * 1_000_000
"""Microseconds."""


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The rendered answer, as the caller got it the first time."""

    rendered: bytes


class CommandDone(Event, frozen=True):
    """A command was carried out. `day` names the keyring's key that seals the answer.

    That key is destroyed two days later, so remembered answers do not outlive their use.
    """

    TOPIC = "command.done.1"
    STREAM = "command"
    CATEGORY = "system"
    SECRET = "answer"  # noqa: S105 - the name of a field
    day: str
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
    answer: bytes | None = None


def check(request_hash: bytes, at: int, state: Done) -> None:
    """Returns for a new command; else raises Remembered or IdempotencyMismatch."""
    if at >= state.expires_at or state.answer is None:
        return
    if state.request_hash != request_hash:
        raise IdempotencyMismatch("This Idempotency-Key was used with another request.")
    raise Remembered(state.answer)


def evolve(_state: Done, event: CommandDone) -> Done:
    """The state after an event."""
    return Done(
        request_hash=event.request_hash,
        expires_at=event.expires_at,
        answer=event.answer.rendered if event.answer is not None else None,
    )
