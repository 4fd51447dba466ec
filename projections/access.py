"""What decides access: written in the transaction of every append, so it is never stale.

A session's access token stands in the session's row, because a rotation replaces the one before;
`access_tokens` holds the tokens minted outside a session. What ends everything of an account at
once (its status, its epoch) touches the account's row alone: the queries refuse by the join.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final
from uuid import UUID

from gatebook.domain import account, api_key, attempts, role, session, signing_keys, token
from gatebook.domain.envelope import Recorded
from gatebook.domain.event import Event
from gatebook.projections import api_keys, break_glass, credentials, federation
from gatebook.projections.access_tables import (
    ACCOUNTS,
    ATTEMPTS,
    ERASURES,
    GRANTS,
    KEYS,
    ROLES,
    SESSIONS,
    TOKENS,
)
from gatebook.projections.changes import Change, Drop, DropWhere, Fields, Patch, Put
from gatebook.projections.projection import Projection


def fold(recorded: Recorded) -> Sequence[Change]:
    """The changes that an event makes."""
    match recorded.event:
        case (
            session.SessionRotated()
            | session.SessionOpened()
            | session.SessionKept()
            | session.SessionRaised()
            | session.SessionEnded() as event
        ):
            return _of_session(recorded, event)
        case account.AccountCreated(kind=kind):
            row: Fields = {
                "account_id": recorded.stream_id.bytes,
                "profile_at": recorded.position,
                "kind": kind,
                "status": "active",
                "epoch": 0,
                "version": recorded.version,
            }
            return (Put(ACCOUNTS, row),)
        case token.TokenIssued() | token.TokenRevoked() | token.TokensPruned() as event:
            return _of_token(recorded, event)
        case api_key.ApiKeyCreated() | api_key.ApiKeyRotated() | api_key.ApiKeyRevoked() as event:
            return api_keys.fold(recorded, event)
        case (
            attempts.LoginFailed(account_id=UUID())
            | attempts.BreakGlassLoginFailed(account_id=UUID())
            | attempts.LockoutCleared() as event
        ):
            return _of_attempts(recorded, event)
        case role.RoleDefined() as event:
            return (Put(ROLES, _defined(event)),)
        case role.RoleDeleted(name=name):
            return (Drop(ROLES, (name,)),)
        case signing_keys.KeyCreated() | signing_keys.KeyActivated() | signing_keys.KeyRetired():
            return _of_key(recorded, recorded.event)
        case event if event.STREAM == "account":
            return _of_account(recorded)
        case _:
            return ()


def _defined(event: role.RoleDefined) -> Fields:
    return {
        "role": event.name,
        "generation": event.generation,
        "permissions": " ".join(sorted(event.permissions)),
        "description": event.description,
        "built_in": int(event.built_in),
    }


def _of_account(recorded: Recorded) -> Sequence[Change]:
    key = (recorded.stream_id.bytes,)
    seen: Fields = {"version": recorded.version}
    match recorded.event:
        case account.RoleGranted(role=name) as event:
            grant: Fields = {
                "account_id": key[0],
                "role": name,
                "generation": event.generation,
                "expires_at": event.expires_at,
            }
            return Put(GRANTS, grant), Patch(ACCOUNTS, key, seen)
        case account.RoleRevoked(role=name):
            return Drop(GRANTS, (key[0], name)), Patch(ACCOUNTS, key, seen)
        case account.AccountRenamed() | account.AccountProfileChanged():
            return (Patch(ACCOUNTS, key, {"profile_at": recorded.position, **seen}),)
        case account.AccountDeactivated():
            return (Patch(ACCOUNTS, key, {"status": "inactive", **seen}, {"epoch": 1}),)
        case account.AccountActivated():
            return (Patch(ACCOUNTS, key, {"status": "active", **seen}),)
        case account.AccountRestored(status=status):
            return (Patch(ACCOUNTS, key, {"status": status, **seen}),)
        case account.AccountDeleted():
            return (Patch(ACCOUNTS, key, {"status": "deleted", **seen}, {"epoch": 1}),)
        case account.AccountErased():
            gone: Fields = {"status": "erased", **seen}
            erased: Fields = {"account_id": key[0]}
            return (
                Put(ERASURES, erased),
                Patch(ACCOUNTS, key, gone, {"epoch": 1}),
                DropWhere(api_keys.API_KEYS, "account_id", "=", key[0]),
            )
        case account.AccountTokensRevoked():
            return (Patch(ACCOUNTS, key, seen, {"epoch": 1}),)
        case _:
            return (Patch(ACCOUNTS, key, seen),)


def _of_session(
    recorded: Recorded,
    event: session.SessionRotated
    | session.SessionOpened
    | session.SessionKept
    | session.SessionRaised
    | session.SessionEnded,
) -> Sequence[Change]:
    key = (recorded.stream_id.bytes,)
    at = recorded.metadata.at
    match event:
        case session.SessionRotated(tokens=tokens):
            return (Patch(SESSIONS, key, {"renewed_at": at, **_pair(tokens)}),)
        case session.SessionOpened(tokens=tokens):
            row: Fields = {
                "session_id": key[0],
                "account_id": event.account_id.bytes,
                "epoch": event.epoch,
                "origin": event.origin,
                "amr": " ".join(event.amr),
                "acr": event.acr,
                "auth_time": event.auth_time,
                "opened_at": at,
                "renewed_at": at,
                "expires_at": event.expires_at,
                "idle": event.idle,
                "jkt": event.jkt,
                **_pair(tokens),
            }
            return (Put(SESSIONS, row),)
        case session.SessionKept(epoch=epoch):
            return (Patch(SESSIONS, key, {"epoch": epoch}),)
        case session.SessionRaised(amr=amr, acr=acr):
            return (Patch(SESSIONS, key, {"amr": " ".join(amr), "acr": acr}),)
        case session.SessionEnded():
            return (Drop(SESSIONS, key),)


def _pair(tokens: session.Tokens | None) -> Fields:
    if tokens is None:
        return {"jti": None, "kid": "", "access_expires_at": 0}
    return {
        "jti": tokens.jti.bytes,
        "kid": tokens.kid,
        "access_expires_at": tokens.expires_at,
    }


def _of_attempts(
    recorded: Recorded, event: attempts.Failed | attempts.LockoutCleared
) -> Sequence[Change]:
    key = (recorded.stream_id.bytes,)
    if isinstance(event, attempts.LockoutCleared) or event.account_id is None:
        return (Drop(ATTEMPTS, key),)
    row: Fields = {
        "stream_id": key[0],
        "account_id": event.account_id.bytes,
        "method": event.method,
        "scope": event.scope,
        "failures": event.failures,
        "failed_at": event.failed_at,
        "locked_until": event.locked_until,
    }
    return (Put(ATTEMPTS, row),)


def _of_token(
    recorded: Recorded, event: token.TokenIssued | token.TokenRevoked | token.TokensPruned
) -> Sequence[Change]:
    jti = recorded.stream_id.bytes
    match event:
        case token.TokenIssued():
            row: Fields = {
                "jti": jti,
                "account_id": event.account_id.bytes,
                "epoch": event.epoch,
                "kid": event.kid,
                "issued_at": recorded.metadata.at,
                "expires_at": event.expires_at,
                "audience": event.audience,
                "scope": event.scope,
                "jkt": event.jkt,
            }
            return (Put(TOKENS, row),)
        case token.TokenRevoked(session_id=session_id):
            if session_id is None:
                return (Drop(TOKENS, (jti,)),)
            # By now the session may have gone on to another token, which stays good.
            return (Patch(SESSIONS, (session_id.bytes,), {"jti": None}, when=("jti", jti)),)
        case token.TokensPruned(before=before):
            return (
                DropWhere(TOKENS, "expires_at", "<", before),
                DropWhere(SESSIONS, "expires_at", "<", before),
                DropWhere(api_keys.API_KEYS, "expires_at", "<", before),
            )


def _of_key(
    recorded: Recorded,
    event: signing_keys.KeyCreated | signing_keys.KeyActivated | signing_keys.KeyRetired,
) -> Sequence[Change]:
    match event:
        case signing_keys.KeyCreated(kid=kid):
            row: Fields = {
                "kid": kid,
                "algorithm": event.algorithm,
                "public_jwk": event.public_jwk,
                "created_at": recorded.metadata.at,
                "signs_from": None,
                "retired": 0,
            }
            return (Put(KEYS, row),)
        case signing_keys.KeyActivated(kid=kid, signs_from=signs_from):
            return (Patch(KEYS, (kid,), {"signs_from": signs_from}),)
        case signing_keys.KeyRetired(kid=kid):
            return (Patch(KEYS, (kid,), {"retired": 1}),)


STREAMS: Final = frozenset(
    {"account", "session", "token", "token-pruning", "api-key", "attempts", "role", "signing-keys"}
)
"""Where the events stand that `fold` has changes for."""

PARTS: Final = (
    (fold, lambda kind: kind.STREAM in STREAMS),
    (credentials.fold, credentials.TAKES.__contains__),
    (break_glass.fold, break_glass.TAKES.__contains__),
    (federation.fold, federation.TAKES.__contains__),
)


@cache
def _parts_for(kind: type[Event]) -> tuple[Callable[[Recorded], Sequence[Change]], ...]:
    """The parts that have changes for a kind of event: most events concern one of them."""
    return tuple(part for part, takes in PARTS if takes(kind))


def _whole(recorded: Recorded) -> Sequence[Change]:
    parts = _parts_for(type(recorded.event))
    if len(parts) == 1:
        return parts[0](recorded)
    return [change for part in parts for change in part(recorded)]


ACCESS: Final = Projection(
    name="access",
    version=2,
    tables=(
        ACCOUNTS,
        GRANTS,
        ROLES,
        SESSIONS,
        TOKENS,
        ATTEMPTS,
        KEYS,
        ERASURES,
        api_keys.API_KEYS,
        credentials.CREDENTIALS,
        break_glass.BREAK_GLASS,
        *federation.TABLES,
    ),
    fold=_whole,
    inline=True,
)
