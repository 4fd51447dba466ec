"""A person registers, lists and removes passkeys (WebAuthn Level 3, section 7.1)."""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain import passkey, proofs
from gatebook.domain.application.added_factors import AddedFactors
from gatebook.domain.application.browser import BrowserSession
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.passkey_challenges import PasskeyChallenges
from gatebook.domain.application.second_factors import SecondFactors
from gatebook.domain.ceremonies import Attested, Ceremonies, ShownAttestation
from gatebook.domain.envelope import Entry
from gatebook.domain.errors import Conflict, InvalidCredentials, InvalidValue, NotFound
from gatebook.domain.passkey import Passkey, PasskeyName, PasskeyRegistered, PasskeyRemoved, Uses

NO_RELYING_PARTY = (
    "Passkeys need a host name: set [server] public_url, or [webauthn] rp_id, to a name; "
    "an IP address is none."
)

DEFAULT_NAME = "Passkey"


class RegistrationOffer(msgspec.Struct, frozen=True):
    """What a browser needs to make a passkey for an account."""

    challenge: bytes
    account_id: UUID
    username: str
    excluded: list[Passkey]


class PasskeyView(msgspec.Struct, frozen=True):
    """A passkey as its owner sees it. Times in microseconds."""

    id: UUID
    name: str
    created_at: int
    last_used_at: int | None
    backed_up: bool


