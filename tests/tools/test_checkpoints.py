"""`audit checkpoint`, `audit witness` and the tree among the projections, at the command line."""

from __future__ import annotations

import io
import json

import pytest

from gatebook.store.checkpoint_key import checkpoint_key
from gatebook.store.checkpoints import VerifierKey
from gatebook.store.house import open_house
from gatebook.store.settings import Settings
from gatebook.tools.main import run as gatebook
from tests.api.served import Deployment

MORE = '[audit]\nwitness_files = ["witness.txt"]\n'


@pytest.fixture
def deployment(tmp_path):
    """A deployment with a witness file; no server runs."""
    made = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1", more=MORE)
    made.create()
    return made


@pytest.fixture
def cli(deployment, capsys, monkeypatch):
    """Runs a command on the deployment. Returns (code, output, errors)."""

    def run(*words):
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        code = gatebook(["--config", str(deployment.config), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def forged(deployment, size: int) -> str:
    """Our own signature under a head that this log never had."""
    house = open_house(Settings.load(deployment.config, {}))
    try:
        return checkpoint_key(house.keyring).sign(size, b"\4" * 32)
    finally:
        house.close()


def test_a_checkpoint_is_signed_now_and_verifies(cli, tmp_path):
    """With no server running the command signs itself; the printed key verifies what it printed."""
    code, key, _errors = cli("audit", "checkpoint", "--key")
    assert code == 0
    code, first, _errors = cli("audit", "checkpoint", "--save", str(tmp_path / "kept"))
    _code, second, _errors = cli("audit", "checkpoint", "--save", str(tmp_path / "kept"))
    sizes = [VerifierKey.parse(key.strip()).verify(note).size for note in (first, second)]
    assert (code, sizes[1] > sizes[0] > 0) == (0, True)
    assert (tmp_path / "kept").read_text() == first + second
    code, _output, errors = cli("audit", "checkpoint", "--save", str(tmp_path / "no" / "dir"))
    assert (code, "No such file" in errors) == (1, True)


def test_a_checkpoint_is_json_when_that_is_asked_for(cli):
    """The head in parts, and the note as it was signed; the key likewise."""
    code, output, _errors = cli("--json", "audit", "checkpoint")
    head = json.loads(output)
    assert (code, head["note"].split("\n")[:2]) == (0, [head["origin"], str(head["size"])])
    code, output, _errors = cli("--json", "audit", "checkpoint", "--key")
    key = json.loads(output)
    assert VerifierKey.parse(key["verifier_key"]).origin == key["origin"] == head["origin"]


def test_no_rebuild_lifts_a_conflict(cli, deployment):
    """It is given up by name and with a reason, as the halt says, also when the file is gone."""
    cli("audit", "checkpoint")
    file = deployment.directory / "witness.txt"
    with file.open("a") as appended:
        appended.write(forged(deployment, 9_999))
    assert cli("audit", "witness")[0] == 1
    file.rename(file.with_name("old"))
    code, _output, errors = cli("projection", "rebuild", "tree")
    assert (code, "--accept witness.txt --reason TEXT" in errors) == (1, True)
    code, _output, errors = cli("audit", "witness", "--accept", "nope", "--reason", "why")
    assert (code, "no witness of" in errors) == (1, True), "before anything is asked"
    code, output, errors = cli(
        "--yes", "audit", "witness", "--accept", "witness.txt", "--reason", "why"
    )
    assert (code, "9999 events is given up" in output) == (0, True), errors
    assert cli("audit", "witness")[0] == 0


def test_verify_says_to_look_at_the_log_first(cli, deployment):
    """A read model that differs may be the last one that nobody forged."""
    cli("account", "list")
    house = open_house(Settings.load(deployment.config, {}))
    with house.store.writing() as tx:
        tx.execute("DROP TRIGGER log_refuses_update")
        tx.execute("UPDATE log SET recorded_at = recorded_at - 1 WHERE position = 3")
    house.close()
    code, _output, errors = cli("projection", "verify", "audit")
    assert (code, "gatebook audit verify" in errors) == (1, True)


def test_witnesses_are_compared(cli, deployment):
    """Agreement is 0; a head of ours that is not of this log is 1 and named, and stops signing."""
    code, output, _errors = cli("--json", "audit", "witness")
    (row,) = json.loads(output)
    assert (code, row["agrees"], row["heads"]) == (0, True, 1)
    file = deployment.directory / "witness.txt"
    with file.open("a") as appended:
        appended.write(forged(deployment, 9_999))

    code, output, errors = cli("--json", "audit", "witness")

    (row,) = json.loads(output)
    assert (code, row["agrees"], row["newest"]) == (1, False, 9_999)
    assert "signed head of 9999 events" in row["verdict"]
    assert "Nothing is signed" in errors
    code, output, _errors = cli("--json", "projection", "status")
    tree = json.loads(output)[-1]
    assert (code, tree["name"], tree["status"]) == (1, "tree", "halted")


def test_a_conflict_is_given_up_with_a_reason(cli, deployment):
    """The file is set aside, the decision is an event of the operator, and signing goes on."""
    cli("audit", "checkpoint")
    file = deployment.directory / "witness.txt"
    with file.open("a") as appended:
        appended.write(forged(deployment, 9_999))
    assert cli("audit", "witness")[0] == 1
    words = ("audit", "witness", "--accept", str(file), "--reason", "restored on purpose")
    code, _output, errors = cli(*words)
    assert (code, "--yes" in errors) == (2, True)

    code, output, _errors = cli("--yes", *words)

    assert (code, "9999 events is given up" in output) == (0, True)
    assert (deployment.directory / "witness.txt.1").exists()
    assert cli("audit", "witness")[0] == 0
    _code, output, _errors = cli("--json", "audit", "query", "--type", "checkpoint.abandoned")
    event = json.loads(output)
    assert event["actor"]["type"] == "local"
    assert event["data"]["reason"] == "restored on purpose"
    code, _output, errors = cli("--yes", *words)
    assert (code, "nothing to accept" in errors) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("audit", "witness", "--accept", "x"), 2, "--reason"),
        (("audit", "witness", "--reason", "x"), 2, "--accept"),
        (("--yes", "audit", "witness", "--accept", "x", "--reason", "y"), 1, "no witness"),
        (("--server", "http://127.0.0.1:9", "audit", "witness"), 2, "leave out"),
        (("projection", "resume", "tree"), 1, "no projection"),
    ],
)
def test_refusals(cli, words, code, said):
    """What cannot be done is one line with its exit code."""
    found, _output, errors = cli(*words)
    assert (found, said in errors) == (code, True), errors


