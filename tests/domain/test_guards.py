"""The roster of administrators, the first-admin seat, names, roles."""

from __future__ import annotations

import pytest

from gatebook.domain import account, administrators, first_admin, role, username
from gatebook.domain.errors import (
    Conflict,
    InvalidValue,
    LastAdmin,
    NotFound,
    SeatTaken,
    UsernameTaken,
)
from gatebook.domain.permissions import ALL, BUILT_IN, CATALOGUE
from tests.domain.story import ALICE, BOB, NOON, given

CREATED = account.AccountCreated(kind="human", profile=account.Profile("alice"))
ADMIN = account.RoleGranted(role="admin", generation=1)


def roster(*past):
    """A roster with a past."""
    return given(administrators.evolve, administrators.Roster(), *past)


def state(*past):
    """An account with a past."""
    return given(account.evolve, account.Account(), *past)


@pytest.mark.parametrize(
    ("past", "belongs"),
    [
        ([CREATED, ADMIN], True),
        ([CREATED], False),
        ([CREATED, account.RoleGranted(role="admin", generation=1, expires_at=NOON)], False),
        ([CREATED, ADMIN, account.AccountDeactivated()], False),
        ([CREATED, ADMIN, account.AccountDeleted()], False),
        (
            [CREATED, ADMIN, account.AccountDeleted(), account.AccountRestored(status="active")],
            True,
        ),
        ([CREATED, ADMIN, account.RoleRevoked(role="admin")], False),
    ],
)
def test_who_counts_as_an_administrator(past, belongs):
    """Active accounts that hold admin without an end, and nobody else."""
    assert administrators.belongs(state(*past)) is belongs


def test_the_last_one_cannot_leave():
    """Removing the only member is refused, removing one of two is not."""
    added = administrators.AdministratorAdded(account_id=ALICE)
    gone = state(CREATED)
    with pytest.raises(LastAdmin):
        administrators.decide(ALICE, gone, roster(added))
    both = roster(added, administrators.AdministratorAdded(account_id=BOB))
    assert administrators.decide(ALICE, gone, both) == [
        administrators.AdministratorRemoved(account_id=ALICE)
    ]


def test_the_roster_records_changes_only():
    """An administrator who stays one, and another who never was, are no events."""
    listed = roster(administrators.AdministratorAdded(account_id=ALICE))
    assert administrators.decide(ALICE, state(CREATED, ADMIN), listed) == []
    assert administrators.decide(BOB, state(CREATED), listed) == []
    assert administrators.decide(BOB, state(CREATED, ADMIN), listed) == [
        administrators.AdministratorAdded(account_id=BOB)
    ]


@pytest.mark.parametrize("way", ["token", "local", "oidc"])
def test_the_seat_is_taken_once(way):
    """Whichever way came first ends the others."""
    events = first_admin.take(ALICE, way, first_admin.Seat())
    assert [event.type for event in events] == [f"bootstrap.{way}_first_admin"]
    taken = given(first_admin.evolve, first_admin.Seat(), *events)
    for other in ("token", "local", "oidc"):
        with pytest.raises(SeatTaken):
            first_admin.take(BOB, other, taken)


def test_a_name_has_one_owner():
    """A claimed name is refused to others until it is released."""
    claimed = given(
        username.evolve, username.Username(), *username.claim(ALICE, username.Username())
    )
    assert username.claim(ALICE, claimed) == []
    with pytest.raises(UsernameTaken):
        username.claim(BOB, claimed)
    assert username.release(BOB, claimed) == []
    freed = given(username.evolve, claimed, *username.release(ALICE, claimed))
    assert username.claim(BOB, freed) == [username.UsernameClaimed(account_id=BOB)]


def test_a_role_is_defined_from_the_catalogue():
    """Unknown permissions and impossible names are refused."""
    with pytest.raises(InvalidValue):
        role.define("ops", frozenset({"root"}), "", role.Role(), built_in=False)
    for name in ("", "Ops", "1st", "a b", "a/b", "x" * 64):
        with pytest.raises(InvalidValue):
            role.define(name, frozenset(), "", role.Role(), built_in=False)


def test_a_role_defined_alike_records_nothing():
    """Order and repetition of permissions do not matter."""
    events = role.define(
        "ops", frozenset({"audit.read", "accounts.read"}), "x", role.Role(), built_in=False
    )
    defined = given(role.evolve, role.Role(), *events)
    assert defined.permissions == ("accounts.read", "audit.read")
    same = frozenset({"accounts.read", "audit.read"})
    assert role.define("ops", same, "x", defined, built_in=False) == []


def test_built_in_roles_are_not_changed_by_hand():
    """They change with a release, never by a command."""
    events = role.define("admin", ALL, "", role.Role(), built_in=True)
    admin = given(role.evolve, role.Role(), *events)
    with pytest.raises(Conflict):
        role.define("admin", frozenset(), "", admin, built_in=False)
    with pytest.raises(Conflict):
        role.delete("admin", admin)


def test_a_deleted_role_is_nothing():
    """Deleting what is not there is refused."""
    with pytest.raises(NotFound):
        role.delete("ops", role.Role())
    defined = given(
        role.evolve,
        role.Role(),
        role.RoleDefined(name="ops", generation=1, permissions=("audit.read",)),
    )
    assert role.delete("ops", defined) == [role.RoleDeleted(name="ops")]
    gone = given(role.evolve, defined, role.RoleDeleted(name="ops"))
    assert gone == role.Role(generation=1)
    [again] = role.define("ops", frozenset({"keys.read"}), "", gone, built_in=False)
    assert again.generation == 2, "who held the role before does not hold this one"


def test_the_built_in_roles_are_what_the_contract_says():
    """admin: everything; auditor: reads, changes nothing; break-glass: admin alone."""
    assert BUILT_IN["admin"][0] == ALL
    auditor = BUILT_IN["auditor"][0]
    assert auditor == {name for name in CATALOGUE if name.endswith(".read")}
    for name, (permissions, _description) in BUILT_IN.items():
        assert permissions <= ALL
        if name != "admin":
            assert not any(p.startswith("auth.breakglass") for p in permissions)
