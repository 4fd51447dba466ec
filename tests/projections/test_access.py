"""What decides access: asked after events, on both stores."""

from __future__ import annotations

from uuid import UUID

import pytest

from gatebook.domain import account, attempts, role, session, signing_keys, token
from gatebook.domain.event import Event
from gatebook.domain.policy import Lockout
from gatebook.projections import access
from gatebook.projections.access import ACCESS, fold
from gatebook.projections.access_tables import ACCOUNTS, SESSIONS, TOKENS
from gatebook.projections.access_view import AccessView, HeldRole
from gatebook.projections.changes import DropWhere
from tests.projections.house import MINUTE, NOON, House, recorded, session_opened
from tests.wire.samples import ENTRIES

ALICE = UUID(int=1)
SESSION = UUID(int=2)
FIRST, SECOND = UUID(int=11), UUID(int=12)
MACHINE_TOKEN = UUID(int=13)
PROFILE = account.Profile("alice", "Alice", "alice@example.test")


def pair(jti: UUID, minutes: int = 15) -> session.Tokens:
    """Tokens that end so many minutes after noon."""
    return session.Tokens(jti=jti, kid="k1", expires_at=NOON + minutes * MINUTE)


def opened(epoch: int = 0, jti: UUID = FIRST, minutes: int = 75) -> Event:
    """Alice signs in with two factors, for so many minutes."""
    return session_opened(
        ALICE,
        epoch=epoch,
        expires_at=NOON + minutes * MINUTE,
        amr=("pwd", "otp", "mfa"),
        acr="aal2",
        tokens=pair(jti),
    )


def issued(epoch: int = 0) -> Event:
    """A token outside a session."""
    return token.TokenIssued(
        account_id=ALICE,
        epoch=epoch,
        kid="k1",
        expires_at=NOON + 60 * MINUTE,
        audience="shop",
        scope="read",
    )


@pytest.fixture
def view(house: House) -> AccessView:
    """Alice exists and may see accounts; a session and a token are hers."""
    house.append(
        role.stream_id("viewer"),
        role.RoleDefined(name="viewer", generation=1, permissions=("roles.read", "accounts.read")),
    )
    key = signing_keys.KeyCreated(kid="k1", algorithm="ES256", public_jwk="{}")
    house.append(signing_keys.STREAM_ID, key)
    created = account.AccountCreated(kind="human", profile=PROFILE)
    house.append(ALICE, created, account.RoleGranted(role="viewer", generation=1))
    house.append(SESSION, opened())
    house.append(MACHINE_TOKEN, issued())
    return AccessView(house.log)


def live(view: AccessView, at: int = NOON) -> list[UUID]:
    """Which of the three tokens count."""
    asked = (FIRST, SECOND, MACHINE_TOKEN)
    return [jti for jti in asked if view.caller("token", jti, at) is not None]


def test_a_live_token_says_who_and_what(view: AccessView) -> None:
    """A session's token brings the account, its roles, its permissions and how it was proved."""
    found = view.caller("token", FIRST, NOON)

    assert found is not None
    assert (found.account_id, found.username, found.account_kind) == (ALICE, "alice", "human")
    assert (found.session_id, found.amr, found.auth_time) == (
        SESSION,
        ["pwd", "otp", "mfa"],
        NOON,
    )
    assert found.roles == ["viewer"]
    assert found.permissions == {"accounts.read", "roles.read"}
    assert (found.expires_at, found.kid, found.audience) == (NOON + 15 * MINUTE, "k1", "")


def test_a_token_outside_a_session_is_live_as_well(view: AccessView) -> None:
    """A token minted outside a session has no session, no proof, but an audience and a scope."""
    found = view.caller("token", MACHINE_TOKEN, NOON)

    assert found is not None
    assert (found.session_id, found.amr, found.auth_time) == (None, [], None)
    assert (found.audience, found.scope) == ("shop", "read")


def test_a_token_ends_at_its_instant(view: AccessView) -> None:
    """A token counts before the instant it expires at, and not from then on."""
    assert live(view, NOON + 15 * MINUTE - 1) == [FIRST, MACHINE_TOKEN]
    assert live(view, NOON + 15 * MINUTE) == [MACHINE_TOKEN]
    assert live(view, NOON + 60 * MINUTE) == []


