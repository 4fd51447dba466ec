"""parity.md E56, E57, E59, E61, E62: the log, replay, hygiene."""

from __future__ import annotations

import json
import sqlite3
import time

import pytest

from tests.acceptance.test_bootstrap import run
from tests.api.served import ADMIN_PASSWORD, BOOTSTRAP_TOKEN, PASSWORD


def test_e56_every_change_is_one_append_with_who_and_where(served):
    """E56: each mutating call leaves its events, with actor, address class and request id."""
    me, client = served.signed_in("admin")
    subject = served.account()
    path = f"/v1/accounts/{subject['id']}"
    steps = [
        ("PATCH", path, {"display_name": "New Name"}, ["account.profile_changed"]),
        ("PUT", f"{path}/roles/viewer", None, ["role.granted"]),
        ("DELETE", f"{path}/roles/viewer", None, ["role.revoked"]),
        (
            "PUT",
            f"{path}/password",
            {"password": "another fine password 5"},
            ["account.tokens_revoked", "password.set"],
        ),
        ("PATCH", path, {"status": "inactive"}, ["account.deactivated"]),
        ("PATCH", path, {"status": "active"}, ["account.activated"]),
        ("DELETE", path, None, ["account.deleted"]),
        ("POST", f"{path}/restore", None, ["account.restored"]),
    ]
    for number, (method, target, body, wanted) in enumerate(steps):
        request_id = f"e56-{subject['id'][:8]}-{number}"
        headers = {"X-Request-Id": request_id, "User-Agent": "curl/8"}
        answer = client.call(method, target, body, headers=headers)
        assert answer.status < 300, answer.raw
        assert answer.headers["X-Request-Id"] == request_id
        events = served.events(f"&request_id={request_id}")
        assert sorted(event["type"] for event in events) == wanted
        for event in events:
            assert event["actor"] == {"type": "account", "id": me["id"]}
            assert event["account_id"] == subject["id"]
            assert event["source"] == {"ip": "127.0.0.1", "user_agent": "curl"}
            assert event["recorded_at"].endswith("Z")
        positions = [event["position"] for event in events]
        assert positions == list(range(positions[0], positions[0] + len(positions)))


def test_e56_a_refused_command_leaves_no_event(served):
    """E56: whatever is refused changes nothing and is not in the log."""
    _me, client = served.signed_in("operator")
    subject = served.account()
    before = served.head()
    path = f"/v1/accounts/{subject['id']}"
    assert client.post(f"{path}/restore").status == 409
    assert client.patch(path, {"status": "gone"}).status == 400
    assert client.patch(path, {"nickname": "x"}).status == 400
    assert client.put(f"{path}/password", {"password": "short"}).status == 400
    assert client.post("/v1/accounts", {"username": subject["username"].upper()}).status == 400
    taken = {"username": subject["username"].upper(), "type": "human"}
    assert client.post("/v1/accounts", taken).status == 409
    assert client.get("/v1/audit").status == 403
    assert served.head() == before


