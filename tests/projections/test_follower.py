"""The follower: everything once, in order, and never past an event that it cannot take in."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from uuid import UUID

import msgspec
import pytest
from eventsourcing.persistence import OperationalError

from gatebook.domain import account, deployment, session
from gatebook.domain.envelope import Recorded
from gatebook.projections import audit, engine, follower, sessions
from gatebook.projections.access import ACCESS
from gatebook.projections.changes import Change, Put
from gatebook.projections.engine import ProjectionStatus
from gatebook.projections.errors import NotHalted, UnknownProjection
from gatebook.projections.follower import Follower
from gatebook.projections.ports import Transaction
from gatebook.projections.projection import Projection
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.log import Log
from tests.projections.house import NOON, House, StoppedClock, open_house, session_opened

ALICE, SESSION = UUID(int=1), UUID(int=2)
CREATED = account.AccountCreated(kind="human", profile=account.Profile("alice"))
TOKENS = session.Tokens(UUID(int=3), "k", NOON)
OPENED = session_opened(ALICE)
ROTATED = session.SessionRotated(account_id=ALICE, tokens=TOKENS)
BAD = account.AccountDeactivated()


def failing(at: type[account.Happening]) -> Projection:
    """The audit index, with a fold that fails at one type of event."""

    def fold(found: Recorded) -> Sequence[Change]:
        if isinstance(found.event, at):
            raise ZeroDivisionError("the fold is wrong")
        return audit.fold(found)

    return msgspec.structs.replace(audit.PROJECTION, fold=fold)


def unstorable() -> Projection:
    """The audit index, with rows for one type of event that no store takes."""

    def fold(found: Recorded) -> Sequence[Change]:
        (put,) = audit.fold(found)
        if isinstance(found.event, account.AccountDeactivated) and isinstance(put, Put):
            return (Put(put.table, {**put.row, "type": None}),)
        return (put,)

    return msgspec.structs.replace(audit.PROJECTION, fold=fold)


def status(log: Log, projection: Projection = audit.PROJECTION) -> ProjectionStatus:
    """How a projection stands."""
    return engine.status(log, [projection])[0]


def test_new_events_are_followed(house: House) -> None:
    """Following brings every projection to the head, one row of the index an event."""
    house.append(ALICE, CREATED, *[account.AccountTokensRevoked()] * 2_500)
    house.follow()

    assert [found.lag for found in engine.status(house.log, PROJECTIONS)] == [0, 0, 0, 0]
    assert len(house.rows(audit.AUDIT)) == 2_501


@pytest.mark.parametrize("broken", [failing(account.AccountDeactivated), unstorable()])
def test_a_failing_event_halts_its_projection(url: str, broken: Projection) -> None:
    """All before the event is taken in, that projection halts there, the others go on."""
    house = open_house(url, [ACCESS, broken, sessions.PROJECTION])
    with house.log:
        house.append(ALICE, CREATED)
        (bad,) = house.append(ALICE, BAD)
        house.append(SESSION, OPENED)
        house.follow().round()

        halted, other = status(house.log, broken), status(house.log, sessions.PROJECTION)
        assert (halted.status, halted.position, halted.lag) == ("halted", bad - 1, 2)
        assert halted.error is not None
        assert not halted.ready
        assert (other.status, other.lag) == ("live", 0)
        assert [row[0] for row in house.rows(audit.AUDIT)] == [1]


def test_a_mended_fold_goes_on(url: str) -> None:
    """When the program is mended a restart, or an operator, lets the projection go on."""
    house = open_house(url, [ACCESS, failing(account.AccountDeactivated)])
    with house.log:
        house.append(ALICE, CREATED, BAD, BAD)
        house.follow()
        assert "(account.deactivated.1) ZeroDivisionError: the fold is wrong" in str(
            status(house.log).error
        )
        assert Follower(house.log, PROJECTIONS, StoppedClock()).step(audit.PROJECTION) == 0

        engine.resume(house.log, "audit")
        House(house.log, [ACCESS, audit.PROJECTION]).follow()

        assert (status(house.log).status, status(house.log).error) == ("live", None)
        assert len(house.rows(audit.AUDIT)) == 3


def test_an_unreadable_event_halts_until_it_is_skipped(url: str) -> None:
    """Nothing passes over an event that cannot be read, except an operator's skip, which lasts."""
    following = [audit.PROJECTION, sessions.PROJECTION]
    house = open_house(url, following)
    with house.log:
        house.append(SESSION, OPENED)
        bad = house.append_unreadable(UUID(int=404))
        house.append(SESSION, ROTATED)
        house.follow()
        for projection in following:
            found = status(house.log, projection)
            assert (found.status, found.position) == ("halted", bad - 1)
            assert found.error is not None
            assert "no.such_thing.1" in found.error

        with pytest.raises(NotHalted, match=str(bad)):
            engine.skip(house.log, "audit", bad + 1)
        house.append(deployment.STREAM_ID, deployment.ProjectionEventSkipped("audit", bad))
        engine.skip(house.log, "audit", bad)
        with pytest.raises(NotHalted):
            engine.skip(house.log, "audit", bad)
        house.follow()

        assert status(house.log).lag == 0
        assert [row[0] for row in house.rows(audit.AUDIT)] == [1, 3, 4]
        assert status(house.log, sessions.PROJECTION).status == "halted"


