"""A log as a busy deployment leaves it, made up and the same every time.

    python tools/bench/synthesize.py sqlite:////tmp/bench.db 1000000

One account in twenty events; each signs in, renews, signs out, mistypes, and now and then is
switched off, renamed, granted a role or erased. Tokens are issued, revoked and pruned.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Protocol
from uuid import UUID

from gatebook.domain import account, attempts, password, role, session, token, username
from gatebook.domain.envelope import ANONYMOUS, Entry, Metadata, account_actor, uuid8
from gatebook.domain.event import Event
from gatebook.domain.permissions import BUILT_IN
from gatebook.projections.ports import Value
from gatebook.store.house import House
from gatebook.store.log import Log
from gatebook.store.log_reader import LogTransaction
from gatebook.store.opening import open_log
from gatebook.tools.bench import plain_codec

START = 1_750_000_000_000_000
STEP = 2_500_000
"""Microseconds between two saves."""

MINUTE = 60_000_000
Placed = tuple[UUID, int, Event]
Save = tuple[Metadata, list[Placed]]


class Life:
    """The deployment as it goes on. Each call of `next` is one save."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._at = START
        self._versions: dict[UUID, int] = {}
        self._accounts: list[UUID] = []
        self._epochs: dict[UUID, int] = {}
        self._sessions: list[tuple[UUID, UUID, UUID]] = []
        self._issued: list[tuple[UUID, UUID]] = []
        self._deeds = [self._create] * 5 + [self._sign_in] * 12 + [self._renew] * 50
        self._deeds += [self._sign_out] * 8 + [self._mistype] * 8 + [self._issue] * 6
        self._deeds += [self._revoke] * 2 + [self._change] * 4
        self._rare = [self._erase, self._prune, self._switch_off]

    def saves(self) -> Iterator[Save]:
        """Saves without end, the built-in roles first."""
        yield self._by(None), [
            self._place(role.stream_id(name), role.RoleDefined(
                name=name, generation=1, permissions=tuple(sorted(granted)),
                description=text, built_in=True
            ))
            for name, (granted, text) in BUILT_IN.items()
        ]  # fmt: skip
        for _ in range(3):
            yield self._create()
        while True:
            self._at += STEP
            rare = self._random.random() < 0.002
            yield self._random.choice(self._rare if rare else self._deeds)()

    def _id(self) -> UUID:
        """Time-ordered, as the service's are."""
        return UUID(int=(self._at // 1_000 << 80) | self._random.getrandbits(80))

    def _by(self, account_id: UUID | None) -> Metadata:
        actor = ANONYMOUS if account_id is None else account_actor(account_id)
        return Metadata(actor=actor, at=self._at, request_id=f"r{self._random.getrandbits(64):x}")

    def _place(self, stream_id: UUID, event: Event) -> Placed:
        version = self._versions.get(stream_id, 0) + 1
        self._versions[stream_id] = version
        return stream_id, version, event

    def _create(self) -> Save:
        account_id = self._id()
        name = f"user{len(self._accounts)}"
        profile = account.Profile(name, f"User {len(self._accounts)}", f"{name}@example.test")
        self._accounts.append(account_id)
        self._epochs[account_id] = 0
        claimed = username.UsernameClaimed(account_id=account_id)
        kind = "system" if self._random.random() < 0.05 else "human"
        secret = password.PasswordSet(
            account_id=account_id, secret=password.PasswordSecret("x" * 97), origin="created"
        )
        return self._by(None), [
            self._place(uuid8(b"name", name.encode()), claimed),
            self._place(account_id, account.AccountCreated(kind=kind, profile=profile)),
            self._place(password.stream_id(account_id), secret),
        ]

    def _pair(self) -> session.Tokens:
        return session.Tokens(
            jti=self._id(),
            kid="key-1",
            expires_at=self._at + 15 * MINUTE,
        )

    def _sign_in(self) -> Save:
        account_id, session_id = self._random.choice(self._accounts), self._id()
        pair = self._pair()
        self._sessions.append((session_id, account_id, pair.jti))
        proved = session.LoginSucceeded(
            account_id=account_id, proofs=("password",), failures_before=0, policy=1
        )
        opened = session.SessionOpened(
            account_id=account_id,
            epoch=self._epochs[account_id],
            origin="login",
            amr=("pwd",),
            acr="aal1",
            auth_time=self._at,
            expires_at=self._at + 60 * MINUTE,
            idle=None,
            tokens=pair,
        )
        return self._by(account_id), [
            self._place(session_id, proved),
            self._place(session_id, opened),
        ]

    def _renew(self) -> Save:
        if not self._sessions:
            return self._sign_in()
        index = self._random.randrange(max(0, len(self._sessions) - 5_000), len(self._sessions))
        session_id, account_id, _ = self._sessions[index]
        pair = self._pair()
        self._sessions[index] = (session_id, account_id, pair.jti)
        rotated = session.SessionRotated(account_id=account_id, tokens=pair)
        return self._by(account_id), [self._place(session_id, rotated)]

    def _sign_out(self) -> Save:
        if not self._sessions:
            return self._sign_in()
        session_id, account_id, _ = self._sessions.pop(self._random.randrange(len(self._sessions)))
        ended = session.SessionEnded(account_id=account_id, cause="logout")
        return self._by(account_id), [self._place(session_id, ended)]

    def _mistype(self) -> Save:
        account_id = self._random.choice(self._accounts)
        failed = attempts.LoginFailed(
            account_id=account_id,
            method="password",
            cause="wrong-password",
            matched=False,
            failures=1,
            failed_at=self._at,
            locked_until=None,
            policy=1,
        )
        stream_id = attempts.Counter(account_id, "password").stream_id
        return self._by(None), [self._place(stream_id, failed)]

    def _issue(self) -> Save:
        account_id, jti = self._random.choice(self._accounts), self._id()
        self._issued.append((jti, account_id))
        issued = token.TokenIssued(
            account_id=account_id,
            epoch=self._epochs[account_id],
            kid="key-1",
            expires_at=self._at + 600 * MINUTE,
            audience="example",
        )
        return self._by(account_id), [self._place(jti, issued)]

    def _revoke(self) -> Save:
        """Half of them a token of a session, which may have been rotated since."""
        if self._sessions and self._random.random() < 0.5:
            session_id, account_id, jti = self._random.choice(self._sessions)
            revoked = token.TokenRevoked(account_id=account_id, session_id=session_id)
            return self._by(account_id), [self._place(jti, revoked)]
        if not self._issued:
            return self._issue()
        jti, account_id = self._issued.pop(self._random.randrange(len(self._issued)))
        revoked = token.TokenRevoked(account_id=account_id)
        return self._by(account_id), [self._place(jti, revoked)]

    def _change(self) -> Save:
        account_id = self._random.choice(self._accounts)
        name = f"user{self._random.randrange(10**9)}"
        profile = account.Profile(name, name.title(), f"{name}@example.test")
        held = self._random.choice(list(BUILT_IN))
        events: list[Event] = [
            account.AccountRenamed(profile=profile),
            account.AccountProfileChanged(profile=profile),
            account.RoleGranted(role=held, generation=1),
            account.RoleGranted(role=held, generation=1, expires_at=self._at + 600 * MINUTE),
            account.RoleRevoked(role=held),
        ]
        event = self._random.choice(events)
        return self._by(account_id), [self._place(account_id, event)]

    def _switch_off(self) -> Save:
        account_id = self._random.choice(self._accounts)
        self._epochs[account_id] += 2
        events = [
            account.AccountDeactivated(),
            account.AccountActivated(),
            account.AccountTokensRevoked(),
        ]
        return self._by(account_id), [self._place(account_id, event) for event in events]

    def _erase(self) -> Save:
        account_id = self._random.choice(self._accounts)
        self._epochs[account_id] += 1
        return self._by(account_id), [self._place(account_id, account.AccountErased())]

    def _prune(self) -> Save:
        pruned = token.TokensPruned(before=self._at - 60 * MINUTE)
        return self._by(None), [self._place(token.PRUNING_STREAM_ID, pruned)]


class Codec(Protocol):
    """How entries and envelopes become bytes."""

    def encode_entry(self, entry: Entry) -> bytes: ...

    def encode_metadata(self, metadata: Metadata) -> bytes: ...


class Plain:
    """Unsealed: what the log costs before any cryptography."""

    def encode_entry(self, entry: Entry) -> bytes:
        return plain_codec.encode(entry.event)

    def encode_metadata(self, metadata: Metadata) -> bytes:
        return plain_codec.encode(metadata)


class Real:
    """As a deployment stores them: a key an account, personal fields sealed."""

    def __init__(self, house: House) -> None:
        self._house = house

    def encode_entry(self, entry: Entry) -> bytes:
        if isinstance(entry.event, account.AccountCreated):
            self._house.keyring.create_subject(entry.originator_id)
        return self._house.mapper.to_stored_event(entry).state

    def encode_metadata(self, metadata: Metadata) -> bytes:
        return self._house.mapper.encode_metadata(metadata)


def synthesize(
    log: Log,
    events: int,
    *,
    seed: int = 1,
    together: int = 5_000,
    codec: Codec | None = None,
    saves: Iterator[Save] | None = None,
) -> int:
    """Adds at least so many events to a log, past the writer but not past the triggers.

    Each save has its own metadata, as in life. A log that has begun has its roles already.
    `saves` are those of another life. Returns the head.
    """
    codec = codec or Plain()
    rows: list[tuple[Value, ...]] = []
    position = log.head()
    events += position
    lived = saves or islice(Life(seed).saves(), 1 if position else 0, None)
    for metadata, placed in lived:
        envelope = codec.encode_metadata(metadata)
        for stream_id, version, event in placed:
            position += 1
            payload = codec.encode_entry(Entry(stream_id, version, event))
            stored_id = stream_id.bytes if log.dialect == "sqlite" else str(stream_id)
            rows.append((position, metadata.at, stored_id, version, event.TOPIC, envelope, payload))
        if len(rows) >= together or position >= events:
            with log.writing(exclusive=True) as tx:
                _insert(tx, rows)
            rows = []
        if position >= events:
            break
    return position


def _insert(tx: LogTransaction, rows: list[tuple[Value, ...]]) -> None:
    if tx.dialect == "sqlite":
        tx.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        return
    for start in range(0, len(rows), 1_000):
        some = rows[start : start + 1_000]
        values = ", ".join(["(?, ?, CAST(? AS uuid), ?, ?, ?, ?)"] * len(some))
        tx.execute(f"INSERT INTO log VALUES {values}", [v for row in some for v in row])


def main() -> None:
    """Makes a store at a URL and fills it."""
    url, events = sys.argv[1], int(sys.argv[2])
    with open_log(
        url, decode=plain_codec.decode, now=lambda: time.time_ns() // 1000, create=True
    ) as log:
        began = time.perf_counter()
        head = synthesize(log, events)
        seconds = time.perf_counter() - began
        print(f"{head} events, {head / seconds:,.0f} a second")


if __name__ == "__main__":
    main()
