"""Holds an event log of Gatebook against signed checkpoints. One file that trusts no service.

It needs Python, `cryptography`, and for PostgreSQL `psycopg`. It reads, and never writes.
Copy it, or run `python -m gatebook.tools.verify --log FILE --key VKEY`.

The tree over all events is that of RFC 9162, section 2.1; `_leaf` says what of an event goes in. A
checkpoint, or head, is a C2SP signed note: origin, number of events, root. Only the key that is
given is trusted. Hashes that the log's database keeps help to say which event is the wrong one, and
only when they lead to a signed root.
Ends with 0: all agrees, 1: it does not, 2: usage, 3: the log cannot be read.
"""

from __future__ import annotations

import argparse
import base64
import functools
import itertools
import json
import os
import re
import sqlite3
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    if __name__ != "__main__":
        raise
    print("verify: cryptography is not installed: pip install cryptography", file=sys.stderr)
    sys.exit(3)  # not 1, which says that something is wrong with the log

TILE, DASH, TABLE = 256, "\N{EM DASH} ", "the log's own database"
COLUMNS = "position, recorded_at, stream_id, version, topic, metadata, payload"
EVENTS = f"SELECT {COLUMNS} FROM log ORDER BY position"  # noqa: S608 - a constant
LAST = "SELECT max(position) FROM log"
HEADS = "SELECT size, root, note FROM tree_heads ORDER BY size"
TILES = "SELECT tile, substr(hashes, 1, 8192) FROM tree_tiles WHERE level = 0 ORDER BY tile"
OURS = ("log", "tree_heads", "tree_tiles")
LONGEST = 16_384  # characters of a note
UNSIGNED = "it is not signed with the key that was given"
_FIXED = struct.Struct(">BBQq16sQ")
_BODY = re.compile(r"[^\n]+\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)", re.ASCII)

Row = tuple[Any, ...]
Query = Callable[[str], Iterator[Row]]
"""Rows of a statement, streamed; all of them see one snapshot. A missing table has no rows."""
Tell = Callable[[int, int], None]
"""Told (done, total) while events are read."""


@dataclass(frozen=True)
class Database:
    """`disguised`: tables of ours that are something else, which may show others another log."""

    query: Query
    disguised: list[str]
    damage: Callable[[], Iterator[str]]  # what the log's indexes have that its rows have not
    lacks: str = ""  # what else should be there, if the log turns out to be short


class Unreadable(Exception):
    """The log, the key or a file of checkpoints cannot be read."""


@dataclass
class Problem:
    """What is wrong. The first bad event is `first_bad`, or between it and `last_bad`; 0: none."""

    kind: str
    message: str
    first_bad: int = 0
    last_bad: int = 0


@dataclass
class Source:
    """Where heads were read: how many of them count, and of how many events the newest is.

    `seen` were whole; `strange` of those are not signed with a key that was given.
    """

    place: str
    seen: int = 0
    heads: int = 0
    newest: int = 0
    strange: int = 0

    def __str__(self) -> str:
        newest = f", the newest is of {self.newest:,} events" if self.heads else ""
        return f"{self.place}: of {self.seen:,} heads {self.heads:,} count{newest}"


@dataclass
class Report:
    """What was covered, and what was found."""

    keys: list[str]
    events: int = 0
    heads: int = 0
    agreeing: int = 0
    newest_head: int = 0
    uncovered: int = 0
    seconds: float = 0.0
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    ok: bool = False
    first_bad: int | None = None
    last_bad: int | None = None

    def wrong(self, kind: str, message: str, first_bad: int = 0, last_bad: int = 0) -> None:
        self.problems.append(Problem(kind, message, first_bad, last_bad or first_bad))

    @property
    def where(self) -> str:
        """The first bad position, or the two that it lies between."""
        apart = f"between {self.first_bad} and {self.last_bad}"
        return str(self.first_bad) if self.first_bad == self.last_bad else apart

    def __str__(self) -> str:
        verdict = "all agrees" if self.ok else "something is wrong, but no event was found so"
        told = (
            f"key: {', '.join(self.keys)}",
            f"events: {self.events:,}, {self.events / self.seconds:,.0f} a second",
            f"signed heads: {self.heads:,}, of which {self.agreeing:,} agree; the newest is of "
            f"{self.newest_head:,} events",
            *(f"  {one}" for one in self.sources if one.place != TABLE),
            f"events newer than that, which no head covers: {self.uncovered:,}",
            *(f"note: {one}" for one in self.warnings),
            *(f"WRONG: {one.message}" for one in self.problems),
            f"first bad position: {self.where}" if self.first_bad else verdict,
        )
        return "\n".join(told)


