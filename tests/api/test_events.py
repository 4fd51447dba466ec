"""How events are shown: no time as a bare number, no secret, no event without words."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from gatebook.api import words
from gatebook.api.events import DURATIONS, TIMES
from gatebook.domain.catalogue import EVENTS, TYPES
from gatebook.domain.event import Event

COUNTS = {
    "after",
    "rows",
    "upto",
    "backup_head",
    "count",
    "epoch",
    "failures",
    "failures_before",
    "generation",
    "head",
    "index",
    "keys",
    "offer",
    "password_max_bytes",
    "password_min_bytes",
    "password_version",
    "policy",
    "position",
    "received",
    "recovery_codes",
    "sessions",
    "shares",
    "sign_count",
    "size",
    "step",
    "threshold",
    "former",
    "version",
}
"""Fields of events that are plain numbers. Whoever adds one decides which list it belongs to."""

ABOUT_ACCOUNTS = {"account", "administrator", "bootstrap", "lockout", "login", "password", "role"}


def numbers(struct: type[msgspec.Struct]) -> Iterator[str]:
    hints = typing.get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        for kind in _kinds(hints[field.name]):
            if kind is int:
                yield field.name
            elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                yield from numbers(kind)


def _kinds(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        for part in typing.get_args(annotation):
            yield from _kinds(part)
    else:
        yield annotation


def test_every_number_is_a_time_a_duration_or_a_count() -> None:
    """No number of any event is of unknown meaning, and no list names one that is not there."""
    found = {name for event in EVENTS for name in numbers(event)}

    assert found == TIMES | DURATIONS | COUNTS
    assert not TIMES & DURATIONS
    assert not (TIMES | DURATIONS) & COUNTS


def test_every_event_of_an_account_has_words() -> None:
    """An account's history says of each of its events what it was."""
    matched = {"password.set", "role.granted", "role.revoked", "session.ended", "token.issued"}
    matched |= {"login.failed", "login.refused_while_locked", "lockout.cleared"}
    matched |= {"breakglass.login_failed", "breakglass.credential_expired", "access.denied"}
    matched |= {"audit.read"}
    elsewhere = {kind for kind in TYPES if _subject(kind)} - matched - set(words._SENTENCES)

    assert elsewhere == set()


def _subject(kind: str) -> bool:
    event: type[Event] = next(e for e in EVENTS if e.TOPIC.rpartition(".")[0] == kind)
    return event.STREAM == "account" or "account_id" in event.__struct_fields__
