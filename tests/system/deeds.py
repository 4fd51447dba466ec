"""One writing client of the kill loop: it knows what was answered, and repeats what was not."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from typing import Any

import msgspec

from tests.api.served import PASSWORD, Answer, Client

LOST = (OSError, http.client.HTTPException)
"""What a client sees when the server dies under it."""

UNANSWERED = (502, 503, 504)
"""Not done as far as anybody knows. The other two a proxy says whose server died."""

ROLES = ("viewer", "operator", "auditor")


class Deed(msgspec.Struct):
    """One request: it is sent again, unchanged, until it is answered."""

    name: str
    method: str
    path: str
    body: Any
    key: str


class Person(msgspec.Struct):
    """An account as this client was told it is."""

    username: str
    id: str = ""
    status: str = "active"
    roles: list[str] = []
    refresh: str = ""
    done: Counter[str] = Counter()


class Writer:
    """Lives through all rounds. Its accounts are touched by nobody else."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.people: list[Person] = []
        self.answers: dict[str, tuple[Deed, Answer]] = {}
        self.acknowledged = 0
        self.repeated = 0
        self.trouble: list[str] = []
        self._pending: Deed | None = None
        self._turn = 0

    def run(self, client: Client, admin: Client, stop: threading.Event) -> None:
        """Writes until it is told to stop; failures are kept for the test to see."""
        while not (stop.is_set() or self.trouble):
            try:
                self.settle(client, admin)
                self._pending = self._pending or self._next()
                self._send(self._pending, client, admin)
            except LOST:
                stop.wait(0.01)
            except Exception as error:
                self.trouble.append(repr(error))

    def settle(self, client: Client, admin: Client) -> None:
        """Repeats what was never answered, with the same Idempotency-Key."""
        if self._pending is not None:
            self.repeated += 1
            self._send(self._pending, client, admin)

    def _send(self, deed: Deed, client: Client, admin: Client) -> None:
        speaker = client if deed.path.startswith("/v1/auth") else admin
        headers = {"Idempotency-Key": deed.key} if deed.method == "POST" else {}
        answer = speaker.call(deed.method, deed.path, deed.body, headers)
        if answer.status in UNANSWERED:
            time.sleep(0.05)
            return
        assert 200 <= answer.status < 300, (deed, answer.status, answer.raw)
        self._take(deed, answer)
        self._pending = None

    def _take(self, deed: Deed, answer: Answer) -> None:
        """The answer has come: from here on its effect must be in the store."""
        self.acknowledged += 1
        person = self.people[-1]
        person.done[deed.name] += 1
        match deed.name:
            case "create":
                person.id = answer.body["id"]
            case "grant":
                person.roles = sorted([*person.roles, deed.path.rpartition("/")[2]])
            case "login" | "renew":
                person.refresh = answer.body["refresh_token"]
            case _:
                person.status = "inactive"
        if deed.method == "POST":
            self.answers[deed.key] = (deed, answer)

    def _next(self) -> Deed:
        self._turn += 1
        key = f"writer-{self.number}-{self._turn}"
        person = self.people[-1] if self.people else None
        if person is None or person.status == "inactive" or person.done["renew"] == 3:
            person = Person(f"w{self.number}-{self._turn}", done=Counter())
            self.people.append(person)
            body = {"username": person.username, "type": "human", "password": PASSWORD}
            return Deed("create", "POST", "/v1/accounts", body, key)
        at = f"/v1/accounts/{person.id}"
        if len(person.roles) < 2:
            role = ROLES[(self._turn + len(person.roles)) % 3]
            role = next(r for r in (role, *ROLES) if r not in person.roles)
            return Deed("grant", "PUT", f"{at}/roles/{role}", None, key)
        if not person.refresh:
            body = {"username": person.username, "password": PASSWORD}
            return Deed("login", "POST", "/v1/auth/login", body, key)
        if person.done["renew"] < 2 or self._turn % 2:
            return Deed("renew", "POST", "/v1/auth/renew", {"refresh_token": person.refresh}, key)
        return Deed("deactivate", "PATCH", at, {"status": "inactive"}, key)
