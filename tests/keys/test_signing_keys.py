"""Signing keys that grow old: rotated by age and by algorithm, ended when nothing needs them."""

from __future__ import annotations

import threading
from uuid import UUID

import jwt
import msgspec
import pytest

from gatebook.api.meta import JWKS_MAX_AGE
from gatebook.domain import signing_keys
from gatebook.domain.application.core import local
from gatebook.domain.application.keys import LEAD
from gatebook.domain.signing_keys import SETTLED, Key, Ring
from gatebook.store.house import House, system
from gatebook.store.key_duties import STILL_SIGNS, tend_signing_keys
from gatebook.store.setting_sections import Duration
from gatebook.store.settings import ConfigurationError, Settings
from tests.api.served import Deployment
from tests.keys.conftest import opened_house

DAY = 86_400 * 1_000_000
MINUTE = 60 * 1_000_000
BY = local("tester")


class Clock:
    """A clock that is put forward."""

    def __init__(self, start: int) -> None:
        self.at = start

    def now(self) -> int:
        return self.at


@pytest.fixture
def aged(house: House) -> House:
    """The store, by a clock that the test moves, with keys that sign for 90 days."""
    clock = Clock(house.clock.now())
    house.clock = clock  # type: ignore[assignment]  # a test's clock
    house.app.clock = clock
    return house


def forward(house: House, by: int) -> None:
    house.clock.at += by  # type: ignore[attr-defined]  # the clock above
    tend_signing_keys(house, house.clock.now())


def statuses(house: House) -> list[tuple[str, str]]:
    return [(view.algorithm, view.status) for view in house.keys.all(house.clock.now())]


def published(house: House) -> dict[str, str]:
    """What the JWKS shows, by kid."""
    shown = house.access.keys()
    return {key.kid: key.public_jwk for key in shown}


def configured(house: House, **tokens: object) -> None:
    changed = msgspec.structs.replace(house.settings.tokens, **tokens)
    house.settings = msgspec.structs.replace(house.settings, tokens=changed)
    algorithm = house.settings.tokens.algorithm
    app = house.app
    app.configuration = msgspec.structs.replace(app.configuration, algorithm=algorithm)


def token_of(house: House, account_id: UUID, days: int) -> str:
    seconds = days * 86_400
    return house.tokens.issue(BY, account_id, expires_in=seconds).token


def machine(house: House) -> UUID:
    return house.accounts.create(BY, "robot", "system").id


def test_a_key_is_published_longer_than_a_jwks_is_kept():
    """Whoever fetched the JWKS just before has to fetch it again before the key signs."""
    assert LEAD // 1_000_000 >= JWKS_MAX_AGE


def test_rotated_by_age_once_and_ended_when_spent(aged):
    """Published, then signing, then the old one loses its private half, and at last is retired."""
    robot = machine(aged)
    old = aged.keys.all(aged.clock.now())[0].kid
    token = token_of(aged, robot, 200)
    assert jwt.get_unverified_header(token)["kid"] == old

    forward(aged, 90 * DAY - LEAD - 2 * MINUTE)
    assert statuses(aged) == [("ES256", "active")]
    forward(aged, 3 * MINUTE)
    forward(aged, MINUTE)
    assert statuses(aged) == [("ES256", "active"), ("ES256", "published")]
    assert jwt.get_unverified_header(token_of(aged, robot, 1))["kid"] == old
    forward(aged, LEAD)
    assert statuses(aged) == [("ES256", "verifying"), ("ES256", "active")]
    assert jwt.get_unverified_header(token_of(aged, robot, 1))["kid"] != old
    assert aged.keyring.has(f"signing:{old}")
    forward(aged, STILL_SIGNS)
    assert not aged.keyring.has(f"signing:{old}")
    assert statuses(aged)[0] == ("ES256", "verifying")

    configured(aged, signing_key_age=Duration(0))
    forward(aged, 109 * DAY)
    assert statuses(aged)[0] == ("ES256", "verifying")
    assert old in published(aged)
    forward(aged, 2 * DAY)
    assert statuses(aged) == [("ES256", "retired"), ("ES256", "active")]
    assert old not in published(aged)


def test_a_revoked_token_keeps_no_key_alive(aged):
    """What is refused anyway needs no key to verify it."""
    robot = machine(aged)
    token = token_of(aged, robot, 200)
    aged.keys.rotate(BY, lead=0)
    forward(aged, STILL_SIGNS + MINUTE)
    assert statuses(aged)[0] == ("ES256", "verifying")
    claims = jwt.decode(token, options={"verify_signature": False})
    aged.tokens.revoke(BY, UUID(claims["jti"]))
    forward(aged, MINUTE)
    assert statuses(aged)[0] == ("ES256", "retired")


