"""Signing in with a passkey (WebAuthn Level 3, section 7.2): alone, or as the second step."""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain import passkey, proofs
from gatebook.domain.access import LiveAccount
from gatebook.domain.application.challenges import Challenges, Resumed
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.passkey_challenges import PasskeyChallenges, Purpose
from gatebook.domain.application.passkeys import Passkeys
from gatebook.domain.application.sessions import Delivery, Sessions, SignedIn, SignIn
from gatebook.domain.application.tries import Tries
from gatebook.domain.attempts import Cause, Counter
from gatebook.domain.ceremonies import ShownAssertion
from gatebook.domain.envelope import Entry, account_actor
from gatebook.domain.errors import InvalidCredentials
from gatebook.domain.passkey import Assertion, Passkey, PasskeyCloneSuspected, Uses

MOST_FAILURES = 20
"""Failures of an account's passkeys recorded one by one until an hour is quiet; then counted."""


class LoginOffer(msgspec.Struct, frozen=True):
    """What a browser needs to use a passkey. `allowed` is empty for a discoverable one."""

    challenge: bytes
    allowed: list[Passkey]
    verified: bool


class PasskeyAttempt(msgspec.Struct, frozen=True):
    """A sign-in by passkey, as it was asked for. `mfa_token`: it is the second step of that."""

    shown: ShownAssertion
    delivery: Delivery = Delivery()
    device: str | None = None
    mfa_token: str | None = None


class _Tried(msgspec.Struct, frozen=True):
    """All that a sign-in is decided from, once it is known whose passkey it is."""

    loaded: Loaded[Passkey]
    account: LiveAccount
    resumed: Resumed | None
    spent: list[Entry]
    now: int

    @property
    def account_id(self) -> UUID:
        return self.account.account_id


