"""Gatebook's application in this process, asked as a server asks it, and the work of it counted."""

from __future__ import annotations

import cProfile
import io
import json
import pstats
import sqlite3
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from gatebook.api.app import create_app
from gatebook.api.metrics import Metrics
from gatebook.api.routes import routes
from gatebook.api.site import site_of
from gatebook.domain.application.core import local
from gatebook.store import mapper, sqlite_connection
from gatebook.store.house import House, open_house
from gatebook.store.master_key import write_key_file
from gatebook.store.settings import Settings
from tests.api.served import PASSWORD

CONFIG = """\
[store]
url = "sqlite:///gatebook.db"
[master_key]
key_file = "master.key"
[passwords]
argon2_memory = "64KiB"
argon2_time = 1
argon2_parallelism = 1
"""


class Work:
    """What was done in a block: statements by their first word, events decoded, Python calls."""

    def __init__(self) -> None:
        self.statements: Counter[str] = Counter()
        self.decoded = 0
        self.calls = 0

    @property
    def asked(self) -> int:
        """Statements that read."""
        return self.statements["SELECT"] + self.statements["WITH"]

    @property
    def commits(self) -> int:
        """Each costs one fsync of the write-ahead log (`synchronous=FULL`)."""
        return self.statements["COMMIT"]


class Asked:
    """The application over a store of its own."""

    def __init__(self, directory: Path, monkeypatch: Any) -> None:
        self._counting = Work()
        self._count_statements(monkeypatch)
        self._count_decoded(monkeypatch)
        config = directory / "gatebook.toml"
        config.write_text(CONFIG)
        write_key_file(directory / "master.key")
        settings = Settings.load(config, {})
        self.house: House = open_house(settings, create=True)
        self.house.prepare()
        self.house.bootstrap.local_admin(local("test"), "admin", self.house.plaintext(PASSWORD))
        site = site_of(settings, threads=8, address="127.0.0.1:8440")
        self._app = create_app(self.house, site, routes(settings), Metrics(self.house))

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Any:
        """The decoded answer, which must be one of success."""
        form = "Basic" in (headers or {}).get("Authorization", "")
        raw = (urlencode(body) if form else json.dumps(body)).encode() if body is not None else b""
        env: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8440",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1:8440",
            "REMOTE_ADDR": "127.0.0.1",
            "SCRIPT_NAME": "",
            "wsgi.url_scheme": "http",
            "wsgi.version": (1, 0),
            "wsgi.input": io.BytesIO(raw),
            "wsgi.errors": sys.stderr,
        }
        if raw:
            env["CONTENT_LENGTH"] = str(len(raw))
            env["CONTENT_TYPE"] = (
                "application/x-www-form-urlencoded" if form else "application/json"
            )
        for name, value in (headers or {}).items():
            env[f"HTTP_{name.upper().replace('-', '_')}"] = value
        statuses: list[str] = []

        def start(status: str, _headers: Any, _failed: Any = None) -> Callable[[bytes], Any]:
            statuses.append(status)
            return lambda _written: None

        said = b"".join(self._app(env, start))
        assert statuses[0].startswith("2"), (statuses, said)
        return json.loads(said) if said else None

    def login(self) -> Any:
        """The first admin's tokens."""
        return self.call("POST", "/v1/auth/login", {"username": "admin", "password": PASSWORD})

    def client(self) -> dict[str, str]:
        """The header of a new OAuth 2 client."""
        admin = {"Authorization": f"Bearer {self.login()['access_token']}"}
        made = self.call("POST", "/v1/accounts", {"username": "robot", "type": "system"}, admin)
        key = self.call("POST", f"/v1/accounts/{made['id']}/api-keys", {"name": "key"}, admin)
        pair = b64encode(f"{made['id']}:{key['key']}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    @contextmanager
    def counted(self) -> Iterator[Work]:
        """Counts what is done in the block, by all threads; but calls are this one's."""
        self._counting = work = Work()
        profile = cProfile.Profile()
        profile.enable()
        try:
            yield work
        finally:
            profile.disable()
            self._counting = Work()
            work.calls = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]  # not in its stubs

    def _count_statements(self, monkeypatch: Any) -> None:
        connect = sqlite_connection.connect

        def counting(path: str, *pragmas: str) -> sqlite3.Connection:
            connection = connect(path, *pragmas)
            connection.set_trace_callback(self._executed)
            return connection

        monkeypatch.setattr(sqlite_connection, "connect", counting)

    def _executed(self, sql: str) -> None:
        self._counting.statements[sql.split(None, 1)[0].upper()] += 1

    def _count_decoded(self, monkeypatch: Any) -> None:
        decode = mapper.EventMapper._event

        def counting(*arguments: Any, **options: Any) -> Any:
            self._counting.decoded += 1
            return decode(*arguments, **options)

        monkeypatch.setattr(mapper.EventMapper, "_event", counting)
