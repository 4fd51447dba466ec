"""One event, looked at closely: its decision made again, and what it changed field by field."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gatebook.api import decision_schemas as d
from gatebook.api.audit import shown
from gatebook.api.call import Call
from gatebook.api.decoding import instant
from gatebook.api.events import event_of, members, shown_as
from gatebook.api.reply import Reply
from gatebook.api.words import sentence
from gatebook.domain.decisions import Redecided
from gatebook.domain.envelope import Recorded
from gatebook.domain.field_changes import changes
from gatebook.store.deciding import redecided, state_before

INSTANTS: Final = frozenset(
    {"at", "expires_at_the_latest", "failed_at_before", "locked_until_before"}
)
"""Inputs that are microseconds since the epoch."""

_WHY: Final = {
    "agrees": "The same function decides the same from the same inputs.",
    "disagrees": "The same function would not record this event from these inputs.",
}


def decision(call: Call[None, None]) -> Reply:
    """GET /v1/audit/events/{position}/decision"""
    recorded = shown(call)
    made = redecided(call.house.store, recorded)
    body = d.RemadeDecision(
        position=recorded.position,
        outcome=made.outcome,
        then=sentence(recorded),
        now=[_decided(recorded, event) for event in made.now],
        refusal=made.refusal or None,
        why=made.why or _WHY[made.outcome],
        inputs=_inputs(made),
        event=event_of(call.house, recorded),
    )
    return Reply(200, body)


def _decided(recorded: Recorded, event: Any) -> d.Decided:
    as_recorded = msgspec.structs.replace(recorded, event=event, topic=event.TOPIC)
    data = members(event, without=event.SECRET)
    return d.Decided(event.type, sentence(as_recorded), data)


def _inputs(made: Redecided) -> dict[str, Any]:
    return {
        name: instant(value) if name in INSTANTS and value is not None else shown_as("", value)
        for name, value in made.inputs.items()
    }


def changed(call: Call[None, None]) -> Reply:
    """GET /v1/audit/events/{position}/changes"""
    recorded = shown(call)
    found = changes(recorded.event, state_before(call.house.store, recorded))
    body = d.ChangedFields(
        position=recorded.position,
        type=recorded.event.type,
        stream=recorded.event.STREAM,
        changes=[
            d.ChangedField(one.field, _leaf(one.field, one.before), _leaf(one.field, one.after))
            for one in found.fields
        ],
        hidden=found.hidden,
    )
    return Reply(200, body)


def _leaf(field: str, value: Any) -> Any:
    return shown_as(field.rpartition(".")[2], value)
