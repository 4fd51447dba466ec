"""What tests of break-glass share: a deployment for it, credentials, and tries from anywhere."""

from __future__ import annotations

import itertools
from typing import Any

from tests.api.browser import Browser
from tests.api.served import Answer, Client, Served

CREDENTIALS = "/v1/auth/breakglass/credentials"
LOGIN = "/auth/breakglass/login"
EMERGENCY = "seven brass lanterns drift 71"
WRONG = "not the lanterns of anybody 5"
PROXY = 'workers = 2\nthreads = 40\ntrusted_proxies = ["127.0.0.1"]'
"""With it a test may speak from any address: that is the proxy's word."""

QUICK = 'enabled = true\nlockout_threshold = 3\nlockout_duration = "2s"\nlockout_reset = "2s"'

_addresses = itertools.count(1)


def address() -> dict[str, str]:
    """A header that makes a request come from an address of its own."""
    number = next(_addresses)
    return {"X-Forwarded-For": f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"}


def armed(served: Served, *roles: str) -> Any:
    """A fresh account with a break-glass credential; an administrator unless roles are named."""
    account = served.account(*(roles or ("admin",)))
    body = {"account_id": account["id"], "password": EMERGENCY}
    answer = served.admin.post(CREDENTIALS, body)
    assert answer.status == 201, answer.raw
    return account


def attempt(
    client: Client, account_id: str, password: str, headers: dict[str, str] | None = None
) -> Answer:
    """One emergency sign-in."""
    body = {"account_id": account_id, "password": password}
    return client.post(LOGIN, body, headers=headers)


def broken_in(served: Served, account_id: str, headers: dict[str, str] | None = None) -> Browser:
    """A browser in which the emergency sign-in succeeded."""
    browser = Browser(served.client, headers)
    body = {"account_id": account_id, "password": EMERGENCY}
    answer = browser.call("POST", LOGIN, body, csrf=False)
    assert answer.status == 204, answer.raw
    return browser


def said(answer: Answer) -> tuple[int, dict[str, str], Any]:
    """All of an answer but the request's id and the time."""
    headers = {k: v for k, v in answer.headers.items() if k not in ("X-Request-Id", "Date")}
    body = answer.body
    return answer.status, headers, body and {**body, "request_id": ""}
