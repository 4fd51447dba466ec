"""Requests and sign-ins under other roles, mappings, password ages and factors."""

from __future__ import annotations

from uuid import UUID

import pytest

from gatebook.api.routes import ROUTES
from gatebook.domain.application.core import By
from gatebook.domain.application.federation import Arrival
from gatebook.domain.application.sessions import Delivery
from gatebook.domain.envelope import ANONYMOUS, Source
from gatebook.domain.errors import Forbidden
from gatebook.domain.federated_claims import Federated, FederationRefused
from gatebook.domain.provider import Configuration
from gatebook.domain.simulated_roles import ALWAYS, OF_OTHERS
from gatebook.domain.simulation import (
    Finding,
    MappingProposal,
    Proposal,
)
from gatebook.store.simulating import Simulation, Span
from tests.replay.scene import BY, HOME, RIGHT, SECOND, Scene, simulated, told

# --- roles


def test_requests_under_other_definitions(scene: Scene) -> None:
    """A clerk's act is refused without its permission; what was denied is allowed with it."""
    house = scene.house
    house.roles.define(BY, "clerk", ["accounts.write", "roles.grant"], "")
    clerk, whom = scene.person("clerk"), scene.person("whom")
    house.roles.grant(BY, clerk, "clerk")
    house.accounts.set_status(scene.caller(clerk), whom, "inactive")
    with pytest.raises(Forbidden):
        house.roles.grant(scene.caller(clerk), whom, "viewer")

    fewer = simulated(house, Proposal(roles={"clerk": frozenset({"roles.grant"})}))
    more = simulated(
        house,
        Proposal(
            roles={
                "clerk": frozenset({"accounts.write", "roles.grant", "accounts.read", "roles.read"})
            }
        ),
    )
    gone = simulated(house, Proposal(roles={"clerk": None}))

    assert told(fewer) == {("request-refused", "account"): 1}
    [refused] = fewer.tally.listed
    assert refused.detail == {"type": "account.deactivated", "permissions": "accounts.write"}
    assert told(more) == {("request-allowed", "account"): 1}
    assert told(gone) == {("request-refused", "account"): 1}
    assert [(one.account_id, one.gained, one.lost) for one in gone.moved] == [
        (clerk, [], ["accounts.write", "roles.grant"])
    ]


def test_what_somebody_does_with_his_own_account_takes_no_permission(scene: Scene) -> None:
    """His own password changed under no role at all: nothing about it hangs on roles."""
    house = scene.house
    jane = scene.person("jane")
    house.roles.grant(BY, jane, "viewer")
    caller = scene.caller(jane)
    house.passwords.change_password(caller, house.plaintext(RIGHT), house.plaintext(RIGHT))

    assert told(simulated(house, Proposal(roles={"viewer": None}))) == {}


def test_the_permission_of_an_event_is_that_of_a_route() -> None:
    """The closed tables name what routes ask for, and every route that changes something."""
    asked = {
        permission
        for one in ROUTES
        if one.need.permission and (one.method != "GET" or "audit" in one.path)
        for permission in [one.need.permission]
    }
    named = {*ALWAYS.values(), *OF_OTHERS.values(), "roles.grant", "tokens.revoke"}

    assert named == asked


# --- sign-ins


@pytest.fixture
def provider_id(scene: Scene) -> UUID:
    """A provider whose group staff stands for viewer."""
    configured = Configuration("corp", "https://corp.example", "gatebook")
    made = scene.house.providers.create(BY, configured, "a client's secret").provider_id
    scene.house.providers.map_group(BY, made, "staff", "viewer")
    return made


def federated(scene: Scene, provider_id: UUID, sub: str, *groups: str) -> UUID:
    """A sign-in with a provider. Returns whose it was."""
    scene.clock.at += SECOND
    said = Federated("https://corp.example", sub, groups, username=sub)
    state = scene.clock.at.to_bytes(8, "big")
    by = By(ANONYMOUS, source=Source(HOME, "curl"))
    arrival = Arrival(provider_id, said, state, Delivery())
    return scene.house.federation.sign_in(by, arrival).account_id


