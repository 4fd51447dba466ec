"""The past over a socket: as of, explanations and differences, told by positions."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.served import PASSWORD, Client, Served


@pytest.fixture
def clerk(served: Served) -> str:
    """A role of this test alone, with one permission."""
    name = f"clerk-{uuid.uuid4().hex[:12]}"
    body = {"permissions": ["accounts.read"], "description": "Reads accounts."}
    assert served.admin.put(f"/v1/roles/{name}", body).status == 201
    return name


def asked(served: Served, path: str, **query: Any) -> Any:
    """The answer to a question about the past."""
    answer = served.admin.get(f"{path}?{'&'.join(f'{k}={v}' for k, v in query.items())}")
    assert answer.status == 200, answer.raw
    return answer.body


def now(served: Served) -> str:
    """An instant between two things that happen: the newest event's time."""
    time.sleep(0.002)
    found = served.admin.get("/v1/audit?order=desc&limit=1").body["items"][0]["recorded_at"]
    time.sleep(0.002)
    return str(found)


def test_an_account_and_its_roles_then(served: Served, clerk: str) -> None:
    """Name, status and roles are those of the moment, whatever became of them and of the role."""
    account = served.account(clerk)
    path = f"/v1/accounts/{account['id']}"
    before = served.head()
    served.admin.patch(path, {"username": f"{account['username']}-new", "status": "inactive"})
    served.admin.put(f"/v1/roles/{clerk}", {"permissions": ["roles.read"], "description": ""})
    served.admin.delete(f"{path}/roles/{clerk}")
    served.admin.delete(f"/v1/roles/{clerk}")

    then = asked(served, path, position=before)
    assert (then["username"], then["status"], then["roles"]) == (
        account["username"],
        "active",
        [clerk],
    )
    assert [one["role"] for one in asked(served, f"{path}/roles", position=before)["items"]] == [
        clerk
    ]
    assert asked(served, f"/v1/roles/{clerk}", position=before)["permissions"] == ["accounts.read"]
    assert served.admin.get(f"/v1/roles/{clerk}").status == 404
    assert asked(served, path)["roles"] == []
    assert served.admin.get(f"{path}?position=1").status == 404


def test_the_access_of_everybody_then(served: Served, clerk: str) -> None:
    """Who held a role at a moment is told page by page, by role and by permission."""
    people = [served.account(clerk) for _ in range(5)]
    before = served.head()
    for one in people[:2]:
        served.admin.delete(f"/v1/accounts/{one['id']}/roles/{clerk}")
    served.admin.delete(f"/v1/accounts/{people[2]['id']}")

    def holders(**query: Any) -> list[str]:
        found, after = [], {}
        for _ in range(20):
            page = asked(served, "/v1/audit/access", role=clerk, limit=2, **query, **after)
            found += [one["account_id"] for one in page["items"]]
            if page["next"] is None:
                return found
            after = {"after": page["next"]}
        raise AssertionError("a list without an end")

    ids = [one["id"] for one in people]
    assert holders(position=before) == ids
    assert holders() == ids[2:]
    assert holders(permission="accounts.read") == ids[3:], "who is deleted holds no permission"
    shown = asked(served, "/v1/audit/access", role=clerk, position=before)["items"][0]
    assert (shown["username"], shown["permissions"]) == (people[0]["username"], ["accounts.read"])


def test_sessions_and_tokens_then(served: Served) -> None:
    """What a token and a session were worth is told after they are gone."""
    account = served.account("viewer")
    pair = served.client.login(account["username"], PASSWORD)
    signed_in = served.client.with_token(pair["access_token"])
    claims = served.admin.post("/v1/token/validate", {"token": pair["access_token"]}).body["claims"]
    during = served.head()
    renewed = served.client.post("/v1/auth/renew", {"refresh_token": pair["refresh_token"]}).body
    after = served.head()
    assert signed_in.get("/v1/auth/me").status == 401
    served.client.with_token(renewed["access_token"]).post("/v1/auth/logout")

    token = f"/v1/audit/tokens/{claims['jti']}"
    then = asked(served, token, position=during)
    assert (then["live"], then["account_id"]) == (True, account["id"])
    assert then["session_id"] == claims["sid"]
    assert then["roles"] == ["viewer"]
    assert "accounts.read" in then["permissions"]
    assert [one["event"]["type"] for one in then["grounds"]] == ["session.opened"]
    rotated = asked(served, token, position=after)
    assert (rotated["live"], rotated["roles"]) == (False, [])
    assert [one["event"]["type"] for one in rotated["grounds"]] == [
        "session.opened",
        "session.rotated",
    ]
    session = f"/v1/audit/sessions/{claims['sid']}"
    assert asked(served, session, position=after)["live"] is True
    ended = asked(served, session)
    assert (ended["live"], ended["grounds"][-1]["event"]["type"]) == (False, "session.ended")
    path = f"/v1/accounts/{account['id']}"
    lived = asked(served, f"{path}/sessions", position=during)["items"]
    assert [one["id"] for one in lived] == [claims["sid"]]
    assert asked(served, f"{path}/sessions")["items"] == []
    counted = asked(served, f"{path}/tokens", position=during)["items"]
    assert [one["jti"] for one in counted] == [claims["jti"]]
    assert served.admin.get(f"{token}?position={claims['iat'] % 7 + 1}").status == 404