class Passkeys:
    """The commands on one's own passkeys. `ceremonies` is None without a relying party."""

    def __init__(
        self,
        app: Gatebook,
        second_factors: SecondFactors,
        added: AddedFactors,
        challenges: PasskeyChallenges,
        ceremonies: Ceremonies | None,
    ) -> None:
        self._app = app
        self._factors = second_factors
        self._added_factors = added
        self._challenges = challenges
        self._ceremonies = ceremonies

    @property
    def ceremonies(self) -> Ceremonies:
        """How passkeys are verified here. Raises Conflict when there is no relying party."""
        if self._ceremonies is None:
            raise Conflict(NO_RELYING_PARTY)
        return self._ceremonies

    def offer(self, by: By) -> RegistrationOffer:
        """The options of a registration; the challenge is bound to the caller's session."""
        now = self._app.clock.now()
        _ = self.ceremonies
        account_id = self._factors.changer(by, now)
        account = self._app.access.account(account_id, now)
        return RegistrationOffer(
            challenge=self._challenges.fresh("register", by.session_id, now),
            account_id=account_id,
            username=(account.username if account is not None else None) or "",
            excluded=self.held(account_id),
        )

    def register(
        self, by: By, shown: ShownAttestation, name: str
    ) -> tuple[PasskeyView, BrowserSession | None]:
        """Adds a passkey. Raises InvalidValue for a response that is refused.

        A session in a browser goes on under a new id, which is returned.
        """
        wanted = _checked_name(name or DEFAULT_NAME)
        ceremonies = self.ceremonies

        def decide(now: int) -> Decision[tuple[PasskeyView, BrowserSession | None]]:
            account_id = self._factors.changer(by, now)
            try:
                challenge = ceremonies.challenge_of(shown.client_data)
                entries = self._challenges.spend(
                    challenge, "register", by.session_id, account_id, now
                )
                attested = ceremonies.attested(shown)
                if not attested.user_verified:  # section 7.1, step 16
                    raise InvalidCredentials("The device did not verify its user.")
            except InvalidCredentials as refusal:
                raise InvalidValue(refusal.detail, "/credential") from refusal
            was_due = self._factors.load(account_id).state.due
            entries += self._added(account_id, shown, attested, wanted)
            view = PasskeyView(
                id=passkey.stream_id(shown.credential_id),
                name=wanted,
                created_at=now,
                last_used_at=None,
                backed_up=attested.backed_up,
            )
            proof = proofs.passkey(verified=attested.user_verified, synced=attested.backup_eligible)
            settled, reissued = self._added_factors.settle(
                by, account_id, proof, now, was_due=was_due
            )
            return Decision((view, reissued), entries + settled, subject=account_id)

        return self._app.run(by, decide)

    def remove(self, by: By, passkey_id: UUID) -> None:
        """Removes one of one's own. Raises NotFound."""

        def decide(now: int) -> Decision[None]:
            account_id = self._factors.changer(by, now)
            entries = self.removed(account_id, passkey_id, "owner")
            if not entries:
                raise NotFound("There is no such passkey.")
            return Decision(None, entries, subject=account_id)

        self._app.run(by, decide)

    # --- parts that other families use

    def load(self, passkey_id: UUID) -> Loaded[Passkey]:
        """A passkey by the id of its stream."""
        return self._app.load(passkey_id, Passkey(), passkey.evolve, of="passkey")

    def uses(self, loaded: Loaded[Passkey]) -> Loaded[Uses]:
        """What its last use left; before the first, what its registration said."""
        stream_id = passkey.uses_id(loaded.state.credential_id)
        initial = loaded.state.first or Uses()
        return self._app.tail(stream_id, passkey.USES_TAIL, initial, passkey.evolve_uses)

    def held(self, account_id: UUID) -> list[Passkey]:
        """The passkeys of an account."""
        ids = self._factors.load(account_id).state.passkeys
        return [self.load(passkey.stream_id(one)).state for one in ids]

    def views(self, account_id: UUID) -> list[PasskeyView]:
        """An account's passkeys as their owner sees them, oldest first."""
        found = []
        for one in self.held(account_id):
            passkey_id = passkey.stream_id(one.credential_id)
            loaded = self.load(passkey_id)
            created = self._app.event_log.stream(passkey_id)[0].metadata.at
            found.append(
                PasskeyView(
                    id=passkey_id,
                    name=one.name or DEFAULT_NAME,
                    created_at=created,
                    last_used_at=self.last_used_at(one.credential_id),
                    backed_up=self.uses(loaded).state.backed_up,
                )
            )
        return found

    def last_used_at(self, credential_id: bytes) -> int | None:
        """When somebody last signed in with it (microseconds)."""
        newest = self._app.event_log.last(passkey.uses_id(credential_id), 2)
        used = [one for one in newest if isinstance(one.event, passkey.PasskeyUsed)]
        return used[-1].metadata.at if used else None

    def removed(self, account_id: UUID, passkey_id: UUID, cause: str) -> list[Entry]:
        """The entries that remove a passkey of an account; none when it has no such one."""
        loaded, held = self.load(passkey_id), self._factors.load(account_id)
        if not loaded.state.live or loaded.state.account_id != account_id:
            return []
        gone = loaded.state.credential_id
        rest = tuple(one for one in held.state.passkeys if one != gone)
        wanted = msgspec.structs.replace(held.state, passkeys=rest)
        entries = loaded.entries([PasskeyRemoved(account_id=account_id, cause=cause)])
        return entries + self._factors.changed(account_id, held, wanted)

    # --- details

    def _added(
        self, account_id: UUID, shown: ShownAttestation, attested: Attested, name: str
    ) -> list[Entry]:
        held = self._factors.load(account_id)
        if len(held.state.passkeys) >= passkey.MOST:
            raise Conflict(f"An account has at most {passkey.MOST} passkeys. Remove one first.")
        loaded = self.load(passkey.stream_id(shown.credential_id))
        if loaded.version:  # section 7.1, step 27; a removed one does not come back either
            raise Conflict("This passkey was registered before.")
        event = PasskeyRegistered(
            account_id=account_id,
            named=PasskeyName(name),
            credential_id=shown.credential_id,
            public_key=attested.public_key,
            sign_count=attested.sign_count,
            backup_eligible=attested.backup_eligible,
            backed_up=attested.backed_up,
            user_verified=attested.user_verified,
            aaguid=attested.aaguid,
            attestation=attested.attestation,
            transports=shown.transports,
        )
        passkeys = (*held.state.passkeys, shown.credential_id)
        wanted = msgspec.structs.replace(held.state, passkeys=passkeys)
        return loaded.entries([event]) + self._factors.changed(account_id, held, wanted)


def _checked_name(name: str) -> str:
    if len(name) > passkey.LONGEST_NAME or not name.isprintable():
        raise InvalidValue(
            f"A name has at most {passkey.LONGEST_NAME} printable characters.", "/name"
        )
    return name
