"""What an event changed, field by field, and its decision, over HTTP and at the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatebook.api.decision_schemas import ChangedFields
from gatebook.domain.field_changes import SECRET, changes
from gatebook.domain.folds import FOLDS, fold_of
from gatebook.store.deciding import state_before
from gatebook.tools.main import run
from tests.api.served import PASSWORD, Deployment, Served
from tests.replay.conftest import Lived
from tests.replay.walking import appends
from tests.wire.samples import ENTRIES


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running server with an administrator signed in."""
    deployment = Deployment(
        tmp_path_factory.mktemp("served"), "sqlite:///gatebook.db", server="workers = 1"
    )
    deployment.create()
    with deployment.served() as one:
        yield one


def newest(served: Served, query: str) -> Any:
    """The newest event that a query finds."""
    return served.events(f"&{query}")[-1]


def asked(served: Served, position: int, what: str) -> Any:
    answer = served.admin.get(f"/v1/audit/events/{position}/{what}")
    assert answer.status == 200, answer.raw
    return answer.body


def test_a_change_shows_before_and_after(served: Served) -> None:
    """Only what changed, names opened, and what is secret by its name alone."""
    admin = served.admin
    account = admin.post(
        "/v1/accounts", {"username": "bob", "type": "human", "email": "b@example.org"}
    ).body
    admin.patch(f"/v1/accounts/{account['id']}", {"email": "bob@example.org"})

    event = newest(served, f"account={account['id']}&type=account.profile_changed")
    found = asked(served, event["position"], "changes")
    assert found["changes"] == [
        {"field": "profile.email", "before": "b@example.org", "after": "bob@example.org"}
    ]
    assert (found["type"], found["stream"]) == ("account.profile_changed", "account")

    admin.put(f"/v1/accounts/{account['id']}/roles/viewer")
    event = newest(served, f"account={account['id']}&type=role.granted")
    found = asked(served, event["position"], "changes")
    assert {"field": "grants.viewer.source", "before": None, "after": "hand"} in found["changes"]

    admin.put(f"/v1/accounts/{account['id']}/password", {"password": PASSWORD})
    event = newest(served, f"account={account['id']}&type=password.set")
    answer = admin.get(f"/v1/audit/events/{event['position']}/changes")
    assert answer.body["hidden"] == ["phc"]
    assert answer.body["changes"] == []
    assert b"argon2" not in answer.raw
    served.client.post("/v1/auth/login", {"username": "bob", "password": "wrong wrong wrong"})
    event = newest(served, f"account={account['id']}&type=login.failed")
    found = asked(served, event["position"], "changes")
    moved = {one["field"]: (one["before"], one["after"]) for one in found["changes"]}
    assert moved["failures"] == (0, 1)
    assert moved["failed_at"][1].endswith("Z")


def test_a_decision_is_made_again_over_http(served: Served) -> None:
    """A refused sign-in: the same verdict, and the numbers it came from; never the password."""
    account = served.admin.post("/v1/accounts", {"username": "eve", "type": "human"}).body
    served.client.post("/v1/auth/login", {"username": "eve", "password": "wrong wrong wrong"})

    event = newest(served, f"account={account['id']}&type=login.failed")
    answer = served.admin.get(f"/v1/audit/events/{event['position']}/decision")
    found = answer.body
    assert found["outcome"] == "agrees"
    assert found["inputs"]["cause"] == "no-password"
    assert (found["inputs"]["threshold"], found["inputs"]["failures_before"]) == (5, 0)
    assert found["now"][0]["type"] == "login.failed"
    assert found["event"]["position"] == event["position"]
    assert b"wrong wrong" not in answer.raw


@pytest.mark.parametrize("what", ["decision", "changes"])
def test_only_readers_of_the_log_may_ask(served: Served, what: str) -> None:
    """Without a token 401, without the permission 403, of no event 404; asking is on record."""
    _account, client = served.signed_in()
    path = f"/v1/audit/events/1/{what}"
    assert served.client.get(path).status == 401
    assert client.get(path).status == 403
    assert served.admin.get(f"/v1/audit/events/999999/{what}").status == 404
    assert served.admin.get(path).status == 200
    read = served.admin.get("/v1/audit?type=audit.read&limit=500").body["items"]
    assert "event" in {one["data"]["kind"] for one in read}


def test_no_secret_of_any_event_is_shown(lived: Lived) -> None:
    """Whatever a life has sealed as secret is in no change of any of its events."""
    shown = 0
    for append in appends(lived.house.store):
        for recorded in append:
            secret = getattr(recorded.event, recorded.event.SECRET or "", None)
            if not isinstance(secret, msgspec.Struct):
                continue
            found = changes(recorded.event, state_before(lived.house.store, recorded))
            text = repr(found.fields)
            for value in msgspec.structs.astuple(secret):
                if recorded.event.STREAM == "api-key" and isinstance(value, str):
                    continue  # a key's name is shown wherever the key is
                assert repr(value) not in text
            shown += 1
    assert shown > 50


def test_secret_fields_are_fields() -> None:
    """The closed list names fields that the states have, so that none is missed by a misprint."""
    for stream, names in SECRET.items():
        assert names <= set(FOLDS[stream].initial.__struct_fields__)


@pytest.mark.parametrize("topic", sorted(ENTRIES))
def test_every_event_can_be_asked_about(topic: str) -> None:
    """Any event as the first of its stream: its changes can be told, and written as JSON."""
    event = ENTRIES[topic].event
    found = changes(event, fold_of(event).initial)

    assert all(one.before != one.after for one in found.fields)
    assert ChangedFields(1, event.type, event.STREAM, [], found.hidden)


def test_the_command_shows_changes(tmp_path: Path, capfd: Any) -> None:
    """`audit show POSITION --changes`: a table for people, the answer for programs."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db")
    deployment.create()
    config = ["--config", str(deployment.config)]
    assert run([*config, "--json", "audit", "query", "--type", "role.granted"]) == 0
    granted = json.loads(capfd.readouterr().out.splitlines()[0])

    words = ["audit", "show", str(granted["position"]), "--changes"]
    assert run([*config, *words]) == 0
    assert "grants.admin.generation" in capfd.readouterr().out
    assert run([*config, "--json", *words]) == 0
    assert json.loads(capfd.readouterr().out)["stream"] == "account"
