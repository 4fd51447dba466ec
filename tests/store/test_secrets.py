"""The keyring and the master key: what opens, what does not, and what is told apart."""

from __future__ import annotations

import os
import time
from pathlib import Path

import jwt
import pytest

from gatebook.domain.envelope import Source
from gatebook.domain.errors import InvalidValue
from gatebook.store import master_key
from gatebook.store.cursors import Cursors
from gatebook.store.keyring import FORGET_AFTER, Keyring
from gatebook.store.keyring_table import SqliteKeyTable, create_keys_file
from gatebook.store.master_key import (
    KeyringDamaged,
    WrongMasterKey,
    open_master_key,
    write_key_file,
)
from gatebook.store.setting_sections import MasterKey
from gatebook.store.settings import ConfigurationError, Settings
from tests.domain.story import ALICE, BOB

PASSPHRASE = "a passphrase that is long enough"


@pytest.fixture
def table(tmp_path):
    """An empty keyring on disk."""
    path = str(tmp_path / "k.keys.db")
    create_keys_file(path)
    opened = SqliteKeyTable(path)
    yield opened
    opened.close()


@pytest.fixture
def keyring(table, tmp_path):
    """A keyring under a key file."""
    write_key_file(tmp_path / "master.key")
    return Keyring(table, open_master_key(key_file(tmp_path), table, 1), lambda: 1)


def key_file(directory):
    """Settings with a key file."""
    return Settings(master_key=MasterKey(key_file="master.key"), directory=str(directory))


def passphrase(text, monkeypatch):
    """Settings with a passphrase in the environment."""
    monkeypatch.setenv("TEST_PASSPHRASE", text)
    return Settings(master_key=MasterKey(passphrase_env="TEST_PASSPHRASE"))


def test_the_same_passphrase_opens_again(table, monkeypatch):
    """A passphrase is stretched to the same key each time; another is refused as wrong."""
    first = open_master_key(passphrase(PASSPHRASE, monkeypatch), table, 1)
    again = open_master_key(passphrase(PASSPHRASE, monkeypatch), table, 2)
    assert (first.id, first.key) == (again.id, again.key)
    with pytest.raises(WrongMasterKey):
        open_master_key(passphrase(PASSPHRASE + "x", monkeypatch), table, 3)


def test_a_wrong_key_and_a_damaged_record_are_told_apart(table, tmp_path):
    """One wants the right key, the other a backup."""
    write_key_file(tmp_path / "master.key")
    open_master_key(key_file(tmp_path), table, 1)
    stored = table.get(master_key.ROW)
    damaged = stored[:-1] + bytes([stored[-1] ^ 1])
    assert table.replace(master_key.ROW, stored, damaged)
    with pytest.raises(KeyringDamaged):
        open_master_key(key_file(tmp_path), table, 2)
    assert table.replace(master_key.ROW, damaged, stored)
    (tmp_path / "master.key").write_text("ab" * 32)
    with pytest.raises(WrongMasterKey):
        open_master_key(key_file(tmp_path), table, 3)


def test_a_key_file_is_not_a_passphrase(table, tmp_path, monkeypatch):
    """A keyring made with one is not opened with the other."""
    write_key_file(tmp_path / "master.key")
    open_master_key(key_file(tmp_path), table, 1)
    with pytest.raises(WrongMasterKey, match="key file"):
        open_master_key(passphrase(PASSPHRASE, monkeypatch), table, 2)


def test_a_lost_master_record_is_not_made_again(keyring, table, tmp_path):
    """Keys without their record are damage, not a first start."""
    keyring.create_subject(ALICE)
    table.remove(master_key.ROW)
    with pytest.raises(KeyringDamaged):
        open_master_key(key_file(tmp_path), table, 2)


@pytest.mark.parametrize("weak", ["", "short", "changeme", "password1234", "<change-me>12345"])
def test_placeholders_and_short_passphrases_are_refused(weak, table, monkeypatch):
    """Nothing is sealed under a passphrase that anybody would try."""
    with pytest.raises(ConfigurationError):
        open_master_key(passphrase(weak, monkeypatch), table, 1)
    assert table.names() == []


@pytest.mark.parametrize("content", ["", "ab" * 31, "zz" * 32, "ab" * 33])
def test_a_key_file_has_one_form(content, table, tmp_path):
    """64 hexadecimal digits, and nothing else."""
    path = tmp_path / "master.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="64 hexadecimal"):
        open_master_key(key_file(tmp_path), table, 1)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(mode, table, tmp_path):
    """The message names the path, the mode and the mend."""
    write_key_file(tmp_path / "master.key")
    (tmp_path / "master.key").chmod(mode)
    with pytest.raises(ConfigurationError, match=f"{mode:04o}.*chmod 600"):
        open_master_key(key_file(tmp_path), table, 1)


def test_a_key_file_is_never_overwritten(tmp_path):
    """Making a key where one is fails."""
    write_key_file(tmp_path / "master.key")
    with pytest.raises(FileExistsError):
        write_key_file(tmp_path / "master.key")


