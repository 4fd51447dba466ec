"""A life in which every event comes from the function that decides it, as fast as they go.

For laws about decisions over logs that are too long to be lived through the application. It goes
on in a store that has begun: with its roles, its policy and its signing key.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from uuid import UUID

from gatebook.domain import account, attempts, password, session, token, username
from gatebook.domain.account import Account, Profile
from gatebook.domain.attempts import Attempts, Counter, Failure
from gatebook.domain.envelope import ANONYMOUS, SYSTEM, Metadata, account_actor, uuid8
from gatebook.domain.event import Event
from gatebook.domain.permissions import BUILT_IN
from gatebook.domain.policy import Policy
from gatebook.domain.proofs import PASSWORD
from gatebook.domain.session import Session
from gatebook.tools.bench.life import Placed, Save

STEP: Final = 2_500_000
"""Microseconds between two saves."""


PEOPLE: Final = 400
"""A key is stored for each, which costs more than a thousand decisions."""


class DecidedLife:
    """Each call of a deed is one save, or none when there is nothing to do."""

    def __init__(self, *, policy: Policy, kid: str, start: int, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._policy = policy
        self._kid = kid
        self._at = start
        self._versions: dict[UUID, int] = {}
        self._people: list[UUID] = []
        self._accounts: dict[UUID, Account] = {}
        self._tries: dict[UUID, Attempts] = {}
        self._sessions: dict[UUID, Session] = {}
        self._open: list[UUID] = []
        self._issued: list[tuple[UUID, UUID]] = []
        self._deeds: list[Callable[[], list[Placed]]] = [
            *[self._create] * 4,
            *[self._sign_in] * 20,
            *[self._renew] * 40,
            *[self._sign_out] * 6,
            *[self._issue] * 6,
            *[self._revoke] * 3,
            *[self._status] * 3,
            *[self._grant] * 5,
            *[self._reset] * 2,
        ]

    def saves(self) -> Iterator[Save]:
        """Saves without end."""
        while True:
            self._at += STEP
            placed = self._random.choice(self._deeds)() if len(self._people) > 3 else self._create()
            if placed:
                actor = self._random.choice((ANONYMOUS, SYSTEM, account_actor(self._people[0])))
                request_id = f"r{self._random.getrandbits(64):x}"
                yield Metadata(actor=actor, at=self._at, request_id=request_id), placed

    # --- deeds

    def _create(self) -> list[Placed]:
        if len(self._people) >= PEOPLE:
            return []
        account_id, name = self._id(), f"person{len(self._people)}"
        kind = "system" if self._random.random() < 0.3 else "human"
        self._people.append(account_id)
        created = account.decide(account.Create(kind, Profile(name)), Account())
        claimed = username.claim(account_id, username.Username())
        secret = password.new(account_id, "x" * 97, "created")
        return [
            *self._account(account_id, created),
            *self._place(uuid8(b"decided-name", name.encode()), claimed),
            *self._place(password.stream_id(account_id), [secret]),
        ]

    def _sign_in(self) -> list[Placed]:
        """Wrong now and then; refused unread, and so without an event, while it is locked."""
        account_id = self._someone()
        counter = Counter(account_id, "password")
        tries = self._tries.get(account_id, Attempts())
        if tries.locked(self._at) or self._accounts[account_id].status != "active":
            return []
        if self._random.random() < 0.4:
            failure = Failure("wrong-password", False, self._at, self._policy.lockout, 1)
            failed = attempts.fail(counter, failure, tries)
            self._tries[account_id] = attempts.evolve(tries, failed[0])
            return self._place(counter.stream_id, failed)
        cleared = attempts.clear(counter, "success", tries)
        self._tries.pop(account_id, None)
        opening = session.Opening(
            account_id=account_id,
            epoch=self._accounts[account_id].epoch,
            origin="login",
            proofs=(PASSWORD,),
            at=self._at,
            lifetime=self._policy.refresh_lifetime,
            failures_before=tries.failures,
            policy=1,
            tokens=self._pair(self._at + self._policy.refresh_lifetime),
        )
        session_id = self._id()
        self._open.append(session_id)
        opened = self._session(session_id, session.begin(opening))
        return self._place(counter.stream_id, cleared) + opened

    def _renew(self) -> list[Placed]:
        """Sometimes with a token that was used before."""
        if not self._open:
            return []
        session_id = self._random.choice(self._open[-2_000:])
        state = self._sessions[session_id]
        owner = self._accounts[state.account_id] if state.account_id is not None else Account()
        if owner.status != "active" or owner.epoch != state.epoch or not state.live:
            return []
        reused = state.rotations > 0 and self._random.random() < 0.01
        command = session.Renew(
            rotation=state.rotations - reused,
            successor=self._pair(state.expires_at),
            account_epoch=owner.epoch,
            account_active=True,
            at=self._at,
        )
        return self._session(session_id, session.renew(command, state))

    def _sign_out(self) -> list[Placed]:
        if not self._open:
            return []
        session_id = self._open.pop(self._random.randrange(len(self._open)))
        return self._session(session_id, session.end("logout", self._sessions.pop(session_id)))

    def _issue(self) -> list[Placed]:
        account_id, jti = self._someone(), self._id()
        state = self._accounts[account_id]
        if state.status != "active" or state.kind != "system":
            return []
        self._issued.append((jti, account_id))
        issued = token.TokenIssued(
            account_id=account_id,
            epoch=state.epoch,
            kid=self._kid,
            expires_at=token.whole(self._at + 3_600_000_000),
            audience="example",
        )
        return self._place(jti, [issued])

    def _revoke(self) -> list[Placed]:
        if not self._issued:
            return []
        jti, account_id = self._issued.pop(self._random.randrange(len(self._issued)))
        return self._place(jti, token.revoke(account_id, None, token.Token(account_id)))

    def _status(self) -> list[Placed]:
        account_id = self._someone()
        state = self._accounts[account_id]
        wanted: dict[str, list[str]] = {
            "active": ["inactive", "deleted"],
            "inactive": ["active", "active", "deleted"],
            "deleted": ["restored"],
        }
        to = self._random.choice(wanted[state.status])
        return self._account(account_id, account.decide(account.SetStatus(to), state))  # type: ignore[arg-type]  # one of the above

    def _grant(self) -> list[Placed]:
        account_id = self._someone()
        state, name = self._accounts[account_id], self._random.choice(sorted(BUILT_IN))
        if state.status == "deleted" or name == "admin":
            return []
        until = (
            self._at + self._random.randrange(1, 10**12) if self._random.random() < 0.5 else None
        )
        command: account.Command = account.GrantRole(name, until, "hand", self._at, 1)
        if self._random.random() < 0.4:
            command = account.RevokeRole(name)
        return self._account(account_id, account.decide(command, state))

    def _reset(self) -> list[Placed]:
        """A new password ends what was issued, and clears the count of failures."""
        account_id = self._someone()
        if self._accounts[account_id].status == "deleted":
            return []
        ended = account.decide(account.RevokeTokens(), self._accounts[account_id])
        secret = password.new(account_id, "y" * 97, "reset")
        counter = Counter(account_id, "password")
        cleared = attempts.clear(counter, "reset", self._tries.pop(account_id, Attempts()))
        return [
            *self._account(account_id, ended),
            *self._place(password.stream_id(account_id), [secret]),
            *self._place(counter.stream_id, cleared),
        ]

    # --- details

    def _someone(self) -> UUID:
        return self._random.choice(self._people)

    def _id(self) -> UUID:
        return UUID(int=(self._at // 1_000 << 80) | self._random.getrandbits(80))

    def _pair(self, session_ends_at: int) -> session.Tokens:
        ends_at = min(self._at + self._policy.access_lifetime, session_ends_at)
        return session.Tokens(self._id(), self._kid, token.whole(ends_at))

    def _account(self, account_id: UUID, events: Sequence[account.Happening]) -> list[Placed]:
        state = self._accounts.get(account_id, Account())
        for event in events:
            state = account.evolve(state, event)
        self._accounts[account_id] = state
        return self._place(account_id, events)

    def _session(self, session_id: UUID, events: Sequence[session.Happening]) -> list[Placed]:
        state = self._sessions.get(session_id, Session())
        for event in events:
            state = session.evolve(state, event)
        self._sessions[session_id] = state
        return self._place(session_id, events)

    def _place(self, stream_id: UUID, events: Sequence[Event]) -> list[Placed]:
        placed = []
        for event in events:
            version = self._versions.get(stream_id, 0) + 1
            self._versions[stream_id] = version
            placed.append((stream_id, version, event))
        return placed
