"""An account's decisions."""

from __future__ import annotations

import pytest

from gatebook.domain import account as a
from gatebook.domain.errors import Conflict, InvalidValue, NotFound
from tests.domain.story import HOUR, NOON, given

PROFILE = a.Profile("alice", "Alice", "alice@example.org")
CREATED = a.AccountCreated(kind="human", profile=PROFILE)


def account(*past: a.Happening) -> a.Account:
    """An account with a past."""
    return given(a.evolve, a.Account(), *past)


def test_creation_is_recorded_once():
    """Creating what exists is refused."""
    assert a.decide(a.Create("human", PROFILE), account()) == [CREATED]
    with pytest.raises(Conflict):
        a.decide(a.Create("human", PROFILE), account(CREATED))


@pytest.mark.parametrize(
    "command",
    [
        a.ChangeProfile(PROFILE),
        a.SetStatus("inactive"),
        a.RevokeTokens(),
        a.GrantRole("viewer", None, "hand", NOON, 1),
        a.RevokeRole("viewer"),
    ],
)
def test_nothing_can_be_done_to_what_does_not_exist(command):
    """Every command but creation needs an account."""
    with pytest.raises(NotFound):
        a.decide(command, account())


def test_a_new_name_is_a_renaming_and_the_rest_a_change():
    """Name and profile change as two facts."""
    wanted = a.Profile("alicia", "Alicia", "alice@example.org")

    events = a.decide(a.ChangeProfile(wanted), account(CREATED))

    assert events == [
        a.AccountRenamed(profile=a.Profile("alicia", "Alice", "alice@example.org")),
        a.AccountProfileChanged(profile=wanted),
    ]
    assert account(CREATED, *events).profile == wanted


def test_the_same_profile_changes_nothing():
    """Wishing for what is leads to no event."""
    assert a.decide(a.ChangeProfile(PROFILE), account(CREATED)) == []


@pytest.mark.parametrize(
    ("past", "to", "event"),
    [
        ([], "inactive", a.AccountDeactivated()),
        ([a.AccountDeactivated()], "active", a.AccountActivated()),
        ([], "deleted", a.AccountDeleted()),
        ([a.AccountDeactivated()], "deleted", a.AccountDeleted()),
        ([a.AccountDeleted()], "restored", a.AccountRestored(status="active")),
        (
            [a.AccountDeactivated(), a.AccountDeleted()],
            "restored",
            a.AccountRestored(status="inactive"),
        ),
        ([a.AccountDeleted()], "erased", a.AccountErased()),
        ([], "erased", a.AccountErased()),
    ],
)
def test_status_changes_that_happen(past, to, event):
    """Each allowed step of an account's life is one event."""
    assert a.decide(a.SetStatus(to), account(CREATED, *past)) == [event]


@pytest.mark.parametrize(
    ("past", "to"),
    [
        ([], "active"),
        ([a.AccountDeactivated()], "inactive"),
        ([a.AccountDeleted()], "deleted"),
        ([a.AccountErased()], "erased"),
    ],
)
def test_status_changes_that_are_so_already(past, to):
    """Asking for the status it has records nothing."""
    assert a.decide(a.SetStatus(to), account(CREATED, *past)) == []


@pytest.mark.parametrize(
    ("past", "to"),
    [
        ([], "restored"),
        ([a.AccountDeleted()], "active"),
        ([a.AccountDeleted()], "inactive"),
        ([a.AccountErased()], "restored"),
        ([a.AccountErased()], "active"),
        ([a.AccountErased()], "deleted"),
    ],
)
def test_status_changes_that_make_no_sense(past, to):
    """What is deleted must be restored first; what is erased stays so."""
    with pytest.raises(Conflict):
        a.decide(a.SetStatus(to), account(CREATED, *past))


def test_every_ending_starts_a_new_epoch():
    """Switching off, deleting, erasing and revoking end what was issued; coming back does not."""
    past = [
        CREATED,
        a.AccountDeactivated(),
        a.AccountActivated(),
        a.AccountDeleted(),
        a.AccountRestored(status="active"),
        a.AccountTokensRevoked(),
        a.AccountErased(),
    ]
    assert [account(*past[:n]).epoch for n in range(1, len(past) + 1)] == [0, 1, 1, 2, 2, 3, 4]


def test_restoring_keeps_the_roles():
    """restore(delete(x)) == x, sessions excepted."""
    before = account(CREATED, a.RoleGranted(role="viewer", generation=1))
    after = account(
        CREATED,
        a.RoleGranted(role="viewer", generation=1),
        a.AccountDeleted(),
        a.AccountRestored(status="active"),
    )
    assert (before.roles(NOON), before.status) == (after.roles(NOON), after.status)


def test_granting_twice_records_once():
    """A grant that is there already is no event; another end is."""
    held = account(CREATED, a.RoleGranted(role="viewer", generation=1))
    assert a.decide(a.GrantRole("viewer", None, "hand", NOON, 1), held) == []
    assert a.decide(a.GrantRole("viewer", NOON + HOUR, "hand", NOON, 1), held) == [
        a.RoleGranted(role="viewer", generation=1, expires_at=NOON + HOUR)
    ]


def test_a_grant_ends_at_its_instant():
    """A grant counts before its end, not at it."""
    held = account(CREATED, a.RoleGranted(role="viewer", generation=1, expires_at=NOON))
    assert held.roles(NOON - 1) == ["viewer"]
    assert held.roles(NOON) == []


def test_a_grant_must_end_in_the_future():
    """An end that has passed is refused."""
    with pytest.raises(InvalidValue):
        a.decide(a.GrantRole("viewer", NOON, "hand", NOON, 1), account(CREATED))


@pytest.mark.parametrize("end", [a.AccountDeleted(), a.AccountErased()])
def test_the_gone_get_no_roles(end):
    """Neither deleted nor erased accounts are granted anything."""
    with pytest.raises(Conflict):
        a.decide(a.GrantRole("viewer", None, "hand", NOON, 1), account(CREATED, end))


@pytest.mark.parametrize("end", [a.AccountDeleted(), a.AccountErased()])
def test_the_gone_keep_their_profile_as_it_was(end):
    """Neither deleted nor erased accounts are edited."""
    with pytest.raises(Conflict):
        a.decide(a.ChangeProfile(a.Profile("x")), account(CREATED, end))


def test_revoking_what_is_not_held_records_nothing():
    """Revocation is idempotent."""
    held = account(CREATED, a.RoleGranted(role="viewer", generation=1))
    assert a.decide(a.RevokeRole("viewer"), held) == [a.RoleRevoked(role="viewer")]
    assert a.decide(a.RevokeRole("admin"), held) == []
    assert (
        account(
            CREATED, a.RoleGranted(role="viewer", generation=1), a.RoleRevoked(role="viewer")
        ).grants
        == {}
    )


def test_an_erased_creation_still_folds():
    """Once the key is destroyed the profile reads as None, and folding goes on."""
    assert account(a.AccountCreated(kind="human", profile=None)).profile is None
