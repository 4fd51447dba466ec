"""The library's own recorder test cases on both stores, and our factory in its Application."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import (
    ApplicationRecorder,
    InfrastructureFactory,
    Mapper,
    NotSupportedError,
    ProgrammingError,
    StoredEvent,
)
from eventsourcing.tests import persistence as library
from eventsourcing.utils import Environment

from gatebook.domain.envelope import Entry
from gatebook.store.log import Log
from gatebook.store.recorder import LogFactory, LogRecorder
from tests.store.notes import METADATA, Noted, check_log, decode, note, opened, put


class _OnSqlite:
    @pytest.fixture(autouse=True)
    def _recorder(self, request: pytest.FixtureRequest, tmp_path: Any) -> Any:
        yield from _recorder_of(self, request.getfixturevalue("sqlite_url"))

    def create_recorder(self) -> LogRecorder:
        return LogRecorder(self.log)  # type: ignore[attr-defined]  # set by the fixture


class _OnPostgres(_OnSqlite):
    @pytest.fixture(autouse=True)
    def _recorder(self, request: pytest.FixtureRequest, tmp_path: Any) -> Any:
        yield from _recorder_of(self, request.getfixturevalue("postgres_url"))


def _recorder_of(case: Any, url: str) -> Any:
    with opened(url, create=True) as log:
        case.log = log
        yield
        check_log(log)


class TestSqliteRecorder(_OnSqlite, library.ApplicationRecorderTestCase[Any]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestPostgresRecorder(_OnPostgres, library.ApplicationRecorderTestCase[Any]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestSqliteNonInterleaving(_OnSqlite, library.NonInterleavingNotificationIDsBaseCase):
    pass


class TestPostgresNonInterleaving(_OnPostgres, library.NonInterleavingNotificationIDsBaseCase):
    pass


class EntryMapper(Mapper[UUID]):
    """Entries of notes to stored events and back."""

    def __init__(self) -> None:
        """Needs none of the library's transcoder, compressor and cipher."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        return note(
            domain_event.originator_id, domain_event.originator_version, domain_event.event.text
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        stream, version = stored_event.originator_id, stored_event.originator_version
        assert isinstance(stream, UUID)
        event, _ = decode(stored_event.topic, stream, version, stored_event.state, METADATA, 1)
        return Entry(stream, version, event)


def test_an_application_runs_on_the_log(log: Log) -> None:
    """The library's Application saves to our log and loads from it through our factory."""

    class Notebook(Application[UUID]):
        def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:
            return LogFactory(log, EntryMapper(), env)

    stream = uuid4()
    with Notebook() as notebook:
        recordings = notebook.save(
            Entry(stream, 1, Noted("a")), Entry(stream, 2, Noted("b")), metadata=METADATA
        )
        entries = list(notebook.events.get(stream))

    assert [each.notification.id for each in recordings] == [1, 2]
    assert entries == [Entry(stream, 1, Noted("a")), Entry(stream, 2, Noted("b"))]
    assert [Noted("a"), Noted("b")] == [each.event for each in log.read(0, 5)]
    assert put(log, note()) == [3], "closing the application must not close the log"


def test_other_recorders_are_refused(log: Log) -> None:
    """The library's other kinds of recorder are refused with a sentence."""
    factory = LogFactory(log, EntryMapper())
    for kind in (factory.aggregate_recorder, factory.tracking_recorder, factory.process_recorder):
        with pytest.raises(NotSupportedError, match="projections"):
            kind()


def test_an_unknown_option_is_refused(log: Log) -> None:
    """A mistyped keyword of `save` does not vanish."""
    recorder: ApplicationRecorder = LogRecorder(log)
    with pytest.raises(ProgrammingError, match="metdata"):
        recorder.insert_events([note()], metdata=b"")
