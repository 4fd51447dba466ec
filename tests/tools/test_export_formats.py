"""Every event as SIEMs read it: OCSF against its own schema, CEF against readers of others."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import jsonschema_rs
import msgspec
import pycef
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from gatebook.api.events import event_of
from gatebook.domain.catalogue import TYPES
from gatebook.domain.envelope import ANONYMOUS, SYSTEM, Actor, Metadata, Recorded, Source
from gatebook.store.checkpoints import CheckpointKey
from gatebook.tools import export_cef, export_jsonl, export_ocsf
from gatebook.tools.export_table import KINDS
from tests.wire.samples import ALICE, AT, ENTRIES

FORMATS = [export_jsonl, export_ocsf, export_cef]
LEAF = "9SiOvjDruDtfZxqfEZreUksAT1sO0sV0ri5DC8WNzHk="
NOTE = CheckpointKey(bytes(32)).sign(7, bytes(range(32)))
ACTORS = [ANONYMOUS, SYSTEM, Actor("local", "ops"), Actor("account", str(ALICE))]
SOURCES = [None, Source("192.0.2.7", "firefox"), Source("2001:db8::7", "curl"), Source("", "none")]
HOSTILE = 'a|b\\c=d\ne\r\nf\u2028 externalId=9 cs1=forged "CEF:0|x|" \x1b[2J\x00'


class _House:
    """As much of a house as showing an event asks: where its request came from."""

    def __init__(self, source: Source | None) -> None:
        self._source = source

    def source_of(self, _recorded: Recorded) -> Source | None:
        return self._source


def shown(topic: str, actor: Actor = SYSTEM, source: Source | None = None) -> dict[str, Any]:
    """The sample of a topic as the feed has it."""
    entry = ENTRIES[topic]
    recorded = Recorded(
        position=41,
        recorded_at=AT,
        stream_id=entry.originator_id,
        version=entry.originator_version,
        topic=topic,
        event=entry.event,
        metadata=Metadata(actor=actor, at=AT, request_id="r-1"),
    )
    event: dict[str, Any] = json.loads(msgspec.json.encode(event_of(_House(source), recorded)))  # type: ignore[arg-type]
    return event


@functools.cache
def ocsf() -> Any:
    """OCSF, as its makers publish it."""
    return get_ocsf_schema(version=export_ocsf.VERSION)


@functools.cache
def validator(class_uid: int) -> Any:
    """The JSON Schema of a class, and its constraints, from OCSF itself."""
    schema = OcsfJsonSchemaEmbedded(ocsf())
    name = schema.lookup_class_name_from_uid(class_uid)
    return jsonschema_rs.validator_for(schema.get_class_schema(name))


def constraints(class_uid: int) -> dict[str, list[str]]:
    classes = ocsf()["classes"].values()
    (found,) = [one for one in classes if one["uid"] == class_uid]
    return dict(found.get("constraints") or {})


def check_ocsf(line: str) -> dict[str, Any]:
    """Holds a line against the schema of its class."""
    found: dict[str, Any] = json.loads(line)
    errors = [
        f"{list(e.instance_path)}: {e.message}"
        for e in validator(found["class_uid"]).iter_errors(found)
    ]
    assert errors == []
    for rule, names in constraints(found["class_uid"]).items():
        present = [name for name in names if name in found]
        assert present if rule == "at_least_one" else len(present) == 1, (rule, names)
    return found


UNESCAPED_BAR = re.compile(r"(?<!\\)(?:\\\\)*\|")
PAIR = re.compile(r"(?:^| )([A-Za-z0-9_]+)=((?:[^=\\]|\\.)*?)(?= [A-Za-z0-9_]+=|$)", re.DOTALL)
ESCAPES = {"\\n": "\n", "\\r": "\r", "\\\\": "\\", "\\=": "=", "\\|": "|"}


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """A reader of CEF that was written after its specification, not after our writer."""
    assert "\n" not in line
    assert "\r" not in line
    fields, rest = [], line
    for _ in range(7):
        found = UNESCAPED_BAR.search(rest)
        assert found is not None
        fields.append(_read(rest[: found.end() - 1]))
        rest = rest[found.end() :]
    pairs = [(name, _read(value)) for name, value in PAIR.findall(rest)]
    assert len({name for name, _ in pairs}) == len(pairs)
    return fields, dict(pairs)


def _read(text: str) -> str:
    return re.sub(r"\\[nr\\=|]", lambda one: ESCAPES[one[0]], text)


def test_every_event_type_has_its_place():
    """The table has exactly the catalogue's types, with activities and severities that exist."""
    assert set(KINDS) == TYPES
    for kind in KINDS.values():
        assert kind.activity in kind.ocsf.activities
        assert 0 <= kind.severity <= 10


