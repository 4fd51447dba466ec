"""OAuth 2: tokens for clients, and the end of tokens that their holders give up."""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain import api_key, session, token
from gatebook.domain.access import Caller
from gatebook.domain.application.clients import Clients
from gatebook.domain.application.core import By, Decision, Gatebook
from gatebook.domain.application.families import TokenFamilies
from gatebook.domain.application.tokens import IssuedToken, Minting, Tokens
from gatebook.domain.client import Client
from gatebook.domain.envelope import Entry, account_actor
from gatebook.domain.errors import GrantRefused, InvalidCredentials
from gatebook.domain.session import Session


class Asked(msgspec.Struct, frozen=True):
    """What a client asks for. `key_scope` is that of the API key it showed, "" for no limit.

    `resources` are audiences (RFC 8707), `jkt` the key that it proved to have (RFC 9449).
    """

    client_id: UUID
    scope: str = ""
    resources: tuple[str, ...] = ()
    key_scope: str = ""
    jkt: str = ""


class OAuth:
    """The OAuth 2 commands."""

    def __init__(
        self, app: Gatebook, clients: Clients, tokens: Tokens, families: TokenFamilies
    ) -> None:
        self._app = app
        self._clients = clients
        self._tokens = tokens
        self._families = families

    def grant(self, by: By, asked: Asked) -> IssuedToken:
        """A token for a client that has proved who it is.

        Raises GrantRefused, or InvalidCredentials when the client has ended meanwhile.
        """

        def decide(now: int) -> Decision[IssuedToken]:
            live = self._app.access.account(asked.client_id, now)
            if live is None or live.status != "active":
                raise InvalidCredentials("The client's account is not active.")
            loaded = self._clients.load(asked.client_id)
            if loaded.state.dpop_bound and not asked.jkt:
                raise GrantRefused("invalid_dpop_proof", "This client's requests carry a proof.")
            minting = Minting(
                account_id=asked.client_id,
                epoch=live.epoch,
                roles=live.roles,
                lifetime=self._app.policy.access_lifetime,
                audience=_audience(asked, loaded.state),
                scope=_scope(asked, loaded.state),
                jkt=asked.jkt,
            )
            entries, issued = self._tokens.mint(minting, now)
            expected = {asked.client_id: live.version, loaded.stream_id: loaded.version}
            return Decision(issued, entries, subject=asked.client_id, expected=expected)

        return self._app.run(by, decide)

    def standing(self, refresh_token: str, now: int) -> tuple[UUID, Session] | None:
        """(id, state) of the session that a refresh token would renew now; None if it would not."""
        try:
            session_id, rotation = self._families.open_refresh_token(refresh_token)
        except InvalidCredentials:
            return None
        state = self._app.session(session_id).state
        if state.account_id is None or not state.live or rotation != state.rotations:
            return None
        live = self._app.access.account(state.account_id, now)
        if live is None or live.status != "active" or live.epoch != state.epoch:
            return None
        return (session_id, state) if now < state.expires_at else None

    def give_up_refresh_token(self, by: By, refresh_token: str) -> None:
        """Ends the session of a refresh token, used before or not; nothing for what is none."""
        try:
            session_id, _rotation = self._families.open_refresh_token(refresh_token)
        except InvalidCredentials:
            return

        def decide(_now: int) -> Decision[None]:
            loaded = self._app.session(session_id)
            events = session.end("revoked", loaded.state)
            return _given_up(loaded.entries(events), loaded.state.account_id)

        self._app.run(by, decide)

    def give_up_token(self, by: By, caller: Caller) -> None:
        """Ends the one access token that was presented, not its session."""

        def decide(_now: int) -> Decision[None]:
            loaded = self._app.load(caller.id, token.Token(), token.evolve, of="token")
            events = token.revoke(caller.account_id, caller.session_id, loaded.state)
            return _given_up(loaded.entries(events), caller.account_id)

        self._app.run(by, decide)

    def give_up_api_key(self, by: By, key_id: UUID) -> None:
        """Ends an API key."""

        def decide(_now: int) -> Decision[None]:
            loaded = self._app.load(key_id, api_key.ApiKey(), api_key.evolve, of="api-key")
            return _given_up(loaded.entries(api_key.revoke(loaded.state)), loaded.state.account_id)

        self._app.run(by, decide)


def _given_up(entries: list[Entry], account_id: UUID | None) -> Decision[None]:
    """Who holds a secret of an account acts as that account when he gives it up."""
    actor = None if account_id is None else account_actor(account_id)
    return Decision(None, entries, subject=account_id, actor=actor)


def _audience(asked: Asked, configured: Client) -> str | None:
    """The resource that is asked for; None: Gatebook itself."""
    if not asked.resources:
        return None
    if len(asked.resources) > 1:
        raise GrantRefused("invalid_target", "Ask for one resource at a time.")
    if asked.resources[0] not in configured.resources:
        raise GrantRefused("invalid_target", "The client may not ask for this resource.")
    return asked.resources[0]


def _scope(asked: Asked, configured: Client) -> str:
    """What is asked for, or all there is; never beyond the client's scopes or the key's.

    An empty scope of a token narrows nothing, so it is given only where nothing is narrowed.
    """
    key_scope = asked.key_scope.split()
    allowed = list(configured.scopes) or key_scope
    if configured.scopes and key_scope:
        allowed = [scope for scope in allowed if scope in key_scope]
        if not allowed:
            raise GrantRefused("invalid_scope", "The secret has none of the client's scopes.")
    wanted = list(dict.fromkeys(asked.scope.split(" "))) if asked.scope else allowed
    if not set(wanted) <= set(allowed):
        raise GrantRefused("invalid_scope", "The client may not ask for this scope.")
    return " ".join(wanted)
