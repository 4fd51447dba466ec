"""A witness file: every head as it was signed, one note behind the other, to be kept elsewhere.

It is only ever appended to. A note that a power cut left half written is completed from the store,
where every head is before it is sent anywhere.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from gatebook.store.checkpoints import Checkpoint, NoteRefused, VerifierKey, parse
from gatebook.store.sqlite_connection import create_private_file

TAIL: Final = 65_536
"""Bytes at the end of a file that are read when it is looked at: some three hundred heads."""

_NOTE = re.compile(
    rb"^[^\n]+\n[0-9]{1,19}\n[A-Za-z0-9+/]{43}=\n\n(?:\xe2\x80\x94 [^\n]+\n)+", re.MULTILINE
)

Mark = tuple[int, int, int]
"""Inode, size and time of change: whether somebody else wrote to a file."""


class WitnessDamaged(Exception):
    """A witness file that is not what Gatebook wrote. The message is one line."""


class Looked(msgspec.Struct, frozen=True):
    """The end of a file: the last heads, oldest first, and a note that was half written."""

    notes: list[str]
    torn: bytes


class Witness:
    """One file. `name` is as the configuration has it."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self._left: Mark | None = None
        self._is_read = False
        self._damage: tuple[Mark | None, str] = (None, "")

    def changed(self) -> bool:
        """Whether the file is not as this object left it. Raises OSError."""
        return self._left is None or self._mark() != self._left

    def look(self) -> Looked:
        """The last heads in it; nothing when it is not there. Raises WitnessDamaged, OSError."""
        mark = self._mark()
        if mark is None:
            return Looked([], b"")
        with os.fdopen(_opened(self.path, os.O_RDONLY), "rb") as file:
            file.seek(max(0, mark[1] - TAIL))
            found = looked(file.read(TAIL + 1), whole=mark[1] <= TAIL)
        self._left = mark
        return found

    def heads(self, keys: Mapping[str, VerifierKey]) -> tuple[list[Checkpoint], bytes]:
        """What its last heads that these keys signed say, and a note that was half written.

        The first time the largest of the whole file is among them: whoever may append could have
        put others' or older ones behind it. Raises WitnessDamaged, OSError.
        """
        found = self.look()
        heads = signed_by(keys, found.notes)
        if not self._is_read and self._left is not None and self._left[1] > TAIL:
            heads = signed_by(keys, self._largest(self._left, keys)) + heads
        self._is_read = True
        if found.notes and not heads:
            raise WitnessDamaged("it holds heads of another log, and none of this one")
        return heads, found.torn

    def _largest(self, mark: Mark, keys: Mapping[str, VerifierKey]) -> list[str]:
        """The note of the most events in all of the file; what is damaged is not read twice."""
        if self._damage[0] == mark:
            raise WitnessDamaged(self._damage[1])
        largest, most = "", -1
        try:
            for note in all_notes(self.path):
                origin, size, _rest = note.split("\n", 2)
                if int(size) > most and origin in keys:
                    largest, most = note, int(size)
        except WitnessDamaged as error:
            self._damage = mark, str(error)
            raise
        return [largest] if largest else []

    def append(self, note: str, torn: bytes = b"") -> None:
        """Adds a head behind a torn part of itself, durable on return. Raises OSError.

        A missing file is made, for its owner only. A crash leaves the whole note or a torn one.
        """
        if not self.path.exists():
            create_private_file(str(self.path))
        written = note.encode().removeprefix(torn)
        descriptor = _opened(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            while written:
                written = written[os.write(descriptor, written) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._left = self._mark()

    def set_aside(self) -> Path:
        """Renames the file to the next free `<name>.<n>`, which it returns. Raises OSError."""
        for number in range(1, 10_000):
            aside = self.path.with_name(f"{self.path.name}.{number}")
            if not aside.exists():
                self.path.rename(aside)
                return aside
        raise FileExistsError(f"{self.path} has been set aside too often")

    def _mark(self) -> Mark | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def _opened(path: Path, flags: int) -> int:
    """A descriptor of a file. Raises WitnessDamaged for a pipe, which would keep us for ever."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise WitnessDamaged("it is not a file")


def looked(content: bytes, *, whole: bool) -> Looked:
    """The notes of a file, or of its end. Raises WitnessDamaged for what is none.

    Of a file's end, what stands before the first whole note is not judged.
    """
    notes: list[str] = []
    reached = 0
    for match in _NOTE.finditer(content):
        if match.start() != reached and (notes or whole):
            raise WitnessDamaged("there is something between two heads that is no head")
        if match.start() or whole:
            notes.append(match[0].decode(errors="replace"))
        reached = match.end()
    torn = content[reached:]
    if (not whole and not notes) or torn.count(b"\n") > 4:
        raise WitnessDamaged("it does not end with a head")
    return Looked(notes, torn)


def all_notes(path: Path) -> Iterator[str]:
    """Every head of a file, oldest first, a part of the file at a time. Raises WitnessDamaged."""
    left = b""
    with os.fdopen(_opened(path, os.O_RDONLY), "rb") as file:
        while part := file.read(TAIL):
            left += part
            reached = 0
            for match in _NOTE.finditer(left):
                # The last one may go on: a note ends where the next begins.
                if match.start() != reached:
                    raise WitnessDamaged("there is something between two heads that is no head")
                if match.end() == len(left) and len(part) == TAIL:
                    break
                yield match[0].decode(errors="replace")
                reached = match.end()
            left = left[reached:]
            if len(left) > TAIL:
                raise WitnessDamaged("there is something in it that is no head")


def signed_by(keys: Mapping[str, VerifierKey], notes: Iterable[str]) -> list[Checkpoint]:
    """Those of the notes that one of these keys, by origin, signed.

    Raises WitnessDamaged for one that bears the name of such a key and is not from it.
    """
    found: list[Checkpoint] = []
    for note in notes:
        try:
            key = keys.get(parse(note)[0].origin)
            if key is not None:
                found.append(key.verify(note))
        except NoteRefused as error:
            raise WitnessDamaged(f"it holds a note that is not authentic: {error}") from error
    return found
