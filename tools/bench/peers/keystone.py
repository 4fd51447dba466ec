"""OpenStack Keystone on an SQLite file."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatebook.tools.bench.peers.installing import HERE, Package, python_packages
from gatebook.tools.bench.peers.running import (
    HOST,
    LOGINS,
    Running,
    free_port,
    said_by,
    started,
)
from gatebook.tools.bench.subject import Request, Subject

USERNAME, PASSWORD = "bench", "copper lantern river 27"
TOKENS = "/v3/auth/tokens?nocatalog"
ISSUED = (201, '"audit_ids"')
REFUSED = (401, '"Unauthorized"')
CONFIG = """\
[DEFAULT]
log_file = {directory}/keystone.log
use_stderr = false
[database]
connection = sqlite:///{directory}/keystone.db
[fernet_tokens]
key_repository = {directory}/keys
[fernet_receipts]
key_repository = {directory}/keys
[credential]
key_repository = {directory}/credential-keys
[identity]
password_hash_algorithm = bcrypt
password_hash_rounds = 12
max_password_length = 72
[cache]
enabled = true
backend = dogpile.cache.memory
[revoke]
caching = false
"""
# One thread a worker: with four, some answers were 403 or 500 that should not have been.
GUNICORN = """\
bind = "{bind}"
workers = 2
worker_class = "gthread"
threads = 1
keepalive = 75
loglevel = "warning"
wsgi_app = "keystone.wsgi.api:application"
"""
PACKAGE = Package(
    name="keystone",
    lock=("requirements-keystone.txt",),
    programs=(),
    build=python_packages("requirements-keystone.txt"),
)


@contextlib.contextmanager
def start(directory: Path) -> Iterator[Running]:
    """A gunicorn with a bootstrapped database in `directory`. Raises Missing."""
    programs = PACKAGE.install() / "venv/bin"
    config = directory / "keystone.conf"
    config.write_text(CONFIG.format(directory=directory))
    environment = os.environ | {
        "OS_KEYSTONE_CONFIG_FILES": str(config),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
    }
    secret = secrets.token_urlsafe(32)
    credential = seeded(programs, directory, environment, secret)
    port = free_port()
    # In a file, which gunicorn finds: Keystone takes the command line for its own.
    (directory / "gunicorn.conf.py").write_text(GUNICORN.format(bind=f"{HOST}:{port}"))
    command = [str(programs / "gunicorn")]
    with started(command, directory, port, "/v3", environment=environment) as running:
        add_works(running, credential, secret)
        yield running


def seeded(programs: Path, directory: Path, environment: dict[str, str], secret: str) -> str:
    """Makes the database, the keys, an account, and a credential, whose id is the answer."""
    for name in ("keys", "credential-keys"):
        (directory / name).mkdir(mode=0o700)
    owner = ["--keystone-user", getpass.getuser(), "--keystone-group", str(os.getgid())]
    account = ["--bootstrap-username", USERNAME, "--bootstrap-password", PASSWORD]
    manage = [str(programs / "keystone-manage"), "--config-file", str(directory / "keystone.conf")]
    for step in (
        ["db_sync"],
        ["fernet_setup", *owner],
        ["credential_setup", *owner],
        ["bootstrap", *account],
    ):
        said_by([*manage, *step], directory, environment)
    with contextlib.closing(sqlite3.connect(directory / "keystone.db")) as database:
        # Kept in the file. Keystone leaves `synchronous` as SQLite has it, which is FULL.
        database.execute("PRAGMA journal_mode = WAL")
    seed = [str(programs / "python"), str(HERE / "keystone_site/seed.py"), USERNAME, secret]
    return said_by(seed, directory, environment).split()[-1]


def add_works(running: Running, credential: str, secret: str) -> None:
    """Tokens by a credential and by a password, and questions about them, some of them unknown.

    Answers leave out the catalog of services.
    """
    token, refused = (
        asking_token(
            "application_credential",
            {"application_credential": {"id": credential, "secret": text}},
            *right,
        )
        for text, right in ((secret, ISSUED), ("another", REFUSED))
    )
    running.add("client credentials", token, refused)
    person = {"name": USERNAME, "domain": {"id": "default"}, "password": PASSWORD}
    login = asking_token("password", {"password": {"user": person}}, *ISSUED)
    running.add("login", login, connections=LOGINS)
    live = [running.answered(token).headers["X-Subject-Token"] for _ in range(64)]

    def about(text: str, status: int, contains: str) -> Request:
        headers = {"X-Auth-Token": live[0], "X-Subject-Token": text}
        return Request(method="GET", path=TOKENS, headers=headers, status=status, contains=contains)

    known = [about(text, 200, '"audit_ids"') for text in live]
    running.add("validate, hot", *known)
    unknown = (about(text[:-6] + "AAAAAA", 404, "not recognize") for text in live[:8])
    running.add("introspect", *known, *unknown)


def asking_token(method: str, proof: dict[str, Any], status: int, contains: str) -> Request:
    body = json.dumps({"auth": {"identity": {"methods": [method], **proof}}})
    headers = {"Content-Type": "application/json"}
    return Request(
        method="POST", path=TOKENS, headers=headers, body=body, status=status, contains=contains
    )


SUBJECT = Subject(
    name="keystone",
    start=start,
    notes=(
        "OpenStack Keystone 30.0.0, gunicorn 27 with 2 workers of one thread, an SQLite file (WAL, "
        "synchronous FULL). Each worker caches in its memory, without which it is far slower; "
        "revocations are not cached, but read each time. Its Fernet tokens are encrypted, not "
        "stored: issuing one by a credential writes nothing. Passwords: bcrypt with 12 rounds, for "
        "it has no Argon2; an application credential's secret: bcrypt with 4, its least. Validate "
        "and introspect are GET /v3/auth/tokens. It has no refresh tokens and no JWKS."
    ),
)
