"""`gatebook account credentials`, `remove-credential` and `unlock`, over a store with factors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.factors import begin, finish, with_totp
from tests.api.served import PASSWORD, Deployment
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


def test_signing_in_with_a_second_factor(deployment: Deployment, tmp_path: Path) -> None:
    """The code stands in the second line of standard input; without one it says so."""
    home = {"XDG_STATE_HOME": str(tmp_path / "state"), "GATEBOOK_TOKEN": ""}
    with deployment.served() as server:
        account, client, app = with_totp(server)
        url = f"http://{server.client.host}:{server.client.port}"
        words = ("--server", url, "login", "--username", account["username"], "--password-stdin")

        def login(*lines: str) -> tuple[int, str]:
            given = "".join(f"{line}\n" for line in (PASSWORD, *lines))
            done = program(deployment, *words, given=given, environment=home)
            return done.returncode, done.stderr

        code, said = login()
        assert (code, "second line of standard input" in said) == (1, True)
        code, said = login(app.wrong())
        assert (code, "code is wrong" in said) == (1, True)
        assert login(app.code())[0] == 0
        shown = program(deployment, "--server", url, "--json", "whoami", environment=home)
        assert json.loads(shown.stdout)["amr"] == ["pwd", "otp", "mfa"]
        codes = client.post("/v1/auth/recovery-codes", {}).body["codes"]
        assert login(codes[0])[0] == 0


def test_an_api_key_is_named_by_its_id(deployment: Deployment) -> None:
    """Its name is no id, and nothing is asked of the store."""
    for verb in ("revoke", "rotate"):
        done = program(deployment, "apikey", verb, "admin", "ci")
        assert (done.returncode, "as `apikey list` shows it" in done.stderr) == (2, True)
