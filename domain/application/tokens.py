"""Tokens outside a session: issued, revoked, pruned."""

from __future__ import annotations

import re
from uuid import UUID

import msgspec

from gatebook.domain import token
from gatebook.domain.access import Caller
from gatebook.domain.application.accounts import Accounts
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.families import SECOND, TokenFamilies
from gatebook.domain.envelope import Entry
from gatebook.domain.errors import Conflict, InvalidValue, NotFound
from gatebook.domain.ports import AssertionClaims, Claims
from gatebook.domain.token import whole

SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*", re.ASCII)
"""RFC 6749, section 3.3."""

ASSERTED_FOR = 60
"""Seconds that an assertion lives."""


class IssuedToken(msgspec.Struct, frozen=True):
    """A token for a system account. `expires_in` in seconds."""

    token: str
    token_type: str
    jti: UUID
    expires_in: int
    account_id: UUID
    scope: str


class Minting(msgspec.Struct, frozen=True):
    """A token to be made outside a session. `lifetime` in microseconds.

    Without an audience it is for Gatebook itself; `jkt` names the key it is bound to, if any.
    """

    account_id: UUID
    epoch: int
    roles: list[str]
    lifetime: int
    audience: str | None = None
    scope: str = ""
    jkt: str = ""


class Tokens:
    """The token commands."""

    def __init__(self, app: Gatebook, accounts_: Accounts, families: TokenFamilies) -> None:
        self._app = app
        self._accounts = accounts_
        self._families = families

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
            minting = Minting(
                account_id=account_id,
                epoch=loaded.state.epoch,
                roles=live.roles if live is not None else [],
                lifetime=lifetime * SECOND,
                audience=audience,
                scope=scope,
            )
            entries, issued = self.mint(minting, now)
            expected = {account_id: loaded.loaded.version}
            return Decision(issued, entries, subject=account_id, expected=expected)

        return self._app.run(by, decide)

    def mint(self, minting: Minting, now: int) -> tuple[list[Entry], IssuedToken]:
        """Signs a token, and the entry without which it does not count."""
        configuration, account_id = self._app.configuration, minting.account_id
        jti, key = self._app.ids.ordered(), self._families.signing_key(now)
        expires_at = whole(now + minting.lifetime)
        event = token.TokenIssued(
            account_id=account_id,
            epoch=minting.epoch,
            kid=key.kid,
            expires_at=expires_at,
            audience=minting.audience or configuration.audience,
            scope=minting.scope,
            jkt=minting.jkt,
        )
        claims = Claims(
            iss=configuration.issuer,
            sub=str(account_id),
            aud=event.audience,
            exp=expires_at // SECOND,
            iat=now // SECOND,
            nbf=now // SECOND,
            jti=str(jti),
            client_id=str(account_id),
            scope=minting.scope,
            roles=minting.roles,
            cnf={"jkt": minting.jkt} if minting.jkt else {},
        )
        issued = IssuedToken(
            token=self._app.signer.sign(claims, key.kid, key.algorithm),
            token_type="DPoP" if minting.jkt else "Bearer",
            jti=jti,
            expires_in=(expires_at - now) // SECOND,
            account_id=account_id,
            scope=minting.scope,
        )
        return Loaded(jti, 0, token.Token()).entries([event]), issued

    def assertion(self, caller: Caller, now: int) -> str:
        """What a consumer behind a proxy can verify: who called, just now. It is no token."""
        configuration, key = self._app.configuration, self._families.signing_key(now)
        claims = AssertionClaims(
            iss=configuration.issuer,
            sub=str(caller.account_id),
            aud=configuration.issuer,
            username=caller.username or "",
            roles=caller.roles,
            iat=now // SECOND,
            exp=now // SECOND + ASSERTED_FOR,
            jti=str(self._app.ids.ordered()),
        )
        return self._app.signer.sign_assertion(claims, key.kid, key.algorithm)

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
