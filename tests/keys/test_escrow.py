"""The master key in shares: any k of n give it back, and everything else says why not."""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from gatebook.domain import custody
from gatebook.domain.application.core import local
from gatebook.store import escrow
from gatebook.store.escrow import BadShares
from gatebook.store.master_record import MasterKey, Secret
from gatebook.store.rotation import custody_events, rotate
from gatebook.tools.main import run as gatebook
from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment
from tests.keys.conftest import OTHER, PASSPHRASE, configure, opened_house, private

KEY = MasterKey.of(bytes(range(32)))


@pytest.fixture
def cli(sqlite: Deployment, capsys: Any) -> Any:
    """Runs a command on the deployment. Returns (code, output, errors)."""

    def run(*words: str) -> tuple[int, str, str]:
        code = gatebook(["--config", str(sqlite.config), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def named(texts: list[str]) -> list[tuple[str, str]]:
    return [(f"share {number}", text) for number, text in enumerate(texts, start=1)]


@pytest.mark.parametrize(("shares", "threshold"), [(2, 2), (3, 2), (5, 3), (16, 16)])
def test_any_k_of_n(shares, threshold):
    """Every choice of k shares gives the key; more do too; k - 1 never."""
    texts = named(escrow.split(KEY, shares, threshold, "today"))
    for chosen in itertools.islice(itertools.combinations(texts, threshold), 20):
        assert escrow.join(chosen).key == KEY
    assert escrow.join(texts).key == KEY
    with pytest.raises(BadShares, match=f"needs {threshold} different shares; here are"):
        escrow.join(texts[: threshold - 1])


@pytest.mark.parametrize(("shares", "threshold"), [(1, 1), (3, 1), (2, 3), (17, 2)])
def test_numbers_that_cannot_be(shares, threshold):
    """One share that is the key itself is no escrow; more than sixteen the standard has not."""
    with pytest.raises(ValueError, match="threshold"):
        escrow.split(KEY, shares, threshold, "today")


def test_the_same_share_twice_counts_once():
    """Two copies of one share are one."""
    texts = named(escrow.split(KEY, 3, 2, "today"))
    with pytest.raises(BadShares, match="here are 1"):
        escrow.join([texts[0], ("copy", texts[0][1])])


def test_shares_of_two_sets_do_not_mix():
    """The one that does not belong is named."""
    one, two = escrow.split(KEY, 3, 2, "today"), escrow.split(KEY, 3, 2, "today")
    with pytest.raises(BadShares, match="two is of the set"):
        escrow.join([("one", one[0]), ("two", two[1])])


def test_a_wrong_word_is_found_and_not_quoted():
    """Each word of a share changed in turn: the file is named, none of its words is."""
    texts = escrow.split(KEY, 3, 2, "today")
    head, words = texts[0].split("words:")
    for at in range(33):
        changed = words.split()
        changed[at] = "academic" if changed[at] != "academic" else "acid"
        with pytest.raises(BadShares, match="share 1 is no share") as error:
            escrow.join(named([f"{head}words:\n{' '.join(changed)}", texts[1]]))
        assert not set(re.findall("[a-z]{4,}", str(error.value))) & set(changed)
        assert error.value.__cause__ is None
        assert error.value.__suppress_context__


def test_the_words_alone_are_enough():
    """Typed from paper, in capitals and on one line."""
    texts = [text.partition("words:")[2] for text in escrow.split(KEY, 3, 2, "today")]
    assert escrow.join(named([texts[0].upper(), " ".join(texts[2].split())])).key == KEY


def test_a_share_does_not_hold_the_key():
    """Neither as hexadecimal digits nor as bytes."""
    for text in escrow.split(KEY, 3, 2, "today"):
        assert KEY.key.hex() not in text
        assert KEY.key[:8] not in text.encode()


def test_a_lost_passphrase_is_survived(cli, sqlite, tmp_path):
    """Escrow, lose it, recover, serve, and go on with a new passphrase."""
    private(tmp_path / "old", PASSPHRASE)
    private(tmp_path / "new", OTHER)
    assert cli("key", "rotate-master", "--passphrase-file", str(tmp_path / "old"))[0] == 0
    configure(sqlite, passphrase_file="old")
    code, out, err = cli("key", "escrow", "--shares", "3", "--threshold", "2", "--out",
                         str(tmp_path / "shares"))  # fmt: skip
    assert code == 0, err
    files = sorted((tmp_path / "shares").iterdir())
    assert len(files) == 3
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    words = files[0].read_text().partition("words:")[2].split()
    assert " ".join(words[:4]) not in out + err
    (tmp_path / "old").unlink()
    assert cli("account", "list")[0] == 78

    shares = [word for path in files[1:] for word in ("--share", str(path))]
    code, out, err = cli("key", "recover", *shares, "--key-file", str(tmp_path / "back"))
    assert code == 0, err
    assert 'key_file = "' in out
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o600
    configure(sqlite, key_file="back")
    with sqlite.served() as served:
        assert served.token(ADMIN, ADMIN_PASSWORD)
        code, _out, err = cli("key", "rotate-master", "--passphrase-file", str(tmp_path / "new"))
        assert code == 0, err
    configure(sqlite, passphrase_file="new")
    house = opened_house(sqlite)
    kinds = [type(event).__name__ for event in custody_events(house)]
    house.close()
    expected = ["MasterKeyRotationStarted", "MasterKeyRotated"]
    assert kinds == [*expected, "MasterKeyEscrowed", "MasterKeyRecovered", *expected]


def test_shares_of_a_former_key_are_told_so(cli, sqlite, tmp_path):
    """After a rotation they open nothing: `recover` refuses, `key status` asks for new ones."""
    out = str(tmp_path / "shares")
    assert cli("key", "escrow", "--shares", "2", "--threshold", "2", "--out", out)[0] == 0
    assert "any 2 of 2 shares" in cli("key", "status")[1]
    house = opened_house(sqlite)
    rotate(house, Secret(KEY.key, is_key=True), local("t"), lambda _d, _t: None, settle=0.0)
    house.close()
    private(tmp_path / "master.key", KEY.key.hex())
    shares = [w for path in sorted((tmp_path / "shares").iterdir()) for w in ("--share", str(path))]

    code, _out, err = cli("key", "recover", *shares, "--key-file", str(tmp_path / "back"))

    assert code == 1
    assert "the former master key, which opens nothing" in err
    assert not (tmp_path / "back").exists()
    status = json.loads(cli("--json", "key", "status")[1])
    assert "of the former key" in status["escrow"]
    assert status["master_key"]["id"] == KEY.id.hex()
    assert status["master_key"]["rotation"].startswith("last at 20")


def test_shares_of_another_deployment_are_refused(cli, tmp_path):
    """A key that is not this store's is not written; nor is anything over what is there."""
    shares = []
    for number, text in enumerate(escrow.split(KEY, 2, 2, "today")):
        shares += ["--share", str(private(tmp_path / f"s{number}", text))]
    code, _out, err = cli("key", "recover", *shares, "--key-file", str(tmp_path / "back"))
    assert (code, "not the master key of this store" in err) == (1, True)
    code, _out, err = cli("key", "recover", *shares[:2], "--key-file", str(tmp_path / "back"))
    assert (code, "needs 2 different shares" in err) == (1, True)
    os.chmod(tmp_path / "s0", 0o644)
    assert cli("key", "recover", *shares, "--key-file", str(tmp_path / "back"))[0] == 78
    assert not (tmp_path / "back").exists()


def test_recovery_without_a_store(tmp_path, capsys):
    """On a machine that has nothing yet, the key is written and named."""
    shares = []
    for number, text in enumerate(escrow.split(KEY, 3, 2, "today")):
        shares += ["--share", str(private(tmp_path / f"s{number}", text))]
    words = ["key", "recover", *shares, "--key-file", str(tmp_path / "back")]
    assert gatebook(["--config", str(tmp_path / "none.toml"), "--json", *words]) == 0
    assert json.loads(capsys.readouterr().out)["key_id"] == KEY.id.hex()
    assert (tmp_path / "back").read_text().strip() == KEY.key.hex()
    before = Path(tmp_path / "back").read_bytes()
    assert gatebook(["--config", str(tmp_path / "none.toml"), *words]) == 1
    assert Path(tmp_path / "back").read_bytes() == before


def test_a_second_escrow_into_the_same_directory_is_refused(cli, sqlite, tmp_path):
    """Two sets in one place would be mixed up; nothing is recorded for what was not made."""
    words = ("key", "escrow", "--shares", "2", "--threshold", "2", "--out", str(tmp_path / "s"))
    assert cli(*words)[0] == 0
    assert cli(*words)[0] == 1
    assert cli("key", "escrow", "--shares", "2", "--threshold", "3", "--out", "x")[0] == 2
    house = opened_house(sqlite)
    made = [e for e in custody_events(house) if isinstance(e, custody.MasterKeyEscrowed)]
    house.close()
    assert len(made) == 1


def test_recovery_before_the_store_is_restored(cli, sqlite, tmp_path):
    """A configuration without its store: the key is written. With the keyring alone: told so."""
    assert cli("key", "escrow", "--shares", "2", "--threshold", "2", "--out",
               str(tmp_path / "s"))[0] == 0  # fmt: skip
    shares = [w for path in sorted((tmp_path / "s").iterdir()) for w in ("--share", str(path))]
    (tmp_path / "gatebook.db").rename(tmp_path / "log")
    code, _out, err = cli("key", "recover", *shares, "--key-file", str(tmp_path / "one"))
    assert (code, "is written, but the log cannot be told so" in err) == (1, True)
    (tmp_path / "gatebook.keys.db").rename(tmp_path / "keys")
    assert cli("key", "recover", *shares, "--key-file", str(tmp_path / "two"))[0] == 0
    expected = (tmp_path / "master.key").read_text()
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text() == expected
