"""The clock and the identifiers of the machine."""

from __future__ import annotations

import os
import secrets
import time
import uuid


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> int:
        """Microseconds since the epoch."""
        return time.time_ns() // 1_000


class SystemIds:
    """Identifiers from the operating system's randomness."""

    def account(self) -> uuid.UUID:
        """A random UUID (version 4)."""
        return uuid.UUID(bytes=secrets.token_bytes(16), version=4)

    def ordered(self) -> uuid.UUID:
        """A time-ordered UUID (version 7; RFC 9562, section 5.7): 48 bits of milliseconds first."""
        raw = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
        raw[6] = 0x70 | (raw[6] & 0x0F)
        raw[8] = 0x80 | (raw[8] & 0x3F)
        return uuid.UUID(bytes=bytes(raw))

    def secret(self, size: int) -> bytes:
        """Random bytes fit for a secret."""
        return secrets.token_bytes(size)
