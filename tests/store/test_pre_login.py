"""What a browser carries through a federated sign-in: opened here, for ten minutes, unaltered."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatebook.store.keyring import Keyring
from gatebook.store.keyring_table import SqliteKeyTable, create_keys_file
from gatebook.store.master_key import open_master_key, write_key_file
from gatebook.store.pre_login import LONGEST, PreLogins
from gatebook.store.setting_sections import MasterKey
from gatebook.store.settings import Settings
from gatebook.store.system import SystemIds
from tests.domain.story import MINUTE, NOON

PROVIDER = UUID(int=9)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Noon:
    """It is noon."""

    def now(self) -> int:
        """Microseconds since the epoch."""
        return NOON


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[Keyring]:
    """A keyring of one deployment."""
    path = str(tmp_path / "gatebook.keys.db")
    create_keys_file(path)
    write_key_file(tmp_path / "master.key")
    table = SqliteKeyTable(path)
    configured = Settings(master_key=MasterKey(key_file="master.key"), directory=str(tmp_path))
    yield Keyring(table, open_master_key(configured, table, 1), lambda: NOON)
    table.close()


@pytest.fixture
def pre_logins(keyring: Keyring) -> PreLogins:
    """What seals and opens."""
    return PreLogins(keyring, Noon(), SystemIds())


def begun(pre_logins: PreLogins) -> str:
    """The cookie of a sign-in that was begun."""
    return pre_logins.begin(PROVIDER, return_to="/x", address="192.0.2.1", user_agent="agent")[1]


def test_what_goes_in_comes_out(pre_logins: PreLogins) -> None:
    """All of it; it ends ten minutes from now; its three values are of 256 bits and differ."""
    pre_login, cookie = pre_logins.begin(
        PROVIDER, return_to="/x", address="192.0.2.1", user_agent="agent"
    )
    assert pre_logins.open(cookie) == pre_login
    assert (pre_login.provider_id, pre_login.return_to) == (PROVIDER, "/x")
    assert pre_login.ends_at == NOON + 10 * MINUTE
    values = (pre_login.state, pre_login.nonce, pre_login.verifier)
    assert len(set(values)) == 3
    assert {len(value) for value in values} == {43}
    assert pre_login.client == pre_logins.client("192.0.2.1", "agent")
    assert begun(pre_logins) != begun(pre_logins)


def test_nothing_of_it_can_be_read(pre_logins: PreLogins) -> None:
    """Sealed: no value stands in the cookie."""
    pre_login, cookie = pre_logins.begin(
        PROVIDER, return_to="/somewhere", address="192.0.2.1", user_agent="agent"
    )
    raw = urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
    for value in (pre_login.state, pre_login.nonce, pre_login.verifier, pre_login.return_to):
        assert value.encode() not in raw
        assert value not in cookie


def test_every_altered_character_is_noticed(pre_logins: PreLogins) -> None:
    """At every place, whatever stands there instead: no pre-login."""
    cookie = begun(pre_logins)
    for place, character in enumerate(cookie):
        others = ALPHABET if place == len(cookie) - 1 else "A-" if character != "A" else "B-"
        for other in others:
            if other != character:
                assert pre_logins.open(cookie[:place] + other + cookie[place + 1 :]) is None


def test_other_spellings_are_none(pre_logins: PreLogins) -> None:
    """Padded, cut, longer, quoted, in the other alphabet: not what was given out."""
    cookie = begun(pre_logins)
    others = [cookie[:end] for end in (*range(0, len(cookie), 7), len(cookie) - 1)]
    others += [cookie + "=", cookie + "==", cookie + "!", cookie + "A", " " + cookie]
    others += [f'"{cookie}"', cookie + "\n", cookie + "é", cookie[:9] + "." + cookie[9:]]
    others += [cookie + "A" * LONGEST]
    for other in others:
        assert pre_logins.open(other) is None, other
    assert pre_logins.open(None) is None
    assert pre_logins.open(cookie) is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_anything_else_is_none(pre_logins: PreLogins, sent: bytes) -> None:
    """Whatever bytes are sent, there is no error and no pre-login."""
    assert pre_logins.open(urlsafe_b64encode(sent).rstrip(b"=").decode()) is None
    assert pre_logins.open(sent.decode("latin-1")) is None


def test_sealed_for_this_alone(pre_logins: PreLogins, keyring: Keyring) -> None:
    """What the same key sealed for something else, or holds another shape, does not open."""
    begun(pre_logins)
    for bound, held in ((b"something else", b"\x90"), (b"gatebook pre-login 1", b"\x93\x01\x02")):
        sealed = keyring.seal("purpose:pre-login", held, bound)
        assert pre_logins.open(urlsafe_b64encode(sealed).rstrip(b"=").decode()) is None


def test_who_holds_the_browser(pre_logins: PreLogins) -> None:
    """Another address or another program is another client; where one ends counts."""
    known = {
        pre_logins.client(address, agent)
        for address, agent in (("a", "b"), ("a", "c"), ("b", "b"), ("ab", ""), ("", "ab"))
    }
    assert len(known) == 5
    assert {len(one) for one in known} == {16}
