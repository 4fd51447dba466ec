"""Break-glass: sign in with the emergency password; set it, unlock it, take it away.

Every refused sign-in costs the same, as one by password does: two reservations, one hash and one
write. A guess is counted for its address first, and for the account far more patiently.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypeVar
from uuid import UUID

import msgspec

from gatebook.domain import break_glass
from gatebook.domain.access import LiveAccount
from gatebook.domain.application.accounts import Accounts
from gatebook.domain.application.browser import BrowserSession
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.sessions import Delivery, Sessions, SignIn
from gatebook.domain.application.tries import Tries
from gatebook.domain.attempts import Attempts, Cause, Counter
from gatebook.domain.break_glass import Credential
from gatebook.domain.envelope import Entry, account_actor, uuid8_of
from gatebook.domain.errors import Conflict, InvalidCredentials, NotFound
from gatebook.domain.network import network_of
from gatebook.domain.ports import Plaintext
from gatebook.domain.proofs import BREAK_GLASS

T = TypeVar("T")

PATIENCE = 64
"""How often a sign-in is decided, as one by password is."""

REFUSED = "The break-glass sign-in is refused."
METHODS = frozenset({"break-glass"})


class EmergencySignIn(msgspec.Struct, frozen=True):
    """What was sent: the account's id as it was written, and the password.

    `account_id` is None when that is no id. `held`: the session cookie that came with it.
    """

    named: str
    account_id: UUID | None
    plaintext: Plaintext
    held: str | None = None


class SetCredential(msgspec.Struct, frozen=True):
    """A credential that was just set. Times in microseconds."""

    account_id: UUID
    username: str
    set_at: int
    expires_at: int | None
    once: bool


class _Tried(msgspec.Struct, frozen=True):
    """All that a sign-in is decided from. `attempts`: the address's, then the account's."""

    account: LiveAccount | None
    credential: Loaded[Credential]
    counters: tuple[Counter, Counter]
    attempts: tuple[Loaded[Attempts], Loaded[Attempts]]
    locked: bool
    matched: bool


class BreakGlass:
    """The break-glass commands."""

    def __init__(self, app: Gatebook, accounts_: Accounts, sessions: Sessions) -> None:
        self._app = app
        self._accounts = accounts_
        self._sessions = sessions
        self._tries = Tries(app)

    # --- signing in

    def login(self, by: By, sign_in: EmergencySignIn) -> BrowserSession:
        """Opens a session for whoever knows an account's break-glass password.

        Raises InvalidCredentials, the same for every cause; the cause is in the log.
        """
        account_id = sign_in.account_id or self._stand_in(sign_in.named)
        counters = self._counters(by, account_id)
        verified: dict[tuple[int, bool], bool] = {}

        def decide(now: int) -> Decision[BrowserSession | None]:
            tried = self._try(account_id, counters, sign_in.plaintext, verified, now)
            account = tried.account
            if account is None or account.status == "erased":
                return self._refuse_unknown(sign_in.named, now, locked=any(locked))
            if tried.locked:
                failed = self._refuse(tried, account, "locked", now)
                return msgspec.structs.replace(failed, counted=(account_id, "break-glass"))
            cause = _cause(tried, account, now)
            if cause is not None:
                return self._refuse(tried, account, cause, now)
            return self._open(tried, account, sign_in, now)

        account = self._app.access.account(account_id, self._app.clock.now())
        unknown = account is None or account.status == "erased"
        with ExitStack() as guesses:
            locked = [
                guesses.enter_context(self._tries.reserved(counter, decoy=unknown))
                for counter in counters
            ]
            signed_in = self._app.run(by, decide, attempts=PATIENCE)
        assert signed_in is not None  # a refusal would have been raised
        return signed_in

    # --- managing

    def set_password(self, by: By, account_id: UUID, plaintext: Plaintext) -> SetCredential:
        """Sets or replaces an account's break-glass password; sessions it opened end."""
        policy = self._app.policy
        lifetime, once = policy.break_glass_expires_after, policy.break_glass_once
        hashed: list[str] = []

        def decide(now: int) -> Decision[SetCredential]:
            loaded = self._accounts.load_for_change(by, account_id, now, None)
            profile = loaded.state.profile
            if profile is None or loaded.state.status in ("deleted", "erased"):
                raise Conflict("The account is deleted.")
            if not hashed:
                phc = self._accounts.secret(plaintext, profile)
                assert phc is not None  # a plaintext was given
                hashed.append(phc)
            event = break_glass.set_to(account_id, hashed[0], now, lifetime=lifetime, once=once)
            held = self._load(account_id)
            view = SetCredential(account_id, profile.username, now, event.expires_at, once)
            return self._changed(account_id, held.entries([event]), view, now)

        return self._app.run(by, decide)

    def remove(self, by: By, account_id: UUID) -> None:
        """Takes the break-glass password away; sessions it opened end. Raises NotFound."""

        def decide(now: int) -> Decision[None]:
            self._accounts.load_for_change(by, account_id, now, None)
            held = self._load(account_id)
            if held.state.expired(now):
                raise NotFound("This account's break-glass credential has expired.")
            entries = held.entries(break_glass.remove(account_id, held.state))
            return self._changed(account_id, entries, None, now)

        self._app.run(by, decide)

    def unlock(self, by: By, account_id: UUID) -> None:
        """Clears every break-glass lock of an account, whatever address it was for."""

        def decide(now: int) -> Decision[None]:
            self._accounts.load_for_change(by, account_id, now, None)
            return Decision(None, self._tries.unlock(account_id, METHODS, "operator"))

        self._app.run(by, decide)

    def expire(self, by: By, account_id: UUID) -> None:
        """Records that a credential's time is over, if it is."""

        def decide(now: int) -> Decision[None]:
            held = self._load(account_id)
            if not held.state.expired(now):
                return Decision(None)
            return Decision(None, held.entries(break_glass.expire(account_id, "time", held.state)))

        self._app.run(by, decide)

    # --- details

    def _stand_in(self, named: str) -> UUID:
        """For what is no id: takes the path of an account that nobody has."""
        return uuid8_of(self._app.keys.derive("break-glass-names", named.encode()))

    def _counters(self, by: By, account_id: UUID) -> tuple[Counter, Counter]:
        address = "" if by.source is None else by.source.ip
        key = self._app.keys.derive("break-glass-address", network_of(address))[:16]
        return (
            Counter(account_id, "break-glass", "address", key),
            Counter(account_id, "break-glass"),
        )

    def _load(self, account_id: UUID) -> Loaded[Credential]:
        return self._app.tail(
            break_glass.stream_id(account_id), break_glass.TAIL, Credential(), break_glass.evolve
        )

    def _try(
        self,
        account_id: UUID,
        counters: tuple[Counter, Counter],
        plaintext: Plaintext,
        verified: dict[tuple[int, bool], bool],
        now: int,
    ) -> _Tried:
        account = self._app.access.account(account_id, now)
        held = self._load(account_id)
        attempts = (self._tries.load(counters[0]), self._tries.load(counters[1]))
        locked = any(one.state.locked(now) for one in attempts)
        verdict = (held.version, locked)
        if verdict not in verified:
            verified[verdict] = plaintext.matches(None if locked else held.state.phc)
        return _Tried(account, held, counters, attempts, locked, verified[verdict])

    def _refuse_unknown(
        self, named: str, now: int, *, locked: bool
    ) -> Decision[BrowserSession | None]:
        """As many events as a failure at an account has."""
        refusal = InvalidCredentials(REFUSED)
        one = self._tries.refuse_unknown(named, "break-glass", now, refusal, locked=locked)
        return msgspec.structs.replace(one, entries=one.entries * 2)

    def _refuse(
        self, tried: _Tried, account: LiveAccount, cause: Cause, now: int
    ) -> Decision[BrowserSession | None]:
        entries: list[Entry] = []
        for counter, loaded in zip(tried.counters, tried.attempts, strict=True):
            entries += self._tries.failed(counter, loaded, cause, now, matched=tried.matched)
        held = tried.credential
        if held.state.expired(now):
            entries += held.entries(break_glass.expire(account.account_id, "time", held.state))
        refusal = InvalidCredentials(REFUSED)
        return Decision(None, entries, refusal, subject=account.account_id)

    def _open(
        self, tried: _Tried, account: LiveAccount, sign_in: EmergencySignIn, now: int
    ) -> Decision[BrowserSession | None]:
        account_id, held = account.account_id, tried.credential
        entries: list[Entry] = []
        for counter, loaded in zip(tried.counters, tried.attempts, strict=True):
            entries += self._tries.cleared(counter, loaded, "success")
        failures = tried.attempts[0].state.failures
        uses = break_glass.uses_stream_id(account_id)
        used = break_glass.LoginSucceeded(
            account_id=account_id, failures_before=failures, policy=self._app.policy_version
        )
        entries.append(Entry(uses, 0, used))
        if held.state.once:
            entries += held.entries(break_glass.expire(account_id, "first-use", held.state))
        complete = SignIn(
            account_id=account_id,
            epoch=account.epoch,
            roles=account.roles,
            origin="break-glass",
            proofs=(BREAK_GLASS,),
            delivery=Delivery(browser=True, held=sign_in.held),
            failures_before=failures,
        )
        opened, session = self._sessions.open(complete, now)
        assert isinstance(session, BrowserSession)  # by its delivery
        # A lock, another password or a deactivation that came first must win against this success.
        expected = {one.stream_id: one.version for one in tried.attempts}
        expected |= {held.stream_id: held.version, account_id: account.version}
        return Decision(
            session,
            entries + opened,
            subject=account_id,
            actor=account_actor(account_id),
            unordered=frozenset({uses}),
            expected=expected,
        )

    def _changed(self, account_id: UUID, entries: list[Entry], result: T, now: int) -> Decision[T]:
        """With the end of every session that the password before has opened, and of its locks."""
        # Read before the sessions are: a sign-in that comes between makes this append lose.
        uses = break_glass.uses_stream_id(account_id)
        expected = {uses: self._app.version(uses)}
        for session_id in self._app.access.sessions_opened_by(account_id, "break-glass", now):
            entries += self._sessions.ended(session_id, "credential-changed")
        entries += self._tries.unlock(account_id, METHODS, "reset")
        return Decision(result, entries, subject=account_id, expected=expected)


def _cause(tried: _Tried, account: LiveAccount, now: int) -> Cause | None:
    if account.status == "inactive":
        return "inactive"
    if account.status == "deleted":
        return "deleted"
    if break_glass.PERMISSION not in account.permissions:
        return "not-permitted"
    if tried.credential.state.phc is None:
        return "no-credential"
    if tried.credential.state.expired(now):
        return "expired"
    return None if tried.matched else "wrong-password"