@pytest.mark.parametrize("first", ["ES256", "EdDSA", "RS256"])
@pytest.mark.parametrize("second", ["ES256", "EdDSA", "RS256"])
def test_every_algorithm_follows_every_other(aged, first, second):
    """The configured algorithm takes over within the lead; what the former signed still counts."""
    robot = machine(aged)
    configured(aged, algorithm=first)
    forward(aged, SETTLED)
    forward(aged, LEAD + MINUTE)
    token = token_of(aged, robot, 200)
    assert jwt.get_unverified_header(token)["alg"] == first
    configured(aged, algorithm=second)
    forward(aged, SETTLED)
    forward(aged, LEAD + MINUTE)
    forward(aged, STILL_SIGNS)
    newer = token_of(aged, robot, 1)
    assert jwt.get_unverified_header(newer)["alg"] == second
    keys = published(aged)
    for one in (token, newer):
        head = jwt.get_unverified_header(one)
        public = jwt.PyJWK.from_json(keys[head["kid"]])
        jwt.decode(
            one, public.key, algorithms=[head["alg"]],
            options={"verify_aud": False, "verify_exp": False, "verify_iat": False,
                     "verify_nbf": False},
        )  # fmt: skip


def test_a_key_that_was_just_chosen_is_left_alone(aged):
    """A key of another algorithm, made by hand, signs for an hour before the configured returns."""
    aged.keys.rotate(BY, lead=0, algorithm="EdDSA")
    forward(aged, SETTLED - MINUTE)
    assert statuses(aged) == [("ES256", "verifying"), ("EdDSA", "active")]
    forward(aged, MINUTE)
    assert statuses(aged)[-1] == ("ES256", "published")


def test_never_by_age(aged):
    """With 0s a key signs until it is rotated by hand."""
    configured(aged, signing_key_age=Duration(0))
    forward(aged, 5_000 * DAY)
    assert statuses(aged) == [("ES256", "active")]


def test_many_nodes_rotate_once(deployment: Deployment):
    """Of several that find the key too old at once, one publishes; no private half is left over."""
    houses = [opened_house(deployment) for _ in range(3)]
    clock = Clock(houses[0].clock.now() + 90 * DAY)
    made: list[object] = []
    barrier = threading.Barrier(len(houses))

    def turn(house: House) -> None:
        house.app.clock = clock
        barrier.wait(10)
        made.append(house.keys.rotate_if_due(system(), age=90 * DAY))

    threads = [threading.Thread(target=turn, args=(house,)) for house in houses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(one is not None for one in made) == [False, False, True]
    assert len(houses[0].keys.all(clock.now())) == 2
    assert len(houses[0].keyring.names("signing:")) == 2
    for house in houses:
        house.close()


def test_what_is_superseded_and_due():
    """The pure rules: a coming key suppresses the next, and a published one is never superseded."""
    ring = Ring((Key("a", "ES256", "{}", 100), Key("b", "ES256", "{}", 200), Key("c", "X", "{}")))
    assert [key.kid for key in ring.superseded(250)] == ["a"]
    assert ring.superseded(150) == []
    assert ring.superseded(50) == []
    assert ring.due(150, age=10, lead=0, algorithm="ES256") is False
    assert ring.due(250, age=10, lead=0, algorithm="ES256") is True
    assert ring.due(205, age=10, lead=4, algorithm="ES256") is False
    assert ring.due(205, age=10, lead=5, algorithm="ES256") is True
    assert ring.due(205, age=0, lead=5, algorithm="EdDSA") is False
    assert ring.due(200 + SETTLED, age=0, lead=5, algorithm="EdDSA") is True
    assert Ring().due(1, age=1, lead=1, algorithm="ES256") is False
    assert signing_keys.evolve(ring, signing_keys.KeyRetired(kid="a")).superseded(250) == []


def test_an_age_below_an_hour_is_refused(tmp_path):
    """A key would be followed by the next before anybody saw it."""
    file = tmp_path / "gatebook.toml"
    file.write_text('[master_key]\nkey_file = "k"\n[tokens]\nsigning_key_age = "59m"\n')
    with pytest.raises(ConfigurationError, match="signing_key_age"):
        Settings.load(file, {})
