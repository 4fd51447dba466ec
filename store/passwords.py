"""Passwords: the rules (NIST SP 800-63B-4, section 3.1.1), and Argon2id (RFC 9106)."""

from __future__ import annotations

import hashlib
import mmap
import os
import unicodedata
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from zxcvbn_rs_py import zxcvbn

from gatebook.domain.errors import InvalidValue, WeakPassword
from gatebook.store import cores
from gatebook.store.hash_gate import HashGate
from gatebook.store.setting_sections import PasswordSettings

WEAKEST_SCORE = 3
"""Of 0 to 4 by zxcvbn: at least 10^8 guesses."""

JUDGED = 100
"""Characters that the estimator sees; its time grows faster than the length."""

HASH_BYTES = 32
SALT_BYTES = 16


class Argon2:
    """Hashes and verifies behind the gate, with the configured parameters."""

    def __init__(self, settings: PasswordSettings, gate: HashGate, blocklist: Blocklist) -> None:
        self.settings = settings
        self.gate = gate
        self.blocklist = blocklist
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_time,
            memory_cost=settings.argon2_memory // 1024,
            parallelism=settings.argon2_parallelism,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
        )
        self._dummy = self._make_dummy()

    def hash(self, password: bytes) -> str:
        """A PHC string."""
        with self.gate.slot(), cores.everywhere():
            return self._hasher.hash(password)

    def verify(self, phc: str | None, password: bytes) -> bool:
        """Whether the password verifies. Without a PHC string: the same work, and False."""
        with self.gate.slot(), cores.everywhere():
            try:
                matched = self._hasher.verify(phc or self._dummy, password)
            except (VerifyMismatchError, VerificationError, InvalidHashError):
                return False
        return matched and phc is not None

    def outdated(self, phc: str) -> bool:
        """Whether other parameters made it."""
        return self._hasher.check_needs_rehash(phc)

    def _make_dummy(self) -> str:
        """A PHC string that nothing verifies against, made without hashing."""
        salt, tag = (
            b64encode(os.urandom(size)).rstrip(b"=").decode() for size in (SALT_BYTES, HASH_BYTES)
        )
        s = self.settings
        cost = f"m={s.argon2_memory // 1024},t={s.argon2_time},p={s.argon2_parallelism}"
        return f"$argon2id$v=19${cost}${salt}${tag}"


class Password:
    """A password on its way through: it can be verified and hashed, not read or printed."""

    __slots__ = ("_argon2", "_bytes", "_pointer", "_text")

    def __init__(self, text: str, argon2: Argon2, pointer: str = "/password") -> None:
        """Normalises to NFKC. Raises InvalidValue for what is not text."""
        if any(unicodedata.category(character) == "Cs" for character in text):
            raise InvalidValue("A password is text; this holds half a character.", pointer)
        self._text = unicodedata.normalize("NFKC", text)
        self._bytes = self._text.encode()
        self._argon2 = argon2
        self._pointer = pointer

    def __repr__(self) -> str:
        return "Password(***)"

    def matches(self, phc: str | None) -> bool:
        """Whether it verifies. One that could never have been set costs the same and does not."""
        if not 1 <= len(self._bytes) <= self._argon2.settings.max_bytes:
            self._argon2.verify(None, self._bytes[: self._argon2.settings.max_bytes])
            return False
        return self._argon2.verify(phc, self._bytes)

    def hash(self, context: Sequence[str]) -> str:
        """Checks the rules, then hashes. Raises WeakPassword."""
        self._check(context)
        return self._argon2.hash(self._bytes)

    def rehash(self) -> str:
        """Hashes what was accepted once."""
        return self._argon2.hash(self._bytes)

    def outdated(self, phc: str) -> bool:
        """Whether other parameters made the PHC string."""
        return self._argon2.outdated(phc)

    def _check(self, context: Sequence[str]) -> None:
        rules = self._argon2.settings
        if len(self._bytes) < rules.min_bytes:
            raise WeakPassword(f"A password has at least {rules.min_bytes} bytes.")
        if len(self._bytes) > rules.max_bytes:
            raise WeakPassword(f"A password has at most {rules.max_bytes} bytes.")
        if self._argon2.blocklist.holds(self._text):
            raise WeakPassword("This password is on the list of known passwords.")
        folded = self._text.casefold()
        for word in context:
            if len(word) >= 4 and folded in (word.casefold(), word.casefold()[::-1]):
                raise WeakPassword("A password must not be your own name or address.")
        words = [part for word in context for part in (word, word.partition("@")[0]) if part]
        if int(zxcvbn(self._text[:JUDGED], words).score) < WEAKEST_SCORE:
            raise WeakPassword("This password is too easy to guess. Use more, or rarer, words.")


class Blocklist:
    """`blocklist_file`: plain lines, or sorted upper-case SHA-1 lines (`HASH` or `HASH:count`).

    Searched on disk: nothing is loaded, whatever the size.
    """

    def __init__(self, path: Path | None) -> None:
        """Raises OSError when the file cannot be read."""
        self._map: mmap.mmap | None = None
        self._hashed = False
        if path is not None and path.stat().st_size:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            first = self._map[: self._line_end(0)].split(b":")[0]
            self._hashed = len(first) == 40 and all(c in b"0123456789ABCDEF" for c in first)

    def holds(self, password: str) -> bool:
        """Whether the password is listed."""
        if self._map is None:
            return False
        if self._hashed:
            digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest()
            return self._search(digest.upper().encode())
        wanted = password.encode()
        return (
            self._map[: self._line_end(0)] == wanted
            or self._map.find(b"\n" + wanted + b"\n") >= 0
            or self._map[-len(wanted) - 1 :] == b"\n" + wanted
        )

    def close(self) -> None:
        """Closes the map."""
        if self._map is not None:
            self._map.close()

    def _search(self, wanted: bytes) -> bool:
        """Binary search by byte offset over lines of any length."""
        assert self._map is not None
        low, high = 0, len(self._map)
        while low < high:
            middle = (low + high) // 2
            start = self._map.rfind(b"\n", low, middle) + 1 or low
            end = self._line_end(start)
            line = bytes(self._map[start : start + 40])
            if line == wanted:
                return True
            if line < wanted:
                low = end + 1
            else:
                high = start
        return False

    def _line_end(self, start: int) -> int:
        assert self._map is not None
        end = self._map.find(b"\n", start)
        return len(self._map) if end < 0 else end
