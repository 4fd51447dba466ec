"""`gatebook doctor` on whatever proves or brings back the log."""

from __future__ import annotations

import io
import json
import socket

import pytest

from gatebook.store.house import open_house
from gatebook.store.settings import Settings
from gatebook.tools.main import run as gatebook
from tests.api.served import Deployment

WITNESSED = '[audit]\nwitness_files = ["away/witness.txt"]\n'


@pytest.fixture
def deployment(tmp_path):
    """A deployment with a witness whose directory is there; no server runs."""
    (tmp_path / "away").mkdir()
    made = Deployment(tmp_path, "sqlite:///gatebook.db", more=WITNESSED)
    made.create()
    return made


@pytest.fixture
def cli(deployment, capsys, monkeypatch):
    """Runs a command on the deployment. Returns (code, output, errors)."""

    def run(*words):
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        code = gatebook(["--config", str(deployment.config), *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def states(cli):
    """What `doctor` says: its code, and state and finding by the name of the check."""
    code, output, errors = cli("--json", "doctor")
    assert not errors
    return code, {one["check"]: (one["state"], one["found"]) for one in json.loads(output)}


def execute(deployment, *statements):
    """SQL behind the program's back."""
    house = open_house(Settings.load(deployment.config, {}))
    try:
        with house.store.writing() as tx:
            for sql in statements:
                tx.execute(sql)
    finally:
        house.close()


def test_nothing_is_kept_elsewhere_yet(cli):
    """No backup and no share is no fault of a new deployment, but it is said."""
    cli("account", "list")
    code, found = states(cli)
    assert code == 0
    assert found["newest backup"] == ("none", "the log was never backed up")
    assert found["escrow"][0] == "none"
    assert found["witness away/witness.txt"][0] == "good"
    assert found["signed heads"][0] == found["append-only log"][0] == "good"


def test_backup_and_escrow_are_found(cli, deployment, tmp_path):
    """With their age; shares of a former master key open nothing."""
    assert cli("store", "backup", tmp_path / "b", "--keyring", tmp_path / "k")[0] == 0
    words = ("--shares", 3, "--threshold", 2, "--out", tmp_path / "s")
    assert cli("key", "escrow", *words)[0] == 0
    _code, found = states(cli)
    assert found["newest backup"][0] == "good"
    assert found["newest backup"][1].startswith("0 days old, ")
    assert found["escrow"] == ("good", "any 2 of 3 shares")
    new = tmp_path / "new.key"
    assert cli("key", "rotate-master", "--key-file", new, "--generate")[0] == 0
    text = deployment.config.read_text()
    deployment.config.write_text(text.replace('"master.key"', f'"{new}"'))
    _code, found = states(cli)
    assert found["escrow"][0] == "old"


def test_a_trigger_that_is_gone_is_wrong(cli, deployment):
    """Nothing else notices that the log is not append-only any more."""
    cli("account", "list")
    execute(deployment, "DROP TRIGGER log_refuses_update")
    code, found = states(cli)
    assert code == 1
    assert found["append-only log"][0] == "wrong"
    assert "log_refuses_update" in found["append-only log"][1]
    code, _output, errors = cli("store", "verify")
    assert (code, "log_refuses_update" in errors) == (1, True)


def test_a_witness_in_trouble_and_a_halt_are_wrong(cli, deployment, tmp_path):
    """A lost directory, and a head that is not of this log."""
    cli("account", "list")
    (tmp_path / "away").rename(tmp_path / "gone")
    cli("account", "list")
    code, found = states(cli)
    assert (code, found["witness away/witness.txt"][0]) == (1, "wrong")
    code, output, _errors = cli("audit", "witness")
    assert (code, "its directory is not there" in output) == (1, True)
    execute(deployment, "UPDATE tree_state SET halted = 'a test'")
    code, found = states(cli)
    assert (code, found["signed heads"]) == (1, ("wrong", "nothing is signed: a test"))


def test_without_a_witness(cli, deployment):
    """It is no fault, and it is said; `audit witness` says so too."""
    deployment.config.write_text(deployment.config.read_text().replace(WITNESSED, ""))
    cli("account", "list")
    code, found = states(cli)
    assert (code, found["witnesses"][0]) == (0, "none")
    code, output, _errors = cli("audit", "witness")
    assert (code, output) == (0, "No witness is configured: [audit] witness_files names none.\n")


def test_a_port_that_is_taken(cli, deployment):
    """`serve` would end with 78; so does this. While our own server runs it is no fault."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = deployment.config.read_text()
        deployment.config.write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        code, found = states(cli)
        assert (code, found["listen"][0]) == (78, "cannot start")
        assert str(port) in found["listen"][1]
    with deployment.served():
        code, found = states(cli)
        assert found["listeners"] == ("good", "a server with this configuration runs")


@pytest.mark.parametrize(
    ("server", "check"),
    [
        ('engine = "granian"\ntls_cert = "no.crt"\ntls_key = "no.key"', "certificate"),
        ('management_listen = "192.0.2.1:1"\nbehind_tls_proxy = true', "management_listen"),
    ],
    ids=["TLS", "address"],
)
def test_what_serve_would_refuse(cli, deployment, server, check):
    """Files that are missing, an address that is not this machine's: code 78."""
    text = deployment.config.read_text()
    deployment.config.write_text(text.replace("[server]", f"[server]\n{server}"))
    code, found = states(cli)
    assert (code, found[check][0]) == (78, "cannot start")


def test_a_log_that_nobody_may_write(cli, deployment, tmp_path):
    """The server could not record anything."""
    (tmp_path / "gatebook.db").chmod(0o400)
    code, found = states(cli)
    assert (code, found[str(tmp_path / "gatebook.db")]) == (1, ("wrong", "mode 0400"))


def test_an_address_in_clear(cli, deployment):
    """Cookies without Secure for everybody on the way."""
    text = deployment.config.read_text()
    line = '[server]\npublic_url = "http://auth.example.org"'
    deployment.config.write_text(text.replace("[server]", line))
    code, found = states(cli)
    assert (code, found["public URL"][0]) == (1, "wrong")


def test_mends_fit(deployment, capsys, tmp_path):
    """A file that is not there is not mended by a line; another key is said to be another."""
    assert gatebook(["--config", str(tmp_path / "no.toml"), "doctor"]) == 78
    assert "gatebook init" in capsys.readouterr().out
    (tmp_path / "master.key").write_text("ab" * 32)
    assert gatebook(["--config", str(deployment.config), "doctor"]) == 78
    assert "Set [master_key]" in capsys.readouterr().out