# --- Events, and the tree over them


@functools.lru_cache(maxsize=4096)
def _topic(topic: str) -> bytes:
    name = topic.encode()
    return struct.pack(">H", len(name)) + name


def _leaf(row: Row) -> bytes:
    """The leaf hash of an event. Raises one of several errors for a value of another kind."""
    position, recorded_at, stream, version, topic, metadata, payload = row
    if len(stream) != 16:
        raise ValueError("a stream's id has 16 bytes")
    # The zero in front makes it a leaf; the one is the number of this format.
    front = _FIXED.pack(0, 1, position, recorded_at, stream, version) + _topic(topic)
    sealed = len(metadata).to_bytes(4, "big") + metadata + len(payload).to_bytes(4, "big") + payload
    return sha256(front + sealed).digest()


def leaves(rows: Iterator[Row], first: int) -> tuple[list[bytes], Problem | None]:
    """The leaf hashes of up to one tile of events from position `first` on, and what broke off."""
    found: list[bytes] = []
    at, why = first, ""
    try:
        for row in itertools.islice(rows, TILE):
            if row[0] != at:
                why = f"it is missing; the next one is at {row[0]!r}"
                if isinstance(row[0], int) and 0 < row[0] < at:
                    at, why = row[0], "it is there more than once"
                break
            found.append(_leaf(row))
            at += 1
    except (struct.error, TypeError, ValueError, AttributeError, OverflowError):
        why = "one of its values is not of its kind"
    except sqlite3.OperationalError:
        raise  # a lock or a disk, which says nothing of the log
    except sqlite3.DatabaseError as error:
        why = f"the database cannot be read from here on ({error})"
    return found, Problem("broken", f"event {at}: {why}", at, at) if why else None


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _subtree(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        above = [_node(*pair) for pair in zip(hashes[::2], hashes[1::2], strict=False)]
        hashes = above + hashes[len(hashes) & ~1 :]
    return hashes[0]


class Tree:
    """A tree that grows by whole tiles, of which only the peaks are kept."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []

    def add_tile(self, hashes: list[bytes]) -> None:
        height, root = 0, _subtree(hashes)
        while self._peaks and self._peaks[-1][0] == height:
            height, root = height + 1, _node(self._peaks.pop()[1], root)
        self._peaks.append((height, root))

    def root(self, rest: list[bytes]) -> bytes:
        """The root of the tiles so far and of `rest`, leaf hashes that fill no tile."""
        parts = [root for _, root in self._peaks] + ([_subtree(rest)] if rest else [])
        root = parts.pop() if parts else sha256().digest()
        return functools.reduce(lambda right, left: _node(left, right), parts[::-1], root)


# --- Checkpoints


@dataclass(frozen=True)
class Key:
    """Whose signatures count."""

    origin: str
    id: bytes
    public: Ed25519PublicKey

    @staticmethod
    def parse(vkey: str) -> Key:
        """From `<origin>+<key id>+<key>`, as C2SP signed-note has it. Raises Unreadable."""
        origin, _, rest = vkey.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
            expected = sha256(origin.encode() + b"\n" + raw).digest()[:4]
            if not origin or raw[0] != 1 or bytes.fromhex(key_id) != expected:
                raise ValueError
            return Key(origin, expected, Ed25519PublicKey.from_public_bytes(raw[1:]))
        except (ValueError, IndexError) as error:
            raise Unreadable("that is no verifier key (origin+id+key)") from error

    def refuses(self, body: str, signatures: list[str]) -> str:
        """Why a note does not count; "" when it does."""
        for line in signatures:
            name, _, encoded = line.removeprefix(DASH).rpartition(" ")
            try:
                raw = base64.b64decode(encoded, validate=True)
                if name == self.origin == body.partition("\n")[0] and raw[:4] == self.id:
                    self.public.verify(raw[4:], body.encode())
                    return ""
            except ValueError:
                continue
            except InvalidSignature:
                return "its signature is false"
        return UNSIGNED


class Verifier:
    """One pass over the log, once the heads are taken in."""

    def __init__(self, keys: list[Key], upto: int | None = None) -> None:
        """`upto`: the last event that is looked at, and the largest head."""
        self.report = Report([key.origin for key in keys])
        self._keys = keys
        self._upto = upto
        self._sources: dict[str, Source] = {}
        self._heads: dict[int, dict[bytes, set[str]]] = {}  # size to root to where it is kept
        self._tree = Tree()
        self._before = 0  # events in the tree
        self._agreed = self._agreed_kept = 0  # the largest head that agrees; that is kept elsewhere
        self._strange = 0  # the first event that is not what a stored tile says

    def take(self, note: str, place: str) -> tuple[int, bytes] | None:
        """Keeps what a note says, and returns it; None when it does not count."""
        source = self._source(place)
        source.seen += 1
        body, _, signatures = note.partition("\n\n")
        match, why = _BODY.fullmatch(body), "it is malformed"
        if match and self._upto is not None and int(match[1]) > self._upto:
            return None
        for key in self._keys if match else ():
            if not (why := key.refuses(f"{body}\n", signatures.splitlines())):
                break
        if why == UNSIGNED:
            source.strange += 1
            return None
        if match is None or why:
            named = " ".join(body.split()[:2])[:80]
            self.report.wrong("head", f"a head in {place} ({named}): {why}")
            return None
        size, root = int(match[1]), base64.b64decode(match[2])
        source.heads, source.newest = source.heads + 1, max(source.newest, size)
        self._heads.setdefault(size, {}).setdefault(root, set()).add(place)
        return size, root

    def _source(self, place: str) -> Source:
        if place not in self._sources:
            self._sources[place] = Source(place)
            self.report.sources.append(self._sources[place])
        return self._sources[place]

    def take_file(self, lines: Iterable[str], place: str, *, must: bool = False) -> None:
        """Any number of notes: each ends with its signatures, and the next begins with no dash.

        `must`: it is wrong when there is none in it.
        """
        note, is_signed, source = "", False, self._source(place)
        for line in lines:
            if is_signed and not line.startswith(DASH):
                self.take(note, place)
                note = ""
            is_signed = line.startswith(DASH) and line.endswith("\n")
            note += line
            if len(note) > LONGEST:
                self.report.wrong("head", f"{place} holds something that is no head")
                return
        if is_signed:
            self.take(note, place)
        if must and not source.seen:
            text = f"{place} holds no signed head of {_this(self._keys)}"
            self.report.wrong("head", text)
        elif note and not is_signed:
            self.report.warnings.append(f"{place} ends in the middle of a head")

    def take_table(self, rows: Iterable[Row]) -> None:
        """What the log's own database keeps. Its notes count, its columns only have to agree."""
        for size, root, note in rows:
            if self._upto is not None and isinstance(size, int) and size > self._upto:
                continue
            if (said := self.take(str(note), TABLE)) and said != (size, root):
                self.report.wrong("head", f"in {TABLE} the row of {size} is altered")

    def run(self, query: Query, tell: Tell) -> None:
        """Reads to the end, or to the first thing that is wrong."""
        self._query = query
        self._sizes = sorted(self._heads, reverse=True)  # of the heads that are still ahead
        (total,) = next(query(LAST))
        rows, tiles = itertools.islice(query(EVENTS), self._upto), self._tiles()
        while True:
            found, broken = leaves(rows, self._before + 1)
            self.report.events = self._before + len(found)
            self._compare(found, next(tiles, []))
            if not self._heads_agree(found):
                return
            if broken or len(found) < TILE:
                self._end(broken)
                return
            self._tree.add_tile(found)
            self._before += TILE
            tell(self._before, total)

    def _compare(self, found: list[bytes], stored: list[bytes]) -> None:
        if not self._strange and found[: len(stored)] != stored[: len(found)]:
            pairs = enumerate(zip(found, stored, strict=False), start=self._before + 1)
            self._strange = next(at for at, (mine, theirs) in pairs if mine != theirs)

    def _heads_agree(self, found: list[bytes]) -> bool:
        while self._sizes and self._sizes[-1] <= self.report.events:
            size = self._sizes.pop()
            roots = self._heads[size]
            root = self._tree.root(found[: size - self._before])
            if {root} != set(roots):
                self._disagrees(size, root, roots)
                return False
            self.report.agreeing += 1
            self._agreed = size
            self._agreed_kept = size if roots[root] != {TABLE} else self._agreed_kept
            if 0 < self._strange <= size:
                text = f"the stored tile of event {self._strange} is altered; the event is not"
                self.report.wrong("tile", text)
                self._strange = 0
        return True

    def _disagrees(self, size: int, root: bytes, roots: dict[bytes, set[str]]) -> None:
        if len(roots) > 1:
            places = "; ".join(", ".join(sorted(one)) for one in roots.values())
            text = f"two heads of {size} events contradict each other (in {places})"
            self.report.wrong("fork", text)
        others = set().union(*(places for other, places in roots.items() if other != root))
        text = f"the log is not what the head of {size} events says ({', '.join(sorted(others))})"
        if self._strange and self._was_signed(size):
            text = f"event {self._strange} was changed after it was signed: {text}"
            self.report.wrong("changed", text, self._strange)
        else:
            first, alone = self._vouched(others) + 1, self._only_own(others)
            text += f"{alone} events {first} to {self._agreed}" if alone else ""
            self.report.wrong("changed", text, first, size)

    def _end(self, broken: Problem | None) -> None:
        """What it means that the events end here, or that the next one is broken."""
        bad, end = broken, self.report.events
        ahead = set().union(*self._heads[self._sizes[-1]].values()) if self._sizes else {TABLE}
        if bad is None and self._sizes:
            places = ", ".join(sorted(set().union(*self._heads[self._sizes[0]].values())))
            text = f"the log ends at {end}, and {self._sizes[0]} events were signed ({places})"
            bad = Problem("short", text, end + 1, end + 1)
        if bad is None and self._strange:
            text = f"event {self._strange} is not what the tree took in, and no head says who erred"
            bad = Problem("changed", text, self._strange, self._strange)
        if bad is None:
            return
        is_signed = bool(self._sizes) and self._was_signed(self._sizes[-1])
        first = self._vouched(ahead) + 1
        if 0 < self._strange < bad.first_bad:
            bad.message += "; an earlier one was changed"
            bad.first_bad = self._strange if is_signed else min(first, self._strange)
            bad.last_bad = self._strange
        elif not is_signed and first < bad.first_bad:
            alone = self._only_own(ahead) or "; no head vouches for"
            bad.message += f"{alone} events {first} to {bad.first_bad - 1}"
        self.report.problems.append(bad)

    def _vouched(self, places: set[str]) -> int:
        """Up to where heads of the same keeping agree.

        After a rollback the database has heads of its own, which agree with it: against one that is
        kept elsewhere alone they prove nothing.
        """
        return self._agreed if TABLE in places else self._agreed_kept

    def _only_own(self, places: set[str]) -> str:
        if self._vouched(places) == self._agreed:
            return ""
        return (
            f"; the heads that agree up to {self._agreed} are in {TABLE}, which went back with it "
            "if it was rolled back: none that was kept elsewhere vouches for"
        )

    def _tiles(self) -> Iterator[list[bytes]]:
        """The leaf hashes that the database keeps, a tile at a time; [] for one that is absent."""
        expected = 0
        for tile, hashes in self._query(TILES):
            if isinstance(hashes, bytes) and isinstance(tile, int) and tile >= expected:
                yield from itertools.repeat([], tile - expected)
                yield [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
                expected = tile + 1

    def _was_signed(self, size: int) -> bool:
        """Whether the stored leaf hashes lead to a root that was signed: then they are right."""
        tree, left = Tree(), size
        for hashes in self._tiles():
            if len(hashes) < min(left, TILE):
                return False
            if left <= TILE:
                return tree.root(hashes[:left]) in self._heads[size]
            tree.add_tile(hashes)
            left -= TILE
        return False

    def verdict(self, seconds: float) -> Report:
        """The report, completed."""
        report = self.report
        report.heads, report.newest_head = len(self._heads), max(self._heads, default=0)
        report.uncovered = max(0, report.events - report.newest_head)
        report.seconds = seconds
        strange = self._strangers()
        for text in strange:
            report.wrong("head", text)
        if not self._heads and not strange:
            report.wrong("unproven", "no signed head is known: nothing is proven")
        bad = [(one.first_bad, one.last_bad) for one in report.problems if one.first_bad]
        report.ok = not report.problems
        report.first_bad, report.last_bad = min(bad, default=(None, None))
        return report

    def _strangers(self) -> list[str]:
        """What to say of heads that are not signed with a key that was given: a line a place."""
        this = f"signed with {_this(self._keys)}"
        found = [one for one in self._sources.values() if one.strange]
        if not self._heads and len(found) > 1:
            total = sum(one.strange for one in found)
            return [f"none of the {total:,} heads is {this}"]
        return [
            f"none of the {one.seen:,} heads in {one.place} is {this}"
            if one.strange == one.seen
            else f"{one.strange:,} of the {one.seen:,} heads in {one.place} are not {this}"
            for one in found
        ]


def _this(keys: list[Key]) -> str:
    return "this key" if len(keys) == 1 else "these keys"


Files = Iterable[tuple[str, Iterable[str]]]


def verify(
    log: str,
    keys: list[Key],
    files: Files = (),
    tell: Tell | None = None,
    *,
    witnesses: Files = (),
    upto: int | None = None,
) -> Report:
    """Holds a log, or its first `upto` events, against the heads in it and in files.

    Those are given as (name, lines). One of `files` must hold a head; a witness may be empty yet.
    Raises Unreadable when the log cannot be read at all.
    """
    began = time.perf_counter()
    verifier = Verifier(keys, upto)
    for name, lines in files:
        verifier.take_file(lines, name, must=True)
    for name, lines in witnesses:
        verifier.take_file(lines, name)
    with opened(log) as database:
        for name in database.disguised:
            text = f"{name} is no plain table: the service may see another one than is seen here"
            verifier.report.wrong("disguised", text)
        if not database.disguised:
            verifier.take_table(database.query(HEADS))
            verifier.run(database.query, tell or (lambda _done, _total: None))
        # Of the first events alone nobody asks through the index.
        for text in () if verifier.report.problems or upto else database.damage():
            verifier.report.wrong("index", f"the log's index is not what its rows say: {text}")
        found = {one.kind for one in verifier.report.problems}
        if database.lacks and found & {"short", "broken", "index"}:
            verifier.report.warnings.append(database.lacks)
    return verifier.verdict(time.perf_counter() - began)


# --- Reading


@contextmanager
def opened(log: str) -> Iterator[Database]:
    """A log by its file or its URL. Raises Unreadable."""
    is_server = log.startswith(("postgresql://", "postgres://"))
    with _postgres(log) if is_server else _sqlite(log.removeprefix("sqlite:///")) as found:
        tables, run, damage, lacks = found
        if "log" not in tables:
            raise Unreadable("there is no log in it")
        disguised = [name for name in OURS if not tables.get(name, True)]
        yield Database(
            lambda sql: run(sql) if sql.split(" FROM ")[1].split()[0] in tables else iter(()),
            disguised,
            damage,
            lacks,
        )


Found = tuple[dict[str, bool], Query, Callable[[], Iterator[str]], str]
"""Tables and whether each is a plain one; how to ask; see `Database.damage` and `.lacks`."""


@contextmanager
def _sqlite(path: str) -> Iterator[Found]:
    # Without a -wal nobody has a log in WAL mode open: reading it as it lies leaves nothing beside
    # it. On a medium that cannot be written to there is no room for SQLite's locks either.
    writable = os.access(path, os.W_OK) and os.access(os.path.dirname(path) or ".", os.W_OK)
    has_wal, needs_wal = os.path.exists(f"{path}-wal"), _in_wal_mode(path)
    alone = not has_wal and (needs_wal or not writable)
    before = _stamp(path)
    lacks = (
        f"there is no {path}-wal: if this is a copy of a store that was in use, it lacks its "
        "newest events. Copy both files, or take a `gatebook store backup`"
    )
    address = f"file:{quote(path)}?mode=ro{'&immutable=1' if alone else ''}"
    try:
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
            connection.text_factory = functools.partial(
                str, encoding="utf-8", errors="surrogateescape"
            )
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("BEGIN")
            # A view and a virtual table have no page of their own.
            sql = "SELECT name, type = 'table' AND rootpage > 0 FROM sqlite_schema"
            tables = {name: bool(plain) for name, plain in connection.execute(sql)}

            def damage() -> Iterator[str]:
                # Damage stays. What a second look does not find either was there while others
                # wrote, and is no damage.
                if _unsound(connection):
                    with closing(sqlite3.connect(address, uri=True)) as again:
                        yield from _unsound(again)

            yield tables, connection.execute, damage, lacks if needs_wal and not has_wal else ""
    except sqlite3.Error as error:
        hint = "" if writable or not has_wal else "; copy it and its -wal to where one may write"
        raise Unreadable(f"{path} cannot be read: {error}{hint}") from error
    if alone and _stamp(path) != before:
        raise Unreadable(f"{path} was written to while it was read: run this again")


def _unsound(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("PRAGMA integrity_check(log)")
    return [str(line) for (line,) in found if line != "ok"]


def _in_wal_mode(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(20)[18:] == b"\2\2"
    except OSError:
        return False  # SQLite says why


def _stamp(path: str) -> tuple[int, ...]:
    """Changes with the file, and when somebody opens the log that is in it."""
    if not os.path.exists(path):
        return ()
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns, os.path.exists(f"{path}-wal")


@contextmanager
def _postgres(url: str) -> Iterator[Found]:
    try:
        import psycopg
        from psycopg.types.string import ByteaBinaryLoader
    except ImportError as error:
        raise Unreadable("psycopg is not installed: pip install 'psycopg[binary]'") from error

    base, _, query = url.partition("?")
    if base.count("@") > 1:  # libpq would quote what is behind the first as the host's name
        raise Unreadable("the address has more than one @: write %40 for one in a password")
    given = dict(part.partition("=")[::2] for part in query.split("&") if part)
    schema = unquote(given.pop("schema", "gatebook"))
    rest = "&".join(f"{name}={value}" for name, value in given.items())
    try:
        with closing(psycopg.connect(f"{base}?{rest}")) as connection:
            connection.adapters.register_loader("uuid", ByteaBinaryLoader)
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.execute("SELECT set_config('search_path', %s, true)", (schema,))
            sql = (
                "SELECT relname, relkind = 'r' AND NOT relrowsecurity FROM pg_class WHERE "
                "relkind IN ('r', 'v', 'm', 'f', 'p') AND relnamespace = to_regnamespace(%s)"
            )
            tables: dict[str, bool] = dict(connection.execute(sql, (schema,)))
            names = itertools.count()

            def run(sql: str) -> Iterator[Row]:
                with connection.cursor(f"verify_{next(names)}", binary=True) as cursor:
                    cursor.itersize = 4096 if " FROM log" in sql else 64
                    yield from cursor.execute(sql.encode())

            yield tables, run, lambda: iter(()), ""
    except psycopg.ProgrammingError:
        raise Unreadable("psycopg cannot use that address") from None  # it may quote a password
    except psycopg.Error as error:
        raise Unreadable(f"the log cannot be read: {str(error).splitlines()[0]}") from error


# --- The command


def read_key(given: str) -> Key:
    """A key as it is, or out of a file. Raises Unreadable."""
    if not os.path.exists(given):
        return Key.parse(given)
    try:
        return Key.parse(Path(given).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"the key {given} cannot be read") from error
    except Unreadable as error:
        raise Unreadable(f"{given}: {error}") from error


def read_files(paths: Iterable[str]) -> Iterator[tuple[str, Iterable[str]]]:
    """Files of notes, line by line. Raises Unreadable."""
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace", newline="\n") as lines:
                yield path, iter(functools.partial(lines.readline, LONGEST), "")
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}") from error


def on_terminal() -> Tell:
    """Says on a terminal how far it is, once it takes longer than a second."""
    began = time.perf_counter()

    def tell(done: int, total: int) -> None:
        seconds = time.perf_counter() - began
        if seconds > 1 and done % (TILE * 64) == 0 and sys.stderr.isatty():
            print(f"{done:,} of {total:,} ({done / seconds:,.0f}/s)", end="\r", file=sys.stderr)

    return tell


def shown(text: str) -> str:
    """What others wrote is quoted in it: nothing of it may steer a terminal."""
    return "".join(one if one.isprintable() or one == "\n" else "?" for one in text)


def main(arguments: list[str] | None = None) -> int:
    """Verifies and prints. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="verify", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--log", required=True, help="a SQLite file, or postgresql://...?schema=")
    parser.add_argument(
        "--key",
        required=True,
        action="append",
        metavar="VKEY|FILE",
        help="the verifier key, or a file that holds it",
    )
    parser.add_argument("--checkpoint", nargs="+", action="extend", default=[], metavar="FILE")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    try:
        keys, files = [read_key(one) for one in given.key], read_files(given.checkpoint)
        report = verify(given.log, keys, files, on_terminal())
    except Unreadable as error:
        print(shown(f"verify: {error}"), file=sys.stderr)
        return 3
    print(json.dumps(asdict(report), indent=2) if given.json else shown(str(report)))
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
