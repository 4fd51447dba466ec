"""What people browse: accounts, sessions and the audit index, on both stores."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from gatebook.domain import account, deployment, role, session, token
from gatebook.domain.envelope import account_actor
from gatebook.projections import accounts, audit, sessions
from gatebook.projections.accounts import AccountFilter, AccountsView
from gatebook.projections.audit import AuditFilter, AuditView
from gatebook.projections.changes import Patch
from gatebook.projections.projection import Projection
from gatebook.projections.registry import PROJECTIONS
from gatebook.projections.sessions import SessionsView
from tests.projections.house import MINUTE, NOON, House, recorded, session_opened
from tests.wire.samples import ENTRIES

ALICE, BOB, ROBOT = UUID(int=1), UUID(int=2), UUID(int=3)


def create(house: House, account_id: UUID, name: str, kind: str = "human", at: int = NOON) -> None:
    """An account with a name in three forms."""
    profile = account.Profile(name, name.title(), f"{name}@Example.test")
    house.append(account_id, account.AccountCreated(kind=kind, profile=profile), at=at)


@pytest.fixture
def people(house: House) -> House:
    """Alice, Bob and a robot; Bob is a viewer until a minute past noon."""
    create(house, ALICE, "alice")
    create(house, BOB, "bob_%", at=NOON + 1)
    create(house, ROBOT, "robot", "system")
    viewer = role.RoleDefined(name="viewer", generation=1, permissions=("accounts.read",))
    house.append(role.stream_id("viewer"), viewer)
    house.append(
        BOB, account.RoleGranted(role="viewer", generation=1, expires_at=NOON + MINUTE), at=NOON + 2
    )
    house.follow()
    return house


def names(house: House, wanted: AccountFilter, at: int = NOON) -> list[str | None]:
    """Who matches."""
    listing = AccountsView(house.log).page(wanted, limit=9, at=at)
    return [found.username for found in listing.items]


def test_accounts_are_listed_as_they_are(people: House) -> None:
    """A listed account has its profile, its roles in force, its times and its version."""
    _, bob, _ = AccountsView(people.log).page(AccountFilter(), limit=9, at=NOON).items

    assert (bob.account_id, bob.username, bob.display_name) == (BOB, "bob_%", "Bob_%")
    assert (bob.email, bob.kind, bob.status) == ("bob_%@Example.test", "human", "active")
    assert (bob.roles, bob.version) == (["viewer"], 2)
    assert (bob.created_at, bob.updated_at) == (NOON + 1, NOON + 2)


def test_accounts_are_filtered(people: House) -> None:
    """Each filter narrows, a word matches any part of a name or e-mail in either case."""
    assert names(people, AccountFilter(kind="system")) == ["robot"]
    assert names(people, AccountFilter(status="inactive")) == []
    assert names(people, AccountFilter(role="viewer")) == ["bob_%"]
    assert names(people, AccountFilter(role="viewer"), NOON + MINUTE) == []
    assert names(people, AccountFilter(q="EXAMPLE")) == ["alice", "bob_%", "robot"]
    assert names(people, AccountFilter(q="%")) == ["bob_%"]
    assert names(people, AccountFilter(q="_")) == ["bob_%"]
    assert names(people, AccountFilter(q="!")) == []


def test_account_pages_follow_each_other(people: House) -> None:
    """Pages by cursor show every account once, whatever is created or changed in between."""
    view = AccountsView(people.log)
    first = view.page(AccountFilter(), limit=1, at=NOON)
    create(people, UUID(int=0), "zoe")
    people.follow()
    assert first.more == first.items[0].cursor
    rest = view.page(AccountFilter(), after=first.more, limit=9, at=NOON)

    assert [found.username for found in rest.items] == ["bob_%", "robot", "zoe"]
    assert rest.more is None


def test_a_search_goes_on_where_a_page_of_names_ended(
    people: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few of the names looked at match, following the cursors finds each match once."""
    for number in range(10, 17):
        create(people, UUID(int=number), f"zoe-{number}")
    people.follow()
    monkeypatch.setattr(accounts, "SEARCHED", 2)
    view = AccountsView(people.log)

    for limit in (1, 2, 3):
        seen: list[str | None] = []
        after: int | None = 0
        pages = 0
        while after is not None and pages < 20:
            page = view.page(AccountFilter(q="zoe"), after=after, limit=limit, at=NOON)
            seen += [found.username for found in page.items]
            after, pages = page.more, pages + 1
        assert seen == [f"zoe-{number}" for number in range(10, 17)]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (account.AccountDeactivated(), "inactive"),
        (account.AccountActivated(), "active"),
        (account.AccountDeleted(), "deleted"),
        (account.AccountRestored(status="active"), "active"),
        (account.AccountRestored(status="inactive"), "inactive"),
        (account.AccountErased(), "erased"),
    ],
    ids=lambda value: getattr(value, "TOPIC", value),
)
def test_the_status_follows_the_events(event: account.Happening, status: str) -> None:
    """Every change of status is one patch, which moves the version and the time as well."""
    (change,) = accounts.fold(recorded(event, stream_id=ALICE, version=5, at=NOON + 9))

    assert isinstance(change, Patch)
    assert change.values["status"] == status
    assert (change.values["version"], change.values["updated_at"]) == (5, NOON + 9)