def test_e57_the_log_is_searched(served):
    """E57: by account, type, category and time, in both orders, page by page."""
    account, client = served.signed_in()
    since = served.events(f"&account={account['id']}")[0]["recorded_at"]
    for _ in range(3):
        served.client.post("/v1/auth/login", {"username": account["username"], "password": "wrong"})
    client.post("/v1/auth/logout")
    mine = f"&account={account['id']}"
    types = [event["type"] for event in served.events(mine)]
    assert types[0] == "account.created"
    assert types.count("login.failed") == 3
    assert types[-1] == "session.ended"
    assert [e["type"] for e in served.events(f"{mine}&type=login.failed")] == ["login.failed"] * 3
    assert {e["category"] for e in served.events(f"{mine}&category=auth")} == {"auth"}
    backwards = served.events(f"{mine}&order=desc")
    assert [e["position"] for e in backwards] == sorted(
        (e["position"] for e in backwards), reverse=True
    )
    assert len(served.events(f"{mine}&since={since}")) == len(types)
    assert served.events(f"{mine}&until={since}&since=2020-01-01T00:00:00Z") == []
    assert len(served.events(f"{mine}&until=2100-01-01T00:00:00Z")) == len(types)
    assert served.events(f"{mine}&since=2100-01-01T00:00:00Z") == []
    pages, after = [], ""
    while True:
        page = served.admin.get(f"/v1/audit?limit=2{mine}{after}").body
        pages += page["items"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert [e["type"] for e in pages if e["type"] != "audit.read"] == types
    assert {e["actor"]["type"] for e in served.events(f"{mine}&actor=anonymous")} == {"anonymous"}
    by_himself = served.events(f"{mine}&actor=account:{account['id']}")
    assert {e["actor"]["id"] for e in by_himself} == {account["id"]}
    one = pages[0]
    shown = served.admin.get(f"/v1/audit/events/{one['position']}").body
    del shown["proof"]
    assert shown == one
    assert served.admin.get("/v1/audit/events/99999999").status == 404
    for bad in (
        "category=nonsense",
        "type=login.faild",
        "since=yesterday",
        "order=up",
        "limit=0",
        "after=AAAA",
    ):
        assert served.admin.get(f"/v1/audit?{bad}").status == 400, bad


def test_e57_the_feed_is_gap_free_and_waits(served):
    """E57: a follower that asks for what is after n misses nothing, and need not poll."""
    account = served.account()
    head = served.head()
    seen, after = [], 0
    while after < head:
        page = served.admin.get(f"/v1/audit/feed?after={after}").body
        seen += [event["position"] for event in page["items"]]
        after = seen[-1]
    assert seen == list(range(1, seen[-1] + 1))
    began = time.monotonic()
    empty = served.admin.get(f"/v1/audit/feed?after={seen[-1]}&wait=1").body
    assert 0.8 < time.monotonic() - began < 5 or empty["items"]
    login = {"username": account["username"], "password": PASSWORD}
    assert served.client.post("/v1/auth/login", login).status == 200
    assert served.admin.get(f"/v1/audit/feed?after={seen[-1]}&wait=5").body["items"]


def test_e59_read_models_are_rebuilt_beside_the_server(fresh):
    """E59: rebuilt online they are what they were, and an account is told as it once stood."""
    with fresh.served() as server:
        account = server.account("viewer")
        position = server.head()
        path = f"/v1/accounts/{account['id']}"
        server.admin.delete(f"{path}/roles/viewer")
        server.admin.patch(path, {"display_name": "Later"})
        before = server.admin.get("/v1/accounts?limit=500").body["items"]

        rebuilt = run(fresh, "projection", "rebuild", "--all")
        assert rebuilt.returncode == 0, rebuilt.stderr
        verified = run(fresh, "projection", "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr

        assert server.admin.get("/v1/accounts?limit=500").body["items"] == before
        then = server.admin.get(f"{path}?position={position}").body
        assert (then["roles"], then["display_name"]) == (["viewer"], "")
        assert server.admin.get(f"{path}?position=1").status == 404
        now = server.admin.get(path).body
        assert (now["roles"], now["display_name"]) == ([], "Later")
        at = server.admin.get(f"{path}?at={account['created_at']}")
        assert at.status in (200, 404)


def test_e59_an_event_of_a_newer_program_stops_the_read_model_and_not_the_service(tmp_path):
    """E59: an unknown event type is a clear refusal: following halts, readiness says where."""
    from tests.api.served import Deployment

    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    deployment.create()
    connection = sqlite3.connect(deployment.directory / "gatebook.db")
    [head] = connection.execute("SELECT max(position) FROM log").fetchone()
    connection.execute(
        "INSERT INTO log (position, recorded_at, stream_id, version, topic, metadata, payload) "
        "VALUES (?, ?, ?, 1, 'moon.landed.1', ?, ?)",
        (head + 1, 1, b"m" * 16, b"\x90", b"\x90"),
    )
    connection.execute("UPDATE projections SET position = ? WHERE name = 'access'", (head + 1,))
    connection.commit()
    connection.close()
    with deployment.served() as server:
        pair = server.client.login("first-admin", ADMIN_PASSWORD)
        client = server.client.with_token(pair["access_token"])
        assert client.get("/v1/auth/me").status == 200
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            ready = server.client.get("/v1/ready")
            if "halted" in json.dumps(ready.body):
                break
            time.sleep(0.1)
        assert ready.status == 503
        assert str(head + 1) in json.dumps(ready.body["problems"])


def test_e61_no_secret_is_found_anywhere(tmp_path):
    """E61: after all kinds of traffic no secret stands in log lines, events, metrics or files."""
    from tests.api.served import Deployment

    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 2")
    deployment.create()
    new = "canary password seven swans"
    with deployment.served() as server:
        account = server.account("viewer")
        pair = server.client.login(account["username"], PASSWORD)
        client = server.client.with_token(pair["access_token"])
        renewed = server.client.post(
            "/v1/auth/renew", {"refresh_token": pair["refresh_token"]}
        ).body
        client = server.client.with_token(renewed["access_token"])
        change = {"current_password": PASSWORD, "new_password": new}
        assert client.put("/v1/auth/password", change).status == 204
        wrong = {"username": account["username"], "password": "canary wrong password"}
        server.client.post("/v1/auth/login", wrong)
        named = {"username": "canary-typed-into-name", "password": "x"}
        server.client.post("/v1/auth/login", named)
        server.client.post("/v1/token/validate", {"token": renewed["access_token"]})
        server.client.post("/v1/auth/login", raw=b'{"username": "canary half')
        server.client.get("/v1/nowhere?token=canary-in-query")
        keyed = {"username": "keyed-account", "type": "human", "password": new}
        headers = {"Idempotency-Key": "canary-idempotency-key"}
        assert server.admin.post("/v1/accounts", keyed, headers=headers).status == 201
        robot = server.account(kind="system")
        headers = {"Idempotency-Key": "canary-other-key"}
        issued = server.admin.post("/v1/token/issue", {"account_id": robot["id"]}, headers=headers)
        secrets = [
            PASSWORD,
            ADMIN_PASSWORD,
            BOOTSTRAP_TOKEN,
            new,
            "canary",
            pair["access_token"],
            pair["refresh_token"],
            renewed["refresh_token"],
            issued.body["access_token"],
            "$argon2",
        ]
        events = json.dumps(server.events())
        metrics = server.admin.get("/metrics").raw.decode()
    shown = {"events": events, "metrics": metrics, "stderr": deployment.log()}
    for secret in secrets:
        for name, text in shown.items():
            assert secret not in text, (name, secret)
    secrets.remove(BOOTSTRAP_TOKEN)  # its file is where the operator put it
    for path in deployment.directory.glob("gatebook.*"):
        content = path.read_bytes()
        for secret in secrets:
            assert secret.encode() not in content, (path.name, secret)


@pytest.mark.parametrize(
    "line",
    [
        '[server]\nlisten = "0.0.0.0:8440"',
        "[passwords]\nmin_bytes = 1",
        '[master_key]\nkey_file = "a"\npassphrase_env = "B"',
        "[lockout]\nthreshold = 0",
        '[tokens]\nalgorithm = "none"',
        '[tokens]\naccess_lifetime = "soon"',
        '[server]\nengine = "magic"',
    ],
)
def test_e62_a_configuration_that_endangers_is_refused(line, tmp_path):
    """E62: an open listener, a weak rule, two keys, an unknown algorithm: the start is refused."""
    from gatebook.store.settings import ConfigurationError, Settings

    config = tmp_path / "gatebook.toml"
    key = "" if "[master_key]" in line else '\n[master_key]\nkey_file = "master.key"\n'
    config.write_text(line + key)
    with pytest.raises(ConfigurationError) as refused:
        Settings.load(config, {})
    assert "\n" not in str(refused.value)
