"""Signing in and out. Every refused sign-in costs the same: one hash, one write (DESIGN, law 6)."""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain import attempts, password, session
from gatebook.domain.application.accounts import Accounts
from gatebook.domain.application.core import HOUR, By, Decision, Gatebook, Loaded
from gatebook.domain.application.tokens import TokenFamilies, TokenPair
from gatebook.domain.attempts import Attempts, Cause
from gatebook.domain.envelope import Entry, account_actor, uuid8
from gatebook.domain.errors import InvalidCredentials, InvalidValue, NotFound
from gatebook.domain.ports import LiveAccount, Plaintext

METHOD = "password"
MAX_UNKNOWN_AN_HOUR = 1_000
"""Tries at unknown names recorded one by one in an hour; more are counted."""

NOBODY = uuid8(b"nobody")
"""Stands in for the account of a name that nobody has, so that both take the same path."""

PATIENCE = 64
"""How often a sign-in is decided: giving up would tell a name that is raced for from none."""

REFUSED = "The username or the password is wrong."


class _Tried(msgspec.Struct, frozen=True):
    """All that a sign-in is decided from."""

    account_id: UUID
    account: LiveAccount | None
    password: Loaded[password.Password]
    attempts: Loaded[Attempts]
    matched: bool


class Logins:
    """The sign-in commands."""

    def __init__(self, app: Gatebook, accounts_: Accounts, families: TokenFamilies) -> None:
        self._app = app
        self._accounts = accounts_
        self._families = families

    def login(self, by: By, name: str, plaintext: Plaintext) -> TokenPair:
        """Opens a session for whoever knows the password.

        Raises InvalidCredentials, the same for every cause; the cause is in the log.
        """

        verified: dict[tuple[UUID, int], bool] = {}

        def decide(now: int) -> Decision[TokenPair | None]:
            tried = self._try(name, plaintext, verified, now)
            account = tried.account
            if account is None or account.status == "erased":
                return self._refuse_unknown(name, now)
            if tried.attempts.state.locked(now):
                self._app.refusals.count(tried.account_id.bytes, now)
                raise InvalidCredentials(REFUSED)
            cause = _cause(tried)
            if cause is not None:
                return self._refuse(tried, cause, now)
            return self._open(tried, account, plaintext, now)

        pair = self._app.run(by, decide, attempts=PATIENCE)
        assert pair is not None  # a refusal would have been raised
        return pair

    def logout(self, by: By, *, everywhere: bool) -> None:
        """Ends the caller's session, or all of the account's."""
        account_id, session_id = by.account_id, by.session_id
        if account_id is None:
            raise InvalidCredentials("Nobody is signed in.")

        def decide(now: int) -> Decision[None]:
            if everywhere or session_id is None:
                return Decision(None, self._accounts.end_all(account_id, now))
            current = self._app.load(session_id, session.Session(), session.evolve)
            return Decision(None, current.entries(session.end("logout", current.state)))

        self._app.run(by, decide)

    def end_session(self, by: By, account_id: UUID, session_id: UUID) -> None:
        """Ends one session of an account. Raises NotFound when it is not that account's."""

        def decide(now: int) -> Decision[None]:
            loaded = self._app.load(session_id, session.Session(), session.evolve, of="session")
            if loaded.state.account_id != account_id:
                raise NotFound("There is no such session.")
            self._accounts.load_for_change(by, account_id, now, None)
            return Decision(None, loaded.entries(session.end("revoked", loaded.state)))

        self._app.run(by, decide)

    # --- details

    def _try(
        self, name: str, plaintext: Plaintext, verified: dict[tuple[UUID, int], bool], now: int
    ) -> _Tried:
        """Loads what a sign-in is decided from, and verifies the password against it.

        Nothing here takes longer for an account with a longer history. A verdict on the same
        version of a password is kept: whoever lost a race for the count of failures costs no
        second hash.
        """
        app = self._app
        try:
            owner = self._accounts.load_name(name).state.owner
        except InvalidValue:
            owner = None
        account_id = owner or NOBODY
        account = app.access.account(account_id, now)
        held = app.tail(
            password.stream_id(account_id), password.TAIL, password.Password(), password.evolve
        )
        tries = app.tail(
            attempts.stream_id(account_id, METHOD), attempts.TAIL, Attempts(), attempts.evolve
        )
        version = (account_id, held.version)
        if version not in verified:
            verified[version] = plaintext.matches(held.state.phc)
        return _Tried(account_id, account, held, tries, verified[version])

    def _refuse_unknown(self, name: str, now: int) -> Decision[TokenPair | None]:
        app = self._app
        stream_id = attempts.unknown_stream_id(now // HOUR)
        if app.tail(stream_id, 1, None, lambda s, _e: s).version >= MAX_UNKNOWN_AN_HOUR:
            app.refusals.count(NOBODY.bytes, now)
            raise InvalidCredentials(REFUSED)
        failed = attempts.LoginFailed(
            account_id=None,
            method=METHOD,
            cause="unknown-account",
            matched=False,
            failures=0,
            failed_at=now,
            locked_until=None,
            policy=app.policy_version,
            name_hash=app.names.hash(name),
        )
        return Decision(
            None,
            [Entry(stream_id, 0, failed)],
            InvalidCredentials(REFUSED),
            unordered=frozenset({stream_id}),
        )

    def _refuse(self, tried: _Tried, cause: Cause, now: int) -> Decision[TokenPair | None]:
        failed = attempts.fail(
            account_id=tried.account_id,
            method=METHOD,
            cause=cause,
            matched=tried.matched,
            at=now,
            state=tried.attempts.state,
            lockout=self._app.policy.lockout,
            policy=self._app.policy_version,
        )
        return Decision(
            None,
            tried.attempts.entries([failed]),
            InvalidCredentials(REFUSED),
            subject=tried.account_id,
        )

    def _open(
        self, tried: _Tried, account: LiveAccount, plaintext: Plaintext, now: int
    ) -> Decision[TokenPair | None]:
        account_id = tried.account_id
        entries = tried.attempts.entries(
            attempts.clear(account_id, METHOD, "success", tried.attempts.state)
        )
        phc = tried.password.state.phc
        if phc is not None and plaintext.outdated(phc):
            secret = password.PasswordSecret(plaintext.rehash())
            entries += tried.password.entries(
                [password.PasswordRehashed(account_id=account_id, secret=secret)]
            )
        opened, pair = self.open_session(
            account_id,
            epoch=account.epoch,
            roles=account.roles,
            amr=("pwd",),
            failures_before=tried.attempts.state.failures,
            now=now,
        )
        actor = account_actor(account_id)
        # A lock, a new password or a deactivation that came first must win against this success.
        expected = {
            tried.attempts.stream_id: tried.attempts.version,
            tried.password.stream_id: tried.password.version,
            account_id: account.version,
        }
        return Decision(pair, entries + opened, subject=account_id, actor=actor, expected=expected)

    def open_session(
        self,
        account_id: UUID,
        *,
        epoch: int,
        roles: list[str],
        amr: tuple[str, ...],
        failures_before: int,
        now: int,
    ) -> tuple[list[Entry], TokenPair]:
        """The entries of a sign-in that succeeded, and the pair it gives."""
        session_id = self._app.ids.ordered()
        tokens, key = self._families.next_pair(now)
        events = session.begin(
            account_id,
            epoch=epoch,
            amr=amr,
            at=now,
            failures_before=failures_before,
            policy=self._app.policy_version,
            tokens=tokens,
        )
        entries = Loaded(session_id, 0, session.Session()).entries(events)
        pair = self._families.render(
            session_id, 0, account_id, roles, tokens, key, amr=amr, auth_time=now, now=now
        )
        return entries, pair


def _cause(tried: _Tried) -> Cause | None:
    status = None if tried.account is None else tried.account.status
    if status == "inactive":
        return "inactive"
    if status == "deleted":
        return "deleted"
    if tried.password.state.phc is None:
        return "no-password"
    return None if tried.matched else "wrong-password"
