"""Class 22 again: who was erased comes back out of a memory that was filled a moment too late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from gatebook.domain.account import AccountCreated
from gatebook.domain.application.core import local
from gatebook.projections.opened import Opened
from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from tests.api.served import Deployment

NAME = "vanishing-lady"


@contextmanager
def opened(deployment: Deployment) -> Iterator[House]:
    found = open_house(Settings.load(deployment.config, {}))
    try:
        found.prepare()
        yield found
    finally:
        found.close()


class Slow:
    """A log that answers after something else has happened."""

    def __init__(self, house: House, meanwhile: Any) -> None:
        self._house = house
        self._meanwhile = meanwhile

    def query(self, *asked: Any) -> Any:
        return self._house.store.query(*asked)

    def events(self, positions: Any) -> Any:
        found = self._house.store.events(positions)
        self._meanwhile()
        return found


def somebody(house: House) -> tuple[UUID, int]:
    """A new account, and the position of the event that holds who it is."""
    view = house.accounts.create(local("tester"), NAME, "human")
    (at,) = (
        one.position for one in house.store.stream(view.id) if isinstance(one.event, AccountCreated)
    )
    return view.id, at


def test_what_was_read_before_an_erasure_is_not_kept_after_it(own: Deployment) -> None:
    """The event is opened, the person is erased and forgotten, and then the event is remembered."""
    with opened(own) as house:
        account, position = somebody(house)

        def erase() -> None:
            house.accounts.erase(local("tester"), account, NAME)
            house.keyring.forget_subjects()
            slow.forget()

        slow = Opened(Slow(house, erase))
        assert slow.profile(position) is not None, "the attack has to be a race"
        assert Opened(house.store).profile(position) is None
        slow._log = house.store
        assert slow.profile(position) is None
