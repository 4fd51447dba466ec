"""The past is what was answered then: live answers are kept, and asked for again afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from gatebook.projections.access_view import AccessView
from gatebook.projections.federation import FederationView
from gatebook.projections.holdings import Holding, holdings
from gatebook.store.house import House, open_house
from gatebook.store.past import Past, Place, Streams
from gatebook.store.settings import Settings
from tests.api.served import Deployment
from tests.past.living import Life

EVERYTHING = Streams(
    frozenset({"session", "token", "api-key", "breakglass"}),
    frozenset({"role", "signing-keys", "provider", "group-mapping", "identity"}),
)


class Snapshot(msgspec.Struct):
    """What was answered at a place: of some accounts and tokens, of all roles and providers."""

    place: Place
    accounts: list[UUID]
    tokens: list[UUID]
    answers: list[object]


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(tmp_path, url)
    deployment.create()
    opened = open_house(Settings.load(deployment.config, {}))
    opened.prepare()
    yield opened
    opened.close()


def answers(
    access: AccessView,
    federations: FederationView,
    held: dict[UUID, Holding],
    accounts: list[UUID],
    tokens: list[UUID],
    at: int,
) -> list[object]:
    """Everything that may be asked of access, as it is answered at an instant."""
    found: list[object] = [access.roles(), access.keys(retired=True), federations.providers()]
    found += [federations.mappings(), [federations.identities(one) for one in accounts]]
    for account_id in accounts:
        found += [
            _nameless(access.account(account_id, at)),
            access.roles_of(account_id, at),
            access.reach(account_id, at),
            access.sessions_of(account_id, at),
            access.tokens_of(account_id, at),
            [one.key_id for one in access.api_keys_of(account_id, at)],
            held[account_id],
        ]
    found += [_nameless(access.caller("token", jti, at)) for jti in tokens]
    return found


def _nameless(found: msgspec.Struct | None) -> msgspec.Struct | None:
    """Without the name: that of somebody who was erased since cannot be told any more."""
    return None if found is None else msgspec.structs.replace(found, username=None)


def taken(house: House, life: Life) -> Snapshot:
    """What is answered now."""
    at = life.clock.at
    accounts = life.dice.sample(life.accounts, min(15, len(life.accounts)))
    theirs = [jti for jti in life.tokens if life.owners[jti] in accounts]
    tokens = life.dice.sample(theirs, min(15, len(theirs)))
    place = Place(at, house.store.head())
    held = holdings(house.store, at)
    said = answers(house.access, house.federations, held, accounts, tokens, at)
    return Snapshot(place, accounts, tokens, said)


def test_every_snapshot_is_reproduced(house: House, request: pytest.FixtureRequest) -> None:
    """Two hundred answers of a history of ten thousand commands are the same when asked later."""
    sqlite = request.node.callspec.params["house"] == "sqlite"
    commands, apart = (10_000, 50) if sqlite else (1_000, 25)
    life, snapshots = Life(house, seed=7), list[Snapshot]()
    for _ in range(5 * commands):
        life.step()
        if life.accepted >= apart * (len(snapshots) + 1):
            snapshots.append(taken(house, life))
        if life.accepted >= commands:
            break
    assert len(snapshots) == commands // apart

    past = Past(house.store, house.opened)
    for snapshot in snapshots:
        place = snapshot.place
        with past.at(place, EVERYTHING, snapshot.accounts) as then:
            held = holdings(then.source, place.at)
            again = answers(
                then.access,
                then.federations,
                held,
                snapshot.accounts,
                snapshot.tokens,
                place.at,
            )
        for was, now in zip(snapshot.answers, again, strict=True):
            assert was == now, f"at event {place.position}"
