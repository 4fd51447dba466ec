"""A deployment in a temporary directory, the real server processes on it, and a small client."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from gatebook.domain.application.core import local
from gatebook.store.house import open_house
from gatebook.store.master_key import write_key_file
from gatebook.store.opening import open_log
from gatebook.store.settings import Settings

ADMIN = "first-admin"
ADMIN_PASSWORD = "salty otter juggles nine lamps"
PROGRAM = os.environ.get("GATEBOOK_TEST_PYTHON", sys.executable)
"""The Python that the server is started with: an installed release's, when one is tested."""

PASSWORD = "violet tractor hums at dawn 42"
ELSEWHERE = {"User-Agent": "curl/8.0"}
"""Another program than the tests' own: the ten seconds' grace of a renewal is not for it."""

BOOTSTRAP_TOKEN = "bootstrap-4f1c9a77e0d2"

CONFIG = """\
[server]
listen = "127.0.0.1:0"
{server}
[store]
url = "{url}"
[master_key]
key_file = "master.key"
[passwords]
argon2_memory = "64KiB"
argon2_time = 1
argon2_parallelism = 1
[limits]
login_per_minute = 1000000
login_burst = 1000000
[bootstrap]
token_file = "bootstrap.token"
[breakglass]
{breakglass}
{more}
"""


class Answer(msgspec.Struct):
    """What the server said. `body` is decoded if it is JSON, else bytes."""

    status: int
    headers: http.client.HTTPMessage
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None


class Client:
    """Speaks to one server. Each call has a connection of its own unless it is kept."""

    def __init__(self, host: str, port: int, token: str | None = None) -> None:
        self.host, self.port, self.token = host, port, token

    def with_token(self, token: str | None) -> Client:
        return Client(self.host, self.port, token)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.host, self.port, timeout=40)
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **more: Any) -> Answer:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("POST", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("PUT", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("PATCH", path, body, **more)

    def delete(self, path: str, **more: Any) -> Answer:
        return self.call("DELETE", path, **more)

    def login(self, username: str, password: str) -> Any:
        answer = self.post("/v1/auth/login", {"username": username, "password": password})
        assert answer.status == 200, answer.raw
        return answer.body


class Deployment:
    """A configuration and a store; the server on it can be started more than once."""

    def __init__(
        self,
        directory: Path,
        url: str,
        *,
        server: str = "",
        more: str = "",
        breakglass: str = "enabled = true",
    ) -> None:
        self.directory = directory
        self.config = directory / "gatebook.toml"
        self.config.write_text(
            CONFIG.format(url=url, server=server, more=more, breakglass=breakglass)
        )
        self.stderr = directory / "stderr"
        write_key_file(directory / "master.key")
        token = directory / "bootstrap.token"
        token.write_text(BOOTSTRAP_TOKEN)
        token.chmod(0o600)

    def create(self, *, admin: bool = True) -> None:
        house = open_house(Settings.load(self.config, {}), create=True)
        try:
            house.prepare()
            if admin:
                plaintext = house.plaintext(ADMIN_PASSWORD)
                house.bootstrap.local_admin(local("tester"), ADMIN, plaintext)
        finally:
            house.close()

    @contextmanager
    def served(self, *, settle: bool = True) -> Iterator[Served]:
        """Starts the processes; at the end asks them to stop, and checks that they do so well."""
        with self.stderr.open("ab") as errors:
            process = subprocess.Popen(
                [PROGRAM, "-m", "gatebook.api", str(self.config)],
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        try:
            served = Served(self, process)
            if settle:
                served.settle()
            yield served
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(40) == 0, self.log()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def log(self) -> str:
        return self.stderr.read_text()

    def check_log(self, secrets: set[str]) -> None:
        """No error was logged, and no secret that went over the wire."""
        text = self.log()
        assert '"gatebook.error"' not in text, text[-3000:]
        assert "Traceback" not in text, text[-3000:]
        assert [secret for secret in secrets if secret in text] == []


class Served:
    """The processes of one deployment."""

    def __init__(self, deployment: Deployment, process: subprocess.Popen[bytes]) -> None:
        self.deployment = deployment
        self.process = process
        self.line = self._first_line()
        host, _, port = self.line.rpartition("/")[2].rpartition(":")
        self.client = Client(host, int(port))
        self._admin: Client | None = None
        self._admin_until = 0.0
        self._count = 0

    @property
    def admin(self) -> Client:
        """A client that may do everything."""
        # An access token lives a quarter of an hour, and a session of tests may take longer.
        if self._admin is None or time.monotonic() > self._admin_until:
            self.admin = self.client.with_token(self.token(ADMIN, ADMIN_PASSWORD))
        return self._admin

    @admin.setter
    def admin(self, client: Client) -> None:
        self._admin, self._admin_until = client, time.monotonic() + 600

    def settle(self, seconds: float = 5.0) -> None:
        """Waits until the follower works: by then it has signed a head."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.client.get("/v1/audit/checkpoint").status == 200:
                    return
            except (OSError, http.client.HTTPException):
                return  # it speaks TLS, or is to be spoken to otherwise
            time.sleep(0.05)

    def token(self, username: str, password: str = PASSWORD) -> str:
        return str(self.client.login(username, password)["access_token"])

    def account(self, *roles: str, kind: str = "human", password: str | None = PASSWORD) -> Any:
        """A fresh account, holding these roles."""
        self._count += 1
        name = f"person-{self._count}-{time.monotonic_ns()}"
        body = {"username": name, "type": kind}
        if kind == "human" and password is not None:
            body["password"] = password
        answer = self.admin.post("/v1/accounts", body)
        assert answer.status == 201, answer.raw
        for role in roles:
            granted = self.admin.put(f"/v1/accounts/{answer.body['id']}/roles/{role}")
            assert granted.status == 204, granted.raw
        return answer.body

    def signed_in(self, *roles: str) -> tuple[Any, Client]:
        """A fresh account, and a client that speaks for it."""
        account = self.account(*roles)
        return account, self.client.with_token(self.token(account["username"]))

    def events(self, query: str = "") -> list[Any]:
        """All events that match, in the order of the log, up to its end as it is now.

        Without those of who read it, of which this may be one.
        """
        self._caught_up()
        found: list[Any] = []
        after = ""
        for _ in range(1000):
            answer = self.admin.get(f"/v1/audit?limit=500{query}{after}")
            assert answer.status == 200, answer.raw
            found += [one for one in answer.body["items"] if one["type"] != "audit.read"]
            if answer.body["next"] is None:
                return found
            after = f"&after={answer.body['next']}"
        raise AssertionError("the log has no end")

    def head(self) -> int:
        """The log's end, once the audit index has followed that far."""
        self._caught_up()
        items = self.admin.get("/v1/audit?order=desc&limit=1").body["items"]
        return int(items[0]["position"])

    def _caught_up(self) -> None:
        """Waits until the audit index has followed to the log's end; 15 seconds at most."""
        url = Settings.load(self.deployment.config, {}).store_url
        log = open_log(url, decode=bytes, now=lambda: 0, readers=1)
        try:
            end = log.head()
        finally:
            log.close()
        for _ in range(300):
            answer = self.admin.get("/v1/audit?limit=1")
            if answer.status != 200 or int(answer.headers["Gatebook-Position"]) >= end:
                return
            time.sleep(0.05)

    def _first_line(self) -> str:
        stdout = self.process.stdout
        assert stdout is not None
        readable, _, _ = select.select([stdout], [], [], 60)
        line = stdout.readline().decode().strip() if readable else ""
        assert line.startswith("gatebook: serving on http"), self.deployment.log()
        return line
