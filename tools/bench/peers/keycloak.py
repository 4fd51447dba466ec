"""Keycloak on a PostgreSQL of its own, with and without its events kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gatebook.tools.bench.peers.installing import HERE, Package, run
from gatebook.tools.bench.peers.oauth import CHAINS, Client, add_oauth, form
from gatebook.tools.bench.peers.postgresql import postgresql
from gatebook.tools.bench.peers.running import (
    HOST,
    LOGINS,
    Running,
    free_port,
    said_by,
    started,
)
from gatebook.tools.bench.subject import Missing, Request, Subject

USERNAME, PASSWORD = "bench", "copper lantern river 27"
REALM = "/realms/bench/protocol/openid-connect"
LIFETIME = 8 * 3600
"""Of every token, in seconds."""

ARGON2 = {"iterations": 3, "memory": 64 * 1024, "parallelism": 4}

AUDIENCE = {
    "name": "audience",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-audience-mapper",
    "config": {"included.client.audience": "bench", "access.token.claim": "true"},
}
"""Keycloak calls a token inactive when who asks about it is not in its audience."""


def build(directory: Path) -> None:
    artifact, digest = (HERE / "keycloak.lock").read_text().split()
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
    advice = f"mvn must reach Maven Central for {artifact}, and java be 17 or newer"
    run(
        ["mvn", "-q", "-B", goal, f"-Dartifact={artifact}", f"-DoutputDirectory={directory}"],
        directory,
        advice,
    )
    archive = next(directory.glob("*.zip"))
    if f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}" != digest:
        raise Missing(f"{archive.name} is not the file that keycloak.lock names")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(directory)
    archive.unlink()
    next(directory.glob("keycloak-*")).rename(directory / "keycloak")
    command = ["sh", "keycloak/bin/kc.sh", "build", "--db=postgres", "--cache=local"]
    run(command, directory, advice)


PACKAGE = Package(name="keycloak", lock=("keycloak.lock",), programs=("java", "mvn"), build=build)


def starter(events: bool) -> Callable[[Path], contextlib.AbstractContextManager[Running]]:
    @contextlib.contextmanager
    def start(directory: Path) -> Iterator[Running]:
        program = ["sh", str(PACKAGE.install() / "keycloak/bin/kc.sh")]
        secret = secrets.token_urlsafe(32)
        (directory / "realm.json").write_text(json.dumps(realm(secret, events)))
        with postgresql() as (database, pids):
            port = free_port()
            environment = settings(port, database)
            imported = [*program, "import", "--optimized", "--file", "realm.json"]
            said_by(imported, directory, environment)
            command = [*program, "start", "--optimized"]
            keys = f"{REALM}/certs"
            with started(
                command,
                directory,
                port,
                keys,
                environment=environment,
                database=pids,
                patience=180.0,
            ) as running:
                add_works(running, secret, events)
                yield running

    return start


def settings(port: int, database: int) -> dict[str, str]:
    """Of the server's process: where it listens, where its rows are, how it hashes."""
    named = {
        "DB_URL": f"jdbc:postgresql://{HOST}:{database}/postgres",
        "DB_USERNAME": "postgres",
        "DB_PASSWORD": "trusted",
        "HTTP_ENABLED": "true",
        "HTTP_HOST": HOST,
        "HTTP_PORT": str(port),
        "HOSTNAME_STRICT": "false",
        "LOG_LEVEL": "error",
    }
    named |= {
        f"SPI_PASSWORD_HASHING__ARGON2__{name.upper()}": str(value)
        for name, value in ARGON2.items()
    }
    return os.environ | {f"KC_{name}": value for name, value in named.items()}


def realm(secret: str, events: bool) -> dict[str, Any]:
    """What is imported: a client that may do everything, and an account with a password."""
    return {
        "realm": "bench",
        "enabled": True,
        "sslRequired": "none",
        "accessTokenLifespan": LIFETIME,
        "ssoSessionIdleTimeout": LIFETIME,
        "ssoSessionMaxLifespan": LIFETIME,
        "revokeRefreshToken": True,
        "refreshTokenMaxReuse": 0,
        "eventsEnabled": events,
        "enabledEventTypes": ["CLIENT_LOGIN", "LOGIN", "LOGIN_ERROR", "REFRESH_TOKEN"],
        "clients": [
            {
                "clientId": "bench",
                "secret": secret,
                "serviceAccountsEnabled": True,
                "directAccessGrantsEnabled": True,
                "standardFlowEnabled": False,
                "protocolMappers": [AUDIENCE],
            }
        ],
        "users": [
            {
                "username": USERNAME,
                "enabled": True,
                "email": "bench@client.example",
                "emailVerified": True,
                "firstName": "Bench",
                "lastName": "Account",
                "credentials": [{"type": "password", "value": PASSWORD}],
            },
            {
                "username": "service-account-bench",
                "enabled": True,
                "serviceAccountClientId": "bench",
                "clientRoles": {"realm-management": ["view-events"]},
            },
        ],
    }


def add_works(running: Running, secret: str, events: bool) -> None:
    client = Client(
        client="bench",
        secret=secret,
        token=f"{REALM}/token",
        introspection=f"{REALM}/token/introspect",
        active='"active":true',
        inactive='"active":false',
        keys=f"{REALM}/certs",
    )
    person = {"grant_type": "password", "username": USERNAME, "password": PASSWORD}
    login = form(client.token, person, headers=client.basic(), contains='"access_token"')
    with ThreadPoolExecutor(2) as pool:
        held = pool.map(running.answered, [login] * CHAINS)
        refresh = [json.loads(one.text)["refresh_token"] for one in held]
    add_oauth(running, client, refresh)
    running.add("login", login, connections=LOGINS)
    if events:
        token = running.answered(running.works["client credentials"].requests[0])
        bearer = {"Authorization": f"Bearer {json.loads(token.text)['access_token']}"}
        queries = (
            Request(method="GET", path=path, headers=bearer, contains='"clientId":"bench"')
            for path in (
                "/admin/realms/bench/events?max=50",
                "/admin/realms/bench/events?max=50&client=bench",
                "/admin/realms/bench/events?max=50&type=CLIENT_LOGIN",
            )
        )
        running.add("audit query", *queries, connections=16)


NOTES = (
    "Keycloak 26.7.3, one process, and a PostgreSQL with fsync, whose processes count too. "
    "{events} Its access tokens are signed (RS256). A login by the password grant: Argon2id "
    "64 MiB t=3 p=4 and a session row; refresh tokens are used once."
)
SUBJECTS = (
    Subject(
        name="keycloak",
        start=starter(events=False),
        notes=NOTES.format(events="As it comes: a client's token leaves no row."),
    ),
    Subject(
        name="keycloak, events kept",
        start=starter(events=True),
        notes=NOTES.format(events="It keeps an event for each token, renewal and login."),
    ),
)
