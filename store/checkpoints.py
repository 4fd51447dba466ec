"""Checkpoints: signed heads of the tree, as C2SP tlog-checkpoint and signed-note have them."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ED25519: Final = b"\x01"
"""The type of a signature, in verifier keys and key ids."""

DASH: Final = "\N{EM DASH} "
LONGEST: Final = 16_384
"""Characters of a note that is read."""

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


class NoteRefused(Exception):
    """A note that is malformed, or not signed by the key it should be signed by."""


class Checkpoint(msgspec.Struct, frozen=True):
    """What a note says: the log of `origin` had `size` events, and this root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


class VerifierKey(msgspec.Struct, frozen=True):
    """The public half of a key that signs heads. `origin` is its name, in notes too."""

    origin: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that go before each signature."""
        return sha256(self.origin.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    @property
    def bears_its_own_name(self) -> bool:
        """Whether it is named as a key of Gatebook is: nobody can give that name to another."""
        return self.origin == origin_of(self.public)

    def __str__(self) -> str:
        """In the form of signed-note: `origin+id+key`."""
        return f"{self.origin}+{self.id.hex()}+{b64encode(ED25519 + self.public).decode()}"

    @staticmethod
    def parse(written: str) -> VerifierKey:
        """The key of `origin+id+key`. Raises NoteRefused."""
        origin, _, rest = written.partition("+")
        key_id, _, encoded = rest.partition("+")
        key = VerifierKey(origin, _decoded(encoded)[1:])
        if not origin or len(key.public) != 32 or str(key) != f"{origin}+{key_id}+{encoded}":
            raise NoteRefused("it is no verifier key of type Ed25519")
        return key

    def verify(self, note: str) -> Checkpoint:
        """What a note of this log says. Raises NoteRefused unless this key signed it."""
        found, signatures = parse(note)
        ours = [value for name, value in signatures if (name, value[:4]) == (self.origin, self.id)]
        if found.origin != self.origin or not ours:
            raise NoteRefused(f"the note is not signed by {self.origin}")
        public = Ed25519PublicKey.from_public_bytes(self.public)
        try:
            for value in ours:
                public.verify(value[4:], found.text.encode())
        except InvalidSignature:
            raise NoteRefused(f"the signature of {self.origin} is wrong") from None
        return found


class CheckpointKey:
    """The key that signs heads. Its name follows from it, so that no URL can change it."""

    def __init__(self, seed: bytes) -> None:
        """`seed`: 32 bytes."""
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.verifier = VerifierKey(origin_of(public), public)

    def sign(self, size: int, root: bytes) -> str:
        """The note of a head."""
        text = Checkpoint(self.verifier.origin, size, root).text
        signature = self.verifier.id + self._private.sign(text.encode())
        return f"{text}\n{DASH}{self.verifier.origin} {b64encode(signature).decode()}\n"


def origin_of(public: bytes) -> str:
    """The name of a key of Gatebook."""
    return f"gatebook/{sha256(public).hexdigest()[:32]}"


def parse(note: str) -> tuple[Checkpoint, list[tuple[str, bytes]]]:
    """A note's text, and its signatures as (key name, key id and signature), unverified.

    Raises NoteRefused.
    """
    text, blank, signed = note.partition("\n\n")
    lines = text.split("\n")
    if len(note) > LONGEST or not blank or len(lines) != 3 or not signed.endswith("\n"):
        raise NoteRefused("it is not a checkpoint of three lines with its signatures")
    origin, size, root = lines
    if not origin or _SIZE.fullmatch(size) is None or len(_decoded(root)) != 32:
        raise NoteRefused("it has no origin, no size or no root")
    signatures = [_signature(line) for line in signed[:-1].split("\n")]
    return Checkpoint(origin, int(size), _decoded(root)), signatures


def _signature(line: str) -> tuple[str, bytes]:
    name, space, value = line.removeprefix(DASH).partition(" ")
    if not line.startswith(DASH) or not space or not name or len(_decoded(value)) < 5:
        raise NoteRefused("a signature line is malformed")
    return name, _decoded(value)


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise NoteRefused("something is not base64") from None
