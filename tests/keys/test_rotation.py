"""Rotating the master key in one process: every kind, every step that can fail, what is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatebook.domain import custody
from gatebook.domain.application.core import local
from gatebook.domain.errors import Conflict
from gatebook.store import rotation
from gatebook.store.house import House
from gatebook.store.keyring_table import KeyTable
from gatebook.store.master_key import KeyringDamaged, WrongMasterKey
from gatebook.store.master_record import MasterKey, Secret
from gatebook.store.rotation import custody_events, rotate
from tests.api.served import Deployment
from tests.domain.story import ALICE, BOB
from tests.keys.conftest import OTHER, PASSPHRASE, opened_house, private

BY = local("tester")
KEY = Secret(bytes(range(32)), is_key=True)
SEALED = b"what Alice said"


class Killed(Exception):
    """What a kill is here: nothing runs behind it."""


def run(house: House, secret: Secret) -> rotation.Outcome:
    return rotate(house, secret, BY, lambda _done, _total: None, settle=0.0)


def sealed_for_alice(house: House) -> bytes:
    house.keyring.create_subject(ALICE)
    return house.keyring.seal(f"subject:{ALICE}", SEALED, b"")


def check_rotated(house: House, former: MasterKey, sealed: bytes) -> None:
    """Everything opens by today's key, and nothing at all by the former one."""
    for name in house.keyring.names(""):
        row = house.key_table.get(name)
        assert row is not None
        if name != "master":
            assert row[:8] == house.masters.id, name
        cipher = AESGCM(former.key)
        bounds = (
            b"gatebook key\0" + former.id + name.encode(),
            b"gatebook master key\0" + former.id,
        )
        for start in range(len(row) - 28):
            for end in range(start + 28, len(row) + 1) if name == "master" else [len(row)]:
                for bound in bounds:
                    with pytest.raises(InvalidTag):
                        cipher.decrypt(row[start : start + 12], row[start + 12 : end], bound)
    house.keyring.forget_subjects()
    assert house.keyring.open(f"subject:{ALICE}", sealed, b"") == SEALED
    assert house.masters.record.under_way is None


def told(house: House) -> list[type]:
    kinds = (custody.MasterKeyRotationStarted, custody.MasterKeyRotated)
    return [type(event) for event in custody_events(house) if isinstance(event, kinds)]


@pytest.mark.parametrize("first", ["key_file", "passphrase_file"])
@pytest.mark.parametrize("second", ["key_file", "passphrase_file"])
def test_from_every_kind_to_every_kind(deployment, monkeypatch, first, second):
    """The new source opens everything; the old one is refused, and is told when it was replaced."""
    if first == "passphrase_file":
        house = opened_house(deployment)
        run(house, Secret(PASSPHRASE.encode(), is_key=False))
        house.close()
        private(deployment.directory / "first", PASSPHRASE)
        first_file = "first"
    else:
        first_file = "master.key"
    house = opened_house(deployment, **{first: first_file})
    former, sealed = house.masters.opened.current, sealed_for_alice(house)
    secret = KEY if second == "key_file" else Secret(OTHER.encode(), is_key=False)

    outcome = run(house, secret)

    check_rotated(house, former, sealed)
    assert outcome.keys == len(house.keyring.names("")) - 1
    house.close()
    with pytest.raises(WrongMasterKey, match=r"former master key, replaced on 20.*set \[master_k"):
        opened_house(deployment)
    text = KEY.value.hex() if second == "key_file" else OTHER
    private(deployment.directory / "second", text)
    again = opened_house(deployment, **{second: "second"})
    assert again.keyring.open(f"subject:{ALICE}", sealed, b"") == SEALED
    again.close()


def test_again_does_nothing(house):
    """The same secret a second time wraps nothing and records nothing."""
    run(house, KEY)
    before = house.store.head()

    assert run(house, KEY).keys == 0
    assert house.store.head() == before


