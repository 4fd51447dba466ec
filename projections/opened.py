"""What the log holds sealed, opened where it is needed and kept nowhere but in memory.

No read model has a name, an address or a credential's digest, only the position of the event that
does. So destroying a person's key erases him from every read model too, on the disk and in its
journals, and a stolen database tells nothing without the keyring.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Final, Protocol, cast

from gatebook.domain.account import AccountCreated, AccountProfileChanged, AccountRenamed, Profile
from gatebook.domain.api_key import ApiKeyCreated, ApiKeyMaterial
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event
from gatebook.projections.ports import Row, Value

CACHED: Final = 20_000


class OpeningLog(Protocol):
    """A store that also opens events."""

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[Row]: ...

    def events(self, positions: Collection[int]) -> list[Recorded]:
        """Those at some positions, personal and secret fields opened where their key exists."""
        ...


class Opened:
    """Opens events by position. Any thread may use it.

    What was opened is remembered, so `forget` it when somebody was erased.
    """

    def __init__(self, log: OpeningLog) -> None:
        self._log = log
        self._cache: dict[int, Event] = {}
        self._guard = threading.Lock()

    def profile(self, position: int | None) -> Profile | None:
        """The profile that an account's event holds; None once it is erased, or without event."""
        if position is None:
            return None
        known = self._cache.get(position)
        return _profile_of(position, known or self._events((position,))[position])

    def profiles(self, positions: Collection[int]) -> dict[int, Profile | None]:
        """The same of many events at once."""
        return {place: _profile_of(place, one) for place, one in self._events(positions).items()}

    def api_key(self, position: int) -> ApiKeyMaterial | None:
        """The digest and name that an API key's event holds; None once it is erased."""
        return cast("ApiKeyCreated", self._events((position,))[position]).secret

    def forget(self) -> None:
        """Drops all that was opened."""
        with self._guard:
            self._cache = {}

    def _events(self, positions: Collection[int]) -> dict[int, Event]:
        cache = self._cache
        known = {place: cache[place] for place in positions if place in cache}
        missing = [place for place in positions if place not in known]
        if missing:
            read = {one.position: one.event for one in self._log.events(missing)}
            with self._guard:
                if cache is self._cache:  # else it may be of somebody who was erased meanwhile
                    if len(cache) + len(read) > CACHED:
                        self._cache = {}
                    self._cache.update(read)
            known |= read
        return known


def _profile_of(position: int, event: Event) -> Profile | None:
    if not isinstance(event, AccountCreated | AccountRenamed | AccountProfileChanged):
        raise TypeError(f"event {position} ({event.TOPIC}) holds no profile")
    return event.profile
