"""What an event changed, field by field: its stream's state before and after, side by side."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gatebook.domain.event import Event
from gatebook.domain.folds import fold_of

SECRET: Final[dict[str, frozenset[str]]] = {
    "breakglass": frozenset({"phc"}),
    "command": frozenset({"answer", "request_hash"}),
    "password": frozenset({"phc"}),
    "provider": frozenset({"secret"}),
    "recovery-codes": frozenset({"hashes"}),
    "totp": frozenset({"key"}),
    "totp-offers": frozenset({"key"}),
}
"""Fields of states, by stream, whose values nobody is shown."""


class FieldChange(msgspec.Struct, frozen=True):
    """A field, by its path with dots, and its value before and after; None: there was none."""

    field: str
    before: Any
    after: Any


class Changes(msgspec.Struct, frozen=True):
    """What changed, and the names of secret fields that did, without their values."""

    fields: list[FieldChange]
    hidden: list[str]


def changes(event: Event, before: Any) -> Changes:
    """What an event makes of the state that its stream had before it."""
    after = fold_of(event).evolve(before, event)
    former, later = _flat("", before), _flat("", after)
    secret = SECRET.get(event.STREAM, frozenset())
    moved = [name for name in sorted({*former, *later}) if former.get(name) != later.get(name)]
    shown = [
        FieldChange(name, former.get(name), later.get(name))
        for name in moved
        if name.partition(".")[0] not in secret
    ]
    return Changes(shown, [name for name in moved if name.partition(".")[0] in secret])


def _flat(path: str, value: Any) -> dict[str, Any]:
    """The leaves of a state by their paths."""
    match value:
        case msgspec.Struct():
            parts = {name: getattr(value, name) for name in value.__struct_fields__}
        case dict():
            parts = {str(name): one for name, one in value.items()}
        case tuple() if value and all(isinstance(one, msgspec.Struct) for one in value):
            parts = {str(getattr(one, one.__struct_fields__[0])): one for one in value}
        case frozenset():
            return {path: sorted(value)}
        case _:
            return {path: value} if path else {}
    found: dict[str, Any] = {}
    for name, one in parts.items():
        found |= _flat(f"{path}.{name}" if path else name, one)
    return found
