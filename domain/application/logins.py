"""Signing in by name and password. Every refused sign-in costs the same (DESIGN, law 6).

One reservation, one hash and one write, whatever the reason of the refusal; nothing takes longer
for an account with a longer history. A right password of an account with a second factor is told
apart: whoever knows it may as well learn that it is not enough.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain import password
from gatebook.domain.access import LiveAccount
from gatebook.domain.application.accounts import Accounts
from gatebook.domain.application.challenges import Challenges, FirstStep
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.second_factors import GivenCode, SecondFactors
from gatebook.domain.application.sessions import Delivery, Sessions, SignedIn, SignIn
from gatebook.domain.application.tries import NOBODY, Tries
from gatebook.domain.attempts import Attempts, Cause, Counter
from gatebook.domain.envelope import Entry, account_actor
from gatebook.domain.errors import InvalidCredentials, InvalidValue, MfaRequired
from gatebook.domain.factors import Factors
from gatebook.domain.ports import Plaintext
from gatebook.domain.proofs import PASSWORD

PATIENCE = 64
"""How often a sign-in is decided: giving up would tell a name that is raced for from none."""

REFUSED = "The name, the password or the code is wrong."


class Attempt(msgspec.Struct, frozen=True):
    """A sign-in by password, as it was asked for. `device`: the device cookie, if one was sent.

    `given` is the second factor's code if it came with the password.
    """

    name: str
    plaintext: Plaintext
    delivery: Delivery = Delivery()
    device: str | None = None
    given: GivenCode | None = None


class _Tried(msgspec.Struct, frozen=True):
    """All that a sign-in is decided from."""

    counter: Counter
    account: LiveAccount | None
    password: Loaded[password.Password]
    attempts: Loaded[Attempts]
    factors: Loaded[Factors]
    matched: bool


class Logins:
    """The sign-in commands."""

    def __init__(
        self,
        app: Gatebook,
        accounts_: Accounts,
        sessions: Sessions,
        second_factors: SecondFactors,
        challenges: Challenges,
    ) -> None:
        self._app = app
        self._accounts = accounts_
        self._sessions = sessions
        self._factors = second_factors
        self._challenges = challenges
        self._tries = Tries(app)

    def login(self, by: By, attempt: Attempt) -> SignedIn:
        """Opens a session for whoever knows the password, and the second factor if one is due.

        Raises InvalidCredentials, the same for every cause; the cause is in the log. Raises
        MfaRequired when the password is right, a second factor is due and no code came with it.
        A code is a step of its own, recorded and counted as if it had come in a second request.
        """
        try:
            return self._by_password(by, attempt)
        except MfaRequired as due:
            if attempt.given is None:
                raise
            return self._challenges.finish(
                by, due.mfa_token, attempt.given, attempt.delivery, attempt.device
            )

    def _by_password(self, by: By, attempt: Attempt) -> SignedIn:
        verified: dict[tuple[UUID, int, bool], bool] = {}
        counter = self._counter(attempt)

        def decide(now: int) -> Decision[SignedIn | None]:
            tried = self._try(counter, attempt.plaintext, verified, now)
            account = tried.account
            if account is None or account.status == "erased":
                refusal = InvalidCredentials(REFUSED)
                return self._tries.refuse_unknown(
                    attempt.name, "password", now, refusal, locked=locked
                )
            if tried.attempts.state.locked(now):
                refusal = InvalidCredentials(REFUSED)
                return self._tries.refused(counter, tried.attempts, now, refusal)
            cause = _cause(tried)
            if cause is not None:
                return self._refuse(tried, cause, now)
            return self._open(tried, account, attempt, now)

        account = self._app.access.account(counter.account_id, self._app.clock.now())
        reserved = (
            self._tries.reserved_for_name(attempt.name)
            if account is None or account.status == "erased"
            else self._tries.reserved(counter)
        )
        with reserved as locked:
            signed_in = self._app.run(by, decide, attempts=PATIENCE)
        assert signed_in is not None  # a refusal would have been raised
        return signed_in

    def counter_for(self, account_id: UUID, device: str | None) -> Counter:
        """The counter that a try at an account's password from a device is held against."""
        known = self._sessions.devices.known(device, account_id)
        if known is None:
            return Counter(account_id, "password")
        return Counter(account_id, "password", "device", known)

    # --- details

    def _counter(self, attempt: Attempt) -> Counter:
        try:
            owner = self._accounts.load_name(attempt.name).state.owner
        except InvalidValue:
            owner = None
        return self.counter_for(owner or NOBODY, attempt.device)

    def _try(
        self,
        counter: Counter,
        plaintext: Plaintext,
        verified: dict[tuple[UUID, int, bool], bool],
        now: int,
    ) -> _Tried:
        """Loads what a sign-in is decided from, and verifies the password against it.

        A verdict on the same version of a password is kept: whoever lost a race for the count of
        failures costs no second hash. While the counter is locked the password is not looked at.
        """
        app, account_id = self._app, counter.account_id
        account = app.access.account(account_id, now)
        held = app.tail(
            password.stream_id(account_id), password.TAIL, password.Password(), password.evolve
        )
        tries = self._tries.load(counter)
        locked = tries.state.locked(now)
        verdict = (account_id, held.version, locked)
        if verdict not in verified:
            verified[verdict] = plaintext.matches(None if locked else held.state.phc)
        factors = self._factors.load(account_id)
        return _Tried(counter, account, held, tries, factors, verified[verdict])

    def _refuse(self, tried: _Tried, cause: Cause, now: int) -> Decision[SignedIn | None]:
        entries = self._tries.failed(
            tried.counter, tried.attempts, cause, now, matched=tried.matched
        )
        refusal = InvalidCredentials(REFUSED)
        return Decision(None, entries, refusal, subject=tried.counter.account_id)

    def _open(
        self, tried: _Tried, account: LiveAccount, attempt: Attempt, now: int
    ) -> Decision[SignedIn | None]:
        account_id = account.account_id
        entries = self._tries.cleared(tried.counter, tried.attempts, "success")
        rehashed = self._rehashed(tried, attempt.plaintext)
        entries += rehashed
        # A lock, a new password, a new factor or a deactivation that came first must win against
        # this success.
        expected = {
            tried.attempts.stream_id: tried.attempts.version,
            tried.password.stream_id: tried.password.version,
            tried.factors.stream_id: tried.factors.version,
            account_id: account.version,
        }
        if tried.factors.state.due:
            step = FirstStep(
                account_id=account_id,
                epoch=account.epoch,
                proofs=(PASSWORD,),
                password_version=tried.password.version + len(rehashed),
                failures_before=tried.attempts.state.failures,
            )
            begun, refusal = self._challenges.begin(step, tried.factors.state, now)
            return Decision(None, entries + begun, refusal, subject=account_id, expected=expected)
        sign_in = SignIn(
            account_id=account_id,
            epoch=account.epoch,
            roles=account.roles,
            origin="login",
            proofs=(PASSWORD,),
            delivery=attempt.delivery,
            failures_before=tried.attempts.state.failures,
        )
        opened, signed_in = self._sessions.open(sign_in, now)
        actor = account_actor(account_id)
        return Decision(
            signed_in, entries + opened, subject=account_id, actor=actor, expected=expected
        )

    def _rehashed(self, tried: _Tried, plaintext: Plaintext) -> list[Entry]:
        phc = tried.password.state.phc
        if phc is None or not plaintext.outdated(phc):
            return []
        secret = password.PasswordSecret(plaintext.rehash())
        event = password.PasswordRehashed(account_id=tried.counter.account_id, secret=secret)
        return tried.password.entries([event])


def _cause(tried: _Tried) -> Cause | None:
    status = None if tried.account is None else tried.account.status
    if status == "inactive":
        return "inactive"
    if status == "deleted":
        return "deleted"
    if tried.password.state.phc is None:
        return "no-password"
    return None if tried.matched else "wrong-password"