def test_unknown_projections_are_named(house: House) -> None:
    """Resuming or skipping in a projection that does not exist says so."""
    with pytest.raises(UnknownProjection, match="other"):
        engine.resume(house.log, "other")
    with pytest.raises(UnknownProjection, match="other"):
        engine.skip(house.log, "other", 1)


def test_two_followers_apply_every_event_once(house: House) -> None:
    """Two followers at once leave as many rotations as were appended, and one row an event."""
    house.append(SESSION, OPENED)
    stop = threading.Event()
    troubles: list[Exception] = []
    threads = [
        threading.Thread(
            target=Follower(house.log, PROJECTIONS, StoppedClock()).run,
            args=(stop, troubles.append, 0.05),
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for _ in range(60):
        house.append(SESSION, *[ROTATED] * 5)
    for _ in range(400):
        if status(house.log).lag == status(house.log, sessions.PROJECTION).lag == 0:
            break
        stop.wait(0.02)
    stop.set()
    for thread in threads:
        thread.join(20)

    ((*_, rotations, _, _, _),) = house.rows(sessions.SESSIONS)
    assert rotations == 300
    assert len(house.rows(audit.AUDIT)) == 301
    assert troubles == []


def test_a_second_follower_that_read_the_same_changes_nothing(house: House) -> None:
    """What was taken in by another since it was read is not applied again."""
    house.append(SESSION, OPENED, ROTATED)
    late = Follower(house.log, PROJECTIONS, StoppedClock())
    taken = late._take_all()
    house.follow()

    assert late._apply(taken) == 0
    ((*_, rotations, _, _, _),) = house.rows(sessions.SESSIONS)
    assert rotations == 1


class Faulty:
    """The store, out of order for as long as `broken` is set."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.broken = threading.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    def writing(self, *, exclusive: bool = False) -> AbstractContextManager[Transaction]:
        """Fails, or not."""
        if self.broken.is_set():
            raise OperationalError("the disk is full")
        return self._log.writing(exclusive=exclusive)


def test_a_failing_store_halts_nothing(house: House) -> None:
    """While the store fails the follower reports and waits; afterwards it goes on by itself."""
    store = Faulty(house.log)
    store.broken.set()
    house.append(ALICE, CREATED)
    stop = threading.Event()
    troubles: list[Exception] = []

    def on_trouble(error: Exception) -> None:
        troubles.append(error)
        store.broken.clear()

    thread = threading.Thread(
        target=Follower(store, PROJECTIONS, StoppedClock()).run,  # type: ignore[arg-type] # by name
        args=(stop, on_trouble, 0.05),
    )
    thread.start()
    for _ in range(200):
        if status(house.log).lag == 0:
            break
        stop.wait(0.05)
    stop.set()
    thread.join(20)

    assert [str(error) for error in troubles] == ["the disk is full"]
    assert (status(house.log).status, status(house.log).lag) == ("live", 0)


def test_a_step_raises_when_the_store_fails(house: House) -> None:
    """A store that fails is the caller's to know; the projection is not to blame."""
    store = Faulty(house.log)
    house.append(ALICE, CREATED)
    store.broken.set()
    late = Follower(store, PROJECTIONS, StoppedClock())  # type: ignore[arg-type] # by name

    with pytest.raises(OperationalError):
        late.step(audit.PROJECTION)
    with pytest.raises(OperationalError):
        late.round()

    assert status(house.log).status == "live"


def test_what_is_far_behind_is_built_anew(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A projection far behind, or of another version, is rebuilt when the follower starts."""
    monkeypatch.setattr(follower, "FAR_BEHIND", 2)
    house.append(ALICE, CREATED, BAD, BAD)
    newer = msgspec.structs.replace(sessions.PROJECTION, version=2)
    Follower(house.log, [audit.PROJECTION], StoppedClock()).prepare()
    house.follow()
    monkeypatch.setattr(follower, "FAR_BEHIND", 1_000)
    Follower(house.log, [audit.PROJECTION, newer], StoppedClock()).prepare()

    assert [status(house.log, p).generation for p in (audit.PROJECTION, newer)] == [2, 2]
    assert status(house.log, newer).ready


def test_a_build_is_interrupted_by_the_end(house: House) -> None:
    """A follower that is asked to end while it builds stops at once; the next one goes on."""
    house.append(ALICE, CREATED, *[account.AccountTokensRevoked()] * 1_200)
    newer = msgspec.structs.replace(audit.PROJECTION, version=2)

    class EndsAtOnce(threading.Event):
        """Set, but only after the follower has begun."""

        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            return self.asked > 1

    Follower(house.log, [newer], StoppedClock()).run(EndsAtOnce())
    assert status(house.log, newer).version == 1

    Follower(house.log, [newer], StoppedClock()).prepare()
    assert status(house.log, newer).version == 2


def test_a_version_that_cannot_be_built_halts_and_serves_the_old(url: str) -> None:
    """When the new version cannot take in the log, the rows of the old one stay, and it is said."""
    house = open_house(url)
    with house.log:
        house.append(ALICE, CREATED, BAD)
        house.follow()
        newer = msgspec.structs.replace(failing(account.AccountDeactivated), version=2)
        Follower(house.log, [newer], StoppedClock()).prepare()

        found = status(house.log, newer)
        assert (found.status, found.version, found.wanted) == ("halted", 1, 2)
        assert found.error is not None
        assert "version 2 cannot be built" in found.error
        assert len(house.rows(audit.AUDIT)) == 2
