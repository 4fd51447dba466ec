"""The credentials of an account in the `access` read model."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from gatebook.domain import passkey, password, recovery_codes, totp
from gatebook.domain.envelope import Actor, Metadata, Recorded
from gatebook.projections import credentials
from gatebook.projections.changes import Drop, DropWhere, Put
from tests.wire.samples import ALICE, AT, ENTRIES

MADE = {
    "password.set.1": "password",
    "totp.confirmed.1": "totp",
    "recovery_codes.generated.1": "recovery-codes",
    "passkey.registered.1": "passkey",
}
GONE = ["password.removed.1", "totp.removed.1", "recovery_codes.removed.1", "passkey.removed.1"]
STREAM = UUID("57e00000-0000-8000-8000-000000000005")


def folded(topic: str, stream_id: UUID = STREAM):
    """The changes that the sample of a topic makes."""
    metadata = Metadata(actor=Actor("system"), at=AT)
    event = ENTRIES[topic].event
    return credentials.fold(Recorded(1, AT, stream_id, 1, topic, event, metadata))


@pytest.mark.parametrize("topic", MADE)
def test_a_credential_is_a_row(topic):
    """By its stream's id, with its kind and since when."""
    [change] = folded(topic)
    assert isinstance(change, Put)
    assert change.row["credential_id"] == STREAM.bytes
    assert (change.row["account_id"], change.row["kind"]) == (ALICE.bytes, MADE[topic])
    assert change.row["created_at"] == AT


@pytest.mark.parametrize("topic", GONE)
def test_a_removed_one_is_no_row(topic):
    """Removal drops it."""
    assert folded(topic) == (Drop(credentials.CREDENTIALS, (STREAM.bytes,)),)


def test_nothing_is_kept_of_the_erased():
    """Erasure drops all of an account's."""
    [change] = folded("account.erased.1", ALICE)
    assert change == DropWhere(credentials.CREDENTIALS, "account_id", "=", ALICE.bytes)


def test_no_secret_and_no_name_stands_in_a_row():
    """What is sealed in the events is in no column."""
    for topic in MADE:
        [change] = folded(topic)
        stored = msgspec.msgpack.encode(dict(change.row))
        for sealed in (b"argon2", b"\x05" * 20, b"\x04" * 32, b"phone"):
            assert sealed not in stored


def test_uses_change_no_row():
    """What happens at every sign-in does not touch the table."""
    for kind in (totp.TotpUsed, passkey.PasskeyUsed, recovery_codes.RecoveryCodeUsed,
                 password.PasswordRehashed):  # fmt: skip
        assert folded(kind.TOPIC) == ()
