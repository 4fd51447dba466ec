"""`gatebook key rotate-master` and `key status`: usage, going on, and what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gatebook.domain import custody
from gatebook.store import rotation
from gatebook.store.rotation import custody_events
from gatebook.tools.main import run as gatebook
from tests.api.served import Deployment
from tests.keys.conftest import PASSPHRASE, configure, opened_house, private


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other process has to learn of anything here."""
    monkeypatch.setattr(rotation.rotate, "__kwdefaults__", {"settle": 0.0})


@pytest.fixture
def cli(sqlite: Deployment, capsys: Any) -> Any:
    """Runs a command on the deployment. Returns (code, output, errors)."""

    def run(*words: str) -> tuple[int, str, str]:
        code = gatebook(["--config", str(sqlite.config), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_one_source_and_no_server(cli, tmp_path):
    """None, two, a variable to be generated, or a server: usage, before anything is opened."""
    new = str(tmp_path / "new")
    for words in (
        (),
        ("--key-file", new, "--passphrase-file", new),
        ("--passphrase-env", "NAME", "--generate"),
    ):
        assert cli("key", "rotate-master", *words)[0] == 2
    for verb in (("rotate-master", "--key-file", new), ("status",),
                 ("escrow", "--shares", "2", "--threshold", "2", "--out", new),
                 ("recover", "--share", new, "--key-file", new)):  # fmt: skip
        code, _out, err = cli("--server", "http://127.0.0.1:1", "key", *verb)
        assert (code, "leave out --server" in err) == (2, True)
    assert not Path(new).exists()


def test_a_secret_that_cannot_be_read_changes_nothing(cli, sqlite, tmp_path):
    """No file, a weak passphrase, others can read it: refused, and no rotation has begun."""
    weak, wide = private(tmp_path / "weak", "short"), private(tmp_path / "wide", "ab" * 32)
    wide.chmod(0o644)
    for words in (
        ("--key-file", str(tmp_path / "none")),
        ("--passphrase-file", str(weak)),
        ("--key-file", str(wide)),
        ("--passphrase-env", "GATEBOOK_NOT_SET"),
    ):
        assert cli("key", "rotate-master", *words)[0] == 78
    house = opened_house(sqlite)
    assert house.masters.record.under_way is None
    assert custody_events(house) == []
    house.close()


def test_the_same_command_goes_on_with_what_it_generated(cli, sqlite, tmp_path):
    """Twice, before and after the configuration is set: one key, one rotation."""
    new = tmp_path / "new"
    words = ("--json", "key", "rotate-master", "--key-file", str(new), "--generate")
    first = json.loads(cli(*words)[1])
    held = new.read_bytes()
    assert new.stat().st_mode & 0o777 == 0o600
    code, out, err = cli(*words)
    assert code == 0, err
    assert json.loads(out)["keys"] == 0
    configure(sqlite, key_file="new")
    again = json.loads(cli(*words)[1])
    assert (again["keys"], again["key_id"]) == (0, first["key_id"])
    assert new.read_bytes() == held
    house = opened_house(sqlite)
    assert len(custody_events(house)) == 2
    house.close()


def test_an_end_that_was_not_recorded_is_recorded_by_the_next_run(cli, sqlite, monkeypatch):
    """Killed between the last change and its event, with the configuration still the old one."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    new = private(sqlite.directory / "new", PASSPHRASE)
    words = ("key", "rotate-master", "--passphrase-file", str(new))
    with monkeypatch.context() as patched:
        patched.setattr(rotation, "_record_rotated", killed)
        assert cli(*words)[0] == 1
    code, _out, err = cli(*words)
    assert code == 0, err
    configure(sqlite, passphrase_file="new")
    house = opened_house(sqlite)
    kinds = [type(event) for event in custody_events(house)]
    house.close()
    assert kinds == [custody.MasterKeyRotationStarted, custody.MasterKeyRotated]


def test_a_rotation_under_way_is_shown(cli, sqlite, monkeypatch):
    """`key status` says since when, from which key, and how much is left."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    new = private(sqlite.directory / "new", PASSPHRASE)
    before = json.loads(cli("--json", "key", "status")[1])
    assert before["master_key"]["rotation"] == "never"
    assert before["master_key"]["kind"] == "key file"
    with monkeypatch.context() as patched:
        patched.setattr(rotation, "_sweep", killed)
        assert cli("key", "rotate-master", "--passphrase-file", str(new))[0] == 1
    shown = json.loads(cli("--json", "key", "status")[1])
    assert shown["master_key"]["rotation"].startswith("under way")
    assert shown["master_key"]["from"] == before["master_key"]["id"]
    assert shown["master_key"]["kind"] == "passphrase"
    assert shown["master_key"]["left"] == sum(shown["keys"].values())
    (signing,) = shown["signing_keys"]
    assert (signing["status"], signing["age"]) == ("active", "0d")
    assert signing["next"].startswith("successor published 2")
    other = private(sqlite.directory / "other", PASSPHRASE + " of another")
    code, _out, err = cli("key", "rotate-master", "--passphrase-file", str(other))
    assert (code, "is under way" in err) == (1, True)
    text = cli("key", "status")[1]
    assert PASSPHRASE not in text
    assert "master_key.left " in text
    assert "=" not in text


def test_a_new_secret_that_was_lost_half_way_is_survived(cli, sqlite, monkeypatch, tmp_path):
    """The former key still opens the store, and with it the new one is split, joined and used."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    new = private(tmp_path / "new", PASSPHRASE)
    with monkeypatch.context() as patched:
        patched.setattr(rotation, "_sweep", killed)
        assert cli("key", "rotate-master", "--passphrase-file", str(new))[0] == 1
    new.unlink()
    words = ("--shares", "2", "--threshold", "2", "--out", str(tmp_path / "s"))
    assert cli("key", "escrow", *words)[0] == 0
    shares = [w for path in sorted((tmp_path / "s").iterdir()) for w in ("--share", str(path))]
    assert cli("key", "recover", *shares, "--key-file", str(tmp_path / "back"))[0] == 0
    code, _out, err = cli("key", "rotate-master", "--key-file", str(tmp_path / "back"))
    assert code == 0, err
    configure(sqlite, key_file="back")
    house = opened_house(sqlite)
    assert house.key_table.counts(house.masters.id)[1] == 0
    assert house.masters.opened.former is None
    house.close()
