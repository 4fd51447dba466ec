"""Class 19, cheap denial of service, by way of an identity provider that does not answer.

While it hangs, passwords, passkeys and break-glass are all that is left: nobody may stop those by
naming it.
"""

from __future__ import annotations

import base64
import json
import socket
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment
from tests.attacks.tools import begun

FLOOD = 32
MORE = '[outbound]\nallow_loopback_http = true\ntimeout = "3s"\n'
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def part(members: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


def test_a_provider_that_hangs_stops_nobody_else(tmp_path: Path) -> None:
    """Logout tokens that anybody can write make Gatebook ask; the other threads still answer."""
    own = Deployment(
        tmp_path, "sqlite:///gatebook.db", server="workers = 1\nthreads = 8", more=MORE
    )
    own.create()
    with own.served() as served, socket.create_server(("127.0.0.1", 0), backlog=FLOOD) as silent:
        issuer = f"http://127.0.0.1:{silent.getsockname()[1]}"
        body = {"name": "Silent", "issuer": issuer, "client_id": "known", "client_secret": "x"}
        assert served.admin.post("/v1/auth/oidc/providers", body).status == 201
        token = ".".join(
            [part({"alg": "ES256", "kid": "any"}), part({"iss": issuer, "aud": "known"}), "AA"]
        )
        raw = urlencode({"logout_token": token}).encode()
        ask = partial(
            served.client.call, "POST", "/auth/oidc/back-channel-logout", raw=raw, headers=FORM
        )
        flood = [begun(ask) for _ in range(FLOOD)]
        time.sleep(0.5)

        start = time.monotonic()
        assert served.token(ADMIN, ADMIN_PASSWORD)
        took = time.monotonic() - start

        assert not all(one.done() for one in flood)
        assert took < 2, f"a sign-in took {took:.1f} s"
        assert {one.result(30).status for one in flood} == {503}
