"""`gatebook store` and `gatebook audit verify`: what they say, write and refuse."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gatebook.api.local import follow_up, record_use
from gatebook.store.checkpoint_key import checkpoint_key
from gatebook.store.house import open_house
from gatebook.store.key_rows import key_rows
from gatebook.store.settings import Settings
from gatebook.tools import verify
from gatebook.tools.main import run as gatebook
from gatebook.tools.stores import _shown as shown
from gatebook.tools.verify import EVENTS, opened
from tests.api.served import Deployment
from tests.trust.evidence import Copy

VERIFIER = Path(verify.__file__)


@pytest.fixture(params=["sqlite", "postgresql"])
def deployment(request, tmp_path):
    """A deployment with a first admin; no server runs."""
    server = None
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = server.url()
    (tmp_path / "home").mkdir()
    made = Deployment(tmp_path / "home", url, more='[audit]\nwitness_files = ["heads"]')
    made.create()
    yield made
    if server is not None:
        server.drop(url)


@pytest.fixture
def cli(deployment, capsys):
    """Runs a command on the deployment, or on another. Returns (code, output, errors)."""

    def run(*words, on=deployment):
        code = gatebook(["--config", str(on.config), *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def as_json(outcome):
    """The JSON that a command that succeeded printed."""
    code, output, errors = outcome
    assert code == 0, errors
    return json.loads(output)


def url_of(deployment):
    """Where its store is, absolutely."""
    url = deployment.config.read_text().partition('url = "')[2].partition('"')[0]
    if url.startswith("sqlite:////") or "postgres" in url:
        return url
    return url.replace("sqlite:///", f"sqlite:///{deployment.directory}/")


def rows_of(url):
    """Every event as it is stored."""
    with opened(url) as database:
        return [tuple(row) for row in database.query(EVENTS)]


def verifier_key(deployment):
    """The key that its heads are signed with."""
    house = open_house(Settings.load(deployment.config, {}))
    try:
        return checkpoint_key(house.keyring).verifier
    finally:
        house.close()


def another(tmp_path, deployment, name="other", url="sqlite:///gatebook.db"):
    """A configuration with the same master key and no store."""
    (tmp_path / name).mkdir()
    made = Deployment(tmp_path / name, url)
    shutil.copy(deployment.directory / "master.key", made.directory / "master.key")
    return made


def test_a_backup_is_one_private_file_that_verifies_on_its_own(cli, deployment, tmp_path):
    """It holds the events and heads, nothing else, and the standalone tool finds it whole."""
    told = as_json(cli("--json", "store", "backup", tmp_path / "b", "--keyring", tmp_path / "k"))
    assert told["head"] == told["checkpoint"] > 0
    assert told["bytes"] == (tmp_path / "b").stat().st_size
    for name in ("b", "k"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["b", "home", "k"]
    rows = rows_of(url_of(deployment))
    assert rows_of(f"sqlite:///{tmp_path}/b") == rows[: told["head"]]
    with closing(sqlite3.connect(tmp_path / "b")) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
        assert not [name for name in tables if name.startswith(("access", "projections", "keys"))]
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute("DELETE FROM log")
    ((topic,),) = Copy(url_of(deployment)).run(
        f"SELECT topic FROM log WHERE position = {told['head'] + 1}"
    )
    assert topic == "store.backed_up.1"


def test_nothing_is_overwritten(cli, tmp_path):
    """A backup onto a file that is there is refused, and so is one of the keyring."""
    (tmp_path / "there").write_text("mine")
    for words in ((tmp_path / "there",), (tmp_path / "b", "--keyring", tmp_path / "there")):
        code, _output, errors = cli("store", "backup", *words)
        assert code == 1
        assert "not overwritten" in errors
    assert (tmp_path / "there").read_text() == "mine"
    assert not (tmp_path / "b").exists()


def test_restoring_up_to_a_position(cli, deployment, tmp_path):
    """Events and heads up to there, and then the event that says so, by whom."""
    backup = ("store", "backup", tmp_path / "b", "--keyring", tmp_path / "k")
    head = as_json(cli("--json", *backup))["head"]
    other = another(tmp_path, deployment)
    words = ("store", "restore", tmp_path / "b", "--keyring", tmp_path / "k", "--to-position")
    code, _output, errors = cli(*words, head + 1, on=other)
    assert (code, "and not" in errors) == (1, True)
    assert not (other.directory / "gatebook.db").exists()
    assert as_json(cli("--json", *words, 5, on=other))["head"] == 5
    rows = rows_of(url_of(other))
    assert rows[:5] == rows_of(url_of(deployment))[:5]
    assert [row[4] for row in rows[5:]] == ["store.restored.1"]
    assert cli("store", "verify", on=other)[0] == 0


def test_a_store_that_is_there_is_never_restored_over(cli, deployment, tmp_path):
    """Neither a log nor another keyring is replaced, and remains of a former log are no ground."""
    cli("store", "backup", tmp_path / "b", "--keyring", tmp_path / "k")
    before = rows_of(url_of(deployment))
    code, _output, errors = cli("store", "restore", tmp_path / "b")
    assert code == 1
    assert "already" in errors
    assert rows_of(url_of(deployment)) == before
    other = another(tmp_path, deployment)
    (other.directory / "gatebook.db-wal").touch()
    words = ("store", "restore", tmp_path / "b", "--keyring", tmp_path / "k")
    assert "left of a former store" in cli(*words, on=other)[2]
    (other.directory / "gatebook.db-wal").unlink()
    code, _output, errors = cli("store", "restore", tmp_path / "b", on=other)
    assert code == 78
    assert "there is no keyring" in errors


def test_a_backup_that_was_altered_is_not_restored(cli, deployment, tmp_path):
    """It is verified before, with the key from the keyring."""
    cli("store", "backup", tmp_path / "b", "--keyring", tmp_path / "k")
    copy = Copy(f"sqlite:///{tmp_path}/b")
    copy.run(copy.altered("payload", 3))
    other = another(tmp_path, deployment)
    words = ("store", "restore", tmp_path / "b", "--keyring", tmp_path / "k")
    code, _output, errors = cli(*words, on=other)
    assert code == 1
    assert "is not restored" in errors
    assert not (other.directory / "gatebook.db").exists()


def test_the_good_part_of_a_bad_backup_is_restored(cli, deployment, tmp_path):
    """Up to a head that agrees; further only what no head contradicts, and that is said."""
    for _ in range(3):
        cli("account", "list")
    cli("store", "backup", tmp_path / "b", "--keyring", tmp_path / "k")
    copy = Copy(f"sqlite:///{tmp_path}/b")
    heads = [size for (size,) in copy.run("SELECT size FROM tree_heads ORDER BY size")]
    assert len(heads) > 2
    good, bad = heads[0], heads[-1]
    copy.run(copy.altered("payload", bad), f"UPDATE tree_heads SET note = 'x' WHERE size = {bad}")
    words = ("store", "restore", tmp_path / "b", "--keyring", tmp_path / "k")
    other = another(tmp_path, deployment)
    assert cli(*words, on=other)[0] == 1
    copy.run(copy.altered("payload", good + 1))
    code, _output, errors = cli(*words, "--to-position", heads[1], on=other)
    assert (code, f"before it can be restored: --to-position {good}" in errors) == (1, True), errors
    code, _output, errors = cli(*words, "--to-position", good, on=other)
    assert code == 0, errors
    assert f"only events 1 to {good} were verified" in errors
    assert "vouches" not in errors
    assert rows_of(url_of(other))[:good] == rows_of(url_of(deployment))[:good]
    assert cli("audit", "verify", on=other)[0] == 0


@pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
def test_a_backup_by_a_bare_name(cli, tmp_path, monkeypatch):
    """It is of the working directory, as anywhere else."""
    monkeypatch.chdir(tmp_path)
    code, _output, errors = cli("store", "backup", "b", "--keyring", "k")
    assert code == 0, errors
    assert sorted(os.listdir(tmp_path)) == ["b", "home", "k"]


def test_a_log_with_a_gap_is_not_copied(cli, deployment, tmp_path):
    """The event that is missing is named, and no file is left."""
    Copy(url_of(deployment)).run("DELETE FROM log WHERE position = 5")
    code, _output, errors = cli("store", "backup", tmp_path / "b", "--keyring", tmp_path / "k")
    assert (code, "event 5 is missing" in errors) == (1, True), errors
    assert os.listdir(tmp_path) == ["home"]


@pytest.mark.parametrize("damage", ["payload", "note"])
def test_a_backup_of_a_forged_log_is_kept_as_bad(cli, deployment, tmp_path, damage):
    """It reads every event anyway: a copy that no head vouches for is not taken for a backup."""
    assert cli("account", "list")[0] == 0
    copy = Copy(url_of(deployment))
    if damage == "note":
        copy.run("UPDATE tree_heads SET note = replace(note, '— ', '— x')")
    else:
        copy.run(copy.altered("payload", 3))
    code, output, errors = cli("store", "backup", tmp_path / "b", "--keyring", tmp_path / "k")
    assert code == 1, output + errors
    assert "does not agree with what was signed" in errors
    assert not (tmp_path / "b").exists()
    assert stat.S_IMODE((tmp_path / "b.bad").stat().st_mode) == 0o600
    assert rows_of(f"sqlite:///{tmp_path}/b.bad")[:4] == rows_of(url_of(deployment))[:4]
    assert (tmp_path / "k").exists(), "the keyring is not the log's business"
    doctor = {one["check"]: one["state"] for one in json.loads(cli("--json", "doctor")[1])}
    assert doctor["newest backup"] == "none"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("postgresql://u@h:5/d?schema=s", "postgresql://u@h:5/d?schema=s"),
        ("postgresql://u:p@h/d?schema=s&password=p&sslmode=require",
         "postgresql://u@h/d?schema=s&sslmode=require"),
        ("postgres://h/d?%70assword=p&user=u", "postgres://h/d?user=u"),
        ("sqlite:///moved.db", "sqlite:///moved.db"),
    ],
)  # fmt: skip
def test_an_address_is_shown_as_it_can_be_set(given, told):
    """Who signs in stays in it, a password does not."""
    assert shown(given) == told


def test_a_keyring_of_another_master_key_is_refused(cli, deployment, tmp_path):
    """Before anything is written."""
    cli("store", "backup", tmp_path / "b", "--keyring", tmp_path / "k")
    (tmp_path / "other").mkdir()
    other = Deployment(tmp_path / "other", "sqlite:///gatebook.db")
    words = ("store", "restore", tmp_path / "b", "--keyring", tmp_path / "k")
    code, _output, errors = cli(*words, on=other)
    assert (code, "not the one" in errors) == (78, True)
    assert not (other.directory / "gatebook.keys.db").exists()


def test_there_and_back_again(cli, deployment, tmp_path, postgres):
    """SQLite to PostgreSQL to SQLite, or the other way about: the same rows, keys and root."""
    middle = another(tmp_path, deployment, "middle", postgres.url())
    end = another(tmp_path, deployment, "end", "sqlite:///gatebook.db")
    told = as_json(cli("--json", "store", "copy", url_of(middle)))
    rows = rows_of(url_of(deployment))
    assert rows[-1][4] == "store.copied.1"
    assert rows_of(url_of(middle)) == rows[:-1]
    assert len(rows) == told["head"] + 1
    assert key_rows(url_of(middle)) == key_rows(url_of(deployment))
    assert cli("store", "copy", url_of(middle))[0] == 1, "it is not empty any more"
    again = as_json(cli("--json", "store", "copy", url_of(end), on=middle))
    assert again["head"] >= told["head"]
    assert rows_of(url_of(end))[: told["head"]] == rows[:-1]
    assert key_rows(url_of(end)) == key_rows(url_of(deployment))
    for one in (middle, end):
        assert cli("audit", "verify", on=one)[0] == 0
        assert cli("store", "verify", on=one)[0] == 0
        assert cli("account", "list", on=one)[0] == 0
    postgres.drop(url_of(middle))


def test_info_names_the_newest_backup_and_checkpoint(cli, tmp_path):
    """And the bytes, the place without a password, and the version of the schema."""
    before = as_json(cli("--json", "store", "info"))
    assert before["newest_backup"] is None
    cli("store", "backup", tmp_path / "b")
    after = as_json(cli("--json", "store", "info"))
    assert after["newest_backup"]["head"] == after["newest_checkpoint"]
    assert (after["schema_version"], after["bytes"] > 10_000) == (1, True)


DAMAGE = {
    "missing": ("DELETE FROM log WHERE position = 4", "event 4 is missing", 4),
    "topic": ("UPDATE log SET topic = 'no.such.1' WHERE position = 5", "no.such.1", 5),
    "payload": ("UPDATE log SET payload = metadata WHERE position = 6", "", 6),
    "version": ("UPDATE log SET version = version + 7 WHERE position = 7", "has version", 7),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_store_verify_names_what_is_unsound(cli, deployment, kind):
    """A gap, a topic nobody knows, bytes that are no event, a version that was jumped."""
    assert cli("store", "verify")[0] == 0
    sql, text, position = DAMAGE[kind]
    Copy(url_of(deployment)).run(sql)
    code, output, _errors = cli("--json", "store", "verify")
    assert code == 1
    (found, *_others) = json.loads(output)["findings"]
    assert found["position"] == position
    assert text in found["message"]


def test_store_verify_opens_every_key(cli, tmp_path, deployment):
    """A key that was altered is named."""
    url = url_of(deployment)
    table = f"{url.rpartition('schema=')[2]}_keys.keys"
    if url.startswith("sqlite"):
        url, table = url.replace("gatebook.db", "gatebook.keys.db"), "keys"
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            wrapped = "CAST(wrapped || x'00' AS BLOB)"
            sql = f"UPDATE keys SET wrapped = {wrapped} WHERE name = 'purpose:usernames'"
            assert connection.execute(sql).rowcount == 1
            connection.commit()
    else:
        sql = f"UPDATE {table} SET wrapped = wrapped || '\\x00' WHERE name = 'purpose:usernames'"
        Copy(url).run(sql)
    code, _output, errors = cli("store", "verify")
    assert code == 1
    assert "keyring" in errors


def test_audit_verify_knows_the_witness_and_the_keyrings_key(cli, deployment, tmp_path):
    """It says what it covered; heads in the witness file count; a rollback is found by them."""
    assert cli("account", "list")[0] == 0  # signs, and sends to the witness
    code, output, errors = cli("--json", "audit", "verify")
    report = json.loads(output)
    assert (code, report["ok"], report["warnings"]) == (0, True, []), (output, errors)
    heads = (deployment.directory / "heads").read_text()
    size = int(heads.split("\n")[1])
    Copy(url_of(deployment)).run(
        f"DELETE FROM log WHERE position >= {size}", "DELETE FROM tree_heads"
    )
    code, output, _errors = cli("audit", "verify")
    assert code == 1
    assert f"first bad position: {size}" in output
    (deployment.directory / "heads").unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(heads)
    code, output, _errors = cli("audit", "verify", "--checkpoint", elsewhere)
    assert f"first bad position: {size}" in output
    assert "is not there" in output


def test_a_file_without_a_head_proves_nothing(cli, tmp_path):
    """Whatever else agrees: it was given to be held against the log."""
    assert cli("account", "list")[0] == 0
    (tmp_path / "404").write_text('{"status": 404}')
    code, output, _errors = cli("audit", "verify", "--checkpoint", tmp_path / "404")
    assert (code, "404 holds no signed head of this key" in output) == (1, True)


def test_audit_verify_writes_nothing(cli, deployment):
    """The log and the tables beside it are what they were."""
    assert cli("account", "list")[0] == 0
    before = rows_of(url_of(deployment))
    for _ in range(2):
        assert cli("audit", "verify")[0] == 0
    assert rows_of(url_of(deployment)) == before


def test_the_verifier_stands_alone(cli, deployment, tmp_path):
    """Copied out of the tree, without the service, it verifies a backup with the published key."""
    cli("store", "backup", tmp_path / "b")
    report = json.loads(cli("--json", "audit", "verify")[1])
    (event,) = (row for row in rows_of(url_of(deployment)) if row[4] == "checkpoint_key.created.1")
    vkey = next(part for part in event[6].decode("utf-8", "replace").split("\ufffd") if "+" in part)
    (tmp_path / "vkey").write_text(vkey[vkey.index("gatebook/") :])
    alone = tmp_path / "alone" / "verify.py"
    alone.parent.mkdir()
    shutil.copy(VERIFIER, alone)
    assert "import gatebook" not in alone.read_text()
    assert "from gatebook" not in alone.read_text()

    def run(*words):
        command = [sys.executable, "-I", str(alone), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        return done.returncode, done.stdout, done.stderr

    log = ("--log", tmp_path / "b", "--key", tmp_path / "vkey")
    code, output, errors = run(*log, "--json")
    assert code == 0, errors
    assert json.loads(output)["keys"] == report["keys"]
    copy = Copy(f"sqlite:///{tmp_path}/b")
    copy.run(copy.altered("recorded_at", 2))
    code, output, _errors = run(*log)
    assert code == 1
    assert "first bad position: between 1 and" in output
    code, _output, errors = run("--log", tmp_path / "none", "--key", tmp_path / "vkey")
    assert (code, "verify: " in errors) == (3, True)
    assert run("--log", tmp_path / "b")[0] == 2


@pytest.mark.parametrize(("missing", "log"), [("cryptography", "b"), ("psycopg", "postgresql://")])
def test_the_verifier_says_which_package_it_lacks(tmp_path, missing, log):
    """With code 3: 1 would say that the log was tampered with."""
    block = f"import sys, runpy; sys.modules[{missing!r}] = None; sys.argv[0] = {str(VERIFIER)!r}; "
    block += "runpy.run_path(sys.argv[0], run_name='__main__')"
    (tmp_path / "home").mkdir()
    made = Deployment(tmp_path / "home", "sqlite:///gatebook.db")
    made.create()
    vkey = str(verifier_key(made))
    command = [sys.executable, "-c", block, "--log", log, "--key", vkey]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert f"{missing} is not installed: pip install" in done.stderr


def in_use(deployment, where):
    """A copy of the log's file alone while somebody writes, with `where` as its name."""
    house = open_house(Settings.load(deployment.config, {}))
    try:
        house.prepare()
        for _ in range(5):
            record_use(house, "tester", "test")
        follow_up(house)
        notes = [row[0] for row in house.store.query("SELECT note FROM tree_heads")]
        shutil.copy(deployment.directory / "gatebook.db", where)
    finally:
        house.close()
    return notes[-1]


@pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
def test_a_copy_without_its_wal_says_so(deployment, tmp_path, capsys):
    """A log that is short for that reason looks like one that was cut; nothing is left there."""
    (tmp_path / "copy").mkdir()
    note = in_use(deployment, tmp_path / "copy" / "log.db")
    (tmp_path / "kept").write_text(note)
    words = ["--log", str(tmp_path / "copy" / "log.db"), "--key", str(verifier_key(deployment))]
    assert verify.main([*words, "--checkpoint", str(tmp_path / "kept")]) == 1
    said = capsys.readouterr().out
    assert "lacks its newest events. Copy both files" in said
    assert "the log ends at" in said
    assert os.listdir(tmp_path / "copy") == ["log.db"]


@pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
def test_a_log_that_is_opened_while_it_is_read_as_it_lies(deployment):
    """Without a -wal nobody is there; whoever comes meanwhile makes the answer worthless."""

    def read():
        with opened(url_of(deployment)) as log:
            assert next(log.query(EVENTS))[0] == 1
            in_use(deployment, deployment.directory.parent / "other.db")

    with pytest.raises(verify.Unreadable, match="was written to"):
        read()


def test_a_copy_on_a_read_only_medium(cli, tmp_path):
    """A backup that cannot be written to, in a directory that cannot, is read all the same."""
    cli("store", "backup", tmp_path / "b")
    (tmp_path / "medium").mkdir()
    shutil.move(tmp_path / "b", tmp_path / "medium" / "b")
    (tmp_path / "medium" / "b").chmod(0o400)
    (tmp_path / "medium").chmod(0o500)
    try:
        assert len(rows_of(f"sqlite:///{tmp_path}/medium/b")) > 10
        assert os.listdir(tmp_path / "medium") == ["b"]
    finally:
        (tmp_path / "medium").chmod(0o700)


@pytest.mark.parametrize("words", [("store", "info"), ("audit", "verify"), ("store", "verify")])
def test_a_running_server_is_not_asked(cli, words):
    """These verbs work on the store itself."""
    code, _output, errors = cli("--server", "https://gatebook.example.org", *words)
    assert code == 2
    assert "leave out --server" in errors
