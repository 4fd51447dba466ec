"""Makes the corpus of this release: a log with every topic, and what is read out of it.

A corpus is never changed once its release is out: every later release must read it.
Run: python -m tests.upgrade.make_corpus
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from gatebook.api.local import local_client
from gatebook.domain import catalogue
from gatebook.domain.application.core import local
from gatebook.domain.envelope import Entry
from gatebook.projections.batch import execute
from gatebook.projections.digest import digest
from gatebook.projections.feed import take
from gatebook.projections.registry import PROJECTIONS
from gatebook.projections.tables import LIVE, create_table
from gatebook.store import backup
from gatebook.store.commands import RELEASE
from gatebook.store.house import House, open_house, system
from gatebook.store.scratch import open_scratch
from gatebook.store.settings import Settings
from tests.api.served import PASSWORD, Deployment
from tests.wire.samples import ENTRIES

HERE = Path(__file__).parent
LOG, KEYS, MASTER, EXPECTED = "log.backup", "keys.backup", "master.key", "expected.json"
PEOPLE = ("ada", "bo", "cleo", "dora", "eve")


def corpus_of(release: str) -> Path:
    return HERE / f"corpus-{release}"


def live(house: House) -> None:
    """A little history by way of the API: names changed, roles, sessions, a lock, an erasure."""
    with local_client(house, "tester", "make corpus") as api:

        def call(method: str, path: str, body: Any = None) -> Any:
            answer = api.request(method, path, json=body)
            assert answer.status_code < 300 or answer.status_code == 401, answer.text
            return answer.json() if answer.content else None

        at = {}
        for name in PEOPLE:
            body = {"username": name, "type": "human", "password": PASSWORD}
            at[name] = f"/v1/accounts/{call('POST', '/v1/accounts', body)['id']}"
        call("PATCH", at["ada"], {"display_name": "Ada Ünïcode ☂", "email": "ada@example.org"})
        call("PUT", f"{at['ada']}/roles/operator")
        call("PUT", f"{at['bo']}/roles/viewer")
        call("DELETE", f"{at['bo']}/roles/viewer")
        call("PATCH", at["bo"], {"username": "robert"})
        call("PATCH", at["cleo"], {"status": "inactive"})
        call("DELETE", at["dora"])
        for name in ("ada", "robert"):
            call("POST", "/v1/auth/login", {"username": name, "password": PASSWORD})
        for _ in range(6):
            call("POST", "/v1/auth/login", {"username": "robert", "password": "not this one"})
        call("POST", f"{at['eve']}/erase", {"confirm": "eve"})


def add_samples(house: House) -> None:
    """Every topic that has not come about by itself."""
    there = {row[0] for row in house.store.query("SELECT DISTINCT topic FROM log")}
    for topic, entry in ENTRIES.items():
        if topic not in there:
            subject = entry.event.PERSONAL or entry.event.SECRET
            if subject:
                house.keyring.create_named(entry.event.key_name(entry.originator_id))
            # In its place: what is sealed is bound to the version of its stream.
            place = len(house.store.stream(entry.originator_id)) + 1
            placed = Entry(entry.originator_id, place, entry.event)
            house.app.record([placed], system(), house.clock.now())
    found = {row[0] for row in house.store.query("SELECT DISTINCT topic FROM log")}
    assert found == set(catalogue.BY_TOPIC)


def folded(house: House, head: int) -> dict[str, dict[str, dict[str, str]]]:
    """The digests of all read models at a position, by the version that this program has."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for projection in PROJECTIONS:
            with open_scratch(Path(directory) / projection.name) as tx:
                for table in projection.tables:
                    tx.execute(create_table(table, tx.dialect, suffix=LIVE, generation=1))
                at = 0
                while at < head:
                    taken = take(house.store, projection, at, 1000, upto=head)
                    assert taken.failure is None, taken.failure
                    execute(tx, taken.steps)
                    at = taken.upto
                digests = {table.name: digest(tx, table) for table in projection.tables}
                found[projection.name] = {str(projection.version): digests}
    return found


def accounts(house: House) -> list[Any]:
    """Every account as the API shows it, opened, by its id."""
    with local_client(house, "tester", "read corpus") as api:
        found = api.get("/v1/accounts", params={"limit": 500})
        assert found.status_code == 200, found.text
        shown = [api.get(f"/v1/accounts/{each['id']}").json() for each in found.json()["items"]]
    return sorted(shown, key=lambda each: str(each["id"]))


def main(release: str) -> None:
    """Writes the files of a release's corpus anew."""
    target = corpus_of(release)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with tempfile.TemporaryDirectory() as directory:
        deployment = Deployment(Path(directory), "sqlite:///gatebook.db")
        deployment.create()
        house = open_house(Settings.load(deployment.config, {}))
        try:
            house.prepare()
            live(house)
            add_samples(house)
            expected: dict[str, Any] = {"accounts": accounts(house)}
            by = local("tester")
            backup.back_up(house, by, str(target / LOG), str(target / KEYS), lambda *_: None)
            head = house.store.head() - 1  # the last one says that it was copied
            expected |= {"head": head, "read_models": folded(house, head)}
        finally:
            house.close()
        shutil.copyfile(deployment.directory / "master.key", target / MASTER)
    text = json.dumps(expected, indent=1, ensure_ascii=False, sort_keys=True)
    (target / EXPECTED).write_text(text + "\n")


if __name__ == "__main__":
    main(RELEASE)
