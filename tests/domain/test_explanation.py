"""Why somebody holds a permission, told from the events alone."""

from __future__ import annotations

import pytest

from gatebook.domain import account, role
from gatebook.domain.envelope import SYSTEM, Metadata, Recorded
from gatebook.domain.event import Event
from gatebook.domain.explanation import explain
from tests.domain.story import ALICE, HOUR, NOON

PERMISSION = "accounts.read"
BORN = account.AccountCreated(kind="human", profile=None)


def defined(*permissions: str, generation: int = 1) -> role.RoleDefined:
    return role.RoleDefined(name="clerk", generation=generation, permissions=permissions)


def granted(until: int | None = None, generation: int = 1) -> account.RoleGranted:
    return account.RoleGranted(role="clerk", generation=generation, expires_at=until)


def recorded(*events: Event) -> list[Recorded]:
    """Events one after the other, at positions from 1 on."""
    return [
        Recorded(
            position,
            NOON + position,
            role.stream_id("clerk") if event.STREAM == "role" else ALICE,
            position,
            event.TOPIC,
            event,
            Metadata(actor=SYSTEM, at=NOON + position),
        )
        for position, event in enumerate(events, start=1)
    ]


CASES = {
    "held": (defined(PERMISSION), BORN, granted()),
    "not-yet-granted": (defined(PERMISSION), BORN),
    "revoked": (defined(PERMISSION), BORN, granted(), account.RoleRevoked(role="clerk")),
    "expired": (defined(PERMISSION), BORN, granted(until=NOON + HOUR)),
    "permission-not-in-role": (defined(PERMISSION), BORN, granted(), defined("roles.read")),
    "role-deleted": (defined(PERMISSION), BORN, granted(), role.RoleDeleted(name="clerk")),
    "role-defined-anew": (
        defined(PERMISSION),
        BORN,
        granted(),
        role.RoleDeleted(name="clerk"),
        defined(PERMISSION, generation=2),
    ),
}


@pytest.mark.parametrize("why", CASES)
def test_why(why: str) -> None:
    """Each way to hold a permission, and each way not to, is told apart, with its events."""
    events = recorded(*CASES[why])

    found = explain(PERMISSION, NOON + HOUR, events)

    (way,) = found.ways
    assert (way.role, way.why, found.holds) == ("clerk", why, why == "held")
    definitions = [one for one in events if one.event.STREAM == "role"]
    assert way.definition == definitions[-1]
    assert (way.grant is None) == (why == "not-yet-granted")
    assert (way.ending is not None) == (why == "revoked")
    assert found.standing is not None
    assert found.standing.event == BORN


def test_an_instant_before_its_end_a_grant_holds() -> None:
    """A grant ends at its very instant, not before."""
    events = recorded(*CASES["expired"])

    assert explain(PERMISSION, NOON + HOUR - 1, events).holds
    assert not explain(PERMISSION, NOON + HOUR, events).holds


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (account.AccountDeactivated(), "inactive"),
        (account.AccountDeleted(), "deleted"),
        (account.AccountErased(), "erased"),
    ],
)
def test_who_is_not_active_holds_nothing(ending: Event, status: str) -> None:
    """The role would give it; what stands against it is the event that ended the account."""
    found = explain(PERMISSION, NOON + HOUR, recorded(*CASES["held"], ending))

    assert (found.holds, found.status, found.ways[0].why) == (False, status, "held")
    assert found.standing is not None
    assert found.standing.event == ending


def test_a_role_without_the_permission_is_no_way() -> None:
    """What never gave the permission is not told of."""
    assert explain(PERMISSION, NOON, recorded(defined("roles.read"), BORN, granted())).ways == []


def test_somebody_who_never_was() -> None:
    """Without a creation there is no account."""
    found = explain(PERMISSION, NOON, recorded(defined(PERMISSION)))

    assert (found.status, found.holds, found.standing) == ("absent", False, None)
