"""The master row: what the first release wrote is read for ever, and what a secret opens of it."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
import pytest
from argon2.low_level import Type, hash_secret_raw

from gatebook.store import master_record
from gatebook.store.master_record import KeyringDamaged, MasterKey, Replaced, Secret, UnderWay

KEY = bytes(range(32))
CHECK = hmac.digest(KEY, b"gatebook master key check", "sha256")


def stored(*fields: object) -> bytes:
    """A row as it was written: a digest and a MessagePack array."""
    body = msgspec.msgpack.encode(list(fields))
    return hashlib.sha256(body).digest() + body


def test_a_row_of_the_first_release_is_read_and_written_the_same():
    """Five fields: of a key file, and of a passphrase."""
    for row in (stored(b"", 0, 0, 0, CHECK), stored(b"s" * 16, 65_536, 3, 4, CHECK)):
        record = master_record.decode(row)
        assert (record.under_way, record.replaced) == (None, None)
        assert master_record.encode(record) == row


def test_the_bytes_of_a_row_that_was_rotated():
    """Golden: fields are only added at the end."""
    shape, _key = master_record.new_shape(Secret(KEY, is_key=True))
    under_way = UnderWay(shape, b"a", b"b", 5)
    replaced = Replaced(shape, b"former-i", 6)
    fields = [b"", 0, 0, 0, CHECK]
    assert master_record.encode(master_record.record_of(shape)) == stored(*fields)
    assert master_record.encode(master_record.record_of(shape, under_way=under_way)) == stored(
        *fields, [fields, b"a", b"b", 5]
    )
    assert master_record.encode(master_record.record_of(shape, replaced=replaced)) == stored(
        *fields, None, [fields, b"former-i", 6]
    )


def test_a_newer_row_and_a_damaged_one_are_told_apart():
    """One wants the newer release, the other a backup."""
    with pytest.raises(KeyringDamaged, match="newer release"):
        master_record.decode(stored(b"", 0, 0, 0, CHECK, None, None, b"more"))
    row = stored(b"", 0, 0, 0, CHECK)
    with pytest.raises(KeyringDamaged, match="damaged"):
        master_record.decode(row[:-1] + bytes([row[-1] ^ 1]))


def test_the_key_itself_opens_what_a_passphrase_made():
    """Recovery has the key, not the passphrase. A passphrase never opens what a key made."""
    passphrase = b"a passphrase that is long enough"
    shape, key = master_record.new_shape(Secret(passphrase, is_key=False))
    assert key.key == hash_secret_raw(passphrase, shape.salt, 3, 65_536, 4, 32, Type.ID)
    record = master_record.record_of(shape)
    for secret in (Secret(passphrase, is_key=False), Secret(key.key, is_key=True)):
        found = master_record.opened(record, secret)
        assert found is not None
        assert found.current == key
    assert master_record.opened(record, Secret(KEY, is_key=True)) is None
    of_a_key = master_record.record_of(master_record.new_shape(Secret(KEY, is_key=True))[0])
    assert master_record.opened(of_a_key, Secret(KEY, is_key=False)) is None


def test_the_same_passphrase_after_the_same_key_is_the_same_master_key():
    """Who was interrupted comes to where he was; after another key the salt is another."""
    secret = Secret(b"a passphrase that is long enough", is_key=False)
    first = master_record.new_shape(secret, MasterKey.of(KEY))
    assert master_record.new_shape(secret, MasterKey.of(KEY)) == first
    other = master_record.new_shape(secret, MasterKey.of(b"\x01" * 32))
    assert other[0].salt != first[0].salt
    assert other[1] != first[1]


def test_wraps_cannot_be_swapped():
    """Neither direction opens as the other, and a bit that is changed is damage."""
    new, former = MasterKey.of(KEY), MasterKey.of(b"\x01" * 32)
    former_shape, _ = master_record.new_shape(Secret(former.key, is_key=True))
    shape, _ = master_record.new_shape(Secret(new.key, is_key=True))
    one, two = master_record.wrap_master(new, former), master_record.wrap_master(former, new)
    right = UnderWay(former_shape, one, two, 1)
    record = master_record.record_of(shape, under_way=right)
    assert master_record.unwrap_new(record, right, former) == new
    assert master_record.unwrap_former(right, new) == former
    bad = one[:-1] + bytes([one[-1] ^ 1])
    for wrong in (UnderWay(former_shape, two, one, 1), UnderWay(former_shape, bad, bad, 1)):
        with pytest.raises(KeyringDamaged):
            master_record.unwrap_new(record, wrong, former)
        with pytest.raises(KeyringDamaged):
            master_record.unwrap_former(wrong, new)


def test_nothing_that_holds_a_key_shows_it():
    """Printed by mistake, a key and a passphrase are not there."""
    for shown in (repr(MasterKey.of(KEY)), repr(Secret(KEY, is_key=True))):
        assert KEY.hex() not in shown
        assert repr(KEY) not in shown
