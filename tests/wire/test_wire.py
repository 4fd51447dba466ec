"""Stored bytes are for ever: every topic, exact to the byte, in both directions."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest
from eventsourcing.persistence import Notification, StoredEvent

from gatebook.domain import catalogue
from gatebook.domain.account import Profile
from gatebook.domain.envelope import Actor, Entry, Metadata
from gatebook.domain.event import Event, UnreadableEvent
from gatebook.store.mapper import EventMapper
from tests.wire.make_golden import golden, made
from tests.wire.samples import ALICE, AT, ENTRIES, METADATA, STREAM, FixedKeys

MAPPER = EventMapper(FixedKeys())
SEALED = sorted(t for t, entry in ENTRIES.items() if entry.event.PERSONAL or entry.event.SECRET)


def test_every_topic_has_a_sample():
    """A topic cannot be added without its golden bytes."""
    assert set(catalogue.BY_TOPIC) == set(ENTRIES)
    assert set(golden()) == set(ENTRIES) | {f"metadata:{name}" for name in METADATA}


@pytest.mark.parametrize("name", sorted(golden()))
def test_bytes_are_what_they_were(name):
    """What this program writes is what it wrote when the topic was made."""
    assert made()[name] == golden()[name]


@pytest.mark.parametrize("topic", sorted(ENTRIES))
def test_golden_bytes_are_read_back(topic):
    """Bytes written then are read as the same event now."""
    entry = ENTRIES[topic]
    stored = StoredEvent(entry.originator_id, entry.originator_version, topic, golden()[topic])
    assert MAPPER.to_domain_event(stored) == entry


@pytest.mark.parametrize("name", sorted(METADATA))
def test_golden_envelopes_are_read_back(name):
    """The envelope's bytes are read as the same envelope."""
    entry = ENTRIES["role.deleted.1"]
    _event, metadata = MAPPER.decode(
        "role.deleted.1", STREAM, 7, golden()[entry.event.TOPIC], golden()[f"metadata:{name}"], 1
    )
    assert metadata == METADATA[name]


def test_a_topic_is_made_of_a_noun_a_participle_and_a_number():
    """Stored names follow one form, and a type names one stream kind and category."""
    for topic, kind in catalogue.BY_TOPIC.items():
        noun, verb, number = topic.split(".")
        assert noun.isidentifier()
        assert verb.isidentifier()
        assert int(number) >= 1
        assert kind.STREAM
        assert kind.CATEGORY in catalogue.CATEGORIES


def test_topics_are_constants_in_the_source():
    """No topic is computed: the table is closed, and a reader finds each by searching."""
    found = set()
    for path in (Path(__file__).parents[2] / "domain").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "TOPIC":
                assert isinstance(node.value, ast.Constant)
                found.add(node.value.value)
    assert found == set(catalogue.BY_TOPIC)


@pytest.mark.parametrize("topic", sorted(ENTRIES))
def test_what_projections_read_needs_no_key(topic):
    """Read sealed, every event is what it is but for its sealed field, and no key is asked for."""

    class NoKeys(FixedKeys):
        def open(self, name, sealed, associated):
            raise AssertionError(f"{topic} was opened")

    entry = ENTRIES[topic]
    event, _metadata = EventMapper(NoKeys()).decode(
        topic,
        entry.originator_id,
        entry.originator_version,
        golden()[topic],
        golden()["metadata:" + next(iter(METADATA))],
        1,
        sealed=True,
    )
    field = entry.event.PERSONAL or entry.event.SECRET
    closed = msgspec.structs.replace(entry.event, **{field: None}) if field else entry.event
    assert event == closed


@pytest.mark.parametrize("topic", SEALED)
def test_nothing_personal_stands_in_the_clear(topic):
    """Sealed fields leave no plaintext in the stored bytes."""
    stored = golden()[topic]
    for plain in (b"alice", b"Alice", b"example.org", b"argon2id", b"{}"):
        assert plain not in stored


@pytest.mark.parametrize("topic", SEALED)
def test_a_destroyed_key_reads_as_nothing(topic):
    """After the key is gone the event is still read, its sealed field as None."""
    keys = FixedKeys()
    entry = ENTRIES[topic]
    keys.destroyed.add(entry.event.key_name(entry.originator_id))
    stored = StoredEvent(entry.originator_id, entry.originator_version, topic, golden()[topic])

    read = EventMapper(keys).to_domain_event(stored).event

    sealed = entry.event.PERSONAL or entry.event.SECRET
    assert getattr(read, sealed) is None
    assert msgspec.structs.replace(entry.event, **{sealed: None}) == read


