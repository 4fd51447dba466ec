"""What is in a store, read without the service's word: the log's laws and every read model."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatebook.domain import account, session, username
from gatebook.domain.envelope import Recorded
from gatebook.projections.registry import PROJECTIONS
from gatebook.projections.verify import verify
from gatebook.store.house import House, open_house
from gatebook.store.scratch import open_scratch
from gatebook.store.settings import Settings
from tests.api.served import Deployment, Served
from tests.store.notes import check_log
from tests.system.deeds import Writer
from tests.system.family import until

DEEDS = {
    "create": account.AccountCreated,
    "grant": account.RoleGranted,
    "login": session.LoginSucceeded,
    "renew": session.SessionRotated,
    "deactivate": account.AccountDeactivated,
}
"""Each deed of a writer, and the event it leaves once."""


@contextmanager
def house_of(deployment: Deployment) -> Iterator[House]:
    house = open_house(Settings.load(deployment.config, {}))
    try:
        yield house
    finally:
        house.close()


def check_store(house: House) -> list[Recorded]:
    """The whole log, after: no gap, every account with its name, every read model as folded."""
    head = check_log(house.store)
    recorded = [each for at in range(0, head, 1000) for each in house.store.read(at, 1000)]
    assert [each.position for each in recorded] == list(range(1, head + 1))
    check_names(recorded)
    check_read_models(house)
    return recorded


def check_names(recorded: list[Recorded]) -> None:
    """Every account owns one name, and every name that is owned has its account."""
    accounts = [r.stream_id for r in recorded if isinstance(r.event, account.AccountCreated)]
    owners = {}
    for each in recorded:
        if isinstance(each.event, username.UsernameClaimed):
            owners[each.stream_id] = each.event.account_id
        elif isinstance(each.event, username.UsernameReleased):
            del owners[each.stream_id]
    assert sorted(accounts) == sorted(owners.values()), "an account without its name, or a name"


def check_read_models(house: House) -> None:
    """Every read model equals a fresh fold of the log, at the position where it stands."""
    with tempfile.TemporaryDirectory() as scratch:
        for projection in PROJECTIONS:
            with open_scratch(Path(scratch) / projection.name) as empty:
                verdict = verify(house.store, projection, empty, lambda _done, _total: None)
            differences = [one for table in verdict.tables for one in table.differences]
            assert verdict.ok, f"{projection.name} is not what the log says: {differences[:3]}"


def caught_up(served: Served, seconds: float = 15.0) -> None:
    """Waits until every read model and the tree are level with the log."""

    def level() -> bool:
        said = served.admin.get("/metrics")
        lags = re.findall(r"gatebook_projection_lag\{.*\} (\S+)", said.raw.decode())
        with_tree = len(PROJECTIONS) + 1
        return len(lags) == with_tree and all(float(lag) == 0 for lag in lags)

    until("the read models are level", level, seconds)


def lost(recorded: list[Recorded], writers: list[Writer]) -> tuple[int, Counter[tuple[str, str]]]:
    """How many answered deeds the log does not hold, and the (account, deed) nobody was answered.

    Fails on what was done more often than it was answered.
    """
    found: Counter[tuple[str, str]] = Counter()
    for each in recorded:
        for name, kind in DEEDS.items():
            if isinstance(each.event, kind):
                found[str(getattr(each.event, "account_id", each.stream_id)), name] += 1
    missing = 0
    for writer in writers:
        for person in writer.people:
            for name in DEEDS:
                answered, there = person.done[name], found.pop((person.id, name), 0)
                missing += max(0, answered - there)
                assert there <= answered, f"{person.username}: {there} {name}, {answered} answered"
    return missing, found
