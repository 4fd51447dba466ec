"""Bytes on disk: of each table of a store with its indexes, and of one session's whole life."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gatebook.projections.rebuild import rebuild
from gatebook.projections.registry import PROJECTIONS
from gatebook.projections.rows import number, text
from gatebook.store.house import House, open_house
from gatebook.store.log import Log
from gatebook.store.master_key import write_key_file
from gatebook.store.settings import Settings
from gatebook.tools.bench.life import STEP, Life, Save
from gatebook.tools.bench.sealed import Real
from gatebook.tools.bench.synthesize import synthesize
from gatebook.tools.bench.tree import level
from gatebook.tools.init import TEMPLATE

SESSIONS: Final = 2_000
REFRESHES: Final = 10
PEOPLE: Final = 200

_SIZES: Final = {
    # Pages, since SQLite counts the bytes of a table in 32 bits.
    "sqlite": "SELECT s.tbl_name, sum(d.pageno) * (SELECT page_size FROM pragma_page_size) "
    "FROM dbstat d JOIN sqlite_schema s ON s.name = d.name "
    "WHERE d.aggregate = TRUE GROUP BY s.tbl_name",
    "postgresql": "SELECT relname::text, pg_total_relation_size(oid) FROM pg_class "
    "WHERE relkind = 'r' AND relnamespace = to_regnamespace(current_schema())",
}


def weights(log: Log) -> dict[str, int]:
    """Bytes of the log, the tree and each read model, indexes included.

    The generations that the last rebuild left behind are under "before".
    """
    owners = {table.name: one.name for one in PROJECTIONS for table in one.tables}
    found: dict[str, int] = {}
    for name_, size in log.query(_SIZES[log.dialect]):
        name = text(name_)
        group = owners.get(name, "tree" if name.startswith("tree_") else name)
        group = "before" if name.endswith("__old") else group
        if group in {"log", "tree", "before", *owners.values()}:
            found[group] = found.get(group, 0) + number(size)
    return found


def session_bytes(home: Path) -> dict[str, float]:
    """What a sign-in and ten refreshes add to each, the mean of many, in a store of its own."""
    house = made(home)
    try:
        life, codec = Sessions(), Real(house)
        synthesize(house.store, 3 * PEOPLE, codec=codec, saves=life.people())
        before = _levelled(house)
        events = SESSIONS * (2 + REFRESHES)
        synthesize(house.store, events, codec=codec, saves=life.sessions())
        after = _levelled(house)
    finally:
        house.close()
    return {name: (size - before.get(name, 0)) / SESSIONS for name, size in after.items()}


class Sessions(Life):
    """Nothing but sessions, each renewed so many times."""

    def people(self) -> Iterator[Save]:
        """The accounts."""
        while True:
            yield self._create()

    def sessions(self) -> Iterator[Save]:
        """One after the other, as each lives its life."""
        while True:
            self._at += STEP
            yield self._sign_in()
            for _ in range(REFRESHES):
                self._at += STEP
                yield self._renewed(len(self._sessions) - 1)


def made(home: Path, url: str = "sqlite:///gatebook.db") -> House:
    """A new deployment in a directory, or the one that is there."""
    config = home / "gatebook.toml"
    if not config.exists():
        home.mkdir(parents=True, exist_ok=True)
        config.write_text(TEMPLATE.replace("sqlite:///gatebook.db", url).replace("8440", "0"))
        write_key_file(home / "master.key")
    house = open_house(Settings.load(config, {}), create=True)
    house.prepare()
    return house


def _levelled(house: House) -> dict[str, int]:
    """What all weighs once everything that follows the log stands at its end."""
    for projection in PROJECTIONS:
        rebuild(house.store, projection, house.clock, lambda _done, _total: None)
    level(house.store)
    found = weights(house.store)
    found.pop("before", None)
    return found