def test_an_erased_account_is_listed_without_a_person(people: House) -> None:
    """After erasing nothing personal is left in the list, and nobody finds it by name."""
    renamed = account.AccountRenamed(profile=account.Profile("eve", "Eve", "eve@x.test"))
    people.append(ALICE, renamed, account.AccountErased())
    people.follow()

    found = AccountsView(people.log).page(AccountFilter(status="erased"), limit=9, at=NOON)

    assert [(f.username, f.display_name, f.email) for f in found.items] == [(None, None, None)]
    assert names(people, AccountFilter(q="eve")) == names(people, AccountFilter(q="alice")) == []


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
def test_no_read_model_depends_on_what_is_sealed(projection: Projection) -> None:
    """Every event folds to the same changes whether its sealed field was opened or not."""
    for topic, entry in ENTRIES.items():
        sealed = entry.event.PERSONAL or entry.event.SECRET
        if sealed is None:
            continue
        closed = msgspec.structs.replace(entry.event, **{sealed: None})
        stream_id, version = entry.originator_id, entry.originator_version
        opened = recorded(entry.event, stream_id=stream_id, version=version)
        unopened = recorded(closed, stream_id=stream_id, version=version)
        assert list(projection.fold(opened)) == list(projection.fold(unopened)), topic


def opened(account_id: UUID, epoch: int = 0) -> session.SessionOpened:
    """A session that lasts an hour."""
    return session_opened(account_id, epoch=epoch, expires_at=NOON + 60 * MINUTE)


def test_sessions_are_listed_with_their_end(people: House) -> None:
    """Sessions show their rotations and, once over, when and why; pages follow each other."""
    first, second = UUID(int=21), UUID(int=22)
    people.append(first, opened(ALICE))
    people.append(second, opened(ALICE), at=NOON + 5)
    rotated = session.SessionRotated(
        account_id=ALICE, tokens=session.Tokens(UUID(int=50), "k", NOON + MINUTE)
    )
    people.append(first, rotated, rotated, at=NOON + 7)
    people.append(second, session.SessionEnded(account_id=ALICE, cause="logout"), at=NOON + 8)
    people.follow()
    view = SessionsView(people.log)

    one, two = view.page(ALICE, limit=9, at=NOON + 9)

    assert (one.session_id, one.rotations, one.renewed_at, one.live) == (first, 2, NOON + 7, True)
    assert (two.ended_at, two.cause, two.live, two.amr) == (NOON + 8, "logout", False, ["pwd"])
    assert view.page(ALICE, after=(one.opened_at, first), limit=9, at=NOON) == [two]
    assert view.page(BOB, limit=9, at=NOON) == []


def test_sessions_that_ended_with_others_are_not_live(people: House) -> None:
    """A session under an old epoch, or past its refresh token, is not live; a kept one is."""
    first, second = UUID(int=21), UUID(int=22)
    people.append(first, opened(ALICE))
    people.append(second, opened(ALICE), at=NOON + 1)
    people.append(ALICE, account.AccountTokensRevoked())
    people.append(second, session.SessionKept(account_id=ALICE, epoch=1))
    people.follow()
    view = SessionsView(people.log)

    assert [found.live for found in view.page(ALICE, limit=9, at=NOON)] == [False, True]
    late = NOON + 60 * MINUTE
    assert [found.live for found in view.page(ALICE, limit=9, at=late)] == [False, False]


def test_pruning_bounds_the_sessions(people: House) -> None:
    """Sessions that ended, or ran out, before the instant leave the list."""
    ended, ran_out, kept = UUID(int=21), UUID(int=22), UUID(int=23)
    people.append(ended, opened(ALICE), session.SessionEnded(account_id=ALICE, cause="revoked"))
    people.append(ran_out, opened(ALICE))
    later = session_opened(ALICE, expires_at=NOON + 200 * MINUTE)
    people.append(kept, later)
    people.append(token.PRUNING_STREAM_ID, token.TokensPruned(before=NOON + 61 * MINUTE))
    people.follow()

    assert [row[0] for row in people.rows(sessions.SESSIONS)] == [kept.bytes]


def test_the_audit_index_finds_events(people: House) -> None:
    """Every filter finds the positions that match, in either order, page after page."""
    view = AuditView(people.log)
    console = deployment.ConsoleUsed(command="audit tail")
    (used,) = people.append(deployment.STREAM_ID, console, actor=account_actor(BOB))
    people.follow()

    def positions(wanted: AuditFilter, **how: object) -> list[int]:
        return view.query(wanted, limit=9, **how)  # type: ignore[arg-type] # passed on

    assert positions(AuditFilter()) == [1, 2, 3, 4, 5, 6]
    assert positions(AuditFilter(), order="desc", after=4) == [3, 2, 1]
    assert positions(AuditFilter(account_id=BOB)) == [2, 5]
    assert positions(AuditFilter(type="account.created"), after=1) == [2, 3]
    assert positions(AuditFilter(category="access")) == [4, 5]
    assert positions(AuditFilter(stream_id=ALICE)) == [1]
    assert positions(AuditFilter(actor_type="account")) == [used]
    assert positions(AuditFilter(actor_id=str(BOB), category="system")) == [used]
    assert positions(AuditFilter(request_id="r-1", type="role.granted")) == [5]
    assert positions(AuditFilter(since=NOON, until=NOON + 1)) == [1, 2, 3, 4, 5, 6]
    assert positions(AuditFilter(until=NOON)) == positions(AuditFilter(since=NOON + 1)) == []
    assert len(view.query(AuditFilter(), limit=2)) == 2


def test_the_audit_index_has_nothing_personal(people: House) -> None:
    """No row of the index holds a name, an e-mail or a source address."""
    stored = repr(people.rows(audit.AUDIT)).lower()

    assert "alice" not in stored
    assert "example" not in stored
