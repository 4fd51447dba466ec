"""SIGHUP and `gatebook reload`: another configuration as a whole, or the one before."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import Deployment, Served
from tests.attacks.tools import program
from tests.system.family import children, until

ENGINES = ("waitress", "granian")
OLD, NEW = "https://old.example.org", "https://new.example.org"


def deployed(directory: Path, engine: str = "waitress") -> Deployment:
    """A deployment whose problems name the old address."""
    server = f'workers = 2\nthreads = 8\nengine = "{engine}"\npublic_url = "{OLD}"\n'
    deployment = Deployment(directory, "sqlite:///gatebook.db", server=server)
    deployment.create()
    return deployment


def edit(deployment: Deployment, before: str, after: str) -> None:
    """Changes the configuration file."""
    text = deployment.config.read_text()
    assert before in text
    deployment.config.write_text(text.replace(before, after))


def reload(deployment: Deployment) -> tuple[int, Any]:
    """`gatebook reload`: its exit code, and what it says."""
    done = program(deployment, "--json", "reload")
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def events(served: Served, kind: str) -> list[Any]:
    """The data of every event of a type."""
    return [one["data"] for one in served.events(f"&type={kind}")]


class Keeper(threading.Thread):
    """A client that keeps its connection, and notes whose address each answer names, and when."""

    def __init__(self, host: str, port: int, stop: threading.Event, again: bool) -> None:
        super().__init__(daemon=True)
        self._place, self._stopping, self._again = (host, port), stop, again
        self.seen: list[tuple[float, float, str]] = []
        self.failure: Exception | None = None
        self.retried = 0

    def run(self) -> None:
        connection = http.client.HTTPConnection(*self._place, timeout=30)
        try:
            while not self._stopping.is_set():
                self._ask(connection)
        except Exception as error:
            self.failure = error
        finally:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        began = time.monotonic()
        try:
            connection.request("GET", "/nothing")
            answer = connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # RFC 9110, 9.2.2: a client repeats a GET when a connection it kept turns out closed.
            if not self._again:
                raise
            self.retried += 1
            connection.close()
            return
        problem = json.loads(answer.read())
        assert answer.status == 404
        self.seen.append((began, time.monotonic(), problem["type"].partition("/problems")[0]))


@contextmanager
def clients(served: Served, count: int, *, again: bool) -> Iterator[list[Keeper]]:
    """Several of them, for the length of the block."""
    stop = threading.Event()
    place = served.client.host, served.client.port
    keepers = [Keeper(*place, stop, again) for _ in range(count)]
    for keeper in keepers:
        keeper.start()
    try:
        yield keepers
    finally:
        stop.set()
        for keeper in keepers:
            keeper.join(40)


@pytest.mark.parametrize("engine", ENGINES)
def test_no_request_is_lost_and_no_two_configurations_serve_at_once(
    engine: str, tmp_path: Path
) -> None:
    """Whoever asks after somebody got an answer of the new configuration gets one as well."""
    deployment = deployed(tmp_path, engine)
    with deployment.served() as served:
        with clients(served, 6, again=engine == "granian") as keepers:
            time.sleep(0.7)
            for turn, (before, after) in enumerate([(OLD, NEW), (NEW, OLD), (OLD, NEW)], start=1):
                edit(deployment, before, after)
                assert reload(deployment) == (0, {"outcome": "reloaded", "reason": None}), turn
                time.sleep(0.5)
        assert [keeper.failure for keeper in keepers] == [None] * 6
        seen = sorted(one for keeper in keepers for one in keeper.seen)
        assert len(seen) > 500
        assert sum(keeper.retried for keeper in keepers) <= 6 * 3
        changed = events(served, "configuration.reloaded")
        assert [one["changed"] for one in changed] == [["server.public_url"]] * 3
        assert changed[0]["current"] == changed[1]["former"] != changed[0]["former"]
    check_order(seen)


def check_order(seen: list[tuple[float, float, str]]) -> None:
    """No answer of a configuration was asked for after one of its successor had been given."""
    order = [OLD, NEW, OLD, NEW]
    answered: list[float] = []
    at = 0
    for began, ended, address in sorted(seen, key=lambda one: one[1]):
        if address != order[at] and at + 1 < len(order) and address == order[at + 1]:
            at += 1
            answered.append(ended)
        if address != order[at]:
            # A straggler: it was under way when the next configuration began to answer.
            assert began <= answered[-1], (began, ended, address)
    assert at == len(order) - 1


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("[limits]", "[limits]\nno_such_key = 1", "no_such_key"),
        ("argon2_time = 1", 'argon2_time = "x"', "argon2_time"),
        ('listen = "127.0.0.1:0"', 'listen = "127.0.0.1:1"', "cannot change while it runs"),
        ("sqlite:///gatebook.db", "sqlite:///other.db", "store.url cannot change"),
        ('key_file = "master.key"', 'key_file = "no.key"', "no.key"),
        ("argon2_time = 1", 'argon2_time = 1\nblocklist_file = "no.list"', "no.list"),
        ("[limits]", '[sessions]\nmfa_required_for = ["nobody"]\n[limits]', "nobody"),
        ("workers = 2", 'workers = 2\ntls_cert = "a.crt"', "tls_key"),
    ],
    ids=["unknown", "type", "listen", "store", "key", "blocklist", "role", "half"],
)
def test_what_cannot_be_used_is_refused_and_nothing_changes(
    before: str, after: str, reason: str, tmp_path: Path
) -> None:
    """The command says why and exits with 1; the log has it; the old one serves on."""
    deployment = deployed(tmp_path)
    with deployment.served() as served:
        running = children(served)
        edit(deployment, before, after)
        code, said = reload(deployment)
        if code == 78:
            # The command reads the same file, and finds the same fault before the server does.
            assert reason in said
            os.kill(served.process.pid, signal.SIGHUP)
            deadline = time.monotonic() + 10
            while "reload refused" not in deployment.log() and time.monotonic() < deadline:
                time.sleep(0.05)
        else:
            assert (code, said["outcome"]) == (1, "refused")
            assert reason in said["reason"]
        edit(deployment, after, before)
        assert children(served) == running
        (refused,) = events(served, "configuration.reload_refused")
        assert reason in refused["reason"]
        assert reload(deployment)[0] == 0
        until("the old ones end", lambda: set(children(served)).isdisjoint(running))


def test_without_a_server_the_command_says_so(tmp_path: Path) -> None:
    """Exit code 3: there is nothing to reload."""
    code, said = reload(deployed(tmp_path))
    assert code == 3
    assert "no server runs" in said


def test_a_child_that_dies_comes_back_with_the_configuration_that_counts(tmp_path: Path) -> None:
    """Not with what somebody has written into the file since."""
    deployment = deployed(tmp_path)
    with deployment.served() as served:
        edit(deployment, OLD, NEW)
        for pid in children(served):
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 20
        seen = ""
        while not seen and time.monotonic() < deadline:
            try:
                seen = served.client.get("/nothing").body["type"]
            except OSError:
                time.sleep(0.05)
        assert seen.startswith(OLD)
