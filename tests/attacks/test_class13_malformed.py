"""Class 13, malformed input fails open.

authentik CVE-2026-25748; oauth2-proxy CVE-2026-41059; Authelia CVE-2026-48794; Oathkeeper
CVE-2026-33494, -33496.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from gatebook.api.routes import ROUTES
from gatebook.domain import administrators, first_admin, policy, signing_keys
from tests.api.served import Deployment, Served
from tests.attacks.test_class06_objects import path_of
from tests.attacks.tools import raw

AUTHORIZATIONS = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer  {}",
    "Bearer {} ",
    "Bearer\t{}",
    "Bearer {},Bearer {}",
    "Bearer {} {}",
    "Bearer={}",
    "Bearer:{}",
    'Bearer "{}"',
    "Bearer token={}",
    "Basic {}",
    "Token {}",
    "DPoP {}",
    "{}",
    "BearerX {}",
    "XBearer {}",
    "Bearer Bearer {}",
    "bearer {}\u00a0",
    "Bearer {}\x0b",
    "Negotiate, Bearer {}",
]


@pytest.mark.parametrize("form", AUTHORIZATIONS, ids=ascii)
def test_authorization(served: Served, form: str) -> None:
    """Anything but the one form is 401, though the token in it is an admin's."""
    token = str(served.admin.token)
    line = b"Authorization: " + form.replace("{}", token).encode("latin-1")
    head = b"GET /v1/audit?limit=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + line
    said = raw(served, head + b"\r\n\r\n")

    allowed = (b"401",) if form != "Bearer {} " else (b"200",)  # RFC 9110: spaces are no value
    assert said.split(b" ")[1] in (*allowed, b"400"), said[:200]


def test_other_places_of_a_token(served: Served) -> None:
    """Neither a cookie, nor the query, nor the body, nor another header carries one."""
    token = str(served.admin.token)
    for headers in (
        {"Cookie": f"__Host-gatebook_session={token}; gatebook_session={token}"},
        {"X-Authorization": f"Bearer {token}"},
        {"Proxy-Authorization": f"Bearer {token}"},
        {"X-Api-Key": token},
        {"Authorization_": f"Bearer {token}"},
    ):
        assert served.client.get("/v1/audit", headers=headers).status == 401
    assert served.client.get(f"/v1/audit?access_token={token}").status == 401
    line = f"Authorization: Bearer {token}\r\n"
    twice = f"GET /v1/auth/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}{line}\r\n"
    assert raw(served, twice.encode()).split(b" ")[1] in (b"400", b"401")


def test_ids_of_other_streams(served: Served) -> None:
    """The id of a stream of another kind names nothing: 404, never 500."""
    account, client = served.signed_in()
    session = client.get("/v1/auth/sessions").body["items"][0]["id"]
    system = served.account(kind="system")
    admin = served.admin
    jti = admin.post("/v1/token/issue", {"account_id": system["id"]}).body["jti"]
    fixed = [policy.STREAM_ID, signing_keys.STREAM_ID, first_admin.STREAM_ID]
    fixed += [administrators.STREAM_ID]
    refused = []
    for other in (account["id"], jti, *map(str, fixed)):
        refused.append(client.delete(f"/v1/auth/sessions/{other}"))
        refused.append(client.delete(f"/v1/accounts/{account['id']}/sessions/{other}"))
    for other in (account["id"], session, *map(str, fixed)):
        refused.append(admin.delete(f"/v1/token/{other}"))
    for other in (session, jti, *map(str, fixed)):
        path = f"/v1/accounts/{other}"
        refused.append(admin.get(path))
        refused.append(admin.get(f"{path}?position=5"))
        refused.append(admin.patch(path, {"status": "inactive"}))
        refused.append(admin.delete(path))
        refused.append(admin.put(f"{path}/roles/viewer"))
        refused.append(admin.put(f"{path}/password", {"password": "violet tractor lamp 9"}))
        refused.append(admin.post(f"{path}/erase", {"confirm": "x"}))
        refused.append(admin.delete(f"{path}/tokens"))
        refused.append(admin.post("/v1/token/issue", {"account_id": other}))
    assert {answer.status for answer in refused} == {404}
    assert client.get("/v1/auth/me").status == 200


