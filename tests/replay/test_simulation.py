"""The recorded history under other rules: what would have been otherwise, and for whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatebook.domain.attempts import LoginRefusedWhileLocked
from gatebook.domain.simulation import (
    LockoutProposal,
    MappingProposal,
    Proposal,
)
from gatebook.store.house import House
from gatebook.store.simulating import Span
from tests.replay.conftest import Lived, opened
from tests.replay.fuller import FullerLife
from tests.replay.scene import AWAY, BY, HOME, MINUTE, RIGHT, SECOND, WRONG, Scene, simulated, told
from tests.replay.walking import appends

# --- nothing under the same rules


def test_the_same_rules_change_nothing(lived: Lived) -> None:
    """Numbers, definitions, mappings and factors as they were: not one finding."""
    house = lived.house
    proposal, span = same_rules(house)
    found = simulated(house, proposal, span)

    assert found.tally.listed == []
    assert found.moved == []


@pytest.mark.parametrize("seed", range(6))
def test_the_same_rules_change_nothing_in_any_life(tmp_path: Path, seed: int) -> None:
    """Over histories by chance, in which nothing but the rules stands still."""
    _deployment, house = opened(tmp_path)
    try:
        life = FullerLife(house, seed, people=8)
        for _ in range(120):
            life.step()
        rules = (life._policy, life._define, life._drop_role, life._map)
        life._steps = [step for step in life._steps if step not in rules]
        life.complete()
        begun = house.store.head()
        for _ in range(160):
            life.step()
        proposal, _span = same_rules(house)
        span = Span(begun + 1, house.store.head())
        found = simulated(house, proposal, span)
        other = simulated(house, Proposal(lockout=LockoutProposal(threshold=1)), span)
    finally:
        house.close()

    assert found.tally.listed == []
    assert found.moved == []
    assert other.tally.listed != [], "there was something to find"


def same_rules(house: House) -> tuple[Proposal, Span]:
    """What is in force at the end, and the events since it is."""
    last = 1
    for append in appends(house.store):
        for recorded in append:
            if recorded.event.STREAM in ("policy", "role", "group-mapping"):
                last = recorded.position
    policy = house.app.policy
    lockout = policy.lockout
    proposal = Proposal(
        lockout=LockoutProposal(lockout.threshold, lockout.duration, lockout.reset),
        roles={one.name: frozenset(one.permissions) for one in house.access.roles()},
        mappings=tuple(
            MappingProposal(one.provider_id, one.group, one.role)
            for one in house.federations.mappings()
        ),
        password_max_age=36_500 * 86_400 * SECOND,
        mfa_required_for=frozenset(policy.mfa_required_for),
    )
    return proposal, Span(last + 1, house.store.head())


# --- lockout


def test_an_owner_locked_out_is_told_from_a_guess_prevented(scene: Scene) -> None:
    """Threshold 2: the owner's right password at his third try, and a stranger's third guess."""
    scene.person("owner")
    scene.person("victim")
    for word in (WRONG, WRONG, RIGHT):
        scene.tries("owner", word)
    for _ in range(4):
        scene.tries("victim", WRONG, AWAY)

    found = simulated(scene.house, Proposal(lockout=LockoutProposal(threshold=2)))

    assert told(found) == {
        ("lock-added", "account"): 2,
        ("locked-out", "owner"): 1,
        ("guess-prevented", "stranger"): 2,
    }


def test_a_guess_from_where_its_owner_then_came_is_his(scene: Scene) -> None:
    """A third wrong try, and a right one from the same address soon after: the owner mistyped."""
    scene.person("owner")
    for word in (WRONG, WRONG, WRONG, RIGHT):
        scene.tries("owner", word)
    scene.person("victim")
    for word, address in ((WRONG, AWAY), (WRONG, AWAY), (WRONG, AWAY), (RIGHT, HOME)):
        scene.tries("victim", word, address)

    counted = told(simulated(scene.house, Proposal(lockout=LockoutProposal(threshold=2))))

    assert counted["guess-prevented", "owner"] == 1
    assert counted["guess-prevented", "stranger"] == 1
    assert counted["locked-out", "owner"] == 2


def test_a_guess_from_a_known_device_is_its_owner_s(scene: Scene) -> None:
    """Whoever holds the device cookie signed in there before."""
    scene.person("owner")
    signed_in = scene.tries("owner", RIGHT)
    assert signed_in is not None
    for _ in range(3):
        scene.tries("owner", WRONG, AWAY, device=signed_in.device)

    counted = told(simulated(scene.house, Proposal(lockout=LockoutProposal(threshold=2))))

    assert counted["guess-prevented", "owner"] == 1
    assert counted["guess-prevented", "stranger"] == 0


def test_fewer_locks_under_a_higher_threshold(scene: Scene) -> None:
    """A lock that would not have been set; what it refused is on record by number alone."""
    scene.person("victim")
    for _ in range(5):
        scene.tries("victim", WRONG, AWAY)
    counted = told(simulated(scene.house, Proposal(lockout=LockoutProposal(threshold=6))))
    assert counted == {("lock-gone", "account"): 1}

    counted = told(simulated(scene.house, Proposal(lockout=LockoutProposal(duration=MINUTE))))
    assert counted == {("lock-moved", "account"): 1}


def test_tries_that_met_a_lock_are_known_by_number_alone(scene: Scene) -> None:
    """Seven tries of an hour were refused unread; without the lock they would have been read."""
    victim = scene.person("victim")
    for _ in range(5):
        scene.tries("victim", WRONG, AWAY)
    now = scene.clock.at
    summed = LoginRefusedWhileLocked(
        account_id=victim, method="password", count=7, first_at=now, last_at=now + MINUTE
    )
    scene.house.app.record_one(summed, scene.house.ids.ordered(), BY)

    fewer = told(simulated(scene.house, Proposal(lockout=LockoutProposal(threshold=6))))
    shorter = told(simulated(scene.house, Proposal(lockout=LockoutProposal(duration=SECOND))))
    longer = told(simulated(scene.house, Proposal(lockout=LockoutProposal(duration=60 * MINUTE))))

    assert fewer["tries-let-through", "unknown"] == 7
    assert shorter["tries-let-through", "unknown"] == 7
    assert longer["tries-let-through", "unknown"] == 0


def test_a_shorter_memory_forgets_failures(scene: Scene) -> None:
    """With failures forgotten after a minute no lock follows from tries two minutes apart."""
    scene.person("victim")
    for _ in range(5):
        scene.tries("victim", WRONG, AWAY)
        scene.clock.at += 2 * MINUTE

    counted = told(simulated(scene.house, Proposal(lockout=LockoutProposal(reset=MINUTE))))

    assert counted == {("lock-gone", "account"): 1}


def test_only_what_is_in_the_span_is_told(scene: Scene) -> None:
    """What came before is history: the counters stand as they stood."""
    scene.person("victim")
    for _ in range(3):
        scene.tries("victim", WRONG, AWAY)
    begun = scene.house.store.head()
    scene.tries("victim", WRONG, AWAY)
    house = scene.house

    found = simulated(
        house, Proposal(lockout=LockoutProposal(threshold=4)), Span(begun + 1, house.store.head())
    )

    assert [(one.what, one.position) for one in found.tally.listed] == [("lock-added", begun + 1)]
