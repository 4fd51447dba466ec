"""Minting, renewing and revoking tokens."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

import msgspec

from gatebook.domain import session, signing_keys, token
from gatebook.domain.application.accounts import Accounts
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.envelope import account_actor
from gatebook.domain.errors import (
    Conflict,
    InvalidCredentials,
    InvalidValue,
    NotFound,
    StoreUnavailable,
)
from gatebook.domain.ports import Claims

SECOND = 1_000_000
REFRESH = re.compile(r"gbr_[A-Za-z0-9_-]{70}", re.ASCII)
SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*", re.ASCII)
"""RFC 6749, section 3.3."""


class TokenPair(msgspec.Struct, frozen=True):
    """What a sign-in or a renewal gives."""

    access_token: str
    expires_in: int
    refresh_token: str
    account_id: UUID
    session_id: UUID


class IssuedToken(msgspec.Struct, frozen=True):
    """A token for a system account."""

    token: str
    jti: UUID
    expires_in: int
    account_id: UUID


class TokenFamilies:
    """Mints the pairs of a session."""

    def __init__(self, app: Gatebook) -> None:
        self._app = app

    def signing_key(self, now: int) -> signing_keys.Key:
        """The key that signs now."""
        ring = self._app.load(signing_keys.STREAM_ID, signing_keys.Ring(), signing_keys.evolve)
        key = ring.state.signing(now)
        if key is None:
            raise StoreUnavailable("There is no signing key. Run: gatebook key rotate-signing")
        return key

    def next_pair(self, now: int) -> tuple[session.Tokens, signing_keys.Key]:
        """A pair to come, and the key to sign it with. Nothing is signed yet."""
        policy = self._app.policy
        key = self.signing_key(now)
        tokens = session.Tokens(
            jti=self._app.ids.ordered(),
            kid=key.kid,
            access_expires_at=_whole(now + policy.access_lifetime),
            refresh_expires_at=now + policy.refresh_lifetime,
        )
        return tokens, key

    def render(
        self,
        session_id: UUID,
        rotation: int,
        account_id: UUID,
        roles: list[str],
        tokens: session.Tokens,
        key: signing_keys.Key,
        *,
        amr: tuple[str, ...],
        auth_time: int,
        now: int,
    ) -> TokenPair:
        """Signs and derives what the caller gets."""
        configuration = self._app.configuration
        claims = Claims(
            iss=configuration.issuer,
            sub=str(account_id),
            aud=configuration.audience,
            exp=tokens.access_expires_at // SECOND,
            iat=now // SECOND,
            nbf=now // SECOND,
            jti=str(tokens.jti),
            client_id="gatebook",
            roles=roles,
            sid=str(session_id),
            amr=list(amr),
            auth_time=auth_time // SECOND,
        )
        return TokenPair(
            access_token=self._app.signer.sign(claims, key.kid, key.algorithm),
            expires_in=(tokens.access_expires_at - now) // SECOND,
            refresh_token=self.refresh_token(session_id, rotation),
            account_id=account_id,
            session_id=session_id,
        )

    def refresh_token(self, session_id: UUID, rotation: int) -> str:
        """`gbr_` and base64url of session id, rotation and their MAC: nothing to store."""
        public = session_id.bytes + rotation.to_bytes(4, "big")
        mac = self._app.keys.derive("refresh", public)
        return "gbr_" + urlsafe_b64encode(public + mac).rstrip(b"=").decode()

    def open_refresh_token(self, presented: str) -> tuple[UUID, int]:
        """The session and rotation of an authentic token. Raises InvalidCredentials."""
        if REFRESH.fullmatch(presented) is None:
            raise InvalidCredentials("This is not a refresh token.")
        raw = urlsafe_b64decode(presented[4:] + "==")
        session_id, rotation = UUID(bytes=raw[:16]), int.from_bytes(raw[16:20], "big")
        if not hmac.compare_digest(self.refresh_token(session_id, rotation), presented):
            raise InvalidCredentials("This refresh token was not issued here.")
        return session_id, rotation


class Tokens:
    """The token commands."""

    def __init__(self, app: Gatebook, accounts_: Accounts, families: TokenFamilies) -> None:
        self._app = app
        self._accounts = accounts_
        self._families = families

    def renew(self, by: By, refresh_token: str) -> TokenPair:
        """Swaps a refresh token for the next pair; one used before ends its whole family."""
        session_id, rotation = self._families.open_refresh_token(refresh_token)

        def decide(now: int) -> Decision[TokenPair | None]:
            loaded = self._app.load(session_id, session.Session(), session.evolve)
            account_id = loaded.state.account_id
            if account_id is None:
                raise InvalidCredentials("There is no such session.")
            account = self._app.access.account(account_id, now)
            if account is None:
                raise InvalidCredentials("There is no such account.")
            pair, key = self._families.next_pair(now)
            command = session.Renew(rotation, pair, account.epoch, account.status == "active", now)
            events = session.renew(command, loaded.state)
            entries = loaded.entries(events)
            if not isinstance(events[0], session.SessionRotated):
                refusal = InvalidCredentials("The refresh token was used before.")
                return Decision(None, entries, refusal, subject=account_id)
            rendered = self._families.render(
                session_id,
                rotation + 1,
                account_id,
                account.roles,
                pair,
                key,
                amr=loaded.state.amr,
                auth_time=loaded.state.auth_time,
                now=now,
            )
            actor = account_actor(account_id)
            expected = {account_id: account.version}
            return Decision(rendered, entries, subject=account_id, actor=actor, expected=expected)

        renewed = self._app.run(by, decide)
        assert renewed is not None  # a refusal would have been raised
        return renewed

    def issue(
        self,
        by: By,
        account_id: UUID,
        *,
        expires_in: int | None = None,
        scope: str = "",
        audience: str | None = None,
    ) -> IssuedToken:
        """Mints a token for an active system account. `expires_in` in seconds."""
        longest = self._app.policy.system_lifetime_max // SECOND
        lifetime = min(longest, 3600) if expires_in is None else expires_in
        if not 1 <= lifetime <= longest:
            raise InvalidValue(f"expires_in is 1 to {longest} seconds.", "/expires_in")
        if scope and SCOPE.fullmatch(scope) is None:
            raise InvalidValue("scope is a list of names, one space between.", "/scope")

        def decide(now: int) -> Decision[IssuedToken]:
            loaded = self._accounts.load_for_change(by, account_id, now, None)
            if loaded.state.kind != "system":
                raise Conflict("Tokens are issued for system accounts; people sign in.")
            if loaded.state.status != "active":
                raise Conflict(f"The account is {loaded.state.status}.")
            live = self._app.access.account(account_id, now)
            jti, key = self._app.ids.ordered(), self._families.signing_key(now)
            expires_at = _whole(now + lifetime * SECOND)
            issued = token.TokenIssued(
                account_id=account_id,
                epoch=loaded.state.epoch,
                kid=key.kid,
                expires_at=expires_at,
                audience=audience or self._app.configuration.audience,
                scope=scope,
            )
            claims = Claims(
                iss=self._app.configuration.issuer,
                sub=str(account_id),
                aud=issued.audience,
                exp=expires_at // SECOND,
                iat=now // SECOND,
                nbf=now // SECOND,
                jti=str(jti),
                client_id=str(account_id),
                scope=scope,
                roles=live.roles if live is not None else [],
            )
            signed = self._app.signer.sign(claims, key.kid, key.algorithm)
            result = IssuedToken(signed, jti, (expires_at - now) // SECOND, account_id)
            entries = Loaded(jti, 0, token.Token()).entries([issued])
            expected = {account_id: loaded.loaded.version}
            return Decision(result, entries, subject=account_id, expected=expected)

        return self._app.run(by, decide)

    def revoke(self, by: By, jti: UUID) -> None:
        """Revokes one token by its id. Again is not an error. Raises NotFound."""

        def decide(now: int) -> Decision[None]:
            loaded = self._app.load(jti, token.Token(), token.evolve, of="token")
            owner = self._app.access.token_owner(jti)
            if loaded.version == 0 and owner is None:
                raise NotFound("There is no such token.")
            account_id, session_id = owner or (loaded.state.account_id, None)
            if account_id is None:
                raise NotFound("There is no such token.")
            self._accounts.load_for_change(by, account_id, now, None)
            return Decision(
                None, loaded.entries(token.revoke(account_id, session_id, loaded.state))
            )

        self._app.run(by, decide)

    def revoke_all(self, by: By, account_id: UUID) -> None:
        """Ends every session and token of an account issued until now."""

        def decide(now: int) -> Decision[None]:
            self._accounts.load_for_change(by, account_id, now, None)
            return Decision(None, self._accounts.end_all(account_id, now))

        self._app.run(by, decide)

    def prune(self, by: By, before: int) -> None:
        """Lets tokens that expired before an instant leave the read models. The log keeps them."""

        def decide(now: int) -> Decision[None]:
            if before > now:
                raise InvalidValue("Only tokens that have expired can be pruned.", "/before")
            event = token.TokensPruned(before=before)
            loaded = self._app.tail(token.PRUNING_STREAM_ID, 1, None, lambda s, _e: s)
            return Decision(None, loaded.entries([event]))

        self._app.run(by, decide)


def _whole(at: int) -> int:
    """Rounded down to a whole second, as the token itself says it."""
    return at // SECOND * SECOND
