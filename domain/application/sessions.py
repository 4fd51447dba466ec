"""Sessions: opened by a sign-in that is complete, renewed by their refresh tokens, ended."""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain import session
from gatebook.domain.application.accounts import Accounts
from gatebook.domain.application.browser import Browser, BrowserSession
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.devices import Devices
from gatebook.domain.application.families import SECOND, TokenFamilies, TokenPair
from gatebook.domain.envelope import Entry, account_actor
from gatebook.domain.errors import Conflict, InvalidCredentials, NotFound
from gatebook.domain.proofs import Proof, raised
from gatebook.domain.session import Opening, Origin, Session

GRACE = 10 * SECOND
"""How long the client that lost the answer to a renewal may ask for it again. Microseconds."""

SignedIn = TokenPair | BrowserSession


class Delivery(msgspec.Struct, frozen=True):
    """How a session is handed over: as tokens, bound to the key `jkt` if any, or as a cookie.

    `held` is the session cookie that the browser had before: that session ends.
    """

    browser: bool = False
    jkt: str = ""
    held: str | None = None


class SignIn(msgspec.Struct, frozen=True):
    """A sign-in that is complete: whose, how it was proved, how it is handed over."""

    account_id: UUID
    epoch: int
    roles: list[str]
    origin: Origin
    proofs: tuple[Proof, ...]
    delivery: Delivery = Delivery()
    failures_before: int = 0


