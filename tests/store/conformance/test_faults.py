"""What a crash, a full disk, a missing file or a lost server leave behind."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import OperationalError

from gatebook.store.faults import CommitLost, OutcomeUnknown
from gatebook.store.file_lock import FileLock
from gatebook.store.log import Log
from gatebook.store.postgres import PostgresSession
from tests.postgres import Cluster, Server
from tests.store.conftest import OpenStore
from tests.store.notes import check_log, note, opened, put
from tests.store.workers import child


def test_what_was_acknowledged_survives_a_kill(url: str, open_store: OpenStore) -> None:
    """Of a process killed between and inside commits every answered save is whole in the log."""
    open_store(create=True).close()
    answered: list[UUID] = []
    for pause in (0.0, 0.05, 0.15):
        with child("append_until_killed", url) as process:
            assert process.stdout is not None
            answered.append(UUID(process.stdout.readline().strip()))
            threading.Event().wait(pause)
            process.kill()
            answered += [UUID(line.strip()) for line in process.stdout if line.endswith("\n")]

    log = open_store()
    assert len(answered) > 3
    assert check_log(log) % 2 == 0, "half a save is in the log"
    for stream in answered:
        assert [each.version for each in log.stream(stream)] == [1, 2]


@contextmanager
def moved_away(path: Path) -> Iterator[None]:
    away = path.with_name("elsewhere")
    path.rename(away)
    try:
        yield
    finally:
        away.rename(path)


def test_a_database_file_that_goes_and_comes_back(tmp_path: Path) -> None:
    """While the file is away everything is an error and nothing is created; then all goes on."""
    path = tmp_path / "gatebook.db"
    with opened(f"sqlite:///{path}", create=True) as log:
        stream = uuid4()
        put(log, note(stream))
        with moved_away(path):
            for attempt in (lambda: put(log, note(stream, 2)), log.head, lambda: log.wait(0, 1)):
                with pytest.raises(OperationalError):
                    attempt()
            assert not path.exists()
        assert put(log, note(stream, 2)) == [2]
        assert check_log(log) == 2


def test_a_database_file_that_was_replaced(tmp_path: Path) -> None:
    """After a backup took the file's place, reads and writes are of the new file."""
    path, other = tmp_path / "gatebook.db", tmp_path / "other.db"
    opened(f"sqlite:///{other}", create=True).close()
    with opened(f"sqlite:///{path}", create=True) as log:
        put(log, note(), note())
        for each in tmp_path.glob("gatebook.db-*"):
            each.unlink()
        other.rename(path)

        assert log.head() == 0
        assert put(log, note()) == [1]
        assert check_log(log) == 1


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """No file of this process may grow past `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk(tmp_path: Path) -> None:
    """A write that finds no room is an error and leaves nothing; reads go on; then writes do."""
    with opened(f"sqlite:///{tmp_path}/gatebook.db", create=True) as log:
        put(log, note())
        stream = uuid4()
        with no_room(100_000):
            for _ in range(2):
                with pytest.raises(OperationalError):
                    put(log, note(stream, 1, "x" * 200_000))
            assert log.head() == 1
        assert put(log, note(stream)) == [2]
        assert check_log(log) == 2


def test_a_database_locked_by_another(tmp_path: Path) -> None:
    """A writer that is kept out answers its callers in time, and goes on when it is let in."""
    path = f"{tmp_path}/gatebook.db"
    with opened(f"sqlite:///{path}", create=True) as log:
        other = FileLock(f"{path}.lock")
        assert other.acquire(1)
        stream = uuid4()
        with pytest.raises(OperationalError, match="nothing was written"):
            put(log, note(stream), timeout=0.2)
        other.close()

        assert put(log, note(stream)) == [1]


def test_a_server_that_goes_and_comes_back(cluster: Cluster) -> None:
    """While the server is down everything is an error; afterwards all goes on by itself."""
    with opened(cluster.url(), create=True) as log, log.lease("follower") as lease:
        stream = uuid4()
        put(log, note(stream))
        assert log.wait(0, 1) == 1
        assert lease.held()
        cluster.stop()
        try:
            for attempt in (lambda: put(log, note(stream, 2)), log.head, lambda: log.wait(0, 1)):
                with pytest.raises(OperationalError):
                    attempt()
            assert not lease.held()
        finally:
            cluster.start()

        assert put(log, note(stream, 2)) == [2]
        assert log.head() == 2
        assert lease.try_acquire()
        with log.writing() as tx:
            assert tx.head() == 2
        assert check_log(log) == 2


def test_idle_connections_that_died(postgres_url: str, postgres: Server) -> None:
    """A server that ended every idle connection is not noticed by anybody."""
    with opened(postgres_url, create=True) as log:
        put(log, note())
        with log.writing() as tx:
            assert tx.head() == log.head()
        with postgres.connect() as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'gatebook' AND pid <> pg_backend_pid()"
            )

        assert put(log, note()) == [2]
        assert log.head() == 2
        with log.writing() as tx, log.reading() as reader:
            assert tx.head() == reader.head() == 2


def test_connections_that_die_under_load(postgres_url: str, postgres: Server) -> None:
    """While connections are killed, what was answered is there and what was refused is not."""
    written: list[UUID] = []
    refused: list[UUID] = []
    stop = threading.Event()

    def write(log: Log) -> None:
        while not stop.is_set():
            stream = uuid4()
            try:
                put(log, note(stream, 1), note(stream, 2))
                written.append(stream)
            except OutcomeUnknown:
                continue
            except OperationalError:
                refused.append(stream)

    with opened(postgres_url, create=True) as log, ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(write, log)
        with postgres.connect() as admin:
            for _ in range(40):
                stop.wait(0.05)
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'gatebook' AND pid <> pg_backend_pid()"
                )
        stop.set()
        pool.shutdown()

        assert len(written) > 40
        assert check_log(log) >= 2 * len(written)
        for stream in written:
            assert [each.version for each in log.stream(stream)] == [1, 2]
        assert [stream for stream in refused if log.stream(stream)] == []


class LosesCommit:
    """Breaks the first commits of append sessions: before they reach the server, or after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, after: bool, times: int = 1) -> None:
        self._commit = PostgresSession.commit
        self._after = after
        self.left = times
        monkeypatch.setattr(PostgresSession, "commit", _method(self.commit))

    def commit(self, session: PostgresSession, head: int | None = None) -> None:
        if not self.left:
            return self._commit(session, head)
        self.left -= 1
        if self._after:
            self._commit(session, head)
        session.close()
        raise CommitLost("the wire was cut")


