"""Clients behind the balancer that know what must be true, and count what is not."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from abc import ABC, abstractmethod
from typing import Any

from tests.api.served import PASSWORD, Answer, Client
from tests.system.deeds import LOST, UNANSWERED

MEANWHILE = (*LOST, http.client.HTTPException)


class Asker(ABC):
    """One thread. `wrong` holds every answer that contradicts one that was given before."""

    def __init__(self, name: str, front: Client, admin: Client, nodes: list[Client]) -> None:
        self.name = name
        self.front, self.admin, self.nodes = front, admin, nodes
        self.rounds = 0
        self.silent = 0
        self.asked = 0
        self.wrong: list[str] = []
        self.answered_at: list[float] = []

    def run(self, stop: threading.Event) -> None:
        """Goes on until it is told to stop; a failure of its own counts as wrong."""
        while not stop.is_set():
            try:
                self.round(stop)
                self.rounds += 1
            except Stopped:
                return
            except Exception as error:
                self.wrong.append(repr(error))
                return

    @abstractmethod
    def round(self, stop: threading.Event) -> None:
        """Does its part once."""

    def done(
        self,
        stop: threading.Event,
        speaker: Client,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str = "",
    ) -> Answer:
        """Sends until it is answered, by whichever node."""
        headers = {"Idempotency-Key": key} if key else {}
        while not stop.is_set():
            try:
                answer = speaker.call(method, path, body, headers)
            except MEANWHILE:
                self.silent += 1
                stop.wait(0.02)
                continue
            if answer.status not in UNANSWERED:
                self.answered_at.append(time.monotonic())
                return answer
            self.silent += 1
            stop.wait(0.02)
        raise Stopped

    def valid(self, node: Client, token: str) -> bool | None:
        """What a node says of a token; None when it says nothing."""
        self.asked += 1
        try:
            answer = node.post("/v1/token/validate", {"token": token})
        except MEANWHILE:
            return None
        if answer.status in UNANSWERED:
            return None
        if answer.status != 200:
            raise AssertionError((answer.status, answer.raw))
        return bool(answer.body["valid"])


class Stopped(Exception):
    """The load is over."""


class Revoker(Asker):
    """Signs in, then ends that in one of four ways: from its answer on no node accepts it."""

    def round(self, stop: threading.Event) -> None:
        name = f"{self.name}-{self.rounds}"
        new = {"username": name, "type": "human", "password": PASSWORD}
        account = self.done(stop, self.admin, "POST", "/v1/accounts", new, key=f"new-{name}").body
        login = {"username": name, "password": PASSWORD}
        pair = self.done(stop, self.front, "POST", "/v1/auth/login", login, key=f"in-{name}").body
        token = str(pair["access_token"])
        self.expect(token, valid=True)
        at = f"/v1/accounts/{account['id']}"
        own = self.front.with_token(token)
        ways: list[tuple[Client, str, str, Any]] = [
            (self.admin, "PATCH", at, {"status": "inactive"}),
            (self.admin, "DELETE", at, None),
            (self.admin, "DELETE", f"{at}/tokens", None),
            (own, "POST", "/v1/auth/logout", None),
        ]
        speaker, method, path, body = ways[self.rounds % len(ways)]
        answer = self.done(stop, speaker, method, path, body)
        # Repeated after a lost answer, a logout speaks with a token that is ended already.
        assert answer.status < 300 or answer.status in (401, 404, 409), (path, answer.raw)
        self.expect(token, valid=False)

    def expect(self, token: str, *, valid: bool) -> None:
        for place, node in enumerate(self.nodes):
            said = self.valid(node, token)
            if said is not None and said is not valid:
                self.wrong.append(f"node {place} says {said} of a token that is {valid}")


class Validator(Asker):
    """Holds one session and asks for it all the time; it is never ended."""

    token = ""

    def round(self, stop: threading.Event) -> None:
        said = self.valid(self.front, self.token)
        if said is False:
            self.wrong.append("a token that nobody ended is not valid")
        if said is None:
            self.silent += 1
        else:
            self.answered_at.append(time.monotonic())
        stop.wait(0.01)


def longest_silence(askers: list[Asker], since: float, until: float) -> float:
    """Seconds in which nobody was answered."""
    times = sorted(t for asker in askers for t in asker.answered_at if since <= t <= until)
    edges = [since, *times, until]
    return max(after - before for before, after in itertools.pairwise(edges))
