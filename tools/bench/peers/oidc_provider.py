"""npm oidc-provider, which is certified, on an SQLite file."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from gatebook.tools.bench.peers.installing import HERE, Package, run
from gatebook.tools.bench.peers.oauth import Client, add_oauth
from gatebook.tools.bench.peers.running import Running, free_port, started
from gatebook.tools.bench.subject import Subject

NOTES = (
    "oidc-provider 9.13.3 on Node.js, {processes}. Opaque tokens in an SQLite file (better-sqlite3 "
    "12.11.1, WAL, synchronous FULL), committed before the answer: one commit for a client's "
    "token, three for a renewal. The client's secret is not hashed; refresh tokens are rotated. "
    "It has no login of its own."
)


def build(directory: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, directory / name)
    advice = "npm must reach a registry; better-sqlite3 is compiled where no built one is found"
    run(["npm", "ci", "--no-audit", "--no-fund"], directory, advice)


PACKAGE = Package(
    name="oidc_provider",
    lock=("package.json", "package-lock.json"),
    programs=("node", "npm"),
    build=build,
)


def starter(processes: int) -> Callable[[Path], contextlib.AbstractContextManager[Running]]:
    @contextlib.contextmanager
    def start(directory: Path) -> Iterator[Running]:
        program = PACKAGE.install() / "oidc_provider.mjs"
        # Beside its packages: an ES module finds them by its own place.
        shutil.copy(HERE / program.name, program)
        port, secret = free_port(), secrets.token_urlsafe(32)
        command = ["node", str(program), str(port), str(processes), "bench", secret]
        with started(command, directory, port, "/jwks") as running:
            seeded = json.loads((directory / "server.out").read_text().splitlines()[0])
            client = Client(
                client="bench",
                secret=secret,
                token="/token",
                introspection="/token/introspection",
                active='"active":true',
                inactive='"active":false',
                keys="/jwks",
            )
            add_oauth(running, client, seeded["refresh"])
            yield running

    return start


SUBJECTS = tuple(
    Subject(
        name=f"oidc-provider x {processes}",
        start=starter(processes),
        notes=NOTES.format(processes=text),
    )
    for processes, text in ((1, "one process"), (2, "two processes of node:cluster"))
)
