"""The pairs of a session: access tokens signed, refresh tokens derived, neither stored."""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain import session, signing_keys
from gatebook.domain.application.core import Gatebook
from gatebook.domain.application.maced import Maced
from gatebook.domain.errors import InvalidCredentials, StoreUnavailable
from gatebook.domain.ports import Claims
from gatebook.domain.proofs import AAL2
from gatebook.domain.token import whole

SECOND = 1_000_000
CLIENT_ID = "gatebook"
"""The client of whoever signs in here himself."""


class TokenPair(msgspec.Struct, frozen=True):
    """What a sign-in or a renewal gives. `expires_in` in seconds."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str
    account_id: UUID
    session_id: UUID
    device: str = ""


class TokenFamilies:
    """Mints the pairs of a session."""

    def __init__(self, app: Gatebook) -> None:
        self._app = app
        self._refresh_tokens = Maced(app, "gbr_", "refresh", 20)

    def signing_key(self, now: int) -> signing_keys.Key:
        """The key that signs now. Behind a clock that was set back, the first that ever does."""
        ring = self._ring()
        key = ring.signing(now) or ring.coming(now)
        if key is None:
            raise StoreUnavailable("There is no signing key. Run: gatebook key rotate-signing")
        return key

    def next_tokens(self, now: int, session_ends_at: int) -> session.Tokens:
        """A pair to come. Nothing is signed yet."""
        ends_at = min(now + self._app.policy.access_lifetime, session_ends_at)
        return session.Tokens(
            jti=self._app.ids.ordered(),
            kid=self.signing_key(now).kid,
            expires_at=whole(ends_at),
        )

    def render(
        self,
        session_id: UUID,
        state: session.Session,
        roles: list[str],
        now: int,
        *,
        issued_at: int,
    ) -> TokenPair:
        """Signs and derives what the caller gets: the pair that the session stands at."""
        configuration, tokens, account_id = self._app.configuration, state.tokens, state.account_id
        assert tokens is not None and account_id is not None  # noqa: PT018 - one state, one fact
        key = self._ring().get(tokens.kid)
        if key.retired:
            raise InvalidCredentials("The key that signed this pair is retired.")
        held_back = () if state.acr == AAL2 else self._app.policy.mfa_required_for
        claims = Claims(
            iss=configuration.issuer,
            sub=str(account_id),
            aud=configuration.audience,
            exp=tokens.expires_at // SECOND,
            iat=issued_at // SECOND,
            nbf=issued_at // SECOND,
            jti=str(tokens.jti),
            client_id=CLIENT_ID,
            roles=[role for role in roles if role not in held_back],
            sid=str(session_id),
            amr=list(state.amr),
            acr=state.acr,
            auth_time=state.auth_time // SECOND,
            cnf={"jkt": state.jkt} if state.jkt else {},
        )
        return TokenPair(
            access_token=self._app.signer.sign(claims, key.kid, key.algorithm),
            token_type="DPoP" if state.jkt else "Bearer",
            expires_in=(tokens.expires_at - now) // SECOND,
            refresh_token=self.refresh_token(session_id, state.rotations),
            account_id=account_id,
            session_id=session_id,
        )

    def refresh_token(self, session_id: UUID, rotation: int) -> str:
        """`gbr_` and base64url of session id, rotation and their MAC: nothing to store."""
        public = session_id.bytes + rotation.to_bytes(4, "big")
        return self._refresh_tokens.make(public)

    def open_refresh_token(self, presented: str) -> tuple[UUID, int]:
        """The session and rotation of an authentic token. Raises InvalidCredentials."""
        public = self._refresh_tokens.open(presented)
        if public is None:
            raise InvalidCredentials("This refresh token was not issued here.")
        return UUID(bytes=public[:16]), int.from_bytes(public[16:], "big")

    def _ring(self) -> signing_keys.Ring:
        ring, stream_id = signing_keys.Ring(), signing_keys.STREAM_ID
        return self._app.follow(stream_id, ring, signing_keys.evolve, of="signing-keys").state