class Sessions:
    """The session commands."""

    def __init__(self, app: Gatebook, accounts_: Accounts, families: TokenFamilies) -> None:
        self._app = app
        self._accounts = accounts_
        self._families = families
        self.browser = Browser(app)
        self.devices = Devices(app)

    def open(self, sign_in: SignIn, now: int) -> tuple[list[Entry], SignedIn]:
        """The entries of a sign-in that succeeded, and what it gives."""
        app, browser = self._app, sign_in.delivery.browser
        session_id = app.ids.ordered()
        lifetime = app.policy.session_absolute if browser else app.policy.refresh_lifetime
        opening = Opening(
            account_id=sign_in.account_id,
            epoch=sign_in.epoch,
            origin=sign_in.origin,
            proofs=sign_in.proofs,
            at=now,
            lifetime=lifetime,
            failures_before=sign_in.failures_before,
            policy=app.policy_version,
            idle=app.policy.session_idle if browser else None,
            tokens=None if browser else self._families.next_tokens(now, now + lifetime),
            jkt=sign_in.delivery.jkt,
        )
        entries = Loaded(session_id, 0, session.Session()).entries(session.begin(opening))
        signed_in: SignedIn
        if browser:
            signed_in = self.browser.session(session_id, sign_in.account_id, lifetime // SECOND)
        else:
            state = _folded(entries)
            signed_in = self._families.render(session_id, state, sign_in.roles, now, issued_at=now)
        device = self.devices.fresh(sign_in.account_id)
        entries += self._replaced(sign_in.delivery)
        return entries, msgspec.structs.replace(signed_in, device=device)

    def reissue(
        self, by: By, now: int, *, epoch: int | None = None
    ) -> tuple[list[Entry], BrowserSession | None]:
        """The caller's session under a new id, at a raise of privilege, if it is a browser's.

        The old id is dead from then on, and the times of the session stay. `epoch`: the account's,
        when the same append changes it. Nothing, and None, for a caller without a session cookie.
        """
        if by.presented is None or by.presented[0] != "session":
            return [], None
        loaded = self._app.session(by.presented[1])
        return self._reissued(loaded, loaded.state, now, epoch)

    def raised(
        self, by: By, proof: Proof, now: int, *, epoch: int | None = None
    ) -> tuple[list[Entry], BrowserSession | None]:
        """The caller's session, worth more by a proof. A browser's goes on under a new id.

        `epoch`: the account's, when the same append changes it.
        """
        if by.session_id is None:
            return [], None
        loaded = self._app.session(by.session_id)
        amr, acr = raised(loaded.state.amr, loaded.state.acr, proof)
        worth = msgspec.structs.replace(loaded.state, amr=amr, acr=acr)
        if by.presented is not None and by.presented[0] == "session":
            return self._reissued(loaded, worth, now, epoch)
        events = session.keep(epoch, loaded.state) if epoch is not None else []
        return loaded.entries([*events, *session.raise_to(proof, loaded.state)]), None

    def renew(self, by: By, refresh_token: str, *, jkt: str = "") -> TokenPair:
        """Swaps a refresh token for the next pair; one used before ends its whole family.

        The same client may ask again within ten seconds, and gets the same pair: it cannot know
        whether a lost answer was given. `jkt` is the key that the caller proved to have.
        """
        session_id, rotation = self._families.open_refresh_token(refresh_token)

        def decide(now: int) -> Decision[TokenPair | None]:
            loaded = self._app.session(session_id)
            state = loaded.state
            account_id = state.account_id
            if account_id is None:
                raise InvalidCredentials("There is no such session.")
            if state.jkt != jkt:
                raise InvalidCredentials("The refresh token is bound to another key.")
            account = self._app.access.account(account_id, now)
            if account is None:
                raise InvalidCredentials("There is no such account.")
            counts = account.status == "active" and account.epoch == state.epoch and state.live
            if counts and rotation == state.rotations - 1 and now < state.expires_at:
                at = self._rotated_for(by, session_id, now)
                if at is not None:
                    pair = self._families.render(
                        session_id, state, account.roles, now, issued_at=at
                    )
                    return Decision(pair, subject=account_id)
            command = session.Renew(
                rotation=rotation,
                successor=self._families.next_tokens(now, state.expires_at),
                account_epoch=account.epoch,
                account_active=account.status == "active",
                at=now,
            )
            events = session.renew(command, state)
            entries = loaded.entries(events)
            if not isinstance(events[0], session.SessionRotated):
                refusal = InvalidCredentials("The refresh token was used before.")
                return Decision(None, entries, refusal, subject=account_id)
            after = session.evolve(state, events[0])
            return Decision(
                self._families.render(session_id, after, account.roles, now, issued_at=now),
                entries,
                subject=account_id,
                actor=account_actor(account_id),
                expected={account_id: account.version},
            )

        renewed = self._app.run(by, decide)
        assert renewed is not None  # a refusal would have been raised
        return renewed

    def logout(self, by: By, *, everywhere: bool) -> None:
        """Ends the caller's session, or all of the account's."""
        account_id, session_id = by.account_id, by.session_id
        if account_id is None:
            raise InvalidCredentials("Nobody is signed in.")

        def decide(now: int) -> Decision[None]:
            if everywhere or session_id is None:
                return Decision(None, self._accounts.end_all(account_id, now))
            return Decision(None, self.ended(session_id, "logout"))

        self._app.run(by, decide)

    def end(self, by: By, account_id: UUID, session_id: UUID) -> None:
        """Ends one session of an account. Raises NotFound when it is not that account's."""

        def decide(now: int) -> Decision[None]:
            loaded = self._app.session(session_id)
            if loaded.state.account_id != account_id:
                raise NotFound("There is no such session.")
            self._accounts.load_for_change(by, account_id, now, None, own=True)
            return Decision(None, loaded.entries(session.end("revoked", loaded.state)))

        self._app.run(by, decide)

    def end_others(self, by: By) -> None:
        """Ends whatever was issued for the caller's account, but for the session he calls from."""
        account_id, session_id = by.account_id, by.session_id
        if account_id is None or session_id is None:
            raise Conflict("Only who calls from a session has others.")

        def decide(now: int) -> Decision[None]:
            entries = self._accounts.end_all(account_id, now)
            current = self._app.session(session_id)
            kept = current.entries(session.keep(by.epoch + 1, current.state))
            return Decision(None, entries + kept)

        self._app.run(by, decide)

    def end_idle(self, by: By, session_id: UUID) -> None:
        """Ends a browser's session that was not used for too long, once."""
        self._app.run(by, lambda _now: Decision(None, self.ended(session_id, "idle")))

    def ended(self, session_id: UUID, cause: session.EndCause) -> list[Entry]:
        """The entries that end a session, if it lives."""
        loaded = self._app.session(session_id)
        return loaded.entries(session.end(cause, loaded.state))

    def _replaced(self, delivery: Delivery) -> list[Entry]:
        """A sign-in in a browser ends the session it had: no id lives through a sign-in."""
        if not delivery.browser or delivery.held is None:
            return []
        try:
            held = self.browser.open_cookie(delivery.held)
        except InvalidCredentials:
            return []
        return self.ended(held, "replaced")

    def _reissued(
        self, loaded: Loaded[Session], goes_on_as: Session, now: int, epoch: int | None
    ) -> tuple[list[Entry], BrowserSession | None]:
        state = loaded.state
        opened = session.reissue(state.epoch if epoch is None else epoch, goes_on_as)
        if not opened or state.account_id is None:
            return [], None
        session_id = self._app.ids.ordered()
        entries = Loaded(session_id, 0, session.Session()).entries(opened)
        entries += loaded.entries(session.end("reissued", state))
        seconds = max(1, (state.expires_at - now) // SECOND)
        return entries, self.browser.session(session_id, state.account_id, seconds)

    def _rotated_for(self, by: By, session_id: UUID, now: int) -> int | None:
        """When the last rotation was, if it was just now and for this very client."""
        newest = self._app.event_log.last(session_id, 1)
        if not newest or not isinstance(newest[0].event, session.SessionRotated):
            return None
        envelope = newest[0].metadata
        # It may have been decided a moment after this one was begun: then its instant is the later.
        if not -GRACE < now - envelope.at < GRACE or by.source is None or not envelope.source:
            return None
        source = self._app.keys.open_source(
            envelope.source_subject, envelope.source, envelope.request_id
        )
        return envelope.at if source == by.source else None


def _folded(entries: list[Entry]) -> session.Session:
    state = session.Session()
    for entry in entries:
        state = session.evolve(state, entry.event)  # type: ignore[arg-type]  # of this stream
    return state
