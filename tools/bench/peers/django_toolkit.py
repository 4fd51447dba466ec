"""django-oauth-toolkit, and Django's own login, on an SQLite file."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gatebook.tools.bench.peers.installing import HERE, Package, python_packages
from gatebook.tools.bench.peers.oauth import CHAINS, Client, add_oauth, form
from gatebook.tools.bench.peers.running import (
    HOST,
    LOGINS,
    Running,
    free_port,
    said_by,
    started,
)
from gatebook.tools.bench.subject import Subject

USERNAME, PASSWORD = "bench", "copper lantern river 27"
PACKAGE = Package(
    name="django_toolkit",
    lock=("requirements-django.txt",),
    programs=(),
    build=python_packages("requirements-django.txt"),
)


@contextlib.contextmanager
def start(directory: Path) -> Iterator[Running]:
    """A gunicorn with a seeded database in `directory`. Raises Missing."""
    programs = PACKAGE.install() / "venv/bin"
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": str(HERE / "django_site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PEER_SECRET_KEY": secrets.token_hex(32),
        "PEER_KEY": signing_key(),
    }
    client = Client(
        client="bench",
        secret=secrets.token_hex(32),
        token="/o/token/",
        introspection="/o/introspect/",
        active='"active": true',
        inactive='"active": false',
        keys="/o/.well-known/jwks.json",
    )
    seed = [str(programs / "python"), str(HERE / "django_site/seed.py"), client.client]
    seed += [client.secret, USERNAME, PASSWORD, str(CHAINS)]
    refresh = json.loads(said_by(seed, directory, environment))["refresh"]
    port = free_port()
    command = [str(programs / "gunicorn"), "--bind", f"{HOST}:{port}", "--log-level", "warning"]
    command += ["--worker-class", "gthread", "--workers", "2", "--threads", "4"]
    command += ["--keep-alive", "75", "django.core.wsgi:get_wsgi_application()"]
    with started(command, directory, port, client.keys, environment=environment) as running:
        add_oauth(running, client, refresh)
        add_login(running)
        yield running


def add_login(running: Running) -> None:
    """Django's form, with the cookie and the field that its CSRF check compares."""
    csrf = secrets.token_hex(16)
    fields = {"csrfmiddlewaretoken": csrf, "username": USERNAME, "password": PASSWORD}
    cookie = {"Cookie": f"csrftoken={csrf}"}
    login = form("/login/", fields, headers=cookie, status=302)
    running.add("login", login, connections=LOGINS)


def signing_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


SUBJECT = Subject(
    name="django-oauth-toolkit",
    start=start,
    notes=(
        "django-oauth-toolkit 3.4.1 on Django 5.2.19, gunicorn 27 with 2 workers of 4 threads. "
        "Opaque tokens in an SQLite file (WAL, synchronous FULL), committed before the answer. "
        "Its login is Django's: Argon2id 64 MiB t=3 p=4, a session row and the time of the login "
        "written. The client's secret is stored unhashed, which is its quickest way; refresh "
        "tokens are rotated."
    ),
)