def test_groups_that_stand_for_something_else(scene: Scene, provider_id: UUID) -> None:
    """One more mapping gives a role; one fewer refuses who has no other, and him alone."""
    federated(scene, provider_id, "ann", "staff", "night")
    bert = federated(scene, provider_id, "bert", "staff")
    scene.house.roles.grant(BY, bert, "auditor")
    federated(scene, provider_id, "bert", "staff")
    more = MappingProposal(provider_id, "night", "auditor")
    fewer = MappingProposal(provider_id, "staff", "viewer", remove=True)

    one_more = simulated(scene.house, Proposal(mappings=(more,)))
    one_fewer = simulated(scene.house, Proposal(mappings=(fewer,)))
    same = MappingProposal(provider_id, "staff", "viewer")

    assert told(one_more) == {("other-roles", "owner"): 1}
    assert one_more.tally.listed[0].detail == {"gained": "auditor", "lost": ""}
    assert told(one_fewer) == {("sign-in-refused", "owner"): 2, ("other-roles", "owner"): 1}
    assert told(simulated(scene.house, Proposal(mappings=(same,)))) == {}


def test_who_was_refused_for_want_of_a_role_is_unknown(scene: Scene, provider_id: UUID) -> None:
    """His groups are not on record; only a mapping that is added makes it a question."""
    with pytest.raises(FederationRefused) as refused:
        federated(scene, provider_id, "ann", "night")
    scene.house.federation.refused(BY, provider_id, refused.value)
    more = MappingProposal(provider_id, "night", "auditor")
    fewer = MappingProposal(provider_id, "staff", "viewer", remove=True)

    found = simulated(scene.house, Proposal(mappings=(more,)))
    assert told(found) == {("groups-unknown", "unknown"): 1}
    assert found.tally.listed[0].detail == {"sign-in": "refused"}
    assert told(simulated(scene.house, Proposal(mappings=(fewer,)))) == {}


def test_groups_that_are_erased_are_unknown(scene: Scene, provider_id: UUID) -> None:
    """What nobody can open any more is counted as that, and not guessed."""
    ann = federated(scene, provider_id, "ann", "staff")
    scene.house.accounts.erase(BY, ann, "ann")
    more = MappingProposal(provider_id, "night", "auditor")

    assert told(simulated(scene.house, Proposal(mappings=(more,)))) == {
        ("groups-unknown", "unknown"): 1
    }


def test_old_passwords_are_asked_for_once(scene: Scene) -> None:
    """A sign-in ninety-one days on asks; the next does not, as by then there is another."""
    scene.person("owner")
    scene.tries("owner", RIGHT)
    scene.clock.at += 91 * 86_400 * SECOND
    scene.tries("owner", RIGHT)
    scene.tries("owner", RIGHT)

    found = simulated(scene.house, Proposal(password_max_age=90 * 86_400 * SECOND))

    assert told(found) == {("password-change-asked", "owner"): 1}
    assert found.tally.listed[0].detail == {"days": "91"}


def test_roles_that_would_be_held_back(scene: Scene) -> None:
    """One factor is not enough for auditor; whoever does not hold it is not concerned."""
    for name in ("holder", "other"):
        scene.person(name)
    house = scene.house
    holder = house.accounts.load_name("holder").state.owner
    assert holder is not None
    house.roles.grant(BY, holder, "auditor")
    for name in ("holder", "other"):
        scene.tries(name, RIGHT)

    found = simulated(house, Proposal(mfa_required_for=frozenset({"auditor"})))

    assert told(found) == {("roles-held-back", "owner"): 1}
    assert found.tally.listed[0].account_id == holder


def test_findings_are_listed_up_to_a_limit_and_counted_all(scene: Scene) -> None:
    """Memory is bounded by the limit and by the accounts, not by the log."""
    scene.person("owner")
    for _ in range(5):
        scene.tries("owner", RIGHT)
    with scene.house.store.reading() as reader:
        proposal = Proposal(password_max_age=0)
        simulation = Simulation(proposal, scene.house.mapper, lambda _recorded: None)
        found = simulation.run(reader, Span(1, reader.head()), 2, lambda _done, _total: None)

    assert (len(found.tally.listed), found.tally.left_out) == (2, 3)
    assert sum(found.tally.counts.values()) == 5
    assert all(isinstance(one, Finding) for one in found.tally.listed)