def test_rotation_replaces_the_token(house: House, view: AccessView) -> None:
    """Once a session has gone on to its second token, the first counts no more."""
    rotated = session.SessionRotated(account_id=ALICE, tokens=pair(SECOND, 20))
    house.append(SESSION, rotated, at=NOON + MINUTE)

    assert live(view) == [SECOND, MACHINE_TOKEN]
    (seen,) = view.sessions_of(ALICE, NOON)
    assert (seen.opened_at, seen.renewed_at) == (NOON, NOON + MINUTE)


def test_logout_ends_the_session_only(house: House, view: AccessView) -> None:
    """A session that ended takes its token with it and no other."""
    house.append(SESSION, session.SessionEnded(account_id=ALICE, cause="logout"))

    assert live(view) == [MACHINE_TOKEN]
    assert view.sessions_of(ALICE, NOON) == []


def test_revoking_by_jti_ends_one_token(house: House, view: AccessView) -> None:
    """A revoked token is dropped; its session lives and may get another one."""
    house.append(FIRST, token.TokenRevoked(account_id=ALICE, session_id=SESSION))
    house.append(UUID(int=99), token.TokenRevoked(account_id=ALICE))

    assert live(view) == [MACHINE_TOKEN]
    assert len(view.sessions_of(ALICE, NOON)) == 1
    assert view.token_owner(FIRST) is None
    assert view.token_owner(MACHINE_TOKEN) == (ALICE, None)


def test_revoking_a_rotated_token_spares_its_successor(house: House, view: AccessView) -> None:
    """Revoking a token that the session has left behind does nothing to the one after it."""
    house.append(SESSION, session.SessionRotated(account_id=ALICE, tokens=pair(SECOND)))
    house.append(FIRST, token.TokenRevoked(account_id=ALICE, session_id=SESSION))

    assert live(view) == [SECOND, MACHINE_TOKEN]
    assert view.token_owner(SECOND) == (ALICE, SESSION)


@pytest.mark.parametrize(
    "ending",
    [
        account.AccountDeactivated(),
        account.AccountDeleted(),
        account.AccountErased(),
        account.AccountTokensRevoked(),
    ],
    ids=lambda event: event.TOPIC,
)
def test_what_ends_all_ends_all(house: House, view: AccessView, ending: Event) -> None:
    """Whatever ends an account's tokens ends all of them in the same append, by its row alone."""
    house.append(ALICE, ending)

    assert live(view) == []
    assert view.tokens_of(ALICE, NOON) == []
    assert view.sessions_of(ALICE, NOON) == []


def test_activation_brings_back_no_token(house: House, view: AccessView) -> None:
    """An account that was off and is on again needs new tokens; those count."""
    house.append(ALICE, account.AccountDeactivated(), account.AccountActivated())
    assert live(view) == []

    house.append(UUID(int=3), opened(epoch=1, jti=SECOND))
    assert live(view) == [SECOND]


def test_a_kept_session_survives(house: House, view: AccessView) -> None:
    """The session that changed the password lives on under the new epoch, the others do not."""
    house.append(ALICE, account.AccountTokensRevoked())
    house.append(SESSION, session.SessionKept(account_id=ALICE, epoch=1))

    assert live(view) == [FIRST]


def test_grants_end_at_their_instant(house: House, view: AccessView) -> None:
    """A temporary grant is judged by the time of the question."""
    house.append(ALICE, account.RoleGranted(role="viewer", generation=1, expires_at=NOON + MINUTE))

    assert view.roles_of(ALICE, NOON) == [HeldRole("viewer", NOON + MINUTE)]
    assert view.holders("viewer", NOON) == 1
    for at, expected in ((NOON, ["viewer"]), (NOON + MINUTE, [])):
        found, seen = view.caller("token", FIRST, at), view.account(ALICE, at)
        assert found is not None
        assert seen is not None
        assert found.roles == seen.roles == expected
    assert view.roles_of(ALICE, NOON + MINUTE) == []
    assert view.holders("viewer", NOON + MINUTE) == 0


