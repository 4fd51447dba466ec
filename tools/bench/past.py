"""How long questions about the past take on a large log: median and slowest of many.

    python tools/bench/past.py CONFIG

The store is one that `tools/bench/synthesize.py` or life has filled, its read models level.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from uuid import UUID

from rich.console import Console
from rich.table import Table

from gatebook.projections.rows import uuid
from gatebook.store.explaining import explain
from gatebook.store.holdings import changes, everybody
from gatebook.store.house import House, open_house
from gatebook.store.past import GRANTS, SIGN_INS, Past, Place
from gatebook.store.settings import Settings

TIMES = 200


class Questions:
    """Asks at places and about accounts by chance, the same for the same log."""

    def __init__(self, house: House) -> None:
        self.past = Past(house.store, house.opened)
        self.head = house.store.head()
        self._log = house.store
        self._dice = random.Random(1)
        rows = self._log.query("SELECT account_id FROM accounts ORDER BY created_position LIMIT ?",
                               (max(1, self.head // 50),))  # fmt: skip
        self._accounts = [uuid(row[0]) for row in rows]

    def place(self, position: int) -> Place:
        recorded = self._log.event(position)
        assert recorded is not None
        return Place(recorded.recorded_at, position)

    def chance(self) -> tuple[Place, UUID]:
        position = self._dice.randrange(self.head // 2, self.head + 1)
        return self.place(position), self._dice.choice(self._accounts)

    def as_of(self) -> None:
        place, account_id = self.chance()
        with self.past.at(place, GRANTS, [account_id]) as stood:
            stood.access.account(account_id, place.at)

    def signed_in(self) -> None:
        place, account_id = self.chance()
        with self.past.at(place, SIGN_INS, [account_id]) as stood:
            stood.access.sessions_of(account_id, place.at)
            stood.access.tokens_of(account_id, place.at)

    def explain(self) -> None:
        place, account_id = self.chance()
        explain(self.past, account_id, "accounts.read", place)

    def diff(self, first: float, last: float) -> int:
        before = self.place(max(1, int(self.head * first)))
        return sum(1 for _ in changes(self.past, before, self.place(int(self.head * last)), None))

    def everybody(self) -> int:
        return sum(1 for _ in everybody(self.past, self.place(self.head), 0))


def timed(ask: Callable[[], object], times: int) -> tuple[float, float]:
    """Milliseconds: the median and the slowest."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1_000)
    return median(taken), max(taken)


def main() -> None:
    """Prints a table."""
    house = open_house(Settings.load(Path(sys.argv[1]), {}))
    try:
        ask = Questions(house)
        table = Table("question", "median ms", "slowest ms", title=f"{ask.head:,} events")
        for name, question, times in (
            ("an account as of", ask.as_of, TIMES),
            ("its sessions and tokens as of", ask.signed_in, TIMES),
            ("explain", ask.explain, TIMES),
            ("diff of the last tenth", lambda: ask.diff(0.9, 1), 3),
            ("diff of the last half", lambda: ask.diff(0.5, 1), 3),
            ("diff of all", lambda: ask.diff(0, 1), 3),
            ("the access of everybody", ask.everybody, 3),
        ):
            middle, slowest = timed(question, times)
            table.add_row(name, f"{middle:,.1f}", f"{slowest:,.1f}")
        Console().print(table)
    finally:
        house.close()


if __name__ == "__main__":
    main()
