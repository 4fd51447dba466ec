"""`gatebook account credentials`, `remove-credential` and `unlock`, over a store with factors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.factors import begin, finish, with_totp
from tests.api.served import Deployment
from tests.attacks.tools import program


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A deployment with a first admin; nothing runs yet."""
    made = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    made.create()
    return made


def test_an_operator_at_the_machine(deployment: Deployment) -> None:
    """Beside a running server: unlocks codes, lists what there is, removes a factor."""
    with deployment.served() as server:
        account, _, app = with_totp(server)
        name = account["username"]
        token = begin(server.client, name).body["mfa_token"]
        for _ in range(5):
            assert finish(server.client, token, totp_code=app.wrong()).status == 401
        assert finish(server.client, token, totp_code=app.code()).status == 401
        assert program(deployment, "account", "unlock", name).returncode == 0
        assert finish(server.client, token, totp_code=app.code()).status == 200

        listed = program(deployment, "--json", "account", "credentials", name)
        held = {one["kind"]: one["id"] for one in json.loads(listed.stdout)}
        assert set(held) == {"password", "totp"}
        removal = ("account", "remove-credential", name, held["totp"])
        assert program(deployment, *removal).returncode == 0
        assert begin(server.client, name).status == 200
        again = program(deployment, *removal)
        assert (again.returncode, "404" in again.stderr) == (1, True)
        [event] = server.events(f"&account={account['id']}&type=totp.removed")
        assert event["actor"]["type"] == "local"
