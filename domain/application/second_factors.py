"""One-time codes and recovery codes: what a code is checked against, and how the factor changes."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from gatebook.domain import factors, recovery_codes, totp
from gatebook.domain.application.core import By, Gatebook, Loaded
from gatebook.domain.application.fresh import fresh_person
from gatebook.domain.attempts import Cause
from gatebook.domain.envelope import Entry
from gatebook.domain.factors import Factors
from gatebook.domain.ports import Codes
from gatebook.domain.proofs import RECOVERY_CODE, TOTP, Proof
from gatebook.domain.recovery_codes import RecoveryCodes
from gatebook.domain.totp import Offer, Totp, Uses

CodeMethod = Literal["totp", "recovery-code"]


class GivenCode(msgspec.Struct, frozen=True):
    """A code that somebody typed."""

    method: CodeMethod
    code: str

    @property
    def proof(self) -> Proof:
        """What it proves if it is right."""
        return TOTP if self.method == "totp" else RECOVERY_CODE


class Checked(msgspec.Struct, frozen=True):
    """What came of checking a code. `cause` None: it was right, and `entries` spend it."""

    cause: Cause | None
    entries: list[Entry] = []
    expected: dict[UUID, int] = {}


class SecondFactors:
    """The factors of accounts, as the commands of this package use them."""

    def __init__(self, app: Gatebook, codes: Codes) -> None:
        self._app = app
        self.codes = codes

    # --- reading

    def load(self, account_id: UUID) -> Loaded[Factors]:
        """Which factors an account has."""
        stream_id = factors.stream_id(account_id)
        return self._app.tail(stream_id, factors.TAIL, Factors(), factors.evolve)

    def totp(self, account_id: UUID) -> Loaded[Totp]:
        """The secret in force."""
        return self._app.tail(totp.stream_id(account_id), totp.TAIL, Totp(), totp.evolve)

    def offer(self, account_id: UUID) -> Loaded[Offer]:
        """The secret last offered."""
        return self._app.tail(totp.offers_id(account_id), totp.TAIL, Offer(), totp.evolve_offer)

    def uses(self, account_id: UUID) -> Loaded[Uses]:
        """The last step used."""
        return self._app.tail(totp.uses_id(account_id), totp.TAIL, Uses(), totp.evolve_uses)

    def recovery(self, account_id: UUID) -> Loaded[RecoveryCodes]:
        """The recovery codes in force."""
        stream_id = recovery_codes.stream_id(account_id)
        return self._app.tail(
            stream_id, recovery_codes.TAIL, RecoveryCodes(), recovery_codes.evolve
        )

    # --- deciding

    def changer(self, by: By, now: int) -> UUID:
        """The account of a person who may change its factors now. Raises StaleSignIn."""
        due = by.account_id is not None and self.load(by.account_id).state.due
        return fresh_person(self._app, by, now, due=due)

    def check(self, account_id: UUID, given: GivenCode, now: int) -> Checked:
        """Checks a code, and says what spends it.

        Whoever asks holds a reservation of the method's counter, and has found it unlocked.
        """
        if given.method == "totp":
            return self._check_totp(account_id, given.code, now)
        return self._check_recovery_code(account_id, given.code)

    def changed(self, account_id: UUID, held: Loaded[Factors], wanted: Factors) -> list[Entry]:
        """The entry that says which factors there are from now on."""
        return held.entries(factors.become(account_id, wanted, held.state))

    def hashed(self, account_id: UUID, normalised: str) -> bytes:
        """The keyed hash that a recovery code is kept as."""
        return self._app.keys.derive("recovery-code", account_id.bytes, normalised.encode())

    def removed_totp(self, account_id: UUID, cause: str) -> list[Entry]:
        """The entries that remove the secret in force and void what was offered."""
        loaded, held = self.totp(account_id), self.load(account_id)
        if loaded.state.key is None and not held.state.totp:
            return []
        offer = self.offer(account_id).version
        event = totp.TotpRemoved(account_id=account_id, cause=cause, offer=offer)
        wanted = msgspec.structs.replace(held.state, totp=False)
        return loaded.entries([event]) + self.changed(account_id, held, wanted)

    def removed_recovery_codes(self, account_id: UUID, cause: str) -> list[Entry]:
        """The entries that void the set in force."""
        loaded, held = self.recovery(account_id), self.load(account_id)
        if not loaded.state.hashes and held.state.recovery_codes == 0:
            return []
        event = recovery_codes.RecoveryCodesRemoved(account_id=account_id, cause=cause)
        wanted = msgspec.structs.replace(held.state, recovery_codes=0)
        return loaded.entries([event]) + self.changed(account_id, held, wanted)

    # --- details

    def _check_totp(self, account_id: UUID, code: str, now: int) -> Checked:
        loaded, uses = self.totp(account_id), self.uses(account_id)
        if loaded.state.key is None:
            return Checked("no-credential")
        step = self.codes.matching_step(loaded.state.key, code, now)
        if step is None:
            return Checked("wrong-code")
        if step <= uses.state.step:
            return Checked("used-code")
        used = uses.entries([totp.TotpUsed(account_id=account_id, step=step)])
        return Checked(None, used, {loaded.stream_id: loaded.version})

    def _check_recovery_code(self, account_id: UUID, code: str) -> Checked:
        loaded, held = self.recovery(account_id), self.load(account_id)
        if not loaded.state.hashes:
            return Checked("no-credential")
        typed = recovery_codes.normalised(code)
        index = None if typed is None else loaded.state.index(self.hashed(account_id, typed))
        if index is None:
            return Checked("wrong-code")
        if index in loaded.state.used:
            return Checked("used-code")
        used = loaded.entries([recovery_codes.RecoveryCodeUsed(account_id=account_id, index=index)])
        wanted = msgspec.structs.replace(held.state, recovery_codes=loaded.state.left - 1)
        return Checked(None, used + self.changed(account_id, held, wanted))