def test_a_token_of_a_machine_then(served: Served) -> None:
    """A token minted outside a session has a past too, with its revocation."""
    account = served.account("viewer", kind="system")
    body = {"account_id": account["id"], "expires_in": 600}
    issued = served.admin.post("/v1/token/issue", body).body
    during = served.head()
    served.admin.delete(f"/v1/token/{issued['jti']}")

    path = f"/v1/audit/tokens/{issued['jti']}"
    assert asked(served, path, position=during)["live"] is True
    gone = asked(served, path)
    assert (gone["live"], gone["session_id"]) == (False, None)
    assert [one["event"]["type"] for one in gone["grounds"]] == ["token.issued", "token.revoked"]


def test_explained_now_and_then(served: Served, clerk: str) -> None:
    """The grant and the definition are named with who did them; later, what ended it."""
    account = served.account(clerk)
    before = served.head()
    served.admin.delete(f"/v1/accounts/{account['id']}/roles/{clerk}")

    def explained(**query: Any) -> Any:
        return asked(
            served, "/v1/audit/explain", account=account["id"], permission="accounts.read", **query
        )

    then, today = explained(position=before), explained()
    assert (then["holds"], today["holds"]) == (True, False)
    (reason,) = [one for one in then["reasons"] if one["role"] == clerk]
    assert (reason["why"], reason["needs_two_factors"]) == ("held", False)
    assert [one["event"]["type"] for one in reason["grounds"]] == ["role.defined", "role.granted"]
    admin = served.admin.get("/v1/auth/me").body["account"]["id"]
    assert {one["event"]["actor"]["id"] for one in reason["grounds"]} == {admin}
    (reason,) = [one for one in today["reasons"] if one["role"] == clerk]
    assert (reason["why"], reason["grounds"][-1]["event"]["type"]) == ("revoked", "role.revoked")
    assert {"viewer", "auditor"} <= {one["role"] for one in today["reasons"]}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("account=00000000-0000-4000-8000-000000000000&permission=accounts.read", 404),
        ("account={id}&permission=no.such", 400),
        ("account={id}", 400),
        ("account={id}&permission=accounts.read&at=2999-01-01T00:00:00Z", 400),
        ("account={id}&permission=accounts.read&position=1", 404),
        ("account={id}&permission=accounts.read&position=99999999", 400),
    ],
)
def test_questions_that_cannot_be_answered(served: Served, query: str, status: int) -> None:
    """Each is refused by its own status, never by an empty answer."""
    account = served.admin.get("/v1/auth/me").body["account"]["id"]
    assert served.admin.get(f"/v1/audit/explain?{query.format(id=account)}").status == status


