"""Rebuilding: the same rows, wherever it was killed, and never a failed read at the switch."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from gatebook.domain import account, deployment, session, signing_keys
from gatebook.projections import audit, bookkeeping, engine
from gatebook.projections import rebuild as rebuilding
from gatebook.projections.access import ACCESS
from gatebook.projections.access_view import AccessView
from gatebook.projections.accounts import AccountFilter, AccountsView
from gatebook.projections.audit import AuditFilter, AuditView
from gatebook.projections.errors import FoldFailed, SwitchedMeanwhile, UnknownProjection
from gatebook.projections.follower import Follower
from gatebook.projections.projection import Projection
from gatebook.projections.rebuild import dry_run, rebuild
from gatebook.projections.registry import PROJECTIONS
from gatebook.projections.sessions import SessionsView
from gatebook.projections.switch import switch
from gatebook.projections.tables import OLD
from gatebook.projections.verify import verify
from gatebook.store.log import Log
from gatebook.tools.bench.synthesize import synthesize
from tests.projections.house import (
    NOON,
    House,
    StoppedClock,
    open_house,
    scratch,
    session_opened,
)

ROOT = Path(__file__).parents[2]
CLOCK = StoppedClock()


def quiet(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def rows(house: House, projection: Projection, suffix: str = "") -> list[object]:
    """All rows of all tables of a projection."""
    return [house.rows(table, suffix) for table in projection.tables]


@pytest.fixture
def lived(log: Log) -> House:
    """A store with a log of 2,000 events, all read models level with it."""
    synthesize(log, 2_000, seed=3)
    engine.ensure(log, PROJECTIONS, CLOCK)
    house = House(log)
    house.follow()
    return house


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: p.name)
def test_a_rebuild_leaves_the_same_rows(lived: House, projection: Projection) -> None:
    """A rebuilt read model is the one before, under the next generation; that one is kept."""
    before = rows(lived, projection)
    assert any(before)
    told: list[tuple[int, int]] = []

    done = rebuild(lived.log, projection, CLOCK, lambda *seen: told.append(seen), batch=700)

    head = lived.log.head()
    assert rows(lived, projection) == before == rows(lived, projection, OLD)
    assert (done.position, done.events) == (head, head)
    assert told == sorted(told)
    assert told[-1] == (head, head)
    (found,) = engine.status(lived.log, [projection])
    assert (found.generation, found.position, found.ready) == (done.generation, head, True)


def test_rebuilds_follow_each_other(lived: House) -> None:
    """Any number of rebuilds can follow: index and table names never collide."""
    before = rows(lived, ACCESS)

    generations = [rebuild(lived.log, ACCESS, CLOCK, quiet).generation for _ in range(4)]

    assert generations == list(range(generations[0], generations[0] + 4))
    assert rows(lived, ACCESS) == before


def test_appends_and_following_go_on_after_a_switch(lived: House, url: str) -> None:
    """What comes after a switch is written to the generation that answers."""
    for projection in PROJECTIONS:
        rebuild(lived.log, projection, CLOCK, quiet)
    created = account.AccountCreated(kind="human", profile=account.Profile("newcomer"))
    house = open_house(url, create=False)
    with house.log:
        house.append(UUID(int=1), created)
        house.follow()

        listing = AccountsView(house.log).page(AccountFilter(q="newcomer"), limit=9, at=NOON)
        (found,) = listing.items
        assert found.account_id == UUID(int=1)
        assert AccessView(house.log).account(UUID(int=1), NOON) is not None


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: p.name)
def test_a_killed_rebuild_goes_on(
    lived: House, url: str, tmp_path: Path, projection: Projection
) -> None:
    """Killed again and again, a rebuild goes on from its last commit and ends with a fresh fold."""
    reached = 0
    for lines in (3, 4, 5):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.projections.rebuilding", url, projection.name, "100"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        with child.stdout as said:
            for _ in range(lines):
                done = int(said.readline().split()[0])
            child.kill()
            child.wait(20)
        assert done > reached
        reached = done

    with lived.log.reading() as reader:
        build = bookkeeping.building(reader, projection.name)
    assert build is not None
    assert build.position >= reached - 100  # a batch may be under way
    rest = rebuild(lived.log, projection, CLOCK, quiet, batch=100)

    assert rest.events == lived.log.head() - build.position
    with scratch(tmp_path) as tx:
        assert verify(lived.log, projection, tx, quiet).ok


def test_a_build_of_another_version_is_begun_afresh(lived: House) -> None:
    """What an interrupted build of another version left is dropped, not gone on with."""
    build = rebuilding.begin(lived.log, audit.PROJECTION)
    rebuilding.catch_up(lived.log, audit.PROJECTION, build, quiet, batch=100, upto=100)
    newer = msgspec.structs.replace(audit.PROJECTION, version=2)

    done = rebuild(lived.log, newer, CLOCK, quiet)

    assert done.events == lived.log.head()
    assert engine.status(lived.log, [newer])[0].version == 2


def test_two_builders_share_one_build(lived: House) -> None:
    """A builder that lost a race goes on from where the other is, and no row is folded twice."""
    ours = rebuilding.begin(lived.log, ACCESS)
    theirs = rebuilding.begin(lived.log, ACCESS)
    assert ours == theirs
    ours = rebuilding.catch_up(lived.log, ACCESS, ours, quiet, batch=500, upto=1_000)
    theirs = rebuilding.catch_up(lived.log, ACCESS, theirs, quiet, batch=500, upto=1_500)

    assert (ours.position, theirs.position) == (1_000, 1_500)
    before = rows(lived, ACCESS)
    rebuild(lived.log, ACCESS, CLOCK, quiet)
    assert rows(lived, ACCESS) == before
    with pytest.raises(SwitchedMeanwhile):
        rebuilding.catch_up(lived.log, ACCESS, ours, quiet, batch=500)
    with pytest.raises(SwitchedMeanwhile):
        rebuilding.create_all_indexes(lived.log, ACCESS, ours)
    with pytest.raises(SwitchedMeanwhile):
        switch(lived.log, ACCESS, ours, CLOCK)


def test_a_rebuild_stops_at_a_bad_event(lived: House) -> None:
    """A rebuild that meets an unreadable event changes nothing; skipped, it goes on."""
    before = rows(lived, audit.PROJECTION)
    bad = lived.append_unreadable(UUID(int=404))

    with pytest.raises(FoldFailed, match=f"event {bad}"):
        rebuild(lived.log, audit.PROJECTION, CLOCK, quiet)
    assert rows(lived, audit.PROJECTION) == before

    lived.follow()  # halts there
    lived.append(deployment.STREAM_ID, deployment.ProjectionEventSkipped("audit", bad))
    engine.skip(lived.log, "audit", bad)
    assert rebuild(lived.log, audit.PROJECTION, CLOCK, quiet).position == bad + 1


def test_a_bad_event_within_the_last_batch_is_not_switched_over(
    lived: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that cannot be folded under the lock leaves the live generation as it is."""
    bad = lived.append_unreadable(UUID(int=404))
    monkeypatch.setattr(rebuilding, "BATCH", 100_000)

    with pytest.raises(FoldFailed, match=f"event {bad}"):
        rebuild(lived.log, audit.PROJECTION, CLOCK, quiet, batch=100_000)

    assert engine.status(lived.log, [audit.PROJECTION])[0].generation == 1


