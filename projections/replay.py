"""The whole state, folded from the log by the deciders' own `evolve`, in memory.

The read models are folded by other code (`projections/access.py`), so the two check each other.
What is over is let go: memory holds what lives, however long the log is. Secrets stay sealed, so a
credential is known by its events and not by its state.
"""

from __future__ import annotations

import heapq
from typing import Any, Final
from uuid import UUID

from gatebook.domain import (
    account,
    administrators,
    attempts,
    client,
    first_admin,
    group_mapping,
    identity,
    policy,
    provider,
    role,
    session,
    signing_keys,
    token,
    username,
)
from gatebook.domain.event import Event
from gatebook.projections.replay_credentials import Credentials, Take
from gatebook.projections.replayed import (
    Configured,
    HeldAccount,
    HeldCounter,
    HeldSession,
    HeldToken,
    Line,
)


class Replay:
    """State as far as the events it was given lead."""

    def __init__(self) -> None:
        self.accounts: dict[bytes, HeldAccount] = {}
        self.usernames: dict[bytes, username.Username] = {}
        self.roles: dict[str, role.Role] = {}
        self.sessions: dict[bytes, HeldSession] = {}
        self.tokens: dict[bytes, HeldToken] = {}
        self.counters: dict[bytes, HeldCounter] = {}
        self.credentials = Credentials()
        self.providers: dict[bytes, Configured] = {}
        self.mappings: dict[bytes, Configured] = {}
        self.identities: dict[bytes, Configured] = {}
        self.clients: dict[UUID, client.Client] = {}
        self.ring = signing_keys.Ring()
        self.key_created_at: dict[str, int] = {}
        self.roster = administrators.Roster()
        self.seat = first_admin.Seat()
        self.policy = policy.Adopted()
        self.policy_version = 0
        self._expiring: list[tuple[int, bytes]] = []
        self.takes: Final[dict[type[Event], Take]] = self._table()
        """What is done with each kind of event; one that is not here changes nothing shown."""

    def _table(self) -> dict[type[Event], Take]:
        table: dict[type[Event], Take] = {
            session.SessionOpened: self._session_opened,
            session.SessionRotated: self._session_rotated,
            session.SessionEnded: self._session_ended,
            token.TokenIssued: self._token_issued,
            token.TokenRevoked: self._token_revoked,
            token.TokensPruned: self._pruned,
            attempts.LoginFailed: self._failed,
            attempts.BreakGlassLoginFailed: self._failed,
            attempts.LockoutCleared: self._cleared,
            policy.PolicyAdopted: self._policy,
        }
        for kind in (session.SessionKept, session.SessionRaised, session.SessionFederated):
            table[kind] = self._session
        for members, take in (
            (account.Happening, self._account),
            (role.Happening, self._role),
            (provider.Happening, self._provider),
            (group_mapping.Happening, self._mapping),
            (identity.Happening, self._identity),
            (client.Happening, self._client),
            (signing_keys.Happening, self._signing_key),
            (administrators.Happening, self._roster),
            (first_admin.Happening, self._seat),
            (username.Happening, self._username),
        ):
            table |= dict.fromkeys(members.__args__, take)
        return table | self.credentials.takes

    # --- accounts and roles

    def _account(self, line: Line, event: account.Happening) -> None:
        held = self.accounts.get(line.stream_id)
        if held is None:
            held = self.accounts[line.stream_id] = HeldAccount(account.Account(), 0, line.position)
        held.state, held.version = account.evolve(held.state, event), line.version
        match event:
            case account.AccountRenamed() | account.AccountProfileChanged():
                held.profile_at = line.position
            case account.AccountErased():
                held.erased = True
                self._erased(line.stream_id)
            case _:
                pass

    def _erased(self, stream_id: bytes) -> None:
        """Its key is gone, and with it whatever it could be known by."""
        account_id = UUID(bytes=stream_id)
        self.credentials.erase(account_id)
        for key in [k for k, one in self.identities.items() if one.state.account_id == account_id]:
            del self.identities[key]

    def _role(self, _line: Line, event: role.Happening) -> None:
        state = role.evolve(self.roles.get(event.name, role.Role()), event)
        if state.permissions is None:
            self.roles.pop(event.name, None)
        else:
            self.roles[event.name] = state

    def _username(self, line: Line, event: username.Happening) -> None:
        state = username.evolve(username.Username(), event)
        if state.owner is None:
            self.usernames.pop(line.stream_id, None)
        else:
            self.usernames[line.stream_id] = state

    # --- sessions and tokens

    def _session_opened(self, line: Line, event: session.SessionOpened) -> None:
        state = session.evolve(session.Session(), event)
        self.sessions[line.stream_id] = HeldSession(state, line.at, line.at)
        heapq.heappush(self._expiring, (event.expires_at, line.stream_id))

    def _session_rotated(self, line: Line, event: session.SessionRotated) -> None:
        held = self.sessions.get(line.stream_id)
        if held is not None:
            held.state, held.renewed_at = session.evolve(held.state, event), line.at
            held.revoked = False

    def _session(self, line: Line, event: session.Happening) -> None:
        held = self.sessions.get(line.stream_id)
        if held is not None:
            held.state = session.evolve(held.state, event)

    def _session_ended(self, line: Line, _event: session.SessionEnded) -> None:
        self.sessions.pop(line.stream_id, None)

    def _token_issued(self, line: Line, event: token.TokenIssued) -> None:
        self.tokens[line.stream_id] = HeldToken(event, line.at)
        heapq.heappush(self._expiring, (event.expires_at, line.stream_id))

    def _token_revoked(self, line: Line, event: token.TokenRevoked) -> None:
        if event.session_id is None:
            self.tokens.pop(line.stream_id, None)
            return
        held = self.sessions.get(event.session_id.bytes)
        # By now the session may have gone on to another token, which stays good.
        pair = held.state.tokens if held is not None else None
        if held is not None and pair is not None and pair.jti.bytes == line.stream_id:
            held.revoked = True

    def _pruned(self, _line: Line, event: token.TokensPruned) -> None:
        heap, before = self._expiring, event.before
        while heap and heap[0][0] < before:
            _expired_at, stream_id = heapq.heappop(heap)
            self.sessions.pop(stream_id, None)
            self.tokens.pop(stream_id, None)
        self.credentials.prune(before)

    def _failed(self, line: Line, event: attempts.Failed) -> None:
        if event.account_id is not None:  # a name that nobody has is no counter
            state = attempts.evolve(attempts.Attempts(), event)
            self.counters[line.stream_id] = HeldCounter(state, event)

    def _cleared(self, line: Line, _event: attempts.LockoutCleared) -> None:
        self.counters.pop(line.stream_id, None)

    # --- what is configured

    def _provider(self, line: Line, event: provider.Happening) -> None:
        _configured(
            self.providers, line, provider.evolve(provider.Provider(), event), "configuration"
        )

    def _mapping(self, line: Line, event: group_mapping.Happening) -> None:
        state = group_mapping.evolve(group_mapping.GroupMapping(), event)
        _configured(self.mappings, line, state, "provider_id")

    def _identity(self, line: Line, event: identity.Happening) -> None:
        held = self.identities.get(line.stream_id)
        before = held.state if held is not None else identity.Identity()
        _configured(self.identities, line, identity.evolve(before, event), "account_id")

    def _client(self, _line: Line, event: client.Happening) -> None:
        state = client.evolve(client.Client(), event)
        if state.configured:
            self.clients[event.account_id] = state
        else:
            self.clients.pop(event.account_id, None)

    def _signing_key(self, line: Line, event: signing_keys.Happening) -> None:
        self.ring = signing_keys.evolve(self.ring, event)
        self.key_created_at.setdefault(event.kid, line.at)

    def _roster(self, _line: Line, event: administrators.Happening) -> None:
        self.roster = administrators.evolve(self.roster, event)

    def _seat(self, _line: Line, event: first_admin.Happening) -> None:
        self.seat = first_admin.evolve(self.seat, event)

    def _policy(self, line: Line, event: policy.PolicyAdopted) -> None:
        self.policy, self.policy_version = policy.evolve(self.policy, event), line.version


def _configured(held: dict[bytes, Configured], line: Line, state: Any, there: str) -> None:
    """Keeps a state while its field `there` says that there is one."""
    if getattr(state, there) is None:
        held.pop(line.stream_id, None)
    elif line.stream_id in held:
        held[line.stream_id].state, held[line.stream_id].changed_at = state, line.at
    else:
        held[line.stream_id] = Configured(state, line.at, line.at)
