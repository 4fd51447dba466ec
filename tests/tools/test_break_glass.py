"""`gatebook breakglass`, on the store itself and through a server."""

from __future__ import annotations

import io
import json

import pytest

from gatebook.tools.main import run as gatebook
from tests.api.emergency import EMERGENCY, WRONG, attempt
from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment


@pytest.fixture
def deployment(tmp_path):
    """A deployment with a first admin and break-glass on; no server runs."""
    made = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    made.create()
    return made


@pytest.fixture
def cli(deployment, capsys, monkeypatch, tmp_path):
    """Runs a command on the deployment. Returns (code, output, errors)."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*words, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = gatebook(["--config", str(deployment.config), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def status(cli, *words):
    """What `status` says, as JSON."""
    code, output, errors = cli(*words, "--json", "breakglass", "status")
    assert code == 0, errors
    return json.loads(output)


def test_set_use_unlock_remove(cli, deployment):
    """Set at the machine, used and locked over HTTP, unlocked and removed at the machine again."""
    code, output, errors = cli(
        "breakglass", "set", ADMIN, "--password-stdin", stdin=f"{EMERGENCY}\n"
    )
    assert code == 0, errors
    assert EMERGENCY not in output
    [held] = status(cli)["credentials"]
    with deployment.served() as served:
        assert attempt(served.client, held["account_id"], EMERGENCY).status == 204
        found = status(cli)
        [use] = found["uses"]
        assert use["account_id"] == held["account_id"]
        assert use["ip"] == "127.0.0.1"
        assert found["credentials"][0]["last_used_at"] is not None
        doctor = {one["check"]: one["found"] for one in json.loads(cli("--json", "doctor")[1])}
        assert doctor["break-glass"] == "on, credentials: 1, uses in 30 days: 1"
        served.client.login(ADMIN, ADMIN_PASSWORD)
    assert cli("breakglass", "unlock", ADMIN)[0] == 0
    assert cli("--yes", "breakglass", "remove", ADMIN)[0] == 0
    assert status(cli)["credentials"] == []
    code, _, errors = cli("breakglass", "remove", ADMIN)
    assert (code, "no break-glass credential" in errors) == (1, True)


def test_an_account_that_cannot_use_it_is_named(cli, deployment):
    """Set all the same: the role may follow. Whoever may use it hears nothing."""
    words = ("breakglass", "set", ADMIN, "--password-stdin")
    assert cli(*words, stdin=f"{EMERGENCY}\n")[2] == ""
    cli("account", "create", "--username", "guest", "--password-stdin", stdin=f"{ADMIN_PASSWORD}\n")
    code, _, errors = cli("breakglass", "set", "guest", "--password-stdin", stdin=f"{EMERGENCY}\n")
    assert (code, "no role with auth.breakglass.login" in errors) == (0, True)


def test_local_unlock_ends_a_lock(cli, deployment):
    """Whom strangers locked out is let in again by one command at the machine."""
    cli("breakglass", "set", ADMIN, "--password-stdin", stdin=f"{EMERGENCY}\n")
    text = deployment.config.read_text()
    deployment.config.write_text(
        text.replace("enabled = true", "enabled = true\nlockout_threshold = 2")
    )
    [held] = status(cli)["credentials"]
    with deployment.served() as served:
        for _ in range(2):
            assert attempt(served.client, held["account_id"], WRONG).status == 401
        assert attempt(served.client, held["account_id"], EMERGENCY).status == 401
        assert status(cli)["credentials"][0]["locked_until"] is not None

        assert cli("breakglass", "unlock", ADMIN)[0] == 0

        assert status(cli)["credentials"][0]["locked_until"] is None
        assert attempt(served.client, held["account_id"], EMERGENCY).status == 204


def test_weak_passwords_are_refused(cli):
    """The same rules as over HTTP."""
    code, _, errors = cli("breakglass", "set", ADMIN, "--password-stdin", stdin="short-7x\n")
    assert (code, "at least 12 bytes" in errors) == (1, True)


def test_while_it_is_off(cli, deployment):
    """Nothing can be set; what was used before is still told."""
    text = deployment.config.read_text()
    deployment.config.write_text(text.replace("enabled = true", "enabled = false"))
    assert status(cli) == {"enabled": False, "credentials": [], "uses": []}
    code, _, errors = cli("breakglass", "set", ADMIN, "--password-stdin", stdin=f"{EMERGENCY}\n")
    assert (code, "break-glass is off" in errors) == (1, True)


def test_through_a_server(cli, deployment, monkeypatch):
    """With --server the same commands go through the API."""
    with deployment.served() as served:
        monkeypatch.setenv("GATEBOOK_TOKEN", served.token(ADMIN, ADMIN_PASSWORD))
        server = ("--server", f"http://{served.client.host}:{served.client.port}")
        words = ("breakglass", "set", ADMIN, "--password-stdin")
        code, _, errors = cli(*server, *words, stdin=f"{EMERGENCY}\n")
        assert code == 0, errors
        assert len(status(cli, *server)["credentials"]) == 1
        assert cli(*server, "breakglass", "unlock", ADMIN)[0] == 0
        assert cli(*server, "breakglass", "remove", ADMIN)[0] == 0
        assert status(cli, *server)["credentials"] == []