def test_before_ensure_there_is_nothing_to_rebuild(log: Log) -> None:
    """A projection that the store does not know is refused by name."""
    engine.ensure(log, [audit.PROJECTION], CLOCK)
    with pytest.raises(UnknownProjection, match="access"):
        rebuild(log, ACCESS, CLOCK, quiet)


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: p.name)
def test_a_dry_run_compares_and_leaves_nothing(lived: House, projection: Projection) -> None:
    """A dry run finds live and built equal, finds a changed row, and changes nothing itself."""
    before = engine.status(lived.log, PROJECTIONS)
    table = projection.tables[0]

    same = dry_run(lived.log, projection, quiet)
    with lived.log.writing() as tx:
        tx.execute(f"DELETE FROM {table.name} WHERE {table.key[0]} = ?", (lived.rows(table)[0][0],))
    other = dry_run(lived.log, projection, quiet)

    assert same.same
    assert not other.same
    assert {n for n in other.live if other.live[n] != other.built[n]} == {table.name}
    assert engine.status(lived.log, PROJECTIONS) == before
    with lived.log.reading() as reader:
        assert bookkeeping.building(reader, projection.name) is None


ALICE, SESSION, JTI = UUID(int=1), UUID(int=2), UUID(int=3)
TOKENS = session.Tokens(JTI, "k1", NOON + 10**12)
OPENED = session_opened(ALICE, jti=JTI)


class Load:
    """Readers, a writer and a follower at work, until told to stop. Keeps what failed."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.stop = threading.Event()
        self.failed: list[BaseException] = []
        self.done = {"reads": 0, "appends": 0}
        deeds = [(self.read, "reads"), (self.read, "reads"), (self.append, "appends")]
        self._threads = [
            threading.Thread(target=self._repeat, args=(deed, name)) for deed, name in deeds
        ]
        follower = Follower(house.log, PROJECTIONS, CLOCK)
        self._threads.append(
            threading.Thread(target=follower.run, args=(self.stop, self.failed.append, 0.05))
        )

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(30)

    def _repeat(self, deed: Callable[[], None], name: str) -> None:
        while not self.stop.is_set():
            try:
                deed()
            except BaseException as error:
                self.failed.append(error)
                return
            self.done[name] += 1

    def read(self) -> None:
        """Alice is always there, and so are her token, her session and her first event."""
        log = self.house.log
        assert AccessView(log).caller("token", JTI, NOON) is not None
        assert AccessView(log).account(ALICE, NOON) is not None
        assert AccountsView(log).page(AccountFilter(q="alice"), limit=5, at=NOON).items
        assert SessionsView(log).page(ALICE, limit=5, at=NOON)[0].live
        assert AuditView(log).query(AuditFilter(account_id=ALICE), limit=1)

    def append(self) -> None:
        """One more event, which inline and following projections care about."""
        self.house.append(SESSION, session.SessionRotated(account_id=ALICE, tokens=TOKENS))


def test_no_read_fails_at_a_switch(url: str, tmp_path: Path) -> None:
    """Switch after switch under load: no read and no append fails, and no event is lost."""
    house = open_house(url)
    with house.log:
        key = signing_keys.KeyCreated(kid="k1", algorithm="ES256", public_jwk="{}")
        house.append(signing_keys.STREAM_ID, key)
        created = account.AccountCreated(kind="human", profile=account.Profile("alice"))
        house.append(ALICE, created)
        house.append(SESSION, OPENED)
        house.follow()
        with Load(house) as load:
            for _ in range(4):
                for projection in PROJECTIONS:
                    rebuild(house.log, projection, CLOCK, quiet)
        assert load.failed == []
        assert min(load.done.values()) > 20

        house.follow()
        for projection in PROJECTIONS:
            with scratch(tmp_path) as tx:
                found = verify(house.log, projection, tx, quiet)
            assert (found.ok, found.position) == (True, house.log.head())
