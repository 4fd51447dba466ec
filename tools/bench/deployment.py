"""Gatebook as what is measured: an engine, a store and a number of workers."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from gatebook.domain.application.core import local
from gatebook.projections.rebuild import rebuild
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.house import House, open_house
from gatebook.store.master_key import write_key_file
from gatebook.store.settings import Settings
from gatebook.tools.bench import works
from gatebook.tools.bench.seed import ADMIN, PASSWORD, Seeded, seed
from gatebook.tools.bench.subject import Missing, Subject, Work
from gatebook.tools.bench.synthesize import fill
from gatebook.tools.bench.usage import family

READY: Final = 120.0
STOP: Final = 40.0

CONFIG: Final = """\
[server]
engine = "{engine}"
listen = "127.0.0.1:{port}"
workers = {workers}
[store]
url = "{url}"
[master_key]
key_file = "master.key"
[tokens]
access_lifetime = "8h"
[passwords]
{hash}
[lockout]
threshold = 1000000
[limits]
login_per_minute = 1000000
login_burst = 1000000
"""

HASHES: Final = {
    "default": "",
    "light": 'argon2_memory = "19MiB"\nargon2_time = 2\nargon2_parallelism = 1',
}


class Wanted(msgspec.Struct, frozen=True):
    """A deployment to be. `events` are in its log before anything is asked."""

    engine: str
    store: str
    workers: int
    events: int = 0

    @property
    def name(self) -> str:
        """As the report calls it."""
        return f"gatebook, {self.engine} x {self.workers}, {self.store}"


def subject(wanted: Wanted) -> Subject:
    """It, to be started."""

    def start(directory: Path) -> AbstractContextManager[Running]:
        return running(wanted, directory)

    notes = (
        f"{wanted.store}, durable at every answer; Argon2id 64 MiB t=3 p=4, light 19 MiB t=2 p=1"
    )
    return Subject(name=wanted.name, start=start, notes=notes)


class Running:
    """A deployment that is served, with whichever hash parameters the path at hand needs."""

    host = "127.0.0.1"

    def __init__(
        self, directory: Path, wanted: Wanted, url: str, database: Callable[[], list[int]]
    ) -> None:
        self.port = _free_port()
        self._config = directory / "gatebook.toml"
        self._wanted = wanted
        self._url = url
        self._database = database
        self._hash = ""
        self._process: subprocess.Popen[str] | None = None
        self._seeded: Seeded | None = None
        write_key_file(directory / "master.key")

    def create(self) -> None:
        """The store, its past and the first administrator."""
        self._configure("light")
        house = open_house(Settings.load(self._config, {}), create=True)
        with contextlib.closing(house):
            house.prepare()
            if self._wanted.events:
                _fill(house, self._wanted.events)
            house.bootstrap.local_admin(local("bench"), ADMIN, house.plaintext(PASSWORD))

    def pids(self) -> list[int]:
        """The supervisor, its children, and the database's processes."""
        served = [] if self._process is None else family(self._process.pid)
        return served + self._database()

    def work(self, path: str) -> Work | None:
        """See `subject.Served`. Another hash needs another start."""
        self._serve("default" if path == "login" else "light")
        if self._seeded is None:
            settings = Settings.load(self._config, {})
            self._seeded = seed(self.host, self.port, settings)
        return works.work(path, self._seeded)

    def stop(self) -> None:
        """Ends it, as an operator would. Raises RuntimeError when it does not end well."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        assert process.stdout is not None
        process.stdout.close()
        if code:
            raise RuntimeError(f"the server ended with {code}: {self._log()}")

    def _configure(self, hash_name: str) -> None:
        wanted = self._wanted
        text = CONFIG.format(
            engine=wanted.engine,
            port=self.port,
            workers=wanted.workers,
            url=self._url,
            hash=HASHES[hash_name],
        )
        self._config.write_text(text)

    def _serve(self, hash_name: str) -> None:
        if self._process is not None and self._hash == hash_name:
            return
        self.stop()
        self._configure(hash_name)
        self._hash = hash_name
        with self._config.with_name("stderr").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gatebook.api", str(self._config)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._process.stdout is not None
        select.select([self._process.stdout], [], [], READY)
        until = time.monotonic() + READY
        while not self._ready():
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError(f"the server did not get ready: {self._log()}")
            time.sleep(0.05)

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request("GET", "/v1/ready")
            answer: Any = json.loads(connection.getresponse().read())
            return bool(answer["status"] == "ready")
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()

    def _log(self) -> str:
        return self._config.with_name("stderr").read_text(errors="replace")[-2000:]


@contextmanager
def running(wanted: Wanted, directory: Path) -> Iterator[Running]:
    """A deployment in a directory, as long as the block lasts."""
    with ExitStack() as stack:
        url = "sqlite:///gatebook.db"
        database: Callable[[], list[int]] = list
        if wanted.store == "postgresql":
            url, database = stack.enter_context(_postgresql())
        made = Running(directory, wanted, url, database)
        stack.callback(made.stop)
        made.create()
        yield made


@contextmanager
def _postgresql() -> Iterator[tuple[str, Callable[[], list[int]]]]:
    """A server of our own: a store's URL, and the processes that count."""
    # It belongs to the tests, which are there whenever this runs: from the repository.
    from tests.postgres import binaries, running_cluster

    try:
        binaries()
    except AssertionError as error:
        raise Missing(str(error)) from error
    with running_cluster() as cluster:
        first = int((cluster.home / "cluster" / "postmaster.pid").read_text().split()[0])
        yield cluster.url(), lambda: family(first)


def _fill(house: House, events: int) -> None:
    """A made-up past, sealed as in life, and every read model of it."""
    fill(house, events)
    for projection in PROJECTIONS:
        rebuild(house.store, projection, house.clock, lambda _done, _total: None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
