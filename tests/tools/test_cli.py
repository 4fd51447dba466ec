"""The command line: what it prints, what it records, and the code it ends with."""

from __future__ import annotations

import io
import json
import sqlite3
import threading

import pytest

from gatebook.tools.main import run as gatebook
from tests.api.served import ADMIN, ADMIN_PASSWORD, PASSWORD, Deployment


@pytest.fixture
def deployment(tmp_path):
    """A deployment with a first admin; no server runs."""
    made = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    made.create()
    return made


@pytest.fixture
def cli(deployment, capsys, monkeypatch, tmp_path):
    """Runs a command on the deployment. Returns (code, output, errors)."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("GATEBOOK_TOKEN", raising=False)

    def run(*words, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = gatebook(["--config", str(deployment.config), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def as_json(outcome):
    """The JSON that a command that succeeded printed."""
    code, output, errors = outcome
    assert code == 0, errors
    return json.loads(output)


def test_init_makes_everything_once(tmp_path, capsys):
    """The first run makes configuration, key and store, the second changes nothing and says so."""
    assert gatebook(["init", "--data-dir", str(tmp_path / "new")]) == 0
    first = capsys.readouterr().out
    assert "gatebook.toml" in first
    assert (tmp_path / "new" / "master.key").stat().st_mode & 0o777 == 0o600
    kept = ("gatebook.toml", "master.key")
    before = {name: (tmp_path / "new" / name).read_bytes() for name in kept}
    assert gatebook(["init", "--data-dir", str(tmp_path / "new")]) == 0
    assert "nothing to do" in capsys.readouterr().out
    for name in kept:
        assert (tmp_path / "new" / name).read_bytes() == before[name]


def test_init_never_makes_a_second_key_for_a_store(tmp_path, capsys):
    """A store whose key file is gone is not given another key."""
    assert gatebook(["init", "--data-dir", str(tmp_path)]) == 0
    (tmp_path / "master.key").unlink()
    assert gatebook(["init", "--data-dir", str(tmp_path)]) == 78
    assert "restore" in capsys.readouterr().err
    (tmp_path / "master.key").touch()
    (tmp_path / "gatebook.db").unlink()
    assert gatebook(["init", "--data-dir", str(tmp_path)]) == 78
    assert "restore" in capsys.readouterr().err
    (tmp_path / "master.key").unlink()
    assert not (tmp_path / "master.key").exists()


def test_the_form_that_scripts_rely_on(cli):
    """`account create ... --json` prints {"id": ...}; with --admin the seat is taken once."""
    words = ("account", "create", "--username", "amy", "--password-stdin", "--json")
    created = as_json(cli(*words, stdin=PASSWORD))
    assert set(created) == {"id"}
    shown = as_json(cli("--json", "account", "show", "amy"))
    assert (shown["id"], shown["username"], shown["roles"]) == (created["id"], "amy", [])


def test_an_accounts_life_at_the_command_line(cli):
    """Create, grant, disable, enable, delete, restore, erase: each is done and recorded."""
    assert cli("account", "create", "--username", "ben", "--password-stdin", stdin=PASSWORD)[0] == 0
    for words in (
        ("role", "grant", "ben", "viewer"),
        ("account", "set-status", "ben", "inactive"),
        ("account", "set-status", "ben", "active"),
        ("account", "unlock", "ben"),
        ("account", "set-status", "ben", "deleted"),
        ("account", "restore", "ben"),
        ("role", "revoke", "ben", "viewer"),
    ):
        code, _output, errors = cli(*words)
        assert code == 0, (words, errors)
    account_id = as_json(cli("--json", "account", "show", "ben"))["id"]
    code, _output, errors = cli("account", "erase", account_id)
    assert code == 2, errors
    assert cli("--yes", "account", "erase", account_id)[0] == 0
    gone = as_json(cli("--json", "account", "show", account_id))
    assert (gone["username"], gone["email"], gone["display_name"]) == (None, None, None)
    _code, output, _errors = cli("--json", "audit", "query", "--account", account_id)
    events = [json.loads(line) for line in output.splitlines()]
    assert {event["actor"]["type"] for event in events} == {"local"}
    assert [event["type"] for event in events if event["category"] == "account"] == [
        "account.created",
        "username.claimed",
        "account.deactivated",
        "account.activated",
        "account.deleted",
        "account.restored",
        "account.erased",
    ]
    assert "ben" not in output


def test_reading_past_the_api_is_recorded(cli):
    """Whoever lists accounts offline is in the log, with the words of his command."""
    cli("account", "list")
    _code, output, _errors = cli("--json", "audit", "query", "--type", "console.used")
    used = [json.loads(line) for line in output.splitlines()]
    assert [event["data"]["command"] for event in used] == ["account list", "audit query"]
    assert all(event["actor"]["type"] == "local" for event in used)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("account", "show", "nobody"), 1, "no account"),
        (("account", "create", "--username", "a b", "--no-password"), 1, "username"),
        (("role", "grant", ADMIN, "nonsense"), 1, "no role"),
        (("role", "define", "ops", "no.such"), 1, "no permission"),
        (("role", "delete", "admin"), 1, "built in"),
        (("role", "revoke", ADMIN, "admin"), 1, "last active"),
        (("token", "issue", ADMIN), 1, "system accounts"),
        (("audit", "show", "999999"), 1, "404"),
        (("account", "set-status", ADMIN, "sideways"), 2, "sideways"),
        (("nonsense",), 2, "nonsense"),
        (("projection", "rebuild"), 2, "--all"),
        (("projection", "rebuild", "nonsense"), 1, "nonsense"),
        (("--server", "http://127.0.0.1:9", "account", "list"), 1, "not signed in"),
        (("--server", "http://127.0.0.1:9", "projection", "status"), 2, "leave out"),
        (("--config", "/nowhere/x.toml", "account", "list"), 78, "/nowhere/x.toml"),
    ],
)
def test_what_cannot_be_done_says_why_and_ends_with_its_code(cli, words, code, said):
    """0 done, 1 refused, 2 usage, 3 unavailable, 78 configuration; one line on standard error."""
    ended, output, errors = cli(*words)
    assert ended == code, errors
    assert said in errors
    assert output == ""


def test_a_server_that_is_not_there_is_code_3(cli, monkeypatch):
    """Network trouble is told apart from a refusal."""
    monkeypatch.setenv("GATEBOOK_TOKEN", "x")
    code, _output, errors = cli("--server", "http://127.0.0.1:9", "account", "list")
    assert (code, "cannot reach" in errors) == (3, True)


def test_tokens(cli):
    """Issue, list, revoke, prune."""
    assert cli("account", "create", "--username", "robot", "--type", "system")[0] == 0
    issued = as_json(cli("--json", "token", "issue", "robot", "--expires-in", "60"))
    listed = as_json(cli("--json", "token", "list", "robot"))
    assert [token["jti"] for token in listed] == [issued["jti"]]
    assert cli("token", "revoke", issued["jti"])[0] == 0
    assert as_json(cli("--json", "token", "list", "robot")) == []
    assert cli("token", "revoke-all", "robot")[0] == 0
    assert cli("token", "prune")[0] == 0


def test_signing_keys(cli):
    """Rotate, list, retire; the one that signs cannot be retired."""
    [first] = as_json(cli("--json", "key", "list"))
    rotated = as_json(cli("--json", "key", "rotate-signing", "--lead", "0"))
    assert cli("--yes", "key", "retire", rotated["kid"])[0] == 1
    for unknown in ("nobody", f"-yh{'k' * 40}", f"--{'k' * 41}"):
        code, _output, errors = cli("key", "retire", unknown)
        assert (code, f"there is no key {unknown}" in errors) == (1, True)
    assert cli("--yes", "key", "retire", first["kid"])[0] == 0
    states = {key["kid"]: key["status"] for key in as_json(cli("--json", "key", "list"))}
    assert states == {first["kid"]: "retired", rotated["kid"]: "active"}
    code, output, _errors = cli("key", "rotate-signing")
    assert (code, "=" in output, "signs_from" in output) == (0, False, True)


def test_read_models_are_rebuilt_and_verified(cli, deployment):
    """Rebuild and verify succeed; a row changed by hand is found, and a rebuild mends it."""
    assert cli("account", "list")[0] == 0  # brings the following ones level
    assert cli("projection", "rebuild", "--all", "--dry-run")[0] == 0
    assert cli("projection", "verify")[0] == 0
    connection = sqlite3.connect(deployment.directory / "gatebook.db")
    connection.execute("UPDATE access_accounts SET status = 'inactive'")
    connection.commit()
    connection.close()
    code, output, errors = cli("projection", "verify", "access")
    assert code == 1
    assert "inactive" in errors
    assert cli("projection", "rebuild", "access")[0] == 0
    assert cli("projection", "verify")[0] == 0
    code, output, _errors = cli("projection", "status")
    assert (code, "halted" in output) == (0, False)


def test_only_a_halted_projection_passes_over_an_event(cli):
    """Nobody can leave out an event that nothing failed at, least of all one still to come."""
    cli("account", "list")
    for name in ("accounts", "access"):
        code, _output, errors = cli("--yes", "projection", "skip", name, "999")
        assert (code, "did not halt" in errors) == (1, True)
        assert cli("projection", "resume", name)[0] == 1


def test_a_log_that_was_cut_is_not_folded_away(cli, deployment):
    """Read models that have seen more than the log holds are evidence: commands refuse."""
    cli("account", "list")
    connection = sqlite3.connect(deployment.directory / "gatebook.db")
    connection.execute(
        "DROP TRIGGER "
        + connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%DELETE%'"
        ).fetchone()[0]
    )
    connection.execute("DELETE FROM log WHERE position > 12")
    connection.commit()
    connection.close()
    for words in (
        ("account", "list"),
        ("projection", "verify"),
        ("projection", "rebuild", "--all"),
    ):
        code, _output, errors = cli(*words)
        assert code == 78, errors
        assert "the log ends at 12" in errors
    code, output, _errors = cli("doctor")
    assert (code, "ahead of the log" in output) == (1, True)
    assert cli("projection", "rebuild", "--all", "--accept-shorter-log")[0] == 0
    code, output, _errors = cli("--json", "projection", "verify")
    tree = json.loads(output)[-1]
    assert (code, tree["name"], len(tree["wrong_heads"])) == (1, "tree", 1)
    words = ("audit", "witness", "--accept", "store", "--reason", "a test")
    assert cli("--yes", *words)[0] == 0
    assert cli("projection", "verify")[0] == 0


def test_an_account_is_updated(cli):
    """Name, display name and e-mail at the command line."""
    cli("account", "create", "--username", "ann", "--no-password")
    changed = as_json(
        cli("--json", "account", "update", "ann", "--username", "anna", "--email", "a@b.example")
    )
    assert (changed["username"], changed["email"]) == ("anna", "a@b.example")
    assert cli("account", "update", "anna")[0] == 2
    assert cli("account", "show", "ann")[0] == 1


def test_doctor_finds_what_is_wrong(cli, deployment):
    """All good is code 0; a key that others can read is named with its mend, code 78."""
    cli("account", "list")
    code, output, _errors = cli("doctor")
    assert code == 0, output
    (deployment.directory / "master.key").chmod(0o640)
    code, output, _errors = cli("doctor")
    assert code == 78
    assert "chmod 600" in output


def test_through_a_server(cli, deployment):
    """login, whoami, the account verbs and logout against a running server."""
    with deployment.served() as server:
        url = f"http://{server.client.host}:{server.client.port}"
        words = ("--server", url)
        signed = cli(*words, "login", "--username", ADMIN, "--password-stdin", stdin=ADMIN_PASSWORD)
        assert signed[0] == 0, signed[2]
        assert as_json(cli("--json", *words, "whoami"))["account"]["username"] == ADMIN
        made = cli(
            *words, "account", "create", "--username", "far", "--password-stdin", stdin=PASSWORD
        )
        assert made[0] == 0, made[2]
        assert cli(*words, "role", "grant", "far", "viewer")[0] == 0
        names = {item["username"] for item in as_json(cli("--json", *words, "account", "list"))}
        assert names == {ADMIN, "far"}
        _code, output, _errors = cli("--json", *words, "audit", "query", "--type", "role.granted")
        assert json.loads(output.splitlines()[-1])["actor"]["type"] == "account"
        assert cli(*words, "logout")[0] == 0
        assert cli(*words, "whoami")[0] == 1


def test_the_tail_follows(deployment, tmp_path):
    """`audit tail --follow` shows what happens next, until it is stopped."""
    import subprocess
    import sys
    from pathlib import Path

    program = str(Path(sys.executable).parent / "gatebook")
    with deployment.served() as server:
        url = f"http://{server.client.host}:{server.client.port}"
        process = subprocess.Popen(
            [program, "--json", "--server", url, "audit", "tail", "-n", "0", "--follow"],
            stdout=subprocess.PIPE,
            text=True,
            env={"GATEBOOK_TOKEN": server.admin.token, "PATH": "/usr/bin:/bin"},
        )
        stop = threading.Event()

        def go_on():
            """The tail may start late, so things go on happening, for a while."""
            for _ in range(100):
                server.account()
                if stop.wait(0.3):
                    return
            process.kill()

        busy = threading.Thread(target=go_on)
        busy.start()
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["type"]
        finally:
            stop.set()
            busy.join()
            process.terminate()
            process.wait(10)
            process.stdout.close()


def test_nothing_secret_can_be_an_argument():
    """No option takes a password, token, code or key: arguments are seen by everybody.

    One that ends in -file or -env says where the secret is.
    """
    import click

    from gatebook.tools.main import gatebook as program

    def walk(command):
        yield command
        for inner in getattr(command, "commands", {}).values():
            yield from walk(inner)

    for command in walk(program):
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.is_flag:
                if (parameter.name or "").endswith(("_file", "_env")):
                    continue
                for word in ("password", "secret", "token", "code", "passphrase"):
                    assert word not in (parameter.name or ""), (command.name, parameter.name)