class PasskeyLogins:
    """The sign-in commands with passkeys."""

    def __init__(
        self,
        app: Gatebook,
        passkeys: Passkeys,
        sessions: Sessions,
        challenges: Challenges,
        passkey_challenges: PasskeyChallenges,
    ) -> None:
        self._app = app
        self._passkeys = passkeys
        self._sessions = sessions
        self._challenges = challenges
        self._passkey_challenges = passkey_challenges
        self._tries = Tries(app)

    def offer(self, mfa_token: str | None, device: str | None) -> LoginOffer:
        """The options of a sign-in. Stores nothing."""
        now = self._app.clock.now()
        _ = self._passkeys.ceremonies
        if mfa_token is None:
            challenge = self._passkey_challenges.fresh("login", None, now)
            return LoginOffer(challenge, [], verified=True)
        resumed = self._challenges.resume(mfa_token, device, now)
        bound = resumed.loaded.stream_id
        challenge = self._passkey_challenges.fresh("second-factor", bound, now)
        allowed = self._passkeys.held(resumed.account.account_id)
        return LoginOffer(challenge, allowed, verified=False)

    def login(self, by: By, attempt: PasskeyAttempt) -> SignedIn:
        """Opens a session for whoever signed the challenge with a passkey that counts.

        Raises InvalidCredentials, the same for every cause.
        """
        ceremonies = self._passkeys.ceremonies
        shown = attempt.shown

        def decide(now: int) -> Decision[SignedIn | None]:
            tried = self._identified(attempt, now)
            state = tried.loaded.state
            uses = self._passkeys.uses(tried.loaded)
            assertion = ceremonies.asserted(shown, state.public_key)
            if tried.account.status != "active":
                cause: Cause = "deleted" if tried.account.status == "deleted" else "inactive"
                return self._refused(tried, cause, [])
            if assertion is None:  # section 7.2, step 23
                return self._refused(tried, "bad-assertion", [])
            if not assertion.user_verified and tried.resumed is None:  # step 17
                return self._refused(tried, "bad-assertion", [])
            if assertion.backup_eligible != state.backup_eligible:  # step 19
                return self._refused(tried, "bad-assertion", [])
            if not passkey.counted(assertion, uses.state):  # step 24
                return self._refused(tried, "bad-assertion", _suspected(tried, assertion, uses))
            return self._open(tried, assertion, uses, attempt.delivery)

        signed_in = self._app.run(by, decide)
        assert signed_in is not None  # a refusal would have been raised
        return signed_in

    # --- details

    def _identified(self, attempt: PasskeyAttempt, now: int) -> _Tried:
        """Section 7.2, steps 5, 6 and 11: whose passkey it is, and whether it was asked for.

        Raises InvalidCredentials, and records nothing: nobody has proved anything.
        """
        shown, resumed = attempt.shown, None
        if attempt.mfa_token is not None:
            resumed = self._challenges.resume(attempt.mfa_token, attempt.device, now)
        loaded = self._passkeys.load(passkey.stream_id(shown.credential_id))
        account_id = loaded.state.account_id
        if not loaded.state.live or account_id is None:
            raise InvalidCredentials("There is no such passkey.")
        if resumed is not None and resumed.account.account_id != account_id:
            raise InvalidCredentials("The passkey is another account's.")
        handle = shown.user_handle
        if handle is None and resumed is None:
            raise InvalidCredentials("The passkey does not say whose it is.")
        if handle is not None and handle != account_id.bytes:
            raise InvalidCredentials("The passkey says it is another account's.")
        account = self._app.access.account(account_id, now)
        if account is None or account.status == "erased":
            raise InvalidCredentials("There is no such account.")
        purpose: Purpose = "login" if resumed is None else "second-factor"
        bound = None if resumed is None else resumed.loaded.stream_id
        challenge = self._passkeys.ceremonies.challenge_of(shown.client_data)
        spent = self._passkey_challenges.spend(challenge, purpose, bound, account_id, now)
        return _Tried(loaded, account, resumed, spent, now)

    def _refused(
        self, tried: _Tried, cause: Cause, entries: list[Entry]
    ) -> Decision[SignedIn | None]:
        """A signature cannot be guessed, so nothing locks; what is recorded is bounded."""
        counter = Counter(tried.account_id, "passkey")
        tries = self._tries.load(counter)
        refusal = InvalidCredentials("The passkey is refused.")
        reset = self._tries.lockout(counter).reset
        if tries.state.standing(tried.now, reset) >= MOST_FAILURES:
            return self._tries.refused(counter, tries, tried.now, refusal)
        failed = self._tries.failed(counter, tries, cause, tried.now)
        return Decision(None, failed + entries, refusal, subject=tried.account_id)

    def _open(
        self, tried: _Tried, assertion: Assertion, uses: Loaded[Uses], delivery: Delivery
    ) -> Decision[SignedIn | None]:
        account, account_id = tried.account, tried.account_id
        proof = proofs.passkey(
            verified=assertion.user_verified, synced=tried.loaded.state.backup_eligible
        )
        tries = self._tries.load(Counter(account_id, "passkey"))
        entries = tried.spent + uses.entries(passkey.use(account_id, assertion, uses.state))
        entries += self._tries.cleared(Counter(account_id, "passkey"), tries, "success")
        # Its removal, or a deactivation, that came first must win against this success.
        expected = {tried.loaded.stream_id: tried.loaded.version, account_id: account.version}
        if tried.resumed is not None:
            opened, signed_in = self._challenges.complete(tried.resumed, proof, delivery, tried.now)
            expected |= tried.resumed.expected
        else:
            sign_in = SignIn(
                account_id=account_id,
                epoch=account.epoch,
                roles=account.roles,
                origin="passkey",
                proofs=(proof,),
                delivery=delivery,
                failures_before=tries.state.failures,
            )
            opened, signed_in = self._sessions.open(sign_in, tried.now)
        return Decision(
            signed_in,
            entries + opened,
            subject=account_id,
            actor=account_actor(account_id),
            expected=expected,
        )


def _suspected(tried: _Tried, assertion: Assertion, uses: Loaded[Uses]) -> list[Entry]:
    """A count that did not grow: the key may be in two places."""
    event = PasskeyCloneSuspected(
        account_id=tried.account_id,
        sign_count=uses.state.sign_count,
        backed_up=uses.state.backed_up,
        received=assertion.sign_count,
    )
    return uses.entries([event])
