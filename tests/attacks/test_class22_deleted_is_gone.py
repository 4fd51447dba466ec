"""Class 22, what is deleted is not gone.

OpenBao CVE-2026-42186; Zitadel CVE-2026-55670.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import PASSWORD, Deployment, Served
from tests.attacks.conftest import SERVER
from tests.attacks.tools import program
from tests.postgres import Cluster

ADDRESS = "203.0.113.77"
AGENT = "CanaryBrowser/9.9 (never seen elsewhere)"


class Person:
    """Somebody who will be erased."""

    def __init__(self, server: Served, tag: str, **more: Any) -> None:
        self.server = server
        self.username, self.email = f"vanishing-{tag}", f"vanishing-{tag}@lady.example"
        self.shown = f"Vanishing Lady {tag}"
        self.body = {"username": self.username, "type": "human", "email": self.email}
        self.body |= {"display_name": self.shown, "password": PASSWORD}
        created = server.admin.post("/v1/accounts", self.body, **more)
        assert created.status == 201, created.raw
        self.id = created.body["id"]
        self.path = f"/v1/accounts/{self.id}"

    def erase(self) -> None:
        erasure = {"confirm": self.username}
        assert self.server.admin.post(f"{self.path}/erase", erasure).status == 204

    def seen(self, raw: bytes, *more: str) -> list[str]:
        """What of the personal data, and of what else is personal, stands in some bytes."""
        folded = raw.lower()
        personal = (self.username, self.shown, self.email, *more)
        return [text for text in personal if text.lower().encode() in folded]


def settled() -> None:
    """The read models have caught up, and destroyed keys are out of every cache."""
    time.sleep(1.3)


def test_an_erased_person_is_in_no_answer(served: Served) -> None:
    """Neither now, nor at any position or time, nor in the list, the history or the audit."""
    admin = served.admin
    first = len(served.events())
    person = Person(served, "answers")
    pair = served.client.login(person.username, PASSWORD)
    client = served.client.with_token(pair["access_token"])
    then = admin.get(person.path).body["updated_at"]
    assert len(person.seen(admin.get(f"/v1/accounts?q={person.username}").raw)) == 3
    events = [event["position"] for event in served.events()[first:]]

    person.erase()
    settled()

    assert client.get("/v1/auth/me").status == 401
    paths = [person.path, f"{person.path}/history", f"{person.path}?at={then}"]
    paths += ["/v1/audit?limit=500&order=desc", f"/v1/audit/feed?after={first}&limit=500"]
    paths += ["/v1/accounts?limit=500", f"/v1/accounts?q={person.username}"]
    paths += [f"{person.path}?position={position}" for position in events]
    paths += [f"/v1/audit/events/{position}" for position in events]
    for where in paths:
        answer = admin.get(where)
        assert answer.status in (200, 404), (where, answer.raw)
        assert person.seen(answer.raw) == [], where
    assert admin.post(f"{person.path}/restore", {}).status == 409
    assert admin.patch(person.path, {"display_name": person.shown}).status == 409
    assert admin.put(f"{person.path}/password", {"password": PASSWORD}).status == 409
    login = {"username": person.username, "password": PASSWORD}
    assert served.client.post("/v1/auth/login", login).status == 401
    for event in served.events(f"&account={person.id}"):
        assert event["actor"]["id"] != person.id or event["source"] is None, event


def test_an_idempotent_answer_does_not_outlive_an_erasure(served: Served) -> None:
    """The answer that was remembered for a retry is no longer given, nor is the command redone."""
    key = {"headers": {"Idempotency-Key": "created-once"}}
    person = Person(served, "answered", **key)
    assert served.admin.delete(person.path).status == 204
    restored = served.admin.post(f"{person.path}/restore", {}, **key)
    assert len(person.seen(restored.raw)) == 3
    person.erase()
    settled()

    again = served.admin.post("/v1/accounts", person.body, **key)
    assert again.status in (409, 410)
    assert person.seen(again.raw) == []
    again = served.admin.post(f"{person.path}/restore", {}, **key)
    assert again.status in (409, 410)
    assert person.seen(again.raw) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nobody_is_in_any_file(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Not even before he is erased: what a disk, a journal or a dump holds of him is sealed.

    Log, every generation of the read models, write-ahead logs, keyring, throwaway files, what the
    server writes to standard error; on PostgreSQL the whole cluster.
    """
    url, folders = "sqlite:///gatebook.db", [tmp_path]
    if kind == "postgresql":
        server = request.getfixturevalue("postgres")
        if not isinstance(server, Cluster):
            pytest.skip("the files of a PostgreSQL that is not ours cannot be searched")
        url, folders = server.url(), [tmp_path, server.home]
    own = Deployment(tmp_path, url, server=f'{SERVER}\ntrusted_proxies = ["127.0.0.1/32"]\n')
    own.create()
    origin = {"X-Forwarded-For": ADDRESS, "User-Agent": AGENT}

    def hits(person: Person) -> dict[str, list[str]]:
        if kind == "postgresql":
            with server.connect() as connection:
                connection.execute("CHECKPOINT")
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        found = {path.name: person.seen(path.read_bytes(), ADDRESS, AGENT) for path in files}
        return {name: seen for name, seen in found.items() if seen}

    with own.served() as served:
        person = Person(served, f"files-{kind}", headers=origin)
        login = {"username": person.username, "password": PASSWORD}
        pair = served.client.post("/v1/auth/login", login, headers=origin)
        assert pair.status == 200
        wrong = {**login, "password": "not this one at all"}
        assert served.client.post("/v1/auth/login", wrong, headers=origin).status == 401
        key = {"name": f"{person.shown} key"}
        made = served.admin.post(f"{person.path}/api-keys", key, headers=origin)
        assert made.status == 201, made.raw
        changed = {"display_name": f"{person.shown} the Second"}
        assert served.admin.patch(person.path, changed).status == 200
        settled()
        shown = served.admin.get(f"/v1/accounts?q={person.username}").raw
        assert len(person.seen(shown)) == 3, "the search itself must be able to find him"
        assert ADDRESS in str(served.events(f"&account={person.id}"))
        built = program(own, "projection", "rebuild", "accounts")
        assert built.returncode == 0, built.stderr
        assert hits(person) == {}
        person.erase()
        settled()
        assert hits(person) == {}
        assert ADDRESS not in str(served.events(f"&account={person.id}&actor={person.id}"))
    assert hits(person) == {}


def test_a_stopped_follower_shows_no_erased_person(own: Deployment) -> None:
    """The list of accounts follows behind; what was erased is not shown however far behind."""
    with own.served() as server:
        person = Person(server, "followed")
        settled()
        follower = _child(server.process.pid, "gatebook.api.follower")
        os.kill(follower, signal.SIGSTOP)
        try:
            person.erase()
            settled()
            assert person.seen(server.admin.get("/v1/accounts?limit=500").raw) == []
            listed = server.admin.get(f"/v1/accounts?q={person.username}")
            assert listed.body["items"] == []
        finally:
            os.kill(follower, signal.SIGCONT)


def _child(parent: int, module: str) -> int:
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().decode()
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if module in command and int(fields[1]) == parent:
            return int(path.name)
    raise AssertionError(f"no {module} under {parent}")