def test_a_damaged_witness_is_told(cli, deployment):
    """Garbage in a witness file is no agreement."""
    cli("audit", "checkpoint")
    (deployment.directory / "witness.txt").write_text("garbage\n" * 9)
    code, output, _errors = cli("--json", "audit", "witness")
    (row,) = json.loads(output)
    assert (code, row["agrees"]) == (1, False)
    assert "cannot be compared" in row["verdict"]


def test_the_tree_is_verified_and_rebuilt(cli, deployment):
    """`projection` lists, verifies and rebuilds the tree beside the read models."""
    cli("audit", "checkpoint")
    _code, output, _errors = cli("--json", "projection", "list")
    assert json.loads(output)[-1]["name"] == "tree"
    assert cli("projection", "verify", "tree")[0] == 0
    house = open_house(Settings.load(deployment.config, {}))
    with house.store.writing() as tx:
        tx.execute("UPDATE tree_tiles SET hashes = zeroblob(64)")
    house.close()
    code, output, errors = cli("projection", "verify", "tree")
    assert (code, "rebuild" in errors) == (1, True)
    assert cli("projection", "rebuild", "tree", "--dry-run")[0] == 1
    assert cli("projection", "rebuild", "tree")[0] == 0
    assert cli("projection", "verify")[0] == 0
    assert cli("audit", "checkpoint")[0] == 0