def test_activities_are_those_of_the_schema():
    """The names and numbers of classes and activities are OCSF's own."""
    classes = ocsf()["classes"].values()
    by_uid = {one["uid"]: one for one in classes}
    for ours in {kind.ocsf.uid: kind.ocsf for kind in KINDS.values()}.values():
        theirs = by_uid[ours.uid]
        named = theirs["attributes"]["activity_id"]["enum"]
        assert theirs["caption"] == ours.name
        assert {n: named[str(n)]["caption"] for n in ours.activities} == ours.activities


@pytest.mark.parametrize("topic", sorted(ENTRIES))
def test_every_event_is_valid_ocsf(topic):
    """By whomever and from wherever: the schema of its class finds nothing wrong."""
    for actor in ACTORS:
        for source in SOURCES:
            found = check_ocsf(export_ocsf.event_line(shown(topic, actor, source), LEAF))
            assert found["metadata"]["sequence"] == 41
            assert found["unmapped"]["leaf_hash"] == LEAF


def test_a_checkpoint_is_valid_ocsf():
    """The end of a batch too."""
    found = check_ocsf(export_ocsf.checkpoint_line(NOTE, "2026-11-22T10:00:00Z"))
    assert found["unmapped"]["checkpoint"] == NOTE


@pytest.mark.parametrize("topic", sorted(ENTRIES))
def test_every_event_is_readable_cef(topic):
    """Two readers, one of them from PyPI, find the position, the actor and the leaf hash."""
    line = export_cef.event_line(shown(topic, ACTORS[3], SOURCES[1]), LEAF)
    header, pairs = read_cef(line)
    assert header[:3] == ["CEF:0", "Gatebook", "Gatebook"]
    assert header[4] == topic.rpartition(".")[0]
    assert (pairs["externalId"], pairs["suid"], pairs["src"]) == ("41", str(ALICE), "192.0.2.7")
    assert (pairs["cs1Label"], pairs["cs1"]) == ("leafHash", LEAF)
    theirs = pycef.parse(line)
    assert theirs["DeviceEventClassID"] == header[4]
    assert theirs["externalId"] == "41"


@pytest.mark.parametrize("where", ["username", "actor", "request"])
def test_a_hostile_name_stays_in_its_field(where):
    """Bars, equal signs, ends of lines, escapes: nothing becomes a field, a line or a header."""
    event = shown("account.created.1", ACTORS[2])
    if where == "username":
        event["data"]["profile"]["username"] = HOSTILE
    elif where == "actor":
        event["actor"]["id"] = HOSTILE
    else:
        event["request_id"] = HOSTILE
    for form in FORMATS:
        line = form.event_line(event, LEAF)
        assert line.isprintable() or form is not export_cef
        assert "\n" not in line
        assert form.place_of(line) == (41, False)
    _, pairs = read_cef(export_cef.event_line(event, LEAF))
    assert pairs["cs1"] == LEAF
    key = {"username": "duser", "actor": "suser", "request": "cs3"}[where]
    kept = "".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in HOSTILE)
    assert pairs[key] == kept.replace("\ufffd\n", "\n")
    check_ocsf(export_ocsf.event_line(event, LEAF))


@given(name=st.text(max_size=40), actor=st.text(min_size=1, max_size=40))
def test_whatever_a_name_is_it_comes_back(name, actor):
    """Any text: one line, the same fields, and what can be printed unchanged."""
    event = shown("account.created.1", Actor("local", actor))
    event["data"]["profile"]["username"] = name
    line = export_cef.event_line(event, LEAF)
    _, pairs = read_cef(line)
    assert export_cef.place_of(line) == (41, False)
    assert pairs["cs1"] == LEAF
    if actor.isprintable():
        assert pairs["suser"] == actor
    assert json.loads(export_ocsf.event_line(event, LEAF))["actor"]["user"]["name"] == actor


@pytest.mark.parametrize("form", FORMATS)
def test_lines_say_where_they_stand(form):
    """A run that goes on reads its place out of the last line, and refuses lines of others."""
    assert form.place_of(form.event_line(shown("login.failed.1"), LEAF)) == (41, False)
    assert form.place_of(form.checkpoint_line(NOTE, "2026-11-22T10:00:00Z")) == (7, True)
    for other in ("", "{}", "[]", "7", "CEF:0|a|b|c|d|e|1|externalId=7", '{"checkpoint": "x"}'):
        with pytest.raises(ValueError, match=r".*"):
            form.place_of(other)