def test_revoked_and_deleted_roles_give_nothing(house: House, view: AccessView) -> None:
    """A role that is taken away, or deleted while granted, gives nothing; a new one does."""
    house.append(role.stream_id("viewer"), role.RoleDeleted(name="viewer"))
    found = view.account(ALICE, NOON)
    assert found is not None
    assert (found.roles, found.permissions) == ([], frozenset())
    assert view.permissions_of("viewer") is None

    again = role.RoleDefined(
        name="viewer", generation=1, permissions=("keys.read",), description="Sees."
    )
    house.append(role.stream_id("viewer"), again)
    found = view.account(ALICE, NOON)
    assert found is not None
    assert found.permissions == view.permissions_of("viewer") == frozenset({"keys.read"})
    assert [(known.name, known.built_in) for known in view.roles()] == [("viewer", False)]

    house.append(ALICE, account.RoleRevoked(role="viewer"))
    found = view.account(ALICE, NOON)
    assert found is not None
    assert found.roles == []


def test_holders_of_a_role_are_not_erased(house: House, view: AccessView) -> None:
    """Switched-off and deleted accounts can come back, and hold their roles; erased ones cannot."""
    house.append(ALICE, account.AccountDeactivated())
    assert view.holders("viewer", NOON) == 1

    house.append(ALICE, account.AccountActivated(), account.AccountDeleted())
    assert view.holders("viewer", NOON) == 1

    house.append(ALICE, account.AccountErased())
    assert view.holders("viewer", NOON) == 0


def test_an_account_in_any_status_is_seen(house: House, view: AccessView) -> None:
    """Status, name and epoch are those of the last event, whether the account may act or not."""
    renamed = account.AccountRenamed(profile=account.Profile("bob"))
    house.append(ALICE, renamed, account.AccountDeactivated())

    found = view.account(ALICE, NOON)

    assert found is not None
    assert (found.username, found.status, found.epoch) == ("bob", "inactive", 1)
    assert view.account(UUID(int=404), NOON) is None


def test_an_erased_account_has_no_name(house: House, view: AccessView) -> None:
    """Erasing leaves the account without a name, even where its event could still be opened."""
    house.append(ALICE, account.AccountErased())
    found = view.account(ALICE, NOON)
    assert found is not None
    assert (found.username, found.status) == (None, "erased")


def test_pruning_drops_what_expired(house: House, view: AccessView) -> None:
    """Pruned rows are those whose last token had expired before the instant."""
    pruned = token.TokensPruned(before=NOON + 61 * MINUTE)
    house.append(token.PRUNING_STREAM_ID, pruned)

    assert house.rows(TOKENS) == []
    assert len(house.rows(SESSIONS)) == 1
    assert [type(change) for change in fold(recorded(pruned, stream_id=SESSION))] == [DropWhere] * 3


def test_tokens_and_sessions_are_listed(house: House, view: AccessView) -> None:
    """An account's tokens and sessions are those that count at the time of the question."""
    listed = view.tokens_of(ALICE, NOON)

    assert [(found.jti, found.session_id) for found in listed] == [
        (FIRST, SESSION),
        (MACHINE_TOKEN, None),
    ]
    assert view.sessions_of(ALICE, NOON + 75 * MINUTE) == []
    assert view.counts(NOON) == {
        "accounts_active": 1,
        "sessions": 1,
        "tokens": 1,
        "locks": 0,
    }


def test_a_session_ends_at_its_own_end(house: House, view: AccessView) -> None:
    """A session is over at its end, and with it whatever renews it."""
    other = UUID(int=4)
    house.append(other, opened(jti=SECOND, minutes=1))

    assert len(view.sessions_of(ALICE, NOON)) == 2
    assert [found.session_id for found in view.sessions_of(ALICE, NOON + MINUTE)] == [SESSION]


def test_a_session_in_a_browser_is_a_caller(house: House, view: AccessView) -> None:
    """A session without tokens is found by its own id; one with tokens is not."""
    browser = UUID(int=5)
    house.append(browser, session_opened(ALICE, jti=None, expires_at=NOON + 60 * MINUTE))

    found = view.caller("session", browser, NOON)
    assert found is not None
    assert (found.session_id, found.idle, found.acr) == (browser, 60 * MINUTE, "aal1")
    assert view.caller("session", browser, NOON + 60 * MINUTE) is None
    assert view.caller("session", SESSION, NOON) is None
    house.append(ALICE, account.AccountDeactivated())
    assert view.caller("session", browser, NOON) is None


