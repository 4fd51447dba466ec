"""People who sign in to a deployment whose clock a test moves, and its history simulated."""

from __future__ import annotations

import contextlib
from collections import Counter
from uuid import UUID

from gatebook.domain.application.core import By, local
from gatebook.domain.application.logins import Attempt
from gatebook.domain.application.sessions import SignedIn
from gatebook.domain.envelope import ANONYMOUS, Source, account_actor
from gatebook.domain.errors import Refusal
from gatebook.domain.simulation import Proposal
from gatebook.store.house import House
from gatebook.store.simulating import Simulated, Simulation, Span
from tests.past.living import Clock

RIGHT = "violet tractor hums at dawn 42"
WRONG = "not the password at all"
BY = local("tester")
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOME, AWAY = "192.0.2.1", "198.51.100.7"


def simulated(house: House, proposal: Proposal, span: Span | None = None) -> Simulated:
    def address(recorded):
        source = house.source_of(recorded)
        return source.ip if source is not None else None

    wanted = span or Span(1, house.store.head())
    with house.store.reading() as reader:
        simulation = Simulation(proposal, house.mapper, address)
        return simulation.run(reader, wanted, 1_000, lambda _done, _total: None)


def told(found: Simulated) -> Counter[tuple[str, str]]:
    """How often each thing would have been otherwise, by whom it befell."""
    counted: Counter[tuple[str, str]] = Counter()
    for (_rule, what, who), count in found.tally.counts.items():
        counted[what, who] += count
    return counted


class Scene:
    """A deployment whose clock a test moves, and people who sign in to it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.clock = Clock(house.clock.now())
        house.clock = self.clock  # type: ignore[assignment]  # a test's clock
        house.app.clock = self.clock

    def person(self, name: str) -> UUID:
        plaintext = self.house.plaintext(RIGHT)
        return self.house.accounts.create(BY, name, "human", plaintext=plaintext).id

    def tries(
        self, name: str, word: str, address: str = HOME, *, device: str | None = None
    ) -> SignedIn | None:
        """A try, a second after the one before."""
        self.clock.at += SECOND
        by = By(ANONYMOUS, source=Source(address, "curl"))
        attempt = Attempt(name, self.house.plaintext(word), device=device)
        with contextlib.suppress(Refusal):
            return self.house.logins.login(by, attempt)
        return None

    def caller(self, account_id: UUID) -> By:
        """Somebody signed in, as his requests say it, a second after what was before."""
        self.clock.at += SECOND
        live = self.house.access.account(account_id, self.clock.at)
        assert live is not None
        return By(
            account_actor(account_id),
            permissions=live.permissions,
            account_id=account_id,
            epoch=live.epoch,
        )