def test_there_and_back(house):
    """A key that was replaced can take over again, and each change is recorded."""
    former, sealed = house.masters.opened.current, sealed_for_alice(house)
    run(house, KEY)
    run(house, Secret(former.key, is_key=True))
    run(house, KEY)

    check_rotated(house, former, sealed)
    assert told(house) == [custody.MasterKeyRotationStarted, custody.MasterKeyRotated] * 3


class FailingTable:
    """A keyring that dies at its n-th change, before it or right after it."""

    def __init__(self, table: KeyTable, at: int, *, after: bool) -> None:
        self._table, self._left, self._after = table, at, after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._table, name)
        return self._dying(found) if name in ("replace", "rewrap", "forget_former") else found

    def _dying(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Killed
            result = change(*given)
            if self._left == 0:
                raise Killed
            return result

        return run


@pytest.mark.parametrize("secret", [KEY, Secret(OTHER.encode(), is_key=False)], ids=["key", "pass"])
def test_killed_at_every_step(deployment, monkeypatch, secret):
    """Wherever it dies, either key opens all; the same secret ends it, each event is there once.

    The steps: two events, the two changes of the master row, every batch, the tidying.
    """
    monkeypatch.setattr(rotation, "BATCH", 2)
    house = opened_house(deployment)
    keys = house.key_table.counts(b"")[0] + 1
    house.close()
    steps = [
        ("table", at, after) for at in range(1, 4 + (keys + 1) // 2) for after in (False, True)
    ]
    steps += [("record", at, after) for at in (1, 2) for after in (False, True)]
    died = 0
    for number, (kind, at, after) in enumerate(steps):
        house = opened_house(deployment)
        former, sealed = house.masters.opened.current, sealed_for_alice(house)
        began = len(told(house))
        die_at(house, kind, at, after=after)
        try:
            run(house, secret)
        except Killed:
            died += 1
        house.close()

        again = reopened(deployment, former, secret)
        assert again.keyring.open(f"subject:{ALICE}", sealed, b"") == SEALED
        again.keyring.create_named(f"purpose:made-{number}")
        run(again, secret)
        check_rotated(again, former, sealed)
        assert told(again)[began:] == [
            custody.MasterKeyRotationStarted,
            custody.MasterKeyRotated,
        ], (kind, at, after)
        run(again, Secret(former.key, is_key=True))  # back, for the next one
        again.close()
    assert died == len(steps)


def die_at(house: House, kind: str, at: int, *, after: bool) -> None:
    if kind == "table":
        house.key_table = FailingTable(house.key_table, at, after=after)  # type: ignore[assignment]
        return
    record, left = house.app.record, [at]

    def dying(*given: Any, **more: Any) -> int:
        left[0] -= 1
        if left[0] == 0 and not after:
            raise Killed
        position = record(*given, **more)
        if left[0] == 0:
            raise Killed
        return position

    house.app.record = dying  # type: ignore[method-assign]


def reopened(deployment: Deployment, former: MasterKey, secret: Secret) -> House:
    """By the configured key as long as that opens it, else by the new one."""
    try:
        return opened_house(deployment)
    except WrongMasterKey as error:
        refused = str(error)
    assert "former master key" in refused
    new = deployment.directory / "new"
    private(new, secret.value.hex() if secret.is_key else secret.value.decode())
    house = opened_house(deployment, **{"key_file" if secret.is_key else "passphrase_file": "new"})
    private(deployment.directory / "master.key", former.key.hex())
    text = deployment.config.read_text()
    line = 'key_file = "new"' if secret.is_key else 'passphrase_file = "new"'
    deployment.config.write_text(text.replace(line, 'key_file = "master.key"'))
    return house


def test_another_secret_does_not_go_on(house, monkeypatch):
    """While one rotation is under way, a second one to another key is refused, saying so."""
    die_at(house, "table", 2, after=False)
    with pytest.raises(Killed):
        run(house, KEY)

    with pytest.raises(Conflict, match="is under way"):
        run(house, Secret(b"\x07" * 32, is_key=True))


def test_both_keys_open_a_rotation_that_is_under_way(deployment):
    """Whoever starts with either source has both keys, and what he makes is under the new one."""
    house = opened_house(deployment)
    die_at(house, "table", 2, after=False)
    with pytest.raises(Killed):
        run(house, KEY)
    house.close()
    private(deployment.directory / "new", KEY.value.hex())
    for name in ("master.key", "new"):
        opened = opened_house(deployment, key_file=name)
        opened.keyring.create_named(f"purpose:{name}")
        row = opened.key_table.get(f"purpose:{name}")
        assert row is not None
        assert row[:8] == MasterKey.of(KEY.value).id
        opened.close()


def test_a_process_that_does_not_look_adds_nothing_under_the_former_key(deployment):
    """What it believes is checked in the very insertion; then it looks, and wraps anew."""
    idle, house = opened_house(deployment), opened_house(deployment)
    idle.masters.close()  # no watch: as if it were between two looks
    die_at(house, "table", 2, after=False)
    with pytest.raises(Killed):
        run(house, KEY)

    believed = idle.masters.row
    wrapped, _row = idle.masters.wrap("purpose:late", b"k" * 32)
    assert not idle.key_table.add("purpose:late", wrapped, 1, believed=believed)
    idle.keyring.create_subject(BOB)
    row = idle.key_table.get(f"subject:{BOB}")
    assert row is not None
    assert row[:8] == MasterKey.of(KEY.value).id
    idle.close()
    house.close()


def test_a_process_that_slept_through_all_of_it_is_told(deployment):
    """It opens nothing any more, makes nothing, and says what to set."""
    idle, house = opened_house(deployment), opened_house(deployment)
    idle.masters.close()
    run(house, KEY)
    idle.keyring.forget_subjects()
    for attempt in (lambda: idle.keyring.create_subject(BOB), idle.masters.look):
        with pytest.raises(WrongMasterKey, match=r"set \[master_key\]"):
            attempt()
    idle.close()
    house.close()


def test_a_key_destroyed_meanwhile_does_not_come_back(house, monkeypatch):
    """A subject erased between the reading and the writing of its batch stays erased."""
    sealed_for_alice(house)
    rewrap = house.key_table.rewrap

    def erased_first(changes: Any) -> None:
        house.keyring.destroy_subject(ALICE)
        rewrap(changes)

    monkeypatch.setattr(house.key_table, "rewrap", erased_first)
    run(house, KEY)

    assert not house.keyring.has(f"subject:{ALICE}")


def test_a_damaged_key_stops_the_rotation_and_names_itself(house):
    """The rest stays open by both keys; with the row restored, the rotation ends."""
    sealed = sealed_for_alice(house)
    former, name = house.masters.opened.current, f"subject:{ALICE}"
    row = house.key_table.get(name)
    assert row is not None
    damaged = row[:-1] + bytes([row[-1] ^ 1])
    assert house.key_table.replace(name, row, damaged)
    with pytest.raises(KeyringDamaged, match=name):
        run(house, KEY)
    assert house.masters.record.under_way is not None
    assert house.key_table.replace(name, damaged, row)

    run(house, KEY)
    check_rotated(house, former, sealed)


def test_one_at_a_time(deployment):
    """A second command beside the first is refused."""
    first, second = opened_house(deployment), opened_house(deployment)
    with first.store.lease("rotate-master") as lease:
        assert lease.held()
        with pytest.raises(Conflict, match="at work"):
            run(second, KEY)
    first.close()
    second.close()


def test_what_is_derived_and_signed_stays(house):
    """Names are still found by their keyed hashes, and the same pair signs."""
    digest = house.keyring.derive("test", b"x")
    kid = house.keys.all(house.clock.now())[0].kid
    run(house, KEY)
    house.keyring._cache.clear()
    assert house.keyring.derive("test", b"x") == digest
    assert house.keyring.signing_key(kid)
