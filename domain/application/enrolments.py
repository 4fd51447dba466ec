"""A person adds and removes one-time codes, and has recovery codes made."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import msgspec

from gatebook.domain import password, recovery_codes, totp
from gatebook.domain.application.added_factors import AddedFactors
from gatebook.domain.application.browser import BrowserSession
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.fresh import person
from gatebook.domain.application.second_factors import Checked, GivenCode, SecondFactors
from gatebook.domain.application.tries import Tries
from gatebook.domain.attempts import Counter, Method
from gatebook.domain.errors import Conflict, InvalidCredentials, NotFound, StaleSignIn
from gatebook.domain.ports import Plaintext
from gatebook.domain.proofs import AAL2, TOTP
from gatebook.domain.recovery_codes import CodeHashes
from gatebook.domain.totp import TotpSecret

_LOCKED = "Too many wrong guesses; it is locked."


class OfferedTotp(msgspec.Struct, frozen=True):
    """A secret to put into an authenticator app, shown once."""

    key: bytes
    username: str


class Enrolments:
    """The commands on one's own codes."""

    def __init__(self, app: Gatebook, second_factors: SecondFactors, added: AddedFactors) -> None:
        self._app = app
        self._added = added
        self._factors = second_factors
        self._tries = Tries(app)

    def offer_totp(self, by: By) -> OfferedTotp:
        """Offers a secret, in place of one that still waits for its confirmation."""
        key = self._app.ids.secret(totp.KEY_BYTES)

        def decide(now: int) -> Decision[OfferedTotp]:
            account_id = self._factors.changer(by, now)
            account = self._app.access.account(account_id, now)
            username = account.username if account is not None else None
            event = totp.TotpOffered(
                account_id=account_id,
                secret=TotpSecret(key),
                expires_at=now + totp.OFFERED_FOR,
            )
            entries = self._factors.offer(account_id).entries([event])
            return Decision(OfferedTotp(key, username or ""), entries, subject=account_id)

        return self._app.run(by, decide)

    def confirm_totp(self, by: By, code: str) -> BrowserSession | None:
        """Puts the offered secret in force, in place of any before, for whoever knows its code.

        A wrong code is a guess, and counts as one at a sign-in does. The session is worth more
        from then on; a browser's goes on under a new id, which is returned.
        """
        reissued: BrowserSession | None = None

        def look(account_id: UUID, now: int) -> Checked:
            nonlocal reissued
            self._factors.changer(by, now)
            offer, loaded = self._factors.offer(account_id), self._factors.totp(account_id)
            key = totp.pending(offer.state, offer.version, loaded.state, now)
            if key is None:
                raise Conflict("No secret waits for its confirmation. Ask for one first.")
            step = self._factors.codes.matching_step(key, code, now)
            if step is None:
                return Checked("wrong-code")
            confirmed = totp.TotpConfirmed(
                account_id=account_id, secret=TotpSecret(key), step=step, offer=offer.version
            )
            used = totp.TotpUsed(account_id=account_id, step=step)
            held = self._factors.load(account_id)
            wanted = msgspec.structs.replace(held.state, totp=True)
            entries = loaded.entries([confirmed])
            entries += self._factors.uses(account_id).entries([used])
            entries += self._factors.changed(account_id, held, wanted)
            settled, reissued = self._added.settle(
                by, account_id, TOTP, now, was_due=held.state.due
            )
            return Checked(None, entries + settled, {offer.stream_id: offer.version})

        self._guess(by, "totp", look)
        return reissued

    def remove_totp_by_code(self, by: By, code: str) -> None:
        """Removes one's own secret, for whoever knows its code. Raises NotFound without one."""

        def look(account_id: UUID, now: int) -> Checked:
            if self._factors.totp(account_id).state.key is None:
                raise NotFound("There is no TOTP secret to remove.")
            checked = self._factors.check(account_id, GivenCode("totp", code), now)
            if checked.cause is not None:
                return checked
            removed = self._factors.removed_totp(account_id, "owner")
            return Checked(None, checked.entries + removed)

        self._guess(by, "totp", look)

    def remove_totp_by_password(self, by: By, plaintext: Plaintext) -> None:
        """The same for whoever knows the password, and signed in with a second factor.

        Raises StaleSignIn for whoever did not: the first factor must not remove the second.
        """
        verified: dict[int, bool] = {}

        def look(account_id: UUID, _now: int) -> Checked:
            if self._factors.totp(account_id).state.key is None:
                raise NotFound("There is no TOTP secret to remove.")
            if by.acr != AAL2:
                raise StaleSignIn("Sign in with the second factor first, or send its code.")
            held = self._password(account_id)
            if held.version not in verified:
                verified[held.version] = plaintext.matches(held.state.phc)
            if not verified[held.version]:
                return Checked("wrong-password" if held.state.phc else "no-password")
            removed = self._factors.removed_totp(account_id, "owner")
            return Checked(None, removed, {held.stream_id: held.version})

        self._guess(by, "password", look)

    def generate_recovery_codes(self, by: By) -> list[str]:
        """Ten new codes, shown once; the former ones are void."""
        made = [
            recovery_codes.code(self._app.ids.secret(recovery_codes.CODE_BYTES))
            for _ in range(recovery_codes.COUNT)
        ]

        def decide(now: int) -> Decision[list[str]]:
            account_id = self._factors.changer(by, now)
            loaded, held = self._factors.recovery(account_id), self._factors.load(account_id)
            typed = [recovery_codes.normalised(one) for one in made]
            hashes = tuple(self._factors.hashed(account_id, one) for one in typed if one)
            event = recovery_codes.RecoveryCodesGenerated(
                account_id=account_id, secret=CodeHashes(hashes)
            )
            wanted = msgspec.structs.replace(held.state, recovery_codes=len(hashes))
            entries = loaded.entries([event]) + self._factors.changed(account_id, held, wanted)
            return Decision(made, entries, subject=account_id)

        return self._app.run(by, decide)

    # --- details

    def _guess(
        self,
        by: By,
        method: Method,
        look: Callable[[UUID, int], Checked],
    ) -> None:
        """A guess at a secret of one's own: counted, and refused unread while locked.

        `look` says why it was wrong, or what its success records.
        """
        if by.account_id is None:
            raise InvalidCredentials("Nobody is signed in.")
        counter = Counter(by.account_id, method)

        def decide(now: int) -> Decision[None]:
            account_id = person(self._app, by, now)
            tries = self._tries.load(counter)
            if tries.state.locked(now):
                return self._tries.refused(counter, tries, now, InvalidCredentials(_LOCKED))
            checked = look(account_id, now)
            if checked.cause is not None:
                failed = self._tries.failed(counter, tries, checked.cause, now)
                refusal = InvalidCredentials("It is wrong.")
                return Decision(None, failed, refusal, subject=account_id)
            cleared = self._tries.cleared(counter, tries, "success")
            entries = cleared + checked.entries
            expected = checked.expected | {tries.stream_id: tries.version}
            return Decision(None, entries, subject=account_id, expected=expected)

        with self._tries.reserved(counter):
            self._app.run(by, decide)

    def _password(self, account_id: UUID) -> Loaded[password.Password]:
        stream_id = password.stream_id(account_id)
        return self._app.tail(stream_id, password.TAIL, password.Password(), password.evolve)
