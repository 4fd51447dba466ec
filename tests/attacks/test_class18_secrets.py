"""Class 18, secrets in logs, errors, answers, events, metrics and files.

Vault CVE-2024-8365; OpenBao CVE-2025-62513, -62705, CVE-2026-46358, CVE-2025-52893; authentik
CVE-2026-40166.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import time
from pathlib import Path
from typing import Any

from gatebook.api.routes import ROUTES
from tests.api.served import ADMIN_PASSWORD, Deployment, Served
from tests.attacks.test_class06_objects import path_of

CANARY = "canary tractor {} hums 4711"


def spellings(secret: str) -> list[bytes]:
    """A secret as it could stand in a file."""
    raw = secret.encode()
    digests = [hashlib.sha256(raw).digest(), hashlib.sha1(raw).digest()]
    whole = [raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"="), *digests]
    return [*whole, *(digest.hex().encode() for digest in digests)]


def test_canaries(tmp_path: Path) -> None:
    """What goes through every route as a secret is found nowhere afterwards."""
    own = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    own.create()
    secrets: list[str] = [ADMIN_PASSWORD]
    shown: list[bytes] = []

    def canary(number: int) -> str:
        secrets.append(CANARY.format(f"{number:03d}"))
        return secrets[-1]

    def seen(answer: Any) -> Any:
        shown.append(answer.raw + str(answer.headers).encode())
        return answer

    with own.served() as server:
        account = server.account(password=canary(1))
        pair = server.client.login(account["username"], secrets[-1])
        client = server.client.with_token(pair["access_token"])
        change = {"current_password": secrets[-1], "new_password": canary(2)}
        assert seen(client.put("/v1/auth/password", change)).status == 204
        path = f"/v1/accounts/{account['id']}/password"
        seen(server.admin.put(path, {"password": canary(3)}))
        seen(server.client.post("/v1/auth/login", {"username": canary(4), "password": canary(5)}))
        for number, route in enumerate(ROUTES, 10):
            if route.body is not None and not route.path.endswith("/logout"):
                members = dict.fromkeys(route.body.__struct_fields__, canary(number))
                extra = {"unknown": canary(number + 100)}
                for body in (members, {**members, **extra}, [secrets[-1]], secrets[-1]):
                    server.admin.call(route.method, path_of(route), body)
            where = path_of(route, account_id=account["id"])
            if route.method == "GET" and not where.endswith("/feed"):
                seen(server.admin.get(where))
        system = server.account(kind="system")
        order = {"account_id": system["id"]}
        key = {"Idempotency-Key": "kept"}
        token = server.admin.post("/v1/token/issue", order, headers=key).body["access_token"]
        renewed = server.client.post("/v1/auth/renew", {"refresh_token": pair["refresh_token"]})
        tokens = [pair["access_token"], pair["refresh_token"], token, str(server.admin.token)]
        if renewed.status == 200:
            tokens += [renewed.body["access_token"], renewed.body["refresh_token"]]
        secrets += tokens
        client.get("/v1/nothing?access_token=" + tokens[0])
        client.get(f"/v1/{tokens[0][:150]}")
        seen(server.admin.get("/metrics"))
        for _ in range(3):
            seen(server.admin.get("/v1/audit?limit=500"))
            time.sleep(0.2)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for secret in secrets:
        for spelling in spellings(secret):
            assert [path.name for path, held in files.items() if spelling in held] == [], secret
            assert not any(spelling in one for one in shown), secret
    text = own.log().encode()
    assert b"$argon2" not in text
    assert not any(b"$argon2" in held for path, held in files.items())
    assert not any(b"$argon2" in one for one in shown)


def test_files_are_the_owners(own: Deployment) -> None:
    """No file of the store or the keys is for anybody else, whatever the umask."""
    before = os.umask(0)
    try:
        with own.served() as server:
            server.account()
            for path in own.directory.rglob("*"):
                if path.name in ("stderr", "gatebook.toml"):
                    continue
                mode = stat.S_IMODE(path.stat().st_mode)
                assert mode & 0o077 == 0, f"{path.name} {mode:o}"
    finally:
        os.umask(before)


def test_nothing_says_which_program_it_is(served: Served) -> None:
    """No banner, and no trace of the code in an answer."""
    for path in ("/v1/health", "/v1/nothing", "/v1/audit", "/v1/accounts/x"):
        answer = served.client.get(path)
        assert answer.headers["Server"] is None
        assert answer.headers["Via"] is None
        for word in (b"Traceback", b"waitress", b"falcon", b"python", b".py", b"sqlite"):
            assert word not in answer.raw.lower()


def test_answers_with_credentials_are_not_kept(served: Served) -> None:
    """Whatever carries a token is not for a cache."""
    account = served.account(kind="system")
    person = served.account()
    answers = [
        served.client.post("/v1/auth/login", {"username": person["username"], "password": "x"}),
        served.admin.post("/v1/token/issue", {"account_id": account["id"]}),
        served.client.post("/v1/token/validate", {"token": served.admin.token}),
        served.admin.get("/v1/auth/me"),
        served.admin.get("/v1/auth/check"),
        served.client.get("/v1/auth/me"),
    ]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
