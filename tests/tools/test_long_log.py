"""A long log: how it is made up, and its read models built at once, a process each."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from gatebook.projections.digest import digest
from gatebook.projections.rebuild import rebuild
from gatebook.projections.registry import PROJECTIONS
from gatebook.projections.tree_scan import scan
from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from gatebook.tools import rebuilding
from gatebook.tools.bench.sealed import Real
from gatebook.tools.bench.synthesize import fill, insert, synthesize
from gatebook.tools.bench.tree import level
from tests.api.served import Deployment

EVENTS = 3_000


def opened(directory: Path) -> House:
    """A new deployment, without a server."""
    directory.mkdir(exist_ok=True)
    made = Deployment(directory, "sqlite:///gatebook.db", server="workers = 1")
    made.create()
    return open_house(Settings.load(made.config, {}))


def happened(house: House, after: int) -> list[object]:
    """What the log says, opened; all but where requests came from, which is sealed anew."""
    return [
        (one.stream_id, one.version, one.event, one.metadata.actor, one.metadata.at)
        for one in house.store.read(after, 2 * EVENTS)
    ]


def test_two_processes_make_the_same_log_as_one(tmp_path: Path) -> None:
    """The same seed is the same life; every personal field and every source can be opened."""
    one, other = opened(tmp_path / "one"), opened(tmp_path / "other")
    try:
        starts = one.store.head(), other.store.head()
        fill(one, EVENTS)
        synthesize(other.store, EVENTS, codec=Real(other), together=500)

        assert happened(one, starts[0]) == happened(other, starts[1])
        found = one.store.read(starts[0], EVENTS)
        profiles = [event for row in found if (event := row.event).STREAM == "account"]
        assert all(getattr(event, "profile", "none") is not None for event in profiles)
        sources = [one.source_of(row) for row in found if row.metadata.source]
        assert len(sources) > EVENTS // 2
        assert all(source is not None and source.ip for source in sources)
    finally:
        one.close()
        other.close()


def test_a_made_up_log_is_sound(tmp_path: Path) -> None:
    """The tree takes in every event of it, and finds each as it was."""
    house = opened(tmp_path)
    try:
        head = fill(house, EVENTS)
        level(house.store)
        found = scan(house.store, lambda _done, _total: None)
        assert (found.ok, found.events) == (True, head)
    finally:
        house.close()


def test_built_at_once_is_what_was_built_one_after_the_other(tmp_path: Path) -> None:
    """The same rows, and each read model is told of until it is done."""
    house = opened(tmp_path)
    try:
        fill(house, EVENTS)
        told: dict[str, list[tuple[int, int]]] = {one.name: [] for one in PROJECTIONS}
        for one in PROJECTIONS:
            rebuild(house.store, one, house.clock, lambda _done, _total: None)
        before = digests(house)

        url = house.settings.store_url
        tell = {name: told[name].append for name in told}
        built = rebuilding.at_once(
            house.store, url, PROJECTIONS, lambda name: lambda done, all_: tell[name]((done, all_))
        )

        head = house.store.head()
        assert before == digests(house)
        assert [(one.name, one.position) for one in built] == [(name, head) for name in told]
        assert all(steps[-1] == (head, head) for steps in told.values())
    finally:
        house.close()


def test_one_that_cannot_be_built_is_said(tmp_path: Path) -> None:
    """An event that no program knows stops what comes to it; the failure names the place."""
    house = opened(tmp_path)
    try:
        head = house.store.head()
        row = (head + 1, 1, bytes(16), 1, "strange.event.1", b"", b"")
        insert(house.store, [row])

        with pytest.raises(rebuilding.RebuildFailed, match=rf"sessions .* event {head + 1}\b"):
            rebuilding.at_once(
                house.store,
                house.settings.store_url,
                PROJECTIONS,
                lambda _name: lambda _done, _total: None,
            )
    finally:
        house.close()


def digests(house: House) -> list[str]:
    """Of every table of every read model."""
    with house.store.reading() as reader:
        return [digest(reader, table) for one in PROJECTIONS for table in one.tables]


def test_a_killed_rebuild_leaves_no_process_behind(tmp_path: Path) -> None:
    """Whoever builds ends with whoever waits for it, busy or idle."""
    words = "from gatebook.tools.rebuilding import pool_of\nimport os, time\n"
    words += "if __name__ == '__main__':\n    with pool_of(1) as pool:\n"
    words += "        print(pool.submit(os.getpid).result(), flush=True)\n        time.sleep(60)\n"
    script = tmp_path / "waits.py"
    script.write_text(words)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        builder = int(parent.stdout.readline())
        running = Path(f"/proc/{builder}").exists()
        parent.kill()
    until = time.monotonic() + 10
    while Path(f"/proc/{builder}").exists() and time.monotonic() < until:
        time.sleep(0.05)

    assert running
    assert not Path(f"/proc/{builder}").exists()
