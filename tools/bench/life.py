"""A deployment's life, made up and the same every time: who signs in, renews, mistypes, leaves.

One account in twenty events; each signs in, renews, signs out, mistypes, and now and then is
switched off, renamed, granted a role or erased. Tokens are issued, revoked and pruned.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, MutableSequence, Sequence
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from gatebook.domain import account, attempts, password, role, session, token, username
from gatebook.domain.envelope import ANONYMOUS, Metadata, account_actor, uuid8
from gatebook.domain.event import Event
from gatebook.domain.permissions import BUILT_IN

T = TypeVar("T")

START = 1_750_000_000_000_000
STEP = 2_500_000
"""Microseconds between two saves."""

MINUTE = 60_000_000
WEEK = 7 * 24 * 60 * MINUTE
KID: Final = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
"""As long as every key's thumbprint."""

RECENT: Final = 5_000
"""How many of the newest sessions are in use: the older ones lie idle until they expire."""

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
            yield self._pick(self._rare if rare else self._deeds)()

    def _id(self) -> UUID:
        """Time-ordered, as the service's are."""
        milliseconds = (self._at // 1_000).to_bytes(6, "big")
        return msgspec.convert(milliseconds + self._random.randbytes(10), UUID)

    def _pick(self, among: Sequence[T]) -> T:
        return among[int(self._random.random() * len(among))]

    def _recent(self, among: Sequence[object]) -> int:
        """The place of one of the newest."""
        return len(among) - 1 - int(self._random.random() * min(len(among), RECENT))

    def _take(self, among: MutableSequence[T]) -> T:
        return among.pop(self._recent(among))

    def _by(self, account_id: UUID | None) -> Metadata:
        actor = ANONYMOUS if account_id is None else account_actor(account_id)
        return Metadata(actor=actor, at=self._at, request_id=str(self._id()))

    def _place(self, stream_id: UUID, event: Event) -> Placed:
        version = self._versions.get(stream_id, 0) + 1
        self._versions[stream_id] = version
        return stream_id, version, event

    def _create(self) -> Save:
        # An account's id says nothing of its time, and so its rows lie anywhere in an index.
        account_id = UUID(bytes=self._random.randbytes(16), version=4)
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
            kid=KID,
            expires_at=self._at + 15 * MINUTE,
        )

    def _sign_in(self) -> Save:
        account_id, session_id = self._pick(self._accounts), self._id()
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
            expires_at=self._at + WEEK,
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
        return self._renewed(self._recent(self._sessions))

    def _renewed(self, index: int) -> Save:
        session_id, account_id, _ = self._sessions[index]
        pair = self._pair()
        self._sessions[index] = (session_id, account_id, pair.jti)
        rotated = session.SessionRotated(account_id=account_id, tokens=pair)
        return self._by(account_id), [self._place(session_id, rotated)]

    def _sign_out(self) -> Save:
        if not self._sessions:
            return self._sign_in()
        session_id, account_id, _ = self._take(self._sessions)
        ended = session.SessionEnded(account_id=account_id, cause="logout")
        return self._by(account_id), [self._place(session_id, ended)]

    def _mistype(self) -> Save:
        account_id = self._pick(self._accounts)
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
        account_id, jti = self._pick(self._accounts), self._id()
        self._issued.append((jti, account_id))
        issued = token.TokenIssued(
            account_id=account_id,
            epoch=self._epochs[account_id],
            kid=KID,
            expires_at=self._at + 600 * MINUTE,
            audience="example",
        )
        return self._by(account_id), [self._place(jti, issued)]

    def _revoke(self) -> Save:
        """Half of them a token of a session, which may have been rotated since."""
        if self._sessions and self._random.random() < 0.5:
            session_id, account_id, jti = self._pick(self._sessions)
            revoked = token.TokenRevoked(account_id=account_id, session_id=session_id)
            return self._by(account_id), [self._place(jti, revoked)]
        if not self._issued:
            return self._issue()
        jti, account_id = self._take(self._issued)
        revoked = token.TokenRevoked(account_id=account_id)
        return self._by(account_id), [self._place(jti, revoked)]

    def _change(self) -> Save:
        account_id = self._pick(self._accounts)
        name = f"user{self._random.randrange(10**9)}"
        profile = account.Profile(name, name.title(), f"{name}@example.test")
        held = self._pick(list(BUILT_IN))
        events: list[Event] = [
            account.AccountRenamed(profile=profile),
            account.AccountProfileChanged(profile=profile),
            account.RoleGranted(role=held, generation=1),
            account.RoleGranted(role=held, generation=1, expires_at=self._at + 600 * MINUTE),
            account.RoleRevoked(role=held),
        ]
        event = self._pick(events)
        return self._by(account_id), [self._place(account_id, event)]

    def _switch_off(self) -> Save:
        account_id = self._pick(self._accounts)
        self._epochs[account_id] += 2
        events = [
            account.AccountDeactivated(),
            account.AccountActivated(),
            account.AccountTokensRevoked(),
        ]
        return self._by(account_id), [self._place(account_id, event) for event in events]

    def _erase(self) -> Save:
        account_id = self._pick(self._accounts)
        self._epochs[account_id] += 1
        return self._by(account_id), [self._place(account_id, account.AccountErased())]

    def _prune(self) -> Save:
        pruned = token.TokensPruned(before=self._at - 60 * MINUTE)
        return self._by(None), [self._place(token.PRUNING_STREAM_ID, pruned)]
