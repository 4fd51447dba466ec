"""Sign-ins that wait for a second factor: begun by a right password, finished once."""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain import challenge, password
from gatebook.domain.access import LiveAccount
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.maced import Maced
from gatebook.domain.application.second_factors import GivenCode, SecondFactors
from gatebook.domain.application.sessions import Delivery, Sessions, SignedIn, SignIn
from gatebook.domain.application.tries import Tries
from gatebook.domain.attempts import Counter, Method
from gatebook.domain.challenge import Challenge, MfaChallenged, MfaCompleted, Standing
from gatebook.domain.envelope import Entry, account_actor
from gatebook.domain.errors import InvalidCredentials, MfaRequired
from gatebook.domain.factors import Factors
from gatebook.domain.proofs import Proof


class FirstStep(msgspec.Struct, frozen=True):
    """A first factor that was right: whose, and what must not change before the second."""

    account_id: UUID
    epoch: int
    proofs: tuple[Proof, ...]
    password_version: int
    failures_before: int


class Resumed(msgspec.Struct, frozen=True):
    """A challenge that can be finished now; the versions must hold until it is."""

    loaded: Loaded[Challenge]
    account: LiveAccount
    expected: dict[UUID, int]


class Challenges:
    """The second step of a sign-in."""

    def __init__(self, app: Gatebook, sessions: Sessions, second_factors: SecondFactors) -> None:
        self._app = app
        self._tokens = Maced(app, "gbm_", "mfa-token", 16)
        self._sessions = sessions
        self._factors = second_factors
        self._tries = Tries(app)

    def begin(self, step: FirstStep, factors: Factors, now: int) -> tuple[list[Entry], MfaRequired]:
        """The entry of a challenge, and the refusal that tells of it."""
        challenge_id = self._app.ids.account()
        event = MfaChallenged(
            account_id=step.account_id,
            proofs=tuple(proof.method for proof in step.proofs),
            methods=tuple(factors.methods),
            epoch=step.epoch,
            password_version=step.password_version,
            failures_before=step.failures_before,
            expires_at=now + challenge.LIFETIME,
        )
        entries = Loaded(challenge_id, 0, Challenge()).entries([event])
        return entries, MfaRequired(self._tokens.make(challenge_id.bytes), factors.methods)

    def finish(
        self, by: By, token: str, given: GivenCode, delivery: Delivery, device: str | None
    ) -> SignedIn:
        """Opens the session for whoever knows a code, once.

        A wrong code counts against its own counter, never against the password's. Raises
        InvalidCredentials, the same for every cause.
        """
        account_id = self.account_of(token)
        counter = self.counter(account_id, given.method, device)

        def decide(now: int) -> Decision[SignedIn | None]:
            resumed = self.resume(token, device, now)
            tries = self._tries.load(counter)
            if tries.state.locked(now):
                refusal = InvalidCredentials("The code is locked.")
                return self._tries.refused(counter, tries, now, refusal)
            checked = self._factors.check(account_id, given, now)
            if checked.cause is not None:
                failed = self._tries.failed(counter, tries, checked.cause, now)
                refusal = InvalidCredentials("The code is wrong.")
                return Decision(None, failed, refusal, subject=account_id)
            entries = checked.entries + self._tries.cleared(counter, tries, "success")
            opened, signed_in = self.complete(resumed, given.proof, delivery, now)
            expected = resumed.expected | checked.expected | {tries.stream_id: tries.version}
            return Decision(
                signed_in,
                entries + opened,
                subject=account_id,
                actor=account_actor(account_id),
                expected=expected,
            )

        with self._tries.reserved(counter):
            signed_in = self._app.run(by, decide)
        assert signed_in is not None  # a refusal would have been raised
        return signed_in

    # --- parts that a passkey finishes with too

    def account_of(self, token: str) -> UUID:
        """Whose sign-in it is. Raises InvalidCredentials."""
        account_id = self._load(token).state.account_id
        if account_id is None:
            raise InvalidCredentials("There is no such sign-in.")
        return account_id

    def counter(self, account_id: UUID, method: Method, device: str | None) -> Counter:
        """The counter of a method, the device's own if the device signed in before."""
        known = self._sessions.devices.known(device, account_id)
        if known is None:
            return Counter(account_id, method)
        return Counter(account_id, method, "device", known)

    def resume(self, token: str, device: str | None, now: int) -> Resumed:
        """A sign-in that can be finished now: everything is asked again.

        Raises InvalidCredentials for one that cannot.
        """
        loaded = self._load(token)
        account_id = loaded.state.account_id
        account = None if account_id is None else self._app.access.account(account_id, now)
        if account_id is None or account is None:
            raise InvalidCredentials("There is no such sign-in.")
        password_id = password.stream_id(account_id)
        tries = self._tries.load(self.counter(account_id, "password", device))
        standing = Standing(
            active=account.status == "active",
            epoch=account.epoch,
            password_version=self._app.version(password_id),
            password_locked=tries.state.locked(now),
        )
        challenge.check(loaded.state, standing, now)
        expected = {
            account_id: account.version,
            password_id: loaded.state.password_version,
            tries.stream_id: tries.version,
        }
        return Resumed(loaded, account, expected)

    def complete(
        self, resumed: Resumed, proof: Proof, delivery: Delivery, now: int
    ) -> tuple[list[Entry], SignedIn]:
        """The entries that end the challenge and open the session.

        The challenge's next version can be written once, so it opens one session at most.
        """
        state, account = resumed.loaded.state, resumed.account
        done = MfaCompleted(account_id=account.account_id, method=proof.method)
        sign_in = SignIn(
            account_id=account.account_id,
            epoch=account.epoch,
            roles=account.roles,
            origin="login",
            proofs=(*state.proofs, proof),
            delivery=delivery,
            failures_before=state.failures_before,
        )
        opened, signed_in = self._sessions.open(sign_in, now)
        return resumed.loaded.entries([done]) + opened, signed_in

    def identify(self, token: str) -> UUID:
        """The challenge of an authentic token. Raises InvalidCredentials."""
        public = self._tokens.open(token)
        if public is None:
            raise InvalidCredentials("This MFA token was not issued here.")
        return UUID(bytes=public)

    # --- details

    def _load(self, token: str) -> Loaded[Challenge]:
        return self._app.load(self.identify(token), Challenge(), challenge.evolve, of="mfa")
