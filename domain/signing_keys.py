"""The ring of signing keys: one stream, so that exactly one key signs at any time.

Only public halves are here. The private half is wrapped in the keyring, outside the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_never

import msgspec

from gatebook.domain.envelope import uuid8
from gatebook.domain.errors import Conflict, NotFound
from gatebook.domain.event import Event

STREAM_ID = uuid8(b"signing-keys")


class _KeyEvent(Event, frozen=True):
    STREAM = "signing-keys"
    CATEGORY = "config"
    kid: str


class KeyCreated(_KeyEvent, frozen=True):
    """A key pair exists and its public half is published. `public_jwk` is JSON (RFC 7517)."""

    TOPIC = "key.created.1"
    algorithm: str
    public_jwk: str


class KeyActivated(_KeyEvent, frozen=True):
    """The key signs from `signs_from` on (microseconds); the one before then only verifies."""

    TOPIC = "key.activated.1"
    signs_from: int


class KeyRetired(_KeyEvent, frozen=True):
    """The key verifies nothing any more and is no longer published."""

    TOPIC = "key.retired.1"


Happening = KeyCreated | KeyActivated | KeyRetired

SETTLED = 3600 * 1_000_000
"""Microseconds that a key signs at least before another algorithm takes over by itself.

Nodes that are configured differently then change it once an hour, and not with every turn.
"""

KeyStatus = Literal["published", "active", "verifying", "retired"]


class Key(msgspec.Struct, frozen=True):
    """One key of the ring."""

    kid: str
    algorithm: str
    public_jwk: str
    signs_from: int | None = None
    retired: bool = False


class Ring(msgspec.Struct, frozen=True):
    """All keys, in the order they were created."""

    keys: tuple[Key, ...] = ()

    def get(self, kid: str) -> Key:
        """The key of that id. Raises NotFound."""
        for key in self.keys:
            if key.kid == kid:
                return key
        raise NotFound(f"There is no signing key {kid!r}.")

    def signing(self, at: int) -> Key | None:
        """The key that signs at an instant: the one activated last, whose time has come."""
        due = [k for k in self.keys if not k.retired and k.signs_from is not None]
        due = [k for k in due if k.signs_from is not None and k.signs_from <= at]
        return max(due, key=lambda k: k.signs_from or 0, default=None)

    def coming(self, at: int) -> Key | None:
        """The key that is published and will sign, at a time that is known."""
        known = [k for k in self.keys if not k.retired and (k.signs_from or 0) > at]
        return min(known, key=lambda k: k.signs_from or 0, default=None)

    def due(self, at: int, *, age: int, lead: int, algorithm: str) -> bool:
        """Whether a new key should be published now, to sign after `lead`.

        Because the one that signs reaches `age` by then (0: it never does), or because it is of
        another algorithm than is wanted.
        """
        signing = self.signing(at)
        if signing is None or self.coming(at) is not None:
            return False
        signed_for = at - (signing.signs_from or 0)
        if signing.algorithm != algorithm and signed_for >= SETTLED:
            return True
        return age > 0 and signed_for + lead >= age

    def superseded(self, before: int) -> list[Key]:
        """Keys that do not count as retired, and that have not signed since an instant."""
        signing = self.signing(before)
        if signing is None:
            return []
        return [
            key
            for key in self.keys
            if not key.retired
            and key.signs_from is not None
            and key.signs_from < (signing.signs_from or 0)
        ]

    def status(self, key: Key, at: int) -> KeyStatus:
        """What a key is good for at an instant."""
        if key.retired:
            return "retired"
        signing = self.signing(at)
        if signing is not None and signing.kid == key.kid:
            return "active"
        if key.signs_from is not None and key.signs_from <= at:
            return "verifying"
        return "published"


def create(kid: str, algorithm: str, public_jwk: str) -> list[Happening]:
    """Publishes a new key."""
    return [KeyCreated(kid=kid, algorithm=algorithm, public_jwk=public_jwk)]


def activate(kid: str, signs_from: int, ring: Ring) -> list[Happening]:
    """Lets a key sign. Raises NotFound, or Conflict for a retired key."""
    if ring.get(kid).retired:
        raise Conflict("The key is retired.")
    return [KeyActivated(kid=kid, signs_from=signs_from)]


def retire(kid: str, at: int, ring: Ring) -> list[Happening]:
    """Ends a key. Raises NotFound, or Conflict for the key that signs."""
    key = ring.get(kid)
    if key.retired:
        return []
    if ring.status(key, at) == "active":
        raise Conflict("This key signs. Rotate first, then retire it.")
    return [KeyRetired(kid=kid)]


def evolve(state: Ring, event: Happening) -> Ring:
    """The state after an event."""
    match event:
        case KeyCreated(kid=kid, algorithm=algorithm, public_jwk=public_jwk):
            return Ring((*state.keys, Key(kid, algorithm, public_jwk)))
        case KeyActivated(kid=kid, signs_from=signs_from):
            return _changed(state, kid, lambda k: msgspec.structs.replace(k, signs_from=signs_from))
        case KeyRetired(kid=kid):
            return _changed(state, kid, lambda k: msgspec.structs.replace(k, retired=True))
        case _:
            assert_never(event)


def _changed(ring: Ring, kid: str, change: Callable[[Key], Key]) -> Ring:
    return Ring(tuple(change(key) if key.kid == kid else key for key in ring.keys))
