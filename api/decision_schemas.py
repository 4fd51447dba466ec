"""The shapes of answers about one event: its decision made again, and what it changed."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gatebook.api.events import Event


class Decided(msgspec.Struct, frozen=True):
    """An event that is decided now: its type, in plain words, and what it holds."""

    type: str
    text: str
    data: dict[str, Any]


class RemadeDecision(msgspec.Struct, frozen=True):
    """A recorded decision, made again by the same function from the same inputs.

    `outcome` is "agrees", "disagrees", "unknown" when an input is erased or was never recorded, or
    "no-decision" for what merely happened. `then` is the event in words, `now` what is decided now,
    `refusal` why it would be refused instead, `why` what the outcome rests on, `inputs` what the
    decision was made from.
    """

    position: int
    outcome: Literal["agrees", "disagrees", "unknown", "no-decision"]
    then: str
    now: list[Decided]
    refusal: str | None
    why: str
    inputs: dict[str, Any]
    event: Event


class ChangedField(msgspec.Struct, frozen=True):
    """A field of a thing before and after an event, by its path with dots."""

    field: str
    before: Any
    after: Any


class ChangedFields(msgspec.Struct, frozen=True):
    """What an event changed. `hidden` names secret fields that changed; no value of them is shown.

    `stream` is the kind of thing that it changed.
    """

    position: int
    type: str
    stream: str
    changes: list[ChangedField]
    hidden: list[str]
