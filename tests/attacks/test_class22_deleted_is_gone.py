"""Class 22, what is deleted is not gone.

OpenBao CVE-2026-42186; Zitadel CVE-2026-55670.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.api.served import PASSWORD, Deployment, Served
from tests.attacks.tools import program


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

    def seen(self, raw: bytes) -> list[str]:
        """What of the personal data stands in some bytes."""
        folded = raw.lower()
        personal = (self.username, self.shown, self.email)
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


def test_an_erased_person_is_in_no_file(own: Deployment) -> None:
    """Log, every generation of the read models, write-ahead log, keyring: nothing is left."""

    def files() -> dict[str, list[str]]:
        held = {path: path.read_bytes() for path in own.directory.rglob("*") if path.is_file()}
        return {path.name: hits for path, raw in held.items() if (hits := person.seen(raw))}

    with own.served() as server:
        person = Person(server, "files")
        settled()
        changed = {"display_name": f"{person.shown} the Second"}
        assert server.admin.patch(person.path, changed).status == 200
        settled()
        built = program(own, "projection", "rebuild", "accounts")
        assert built.returncode == 0, built.stderr
        person.erase()
        deadline = time.monotonic() + 5
        while (found := files()) and time.monotonic() < deadline:
            time.sleep(0.3)
        assert found == {}
    assert files() == {}


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