def test_who_gained_and_lost(served: Served, clerk: str) -> None:
    """Grants, revocations, a changed role, time that ran out, and accounts that came and went."""
    keeps, loses, gains, ends, goes = (served.account(clerk) for _ in range(5))
    grant = f"/v1/accounts/{ends['id']}/roles/auditor?expires_at="
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    assert served.admin.put(grant + soon).status == 204
    begin = now(served)
    position = served.head()
    served.admin.delete(f"/v1/accounts/{loses['id']}/roles/{clerk}")
    served.admin.put(f"/v1/accounts/{gains['id']}/roles/viewer")
    served.admin.delete(f"/v1/accounts/{goes['id']}")
    comes = served.account("viewer")
    middle = served.head()
    body = {"permissions": ["accounts.read", "keys.read"], "description": ""}
    served.admin.put(f"/v1/roles/{clerk}", body)
    time.sleep(2.2)

    found: dict[str, Any] = {}
    after: dict[str, str] = {}
    for _ in range(10):
        page = asked(
            served, "/v1/audit/diff", from_position=position, to_position=middle, limit=2, **after
        )
        found |= {one["account_id"]: one for one in page["items"]}
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert set(found) == {one["id"] for one in (loses, gains, goes, comes)}
    assert found[loses["id"]]["permissions"] == {"gained": [], "lost": ["accounts.read"]}
    assert found[gains["id"]]["roles"] == {"gained": ["viewer"], "lost": []}
    assert found[gains["id"]]["permissions"]["gained"] == ["roles.read"]
    assert (found[goes["id"]]["status_before"], found[goes["id"]]["status_after"]) == (
        "active",
        "deleted",
    )
    assert found[goes["id"]]["permissions"]["lost"] == ["accounts.read"]
    assert (found[comes["id"]]["status_before"], found[comes["id"]]["username"]) == (
        "absent",
        comes["username"],
    )

    later = {
        one["account_id"]: one
        for one in asked(served, "/v1/audit/diff", **{"from": begin}, limit=500)["items"]
    }
    assert later[keeps["id"]]["permissions"] == {"gained": ["keys.read"], "lost": []}
    assert later[ends["id"]]["roles"] == {"gained": [], "lost": ["auditor"]}
    for question in ("", f"?from_position={middle}&to_position={position}", "?from=2999-01-01"):
        assert served.admin.get(f"/v1/audit/diff{question}").status == 400


def test_the_past_is_for_auditors(served: Served) -> None:
    """Without audit.read none of it is told; one's own account then is one's own to see."""
    account, client = served.signed_in("viewer")
    auditor: Client = served.signed_in("auditor")[1]
    jti = uuid.uuid4()
    for path in (
        "/v1/audit/access",
        "/v1/audit/diff?from_position=1",
        f"/v1/audit/explain?account={account['id']}&permission=accounts.read",
        f"/v1/audit/sessions/{jti}",
        f"/v1/audit/tokens/{jti}",
    ):
        assert client.get(path).status == 403
        assert auditor.get(path).status in (200, 404)
    head = served.head()
    assert client.get(f"/v1/accounts/{account['id']}?position={head}").status == 200


def test_an_erased_person_has_a_past_without_a_name(served: Served) -> None:
    """Ids, roles and times are told; the name is gone from the past as well."""
    account = served.account("viewer")
    before = served.head()
    confirm = {"confirm": account["username"]}
    assert served.admin.post(f"/v1/accounts/{account['id']}/erase", confirm).status == 204

    then = asked(served, f"/v1/accounts/{account['id']}", position=before)
    assert (then["username"], then["status"], then["roles"]) == (None, "active", ["viewer"])
    held = asked(served, "/v1/audit/access", position=before, limit=500)["items"]
    (mine,) = [one for one in held if one["account_id"] == account["id"]]
    assert (mine["username"], mine["roles"]) == (None, ["viewer"])


def test_questions_about_the_past_are_recorded(served: Served) -> None:
    """Who asked what about whom stands in the log; one's own past is one's own."""
    about = served.account("viewer")
    account, auditor = served.signed_in("auditor")
    head = served.head()
    explain = f"/v1/audit/explain?account={about['id']}&permission=accounts.read"
    for path in (
        "/v1/audit/access",
        f"/v1/accounts/{about['id']}?position={head}",
        f"/v1/accounts/{account['id']}?position={head}",
        explain,
        explain,
        f"/v1/audit/diff?from_position={head}",
    ):
        assert auditor.get(path).status == 200

    served.head()
    query = f"/v1/audit?type=audit.read&actor=account:{account['id']}"
    found = served.admin.get(query).body["items"]
    assert [(one["data"]["kind"], one["data"]["account_id"]) for one in found] == [
        ("as-of", None),
        ("as-of", about["id"]),
        ("explain", about["id"]),
        ("diff", None),
    ]


def test_questions_about_the_past_leave_room_for_others(served: Served) -> None:
    """Of many at one time some are told to come back; none fails otherwise, and others go on."""

    def ask(_number: int) -> int:
        return served.admin.get("/v1/audit/access?limit=500").status

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(120)))
    assert set(found) <= {200, 503}
    assert found.count(200) > 10
    assert served.admin.get("/v1/audit/access").status == 200