def test_a_time_past_the_end_of_the_calendar(own: Deployment) -> None:
    """An end that cannot be told again is refused; one that is taken can be read by everybody."""
    with own.served() as server:
        account, client = server.signed_in()
        mine = f"/v1/accounts/{account['id']}"
        for time in (
            "9999-12-31T23:59:59-23:59",
            "9999-12-31T23:59:59.999999-00:01",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999999Z",
        ):
            answer = server.admin.put(f"{mine}/roles/viewer?expires_at={quote(time)}")
            assert answer.status == 400 or (answer.status == 204 and time.endswith("Z"))
            assert server.admin.get(f"{mine}/roles").status == 200
            assert server.admin.get("/v1/audit?limit=500&order=desc").status == 200
            assert server.admin.get("/v1/audit/feed?limit=500").status == 200
            assert client.get(f"{mine}/history").status == 200
            assert client.get("/v1/auth/me").status == 200


VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    10**400,
    1.5,
    "",
    "\u0000",
    "x" * 5000,
    "\U0010ffff",
    "\u202e",
    [],
    [[]],
    {},
    {"$gt": ""},
    "9999-99-99T99:99:99Z",
    "../../x",
    "%00",
    "${jndi:ldap://x}",
    "{{7*7}}",
]


def test_no_value_of_any_member_breaks_anything(served: Served) -> None:
    """Each member of each body, and each parameter of each query, with each odd value: no 5xx."""
    target = served.account()["id"]
    document = json.loads(served.client.get("/openapi.json").raw)
    _, admin = served.signed_in("admin")
    for route in ROUTES:
        path = path_of(route, account_id=target)
        members = route.body.__struct_fields__ if route.body is not None else ()
        for member in members:
            for value in VALUES:
                body = {name: "a" for name in members if name != member}
                answer = admin.call(route.method, path, {**body, member: value})
                assert answer.status < 500, (route.path, member, value, answer.raw)
        if route.method != "GET" or path.endswith("/feed"):
            continue
        for parameter in document["paths"][route.path]["get"].get("parameters", ()):
            if parameter["in"] != "query":
                continue
            for value in VALUES:
                where = f"{path}?{parameter['name']}={quote(str(value)[:3000])}"
                answer = admin.get(where)
                assert answer.status < 500, (where, answer.raw)


@pytest.mark.parametrize(
    "value", ["0", "501", "-1", "1e3", "00", "+1", "1_0", "٣", "99999999999999999999"]
)
def test_limits(served: Served, value: str) -> None:
    """A page has 1 to 500 items."""
    assert served.admin.get(f"/v1/audit?limit={quote(value)}").status == 400
    assert served.admin.get(f"/v1/accounts?limit={quote(value)}").status == 400


SMUGGLED = b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
FRAMINGS = {
    "CL.TE": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE.CL": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "list of lengths": b"Content-Length: 0, 0\r\n\r\n",
    "signed length": b"Content-Length: +0\r\n\r\n",
    "hex length": b"Content-Length: 0x0\r\n\r\n",
    "underscore length": b"Content-Length: 1_0\r\n\r\n",
    "obs-fold": b"X: a\r\n b\r\nContent-Length:\r\n 5\r\n\r\n",
    "space before colon": b"Content-Length : 0\r\nTransfer-Encoding : chunked\r\n\r\n",
    "TE identity": b"Transfer-Encoding: identity\r\n\r\n",
    "TE twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE xchunked": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"X: y\nContent-Length: 0\n\n",
    "NUL": b"X: a\x00b\r\n\r\n",
    "chunk extension LF": b"Transfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n",
    "chunk size sign": b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "chunk size space": b"Transfer-Encoding: chunked\r\n\r\n0 \r\n\r\n",
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_framing(served: Served, name: str) -> None:
    """A request that two servers could end in two places is refused and the connection closed."""
    head = b"POST /v1/auth/renew HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    said = raw(served, head + FRAMINGS[name] + SMUGGLED, wait=1.0)

    statuses = re.findall(rb"HTTP/1\.[01] (\d{3}) ", said)
    assert statuses, said
    assert b"200" not in statuses, said


def test_a_refused_header_is_not_echoed(served: Served) -> None:
    """What is wrong with a header is said without repeating what may be a secret in it."""
    head = (
        b"GET /v1/health HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret-canary\nX: y\r\n\r\n"
    )
    said = raw(served, head, wait=1.0)

    assert b" 400 " in said
    assert b"s3cret-canary" not in said
