"""Trust: signing keys when a clock lies, and secrets in what is said of a store."""

from __future__ import annotations

import pytest

from gatebook.store.faults import StoreRefused, StoreUnavailable
from gatebook.store.house import open_house
from gatebook.store.key_duties import tend_signing_keys
from gatebook.store.postgres_connection import Address, connect
from gatebook.store.settings import Settings
from gatebook.tools import verify
from gatebook.tools.stores import _shown
from tests.api.served import Deployment

YEAR = 365 * 86_400 * 1_000_000
HOUR = 3_600 * 1_000_000


def test_a_clock_that_was_a_year_ahead_leaves_a_key_that_signs(
    own: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ageing by a wrong clock ends today's key for good; once it is right, another one signs."""
    house = open_house(Settings.load(own.config, {}))
    try:
        house.prepare()
        right, ahead = house.clock.now, YEAR
        monkeypatch.setattr(house.clock, "now", lambda: right() + ahead)
        for _ in range(3):
            tend_signing_keys(house, house.clock.now())
            ahead += HOUR + 1
        ahead = 0
        assert [one.status for one in house.keys.all(house.clock.now())] == ["retired", "published"]
        for _ in range(3):
            tend_signing_keys(house, house.clock.now())
        signing = [one for one in house.keys.all(house.clock.now()) if one.status == "active"]
        assert len(signing) == 1
        assert house.keyring.has(f"signing:{signing[0].kid}")
        assert len(house.keys.all(house.clock.now())) == 3, "one that signs is enough"
    finally:
        house.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://gatebook:canary@db/gatebook?schema=gatebook",
        "postgresql://db/gatebook?user=gatebook&password=canary&schema=gatebook",
        "postgresql://db/gatebook?schema=gatebook&sslpassword=can@ary",
        "postgresql://db/gatebook?application_name=a@b&password=canary",
    ],
)
def test_no_part_of_an_address_that_is_shown_is_secret(url: str) -> None:
    """A password may stand in the query as well, and an @ may stand anywhere."""
    shown = _shown(url)
    assert shown.replace("gatebook@", "").startswith("postgresql://db/gatebook")
    assert "ary" not in shown
    assert "password" not in shown


def test_a_password_with_an_at_is_not_quoted_as_a_host() -> None:
    """What stands behind its first @ would be looked up, and be in the complaint."""
    url = "postgresql://gatebook:can@ary@127.0.0.1:1/gatebook"
    with pytest.raises(verify.Unreadable) as told, verify.opened(url):
        pass
    assert "ary" not in str(told.value)
    with pytest.raises((StoreRefused, StoreUnavailable)) as refused:
        connect(Address.parse(url)).close()
    assert "ary" not in str(refused.value)