def _method(call: Callable[..., None]) -> Callable[..., None]:
    """A bound method has no place for the session: a function does."""

    def commit(session: PostgresSession, head: int | None = None) -> None:
        call(session, head)

    return commit


@pytest.mark.parametrize("after", [False, True])
def test_a_commit_whose_answer_was_lost(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    """Whether it had happened or not, the save is in the log once, and its caller knows where."""
    with opened(postgres_url, create=True) as log:
        put(log, note())
        losing = LosesCommit(monkeypatch, after=after)
        stream = uuid4()

        assert put(log, note(stream), note()) == [2, 3]
        assert losing.left == 0
        assert [each.position for each in log.stream(stream)] == [2]
        assert check_log(log) == 3


def test_a_commit_lost_twice_is_given_up(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save whose commit is lost again and again is an error, and is not written."""
    with opened(postgres_url, create=True) as log:
        LosesCommit(monkeypatch, after=False, times=2)

        with pytest.raises(OperationalError, match="the wire was cut"):
            put(log, note())
        assert log.head() == 0
        assert put(log, note()) == [1]


def test_a_lost_commit_without_events_is_unknown(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An errand leaves no position to look at: its caller is told that nobody knows."""
    with opened(postgres_url, create=True) as log:
        LosesCommit(monkeypatch, after=True)

        with pytest.raises(OutcomeUnknown):
            log.transact(lambda tx: tx.head())


def test_durability_is_not_the_servers_choice(postgres_url: str, postgres: Server) -> None:
    """With synchronous_commit off by default, our connections have it on."""
    user_setting = b"ALTER DATABASE postgres SET synchronous_commit = off"
    with postgres.connect() as admin:
        admin.execute(user_setting)
    try:
        with opened(postgres_url, create=True) as log:
            assert log.transact(lambda tx: tx.query("SHOW synchronous_commit")) == [("on",)]
            with log.writing() as tx:
                assert tx.query("SHOW synchronous_commit") == [("on",)]
        with postgres.connect() as other:
            assert other.execute("SHOW synchronous_commit").fetchone() == ("off",)
    finally:
        with postgres.connect() as admin:
            admin.execute("ALTER DATABASE postgres RESET synchronous_commit")


def test_sqlite_syncs_every_commit(tmp_path: Path) -> None:
    """The connections that write have synchronous=FULL (2) and a write-ahead log."""
    with opened(f"sqlite:///{tmp_path}/gatebook.db", create=True) as log:
        for ask in (lambda sql: log.transact(lambda tx: tx.query(sql)), log.query):
            assert ask("PRAGMA synchronous") == [(2,)]
            assert ask("PRAGMA journal_mode") == [("wal",)]


def test_each_caller_has_an_error_of_its_own(tmp_path: Path) -> None:
    """When the store fails under many callers, no two raise the same exception object."""
    path = tmp_path / "gatebook.db"
    with opened(f"sqlite:///{path}", create=True) as log, moved_away(path):
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(put, log, note()) for _ in range(8)]
        errors = [future.exception(0) for future in futures]

    assert all(isinstance(error, OperationalError) for error in errors)
    assert len({id(error) for error in errors}) == 8
