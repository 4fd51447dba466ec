"""A replayed state as the rows that the `access` read model should hold, so that they can be held
against those that it does hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from gatebook.projections import access_tables as tables
from gatebook.projections import federation
from gatebook.projections.api_keys import API_KEYS
from gatebook.projections.break_glass import BREAK_GLASS
from gatebook.projections.changes import Fields
from gatebook.projections.credentials import CREDENTIALS
from gatebook.projections.ports import Row
from gatebook.projections.replay import Replay
from gatebook.projections.replayed import HeldSession
from gatebook.projections.tables import Table


def rows(replay: Replay, table: Table) -> list[Row]:
    """The rows of one table of `access`, in the order of its key."""
    found = [table.values_of(one) for one in _ROWS[table.name](replay)]
    places = [table.names.index(name) for name in table.key]
    return sorted(found, key=lambda row: tuple(row[place] for place in places))


def _accounts(replay: Replay) -> Iterator[Fields]:
    for account_id, held in replay.accounts.items():
        yield {
            "account_id": account_id,
            "profile_at": held.profile_at,
            "kind": held.state.kind,
            "status": held.state.status,
            "epoch": held.state.epoch,
            "version": held.version,
        }


def _erasures(replay: Replay) -> Iterator[Fields]:
    for account_id, held in replay.accounts.items():
        if held.erased:
            yield {"account_id": account_id}


def _grants(replay: Replay) -> Iterator[Fields]:
    for account_id, held in replay.accounts.items():
        for grant in held.state.grants.values():
            yield {
                "account_id": account_id,
                "role": grant.role,
                "generation": grant.generation,
                "expires_at": grant.expires_at,
            }


def _roles(replay: Replay) -> Iterator[Fields]:
    for name, state in replay.roles.items():
        yield {
            "role": name,
            "generation": state.generation,
            "permissions": " ".join(sorted(state.permissions or ())),
            "description": state.description,
            "built_in": int(state.built_in),
        }


def _sessions(replay: Replay) -> Iterator[Fields]:
    for session_id, held in replay.sessions.items():
        state = held.state
        assert state.account_id is not None  # it was opened
        yield {
            "session_id": session_id,
            "account_id": state.account_id.bytes,
            "epoch": state.epoch,
            "origin": state.origin,
            "amr": " ".join(state.amr),
            "acr": state.acr,
            "auth_time": state.auth_time,
            "opened_at": held.opened_at,
            "renewed_at": held.renewed_at,
            "expires_at": state.expires_at,
            "idle": state.idle,
            "jkt": state.jkt,
            **_pair(held),
        }


def _pair(held: HeldSession) -> Fields:
    pair = held.state.tokens
    return {
        "jti": None if pair is None or held.revoked else pair.jti.bytes,
        "kid": "" if pair is None else pair.kid,
        "access_expires_at": 0 if pair is None else pair.expires_at,
    }


def _federated_sessions(replay: Replay) -> Iterator[Fields]:
    for session_id, held in replay.sessions.items():
        vouched = held.state.federated
        if vouched is not None:
            yield {
                "session_id": session_id,
                "provider_id": vouched.provider_id.bytes,
                "subject_hash": vouched.subject_hash,
                "sid_hash": vouched.sid_hash,
                "expires_at": vouched.expires_at,
            }


def _tokens(replay: Replay) -> Iterator[Fields]:
    for jti, held in replay.tokens.items():
        issued = held.issued
        yield {
            "jti": jti,
            "account_id": issued.account_id.bytes,
            "epoch": issued.epoch,
            "kid": issued.kid,
            "issued_at": held.issued_at,
            "expires_at": issued.expires_at,
            "audience": issued.audience,
            "scope": issued.scope,
            "jkt": issued.jkt,
        }


def _attempts(replay: Replay) -> Iterator[Fields]:
    for stream_id, held in replay.counters.items():
        state, last = held.state, held.last
        assert last.account_id is not None  # others are no counters
        yield {
            "stream_id": stream_id,
            "account_id": last.account_id.bytes,
            "method": last.method,
            "scope": last.scope,
            "failures": state.failures,
            "failed_at": state.failed_at,
            "locked_until": state.locked_until,
        }


def _keys(replay: Replay) -> Iterator[Fields]:
    for key in replay.ring.keys:
        yield {
            "kid": key.kid,
            "algorithm": key.algorithm,
            "public_jwk": key.public_jwk,
            "created_at": replay.key_created_at[key.kid],
            "signs_from": key.signs_from,
            "retired": int(key.retired),
        }


def _api_keys(replay: Replay) -> Iterator[Fields]:
    for key_id, held in replay.credentials.api_keys.items():
        state = held.state
        assert state.account_id is not None  # it was created
        yield {
            "key_id": key_id,
            "account_id": state.account_id.bytes,
            "created_position": held.position,
            "scope": state.scope,
            "created_at": held.created_at,
            "expires_at": state.expires_at,
            "successor": None if state.successor is None else state.successor.bytes,
        }


def _credentials(replay: Replay) -> Iterator[Fields]:
    for account_id, credentials in replay.credentials.of_accounts.items():
        for credential_id, held in credentials.items():
            yield {
                "credential_id": credential_id,
                "account_id": account_id.bytes,
                "kind": held.kind,
                "created_at": held.created_at,
                "expires_at": held.expires_at,
                "detail": held.detail,
            }


def _break_glass(replay: Replay) -> Iterator[Fields]:
    for account_id, held in replay.credentials.break_glass.items():
        yield {
            "account_id": account_id.bytes,
            "set_at": held.set_at,
            "expires_at": held.expires_at,
            "once": int(held.once),
            "last_used_at": held.last_used_at,
        }


def _providers(replay: Replay) -> Iterator[Fields]:
    for provider_id, held in replay.providers.items():
        yield {
            "provider_id": provider_id,
            "name": held.state.configuration.name,
            "enabled": int(held.state.configuration.enabled),
            "created_at": held.created_at,
            "changed_at": held.changed_at,
        }


def _mappings(replay: Replay) -> Iterator[Fields]:
    for mapping_id, held in replay.mappings.items():
        yield {
            "mapping_id": mapping_id,
            "provider_id": held.state.provider_id.bytes,
            "group_name": held.state.group,
            "role": held.state.role,
            "created_at": held.created_at,
        }


def _identities(replay: Replay) -> Iterator[Fields]:
    for identity_id, held in replay.identities.items():
        yield {
            "identity_id": identity_id,
            "account_id": held.state.account_id.bytes,
            "provider_id": held.state.provider_id.bytes,
            "linked_at": held.created_at,
        }


_ROWS: Final[dict[str, Callable[[Replay], Iterator[Fields]]]] = {
    tables.ACCOUNTS.name: _accounts,
    tables.GRANTS.name: _grants,
    tables.ROLES.name: _roles,
    tables.SESSIONS.name: _sessions,
    tables.TOKENS.name: _tokens,
    tables.ATTEMPTS.name: _attempts,
    tables.KEYS.name: _keys,
    tables.ERASURES.name: _erasures,
    API_KEYS.name: _api_keys,
    CREDENTIALS.name: _credentials,
    BREAK_GLASS.name: _break_glass,
    federation.PROVIDERS.name: _providers,
    federation.MAPPINGS.name: _mappings,
    federation.IDENTITIES.name: _identities,
    federation.FEDERATED_SESSIONS.name: _federated_sessions,
}