def test_what_is_sealed_opens_under_its_own_key_and_binding(keyring):
    """Another key, another binding or a changed bit: never the plaintext."""
    keyring.create_subject(ALICE)
    keyring.create_subject(BOB)
    sealed = keyring.seal(f"subject:{ALICE}", b"plain", b"here")
    assert keyring.open(f"subject:{ALICE}", sealed, b"here") == b"plain"
    for name, blob, bound in (
        (f"subject:{BOB}", sealed, b"here"),
        (f"subject:{ALICE}", sealed, b"there"),
        (f"subject:{ALICE}", sealed[:-1] + bytes([sealed[-1] ^ 1]), b"here"),
        (f"subject:{ALICE}", sealed[:20], b"here"),
    ):
        with pytest.raises(KeyringDamaged):
            keyring.open(name, blob, bound)


def test_nonces_do_not_repeat(keyring):
    """The same plaintext is sealed differently each time."""
    keyring.create_subject(ALICE)
    sealed = {keyring.seal(f"subject:{ALICE}", b"x", b"") for _ in range(500)}
    assert len({blob[:12] for blob in sealed}) == 500


def test_a_destroyed_key_opens_nothing(keyring, table):
    """What it sealed reads as gone, nothing new is sealed, and its row is off the disk."""
    keyring.create_subject(ALICE)
    wrapped = table.get(f"subject:{ALICE}")
    sealed = keyring.seal(f"subject:{ALICE}", b"plain", b"")
    keyring.destroy_subject(ALICE)
    keyring.destroy_subject(ALICE)
    assert keyring.open(f"subject:{ALICE}", sealed, b"") is None
    with pytest.raises(KeyError):
        keyring.seal(f"subject:{ALICE}", b"plain", b"")
    assert wrapped not in Path(table._path).read_bytes()


def test_another_process_forgets_a_destroyed_key(keyring, table, tmp_path, monkeypatch):
    """A cached key is asked for again after a second."""
    other = Keyring(table, open_master_key(key_file(tmp_path), table, 1), lambda: 1)
    keyring.create_subject(ALICE)
    now = time.monotonic()
    sealed = other.seal(f"subject:{ALICE}", b"plain", b"")
    now += FORGET_AFTER / 2
    monkeypatch.setattr("gatebook.store.keyring.time.monotonic", lambda: now)
    assert other.open(f"subject:{ALICE}", sealed, b"") == b"plain"
    keyring.destroy_subject(ALICE)
    now += FORGET_AFTER
    assert other.open(f"subject:{ALICE}", sealed, b"") is None


def test_a_wrapped_key_moved_to_another_name_is_damage(keyring, table):
    """Rows of the keyring cannot be swapped."""
    keyring.create_subject(ALICE)
    table.add(f"subject:{BOB}", table.get(f"subject:{ALICE}"), 1)
    with pytest.raises(KeyringDamaged):
        keyring.seal(f"subject:{BOB}", b"x", b"")


def test_where_a_request_came_from_is_sealed_for_somebody(keyring):
    """Under the subject's key if there is one, else under nobody's; bound to the request."""
    source = Source("192.0.2.1", "curl")
    keyring.create_subject(ALICE)
    whose, sealed = keyring.seal_source(ALICE, source, "r1")
    assert (whose, keyring.open_source(whose, sealed, "r1")) == (ALICE, source)
    with pytest.raises(KeyringDamaged):
        keyring.open_source(whose, sealed, "r2")
    for subject in (None, BOB):
        whose, sealed = keyring.seal_source(subject, source, "r1")
        assert (whose, keyring.open_source(whose, sealed, "r1")) == (None, source)
    _whose, sealed = keyring.seal_source(ALICE, source, "r1")
    keyring.destroy_subject(ALICE)
    assert keyring.open_source(ALICE, sealed, "r1") is None


def test_derivation_separates_purposes_and_parts(keyring):
    """No two different questions have the same answer."""
    answers = {
        keyring.derive("a", b"x", b"y"),
        keyring.derive("b", b"x", b"y"),
        keyring.derive("a", b"xy"),
        keyring.derive("a", b"x", b"", b"y"),
        keyring.derive("a", b"", b"xy"),
    }
    assert len(answers) == 5
    assert keyring.derive("a", b"xy") in answers


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_signing_keys_are_kept_wrapped(keyring, table, algorithm):
    """The private half signs what the public JWK verifies, and stands nowhere in the clear."""
    kid, jwk = keyring.create_signing_key(algorithm)
    private = keyring.signing_key(kid)
    token = jwt.encode({"a": 1}, private, algorithm=algorithm)
    public = jwt.PyJWK.from_json(jwk)
    assert jwt.decode(token, public.key, algorithms=[algorithm]) == {"a": 1}
    assert not {"d", "p", "q"} & set(jwt.PyJWK.from_json(jwk)._jwk_data)
    assert table.get(f"signing:{kid}") is not None
    keyring.destroy_signing_key(kid)
    with pytest.raises(KeyError):
        keyring.signing_key(kid)


def test_a_cursor_is_of_one_list_and_made_here(keyring):
    """Forged, altered, of another list, or nonsense: refused as an invalid value."""
    cursors = Cursors(keyring)
    sealed = cursors.seal("accounts", 7, "x", b"\x00")
    assert cursors.open("accounts", sealed) == (7, "x", b"\x00")
    for kind, text in (
        ("tokens", sealed),
        ("accounts", sealed[:-1] + ("A" if sealed[-1] != "A" else "B")),
        ("accounts", ""),
        ("accounts", "!!!!"),
        ("accounts", "AAAA"),
        ("accounts", "\u00e9"),
        ("accounts", os.urandom(40).hex()),
    ):
        with pytest.raises(InvalidValue):
            cursors.open(kind, text)