@pytest.mark.parametrize("change", ["stream", "version", "byte"])
def test_a_sealed_field_opens_in_its_own_place_only(change):
    """Moved to another stream or version, or altered by a bit, it is unreadable."""
    entry = ENTRIES["account.created.1"]
    stream = STREAM if change == "stream" else ALICE
    version = 8 if change == "version" else 7
    payload = bytearray(golden()["account.created.1"])
    if change == "byte":
        payload[-1] ^= 1
    with pytest.raises(UnreadableEvent) as unreadable:
        MAPPER.to_domain_event(Notification(stream, version, entry.event.TOPIC, bytes(payload), 99))
    assert unreadable.value.position == 99


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("os.system.1", b"\x90"),
        ("role.deleted.2", b"\x91\xa3ops"),
        ("role.deleted.1", b""),
        ("role.deleted.1", b"\x90"),
        ("role.deleted.1", b"\x91\x01"),
        ("role.deleted.1", b"\x92\xa3ops\x01"),
        ("account.created.1", b"\x92\xa5human\xc0"),
    ],
)
def test_a_row_this_program_cannot_read_says_so(topic, payload):
    """Unknown topics, short, long and mistyped rows are named with their position."""
    with pytest.raises(UnreadableEvent) as unreadable:
        MAPPER.to_domain_event(Notification(STREAM, 1, topic, payload, 5))
    assert (unreadable.value.position, unreadable.value.topic) == (5, topic)


def test_a_spoilt_envelope_says_so():
    """An envelope that does not decode makes the event unreadable, with its position."""
    for spoilt in (b"", b"\x90", b"\xc1", MAPPER.encode_metadata(METADATA["local"])[:-1]):
        with pytest.raises(UnreadableEvent):
            MAPPER.decode("role.deleted.1", STREAM, 1, b"\x91\xa3ops", spoilt, 5)


# --- upcasting, by one real example: a shape before and a shape after


class GreetedBefore(Event, frozen=True):
    """How it was stored first: a whole name."""

    TOPIC = "guest.greeted.1"
    STREAM = "guest"
    name: str


class GreetedNow(Event, frozen=True):
    """How it is stored today: in two parts, and who greeted."""

    TOPIC = "guest.greeted.2"
    STREAM = "guest"
    first: str
    last: str
    by: str


def upcast(old):
    """From the first shape to the second."""
    first, _, last = old.name.partition(" ")
    return GreetedNow(first=first, last=last, by="unknown")


UPCASTING = EventMapper(FixedKeys(), (GreetedBefore, GreetedNow), {GreetedBefore: upcast})


def test_an_old_shape_is_read_as_todays():
    """Bytes of a retired topic come back as the shape that followed it."""
    stored = StoredEvent(STREAM, 1, "guest.greeted.1", msgspec.msgpack.encode(["Ada Lovelace"]))
    assert UPCASTING.to_domain_event(stored) == Entry(
        STREAM, 1, GreetedNow(first="Ada", last="Lovelace", by="unknown")
    )


def test_a_retired_shape_is_not_written_again():
    """Only today's shape goes into the log."""
    with pytest.raises(TypeError, match="retired"):
        UPCASTING.to_stored_event(Entry(STREAM, 1, GreetedBefore(name="Ada Lovelace")))
    stored = UPCASTING.to_stored_event(Entry(STREAM, 1, GreetedNow(first="A", last="L", by="x")))
    assert stored.topic == "guest.greeted.2"


def test_ids_are_compact_only_when_they_come_back_the_same():
    """A canonical UUID takes 16 bytes; anything that merely looks like one stays text."""
    for request_id in (str(ALICE), str(ALICE).upper(), "x" * 36, "", "req-1", "é" * 36):
        metadata = Metadata(actor=Actor("local", request_id), at=AT, request_id=request_id)
        stored = MAPPER.encode_metadata(metadata)
        _event, read = MAPPER.decode("role.deleted.1", STREAM, 1, b"\x91\xa3ops", stored, 1)
        assert read == metadata


def test_profiles_hold_any_text():
    """Whatever text a profile holds comes back."""
    profile = Profile("ᚠᛇᚻ", "\u2028 line", "a@b")
    entry = Entry(ALICE, 1, type(ENTRIES["account.created.1"].event)(kind="human", profile=profile))
    assert MAPPER.to_domain_event(MAPPER.to_stored_event(entry)) == entry