def test_roles_that_need_two_factors(house: House, view: AccessView) -> None:
    """Such a role counts for a sign-in with two factors, and for nothing else of a person."""
    single = UUID(int=5)
    house.append(single, session_opened(ALICE, jti=SECOND))
    strict = AccessView(house.log, frozenset({"viewer"}))

    double, alone, machine = (
        strict.caller("token", jti, NOON) for jti in (FIRST, SECOND, MACHINE_TOKEN)
    )
    assert double is not None
    assert alone is not None
    assert machine is not None
    assert double.roles == ["viewer"]
    assert (alone.roles, alone.permissions) == ([], frozenset())
    assert (machine.roles, machine.permissions) == ([], frozenset())


def test_a_scope_narrows(house: House, view: AccessView) -> None:
    """A token's scope takes permissions away and adds none."""
    narrow = UUID(int=14)
    event = token.TokenIssued(
        account_id=ALICE, epoch=0, kid="k1", expires_at=NOON + MINUTE, scope="roles.read keys.read"
    )
    house.append(narrow, event)
    found = view.caller("token", narrow, NOON)
    assert found is not None
    assert found.permissions == {"roles.read"}


def test_attempts_are_counted_by_their_stream(house: House, view: AccessView) -> None:
    """The counters that stand above zero are known, until they are cleared."""
    counter = attempts.Counter(ALICE, "password", "device", b"d")
    failure = attempts.Failure(
        "wrong-password", matched=False, at=NOON, lockout=Lockout(5, MINUTE, MINUTE), policy=1
    )
    house.append(counter.stream_id, *attempts.fail(counter, failure, attempts.Attempts()))
    assert view.locked_counters(ALICE) == [(counter.stream_id, "password")]

    cleared = attempts.LockoutCleared(account_id=ALICE, method="password", cause="operator")
    house.append(counter.stream_id, cleared)
    assert view.locked_counters(ALICE) == []


def test_sessions_are_found_by_what_opened_them(house: House, view: AccessView) -> None:
    """Changing a credential ends the sessions that it opened, and no other."""
    emergency = UUID(int=6)
    house.append(emergency, session_opened(ALICE, jti=None, origin="break-glass"))
    assert view.sessions_opened_by(ALICE, "break-glass", NOON) == [emergency]
    assert view.sessions_opened_by(ALICE, "login", NOON) == [SESSION]


def test_signing_keys_are_published_until_retired(house: House) -> None:
    """Keys are seen from their creation on, with their instant, and vanish when they retire."""
    view = AccessView(house.log)
    for kid in ("k1", "k2"):
        created = signing_keys.KeyCreated(kid=kid, algorithm="ES256", public_jwk="{}")
        house.append(signing_keys.STREAM_ID, created)
    house.append(signing_keys.STREAM_ID, signing_keys.KeyActivated(kid="k1", signs_from=NOON))
    published = view.keys()
    assert [(key.kid, key.signs_from) for key in published] == [("k1", NOON), ("k2", None)]

    house.append(signing_keys.STREAM_ID, signing_keys.KeyRetired(kid="k1"))
    published, known = view.keys(), view.keys(retired=True)
    assert [key.kid for key in published] == ["k2"]
    assert [key.retired for key in known] == [True, False]


def test_tokens_of_a_retired_key_are_refused(house: House, view: AccessView) -> None:
    """Retiring a signing key ends every token that it signed."""
    house.append(signing_keys.STREAM_ID, signing_keys.KeyRetired(kid="k1"))

    assert live(view) == []


def test_every_account_event_moves_the_version(house: House, view: AccessView) -> None:
    """The account's row carries the version of its stream, whatever the event."""
    house.append(
        ALICE,
        account.AccountProfileChanged(profile=PROFILE),
        account.AccountRestored(status="active"),
    )

    ((*_, version),) = house.rows(ACCOUNTS)

    assert version == 4


def test_other_events_change_nothing() -> None:
    """An event that access does not depend on costs no change."""
    event = session.LoginSucceeded(
        account_id=ALICE, proofs=("password",), failures_before=0, policy=1
    )
    assert list(ACCESS.fold(recorded(event, stream_id=SESSION))) == []


@pytest.mark.parametrize("topic", sorted(ENTRIES))
def test_no_part_of_the_fold_is_left_out(topic: str) -> None:
    """Of each kind of event, the whole fold gives what all parts give that look at it."""
    entry = ENTRIES[topic]
    found = recorded(entry.event, stream_id=entry.originator_id)

    assert list(ACCESS.fold(found)) == [
        change for part, _takes in access.PARTS for change in part(found)
    ]
