"""The master keys that a process holds: today's, and during a rotation the one before.

Both are one immutable value that is swapped as a whole, so any thread may use it at any time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eventsourcing.persistence import PersistenceError

from gatebook.store import master_record
from gatebook.store.keyring_table import KeyTable
from gatebook.store.master_record import (
    ROW,
    KeyringDamaged,
    MasterKey,
    Opened,
    Record,
    WrongMasterKey,
)

LOOK_EVERY = 1.0
"""Seconds. No process is longer without the new master key than this, once a rotation began."""


class UnknownMaster(Exception):
    """A key is wrapped by a master key that this process does not hold, or not yet."""


class _Held(msgspec.Struct, frozen=True):
    """What was believed at one time. `row` is the record as stored."""

    row: bytes
    opened: Opened
    ciphers: dict[bytes, AESGCM]


class MasterKeys:
    """Wraps by today's master key, unwraps by either, and learns of a rotation by looking."""

    def __init__(self, table: KeyTable, row: bytes, opened: Opened) -> None:
        self._table = table
        self._held = _held(row, opened)
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None
        self.on_lost: Callable[[str], None] = _ignore
        """Told once, by the watch, that the master key is not known here any more, and why."""

    @property
    def id(self) -> bytes:
        """Today's master key's public name."""
        return self._held.opened.current.id

    @property
    def key(self) -> bytes:
        """Today's master key."""
        return self._held.opened.current.key

    @property
    def opened(self) -> Opened:
        """Today's master key and the former one, if both count."""
        return self._held.opened

    @property
    def row(self) -> bytes:
        """The record as it was last seen."""
        return self._held.row

    @property
    def record(self) -> Record:
        """The same, decoded."""
        return master_record.decode(self._held.row)

    def wrap(self, name: str, key: bytes) -> tuple[bytes, bytes]:
        """(the key wrapped, the master row that this is right under)."""
        held = self._held
        return _wrapped(held, name, key), held.row

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """Raises UnknownMaster: look, and read the row again. Raises KeyringDamaged."""
        cipher = self._held.ciphers.get(wrapped[:8])
        if cipher is None:
            raise UnknownMaster(name)
        try:
            return cipher.decrypt(wrapped[8:20], wrapped[20:], _bound(wrapped[:8], name))
        except InvalidTag as error:
            raise KeyringDamaged(f"the key {name} is damaged; restore the keyring") from error

    def look(self) -> bool:
        """Reads the master row again, and says whether it has changed.

        Raises WrongMasterKey when a whole rotation passed without this process looking.
        """
        with self._guard:
            row = self._table.get(ROW)
            if row is None:
                raise KeyringDamaged("the keyring's master record is gone; restore its backup")
            if row == self._held.row:
                return False
            self._held = _held(row, self._after(master_record.decode(row)))
            return True

    def reopen(self, row: bytes, opened: Opened) -> None:
        """Believes what a source opened just now."""
        with self._guard:
            self._held = _held(row, opened)

    def watch(self, besides: Callable[[], object]) -> None:
        """Looks every second, in a thread of its own, until `close` or the key is lost.

        `besides` is done each time as well: what else this process must learn of by itself.
        """

        def run() -> None:
            while not self._ended.wait(LOOK_EVERY):
                try:
                    self.look()
                    besides()
                except PersistenceError:
                    continue  # the store is away; who needs a key is told so
                except (WrongMasterKey, KeyringDamaged) as error:
                    self.on_lost(str(error))
                    return

        self._watcher = threading.Thread(target=run, name="master key", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Ends the watch. Before the table is closed, which a look would open again."""
        self._ended.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None

    def _after(self, record: Record) -> Opened:
        """What is held after a change of the record, out of what was held before."""
        known = [self._held.opened.current, self._held.opened.former]
        for held in known:
            if held is not None and record.shape.recognises(held.key):
                under_way = record.under_way
                if under_way is None:
                    return Opened(held)
                return Opened(held, master_record.unwrap_former(under_way, held))
        if record.under_way is not None:
            for held in known:
                if held is not None and record.under_way.former.recognises(held.key):
                    new = master_record.unwrap_new(record, record.under_way, held)
                    return Opened(new, held)
        raise WrongMasterKey(
            "the master key was replaced while this process did not look: "
            "set [master_key] to the new one, and send SIGHUP or start again"
        )


def _ignore(_reason: str) -> None:
    """Whoever needs a key is told so."""


def _held(row: bytes, opened: Opened) -> _Held:
    both = [key for key in (opened.current, opened.former) if key is not None]
    return _Held(row, opened, {key.id: AESGCM(key.key) for key in both})


def _wrapped(held: _Held, name: str, key: bytes) -> bytes:
    current: MasterKey = held.opened.current
    nonce = os.urandom(12)
    sealed = held.ciphers[current.id].encrypt(nonce, key, _bound(current.id, name))
    return current.id + nonce + sealed


def _bound(master_id: bytes, name: str) -> bytes:
    return b"gatebook key\0" + master_id + name.encode()
