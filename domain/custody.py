"""What was done with the store and its master key as a whole: by operators, outside any account.

A master key is named by 16 hexadecimal digits, which say nothing of the key itself.
"""

from __future__ import annotations

from gatebook.domain.envelope import uuid8
from gatebook.domain.event import Event

STREAM_ID = uuid8(b"custody")


class _CustodyEvent(Event, frozen=True):
    STREAM = "custody"
    CATEGORY = "system"


class MasterKeyRotationStarted(_CustodyEvent, frozen=True):
    """From here on the keyring is wrapped anew, key by key; both master keys open it meanwhile."""

    TOPIC = "master_key.rotation_started.1"
    former_id: str
    key_id: str


class MasterKeyRotated(_CustodyEvent, frozen=True):
    """Every key is wrapped by the new master key; the former one opens nothing any more."""

    TOPIC = "master_key.rotated.1"
    former_id: str
    key_id: str
    keys: int


class MasterKeyEscrowed(_CustodyEvent, frozen=True):
    """The master key was split: any `threshold` of `shares` shares give it back."""

    TOPIC = "master_key.escrowed.1"
    key_id: str
    shares: int
    threshold: int


class MasterKeyRecovered(_CustodyEvent, frozen=True):
    """The master key was put together again from its shares."""

    TOPIC = "master_key.recovered.1"
    key_id: str


class StoreBackedUp(_CustodyEvent, frozen=True):
    """The log was copied up to `head`. `size` and `root` are of the signed head in the copy.

    `has_keyring` says whether the keyring was copied as well, to a place of its own.
    """

    TOPIC = "store.backed_up.1"
    head: int
    size: int
    root: bytes
    has_keyring: bool


class StoreRestored(_CustodyEvent, frozen=True):
    """The log was restored up to `head`, out of a backup that went to `backup_head`."""

    TOPIC = "store.restored.1"
    head: int
    backup_head: int


class StoreCopied(_CustodyEvent, frozen=True):
    """The whole store was copied up to `head`, to a store of the kind `dialect`."""

    TOPIC = "store.copied.1"
    head: int
    dialect: str


class SchemaForced(_CustodyEvent, frozen=True):
    """An operator said what version the store's schema has, against what stood there."""

    TOPIC = "store.schema_forced.1"
    former: int
    version: int


Happening = (
    MasterKeyRotationStarted
    | MasterKeyRotated
    | MasterKeyEscrowed
    | MasterKeyRecovered
    | StoreBackedUp
    | StoreRestored
    | StoreCopied
    | SchemaForced
)
