"""Cursors of lists: typed, and authenticated so that nobody can write one of his own."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from gatebook.domain.errors import InvalidValue
from gatebook.store.keyring import Keyring

MAC_BYTES = 16
Part = int | str | bytes


class Cursors:
    """Makes and reads cursors. `kind` names the list, so that one list's cursor fits no other."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def seal(self, kind: str, *values: Part) -> str:
        """A cursor as the client gets it."""
        body = msgspec.msgpack.encode(values)
        return _text(self._mac(kind, body) + body)

    def open(self, kind: str, text: str) -> tuple[Part, ...]:
        """The values of a cursor that was made here for this list. Raises InvalidValue."""
        try:
            raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            if _text(raw) != text:
                raise ValueError("not canonical")
            mac, body = raw[:MAC_BYTES], raw[MAC_BYTES:]
            if not hmac.compare_digest(mac, self._mac(kind, body)):
                raise ValueError("forged")
            # Untyped: msgspec cannot tell str from bytes in a union. The MAC vouches for the types.
            values: list[Part] = msgspec.msgpack.decode(body)
            return tuple(values)
        except (ValueError, msgspec.DecodeError) as error:
            raise InvalidValue("This cursor was not given out for this list.", "/after") from error

    def _mac(self, kind: str, body: bytes) -> bytes:
        return self._keyring.derive("cursors", kind.encode(), body)[:MAC_BYTES]


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
