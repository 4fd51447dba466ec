"""A replayed state as JSON: the same log gives the same bytes, whichever store holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID

import msgspec

from gatebook.api.decoding import instant, maybe_instant
from gatebook.api.events import members
from gatebook.projections.opened import Opened
from gatebook.projections.replay import Replay
from gatebook.store.replaying import Replayed

Item = dict[str, Any]

AT_ONCE: Final = 1_000
"""Accounts whose names are opened together."""


class Shown(msgspec.Struct, frozen=True):
    """A state to be shown: as it counted at an instant (microseconds)."""

    replayed: Replayed
    at: int
    opened: Opened

    @property
    def state(self) -> Replay:
        return self.replayed.replay

    @property
    def at_time(self) -> datetime:
        return instant(self.at)

    def counts(self, account_id: UUID | None, epoch: int | None) -> bool:
        """Whether what an account was given under an epoch still counts; None: under any."""
        held = self.state.accounts.get(account_id.bytes) if account_id is not None else None
        if held is None or held.state.status != "active":
            return False
        return epoch is None or held.state.epoch == epoch


def encoded(item: Any) -> bytes:
    """Canonical JSON."""
    return msgspec.json.encode(item, order="sorted")


def document(shown: Shown) -> Iterator[bytes]:
    """Everything, a line a thing, in bounded memory."""
    at, position = encoded(shown.at_time), shown.replayed.position
    yield b'{"at":' + at + b',"position":' + str(position).encode()
    for name, section in SECTIONS.items():
        yield b',\n"' + name.encode() + b'":['
        separator = b"\n"
        for item in section(shown):
            yield separator + encoded(item)
            separator = b",\n"
        yield b"]"
    yield b"}\n"


def accounts(shown: Shown) -> Iterator[Item]:
    """Every account; its names are None once they are erased."""
    waiting = iter(sorted(shown.state.accounts))
    named: dict[bytes, list[str]] = {}
    for stream_id, claimed in sorted(shown.state.usernames.items()):
        if claimed.owner is not None:
            named.setdefault(claimed.owner.bytes, []).append(str(UUID(bytes=stream_id)))
    while some := list(islice(waiting, AT_ONCE)):
        positions = {shown.state.accounts[one].profile_at for one in some}
        profiles = shown.opened.profiles(positions)
        for account_id in some:
            held = shown.state.accounts[account_id]
            profile, state = profiles[held.profile_at], held.state
            yield {
                "id": UUID(bytes=account_id),
                "username": profile.username if profile is not None else None,
                "display_name": profile.display_name if profile is not None else None,
                "email": profile.email if profile is not None else None,
                "names": named.get(account_id, []),
                "type": state.kind,
                "status": state.status,
                "epoch": state.epoch,
                "version": held.version,
                "grants": [
                    {
                        "role": grant.role,
                        "generation": grant.generation,
                        "expires_at": maybe_instant(grant.expires_at),
                        "source": grant.source,
                        "holds": grant.holds(shown.at),
                    }
                    for _role, grant in sorted(state.grants.items())
                ],
            }


def roles(shown: Shown) -> Iterator[Item]:
    """Every role that stands for something."""
    for name, state in sorted(shown.state.roles.items()):
        yield {
            "name": name,
            "permissions": sorted(state.permissions or ()),
            "description": state.description,
            "built_in": state.built_in,
            "generation": state.generation,
        }


def sessions(shown: Shown) -> Iterator[Item]:
    """The sessions that count, as far as the log tells: not how long one has been idle."""
    for session_id, held in sorted(shown.state.sessions.items()):
        state = held.state
        if shown.at >= state.expires_at or not shown.counts(state.account_id, state.epoch):
            continue
        pair = None if held.revoked else state.tokens
        yield {
            "id": UUID(bytes=session_id),
            "account_id": state.account_id,
            "origin": state.origin,
            "amr": list(state.amr),
            "acr": state.acr,
            "opened_at": instant(held.opened_at),
            "renewed_at": instant(held.renewed_at),
            "auth_time": instant(state.auth_time),
            "expires_at": instant(state.expires_at),
            "idle": None if state.idle is None else state.idle // 1_000_000,
            "rotations": state.rotations,
            "jti": pair.jti if pair is not None else None,
            "provider_id": state.federated.provider_id if state.federated is not None else None,
        }


def tokens(shown: Shown) -> Iterator[Item]:
    """The tokens outside a session that count."""
    for jti, held in sorted(shown.state.tokens.items()):
        issued = held.issued
        if shown.at < issued.expires_at and shown.counts(issued.account_id, issued.epoch):
            yield {
                "jti": UUID(bytes=jti),
                "issued_at": instant(held.issued_at),
                **members(issued, without="epoch"),
            }


def counters(shown: Shown) -> Iterator[Item]:
    """Failures that were not forgotten by a sign-in or an operator."""
    for stream_id, held in sorted(shown.state.counters.items()):
        state = held.state
        yield {
            "id": UUID(bytes=stream_id),
            "account_id": held.last.account_id,
            "method": held.last.method,
            "scope": held.last.scope,
            "failures": state.failures,
            "failed_at": instant(state.failed_at),
            "locked_until": maybe_instant(state.locked_until),
            "locked": state.locked(shown.at),
        }


def api_keys(shown: Shown) -> Iterator[Item]:
    """The API keys that count."""
    for key_id, held in sorted(shown.state.credentials.api_keys.items()):
        state = held.state
        if state.live(shown.at) and shown.counts(state.account_id, None):
            material = shown.opened.api_key(held.position)
            yield {
                "id": UUID(bytes=key_id),
                "account_id": state.account_id,
                "name": material.name if material is not None else None,
                "scope": state.scope,
                "created_at": instant(held.created_at),
                "expires_at": maybe_instant(state.expires_at),
                "successor": state.successor,
            }


def credentials(shown: Shown) -> Iterator[Item]:
    """What each account can prove, by kind; and which factors are asked for."""
    held = shown.state.credentials
    for account_id, own in sorted(held.of_accounts.items()):
        for credential_id, one in sorted(own.items()):
            yield {
                "id": UUID(bytes=credential_id),
                "account_id": account_id,
                "kind": one.kind,
                "created_at": instant(one.created_at),
                "expires_at": maybe_instant(one.expires_at),
                "detail": one.detail,
            }


def factors(shown: Shown) -> Iterator[Item]:
    """The second factors of those who have any."""
    for account_id, state in sorted(shown.state.credentials.factors.items()):
        yield {
            "account_id": account_id,
            "totp": state.totp,
            "recovery_codes": state.recovery_codes,
            "passkeys": len(state.passkeys),
        }


def break_glass(shown: Shown) -> Iterator[Item]:
    """Break-glass credentials."""
    for account_id, held in sorted(shown.state.credentials.break_glass.items()):
        yield {
            "account_id": account_id,
            "set_at": instant(held.set_at),
            "expires_at": maybe_instant(held.expires_at),
            "once": held.once,
            "last_used_at": maybe_instant(held.last_used_at),
        }


def providers(shown: Shown) -> Iterator[Item]:
    """Identity providers, without their secrets."""
    for provider_id, held in sorted(shown.state.providers.items()):
        yield {
            "id": UUID(bytes=provider_id),
            "created_at": instant(held.created_at),
            "changed_at": instant(held.changed_at),
            **members(held.state.configuration),
        }


def mappings(shown: Shown) -> Iterator[Item]:
    """What providers' groups stand for."""
    for mapping_id, held in sorted(shown.state.mappings.items()):
        created_at = instant(held.created_at)
        yield {"id": UUID(bytes=mapping_id), "created_at": created_at, **members(held.state)}


def identities(shown: Shown) -> Iterator[Item]:
    """Who is linked to which provider."""
    for identity_id, held in sorted(shown.state.identities.items()):
        yield {
            "id": UUID(bytes=identity_id),
            "linked_at": instant(held.created_at),
            **members(held.state, without="groups"),
        }


def clients(shown: Shown) -> Iterator[Item]:
    """How OAuth 2 clients are configured."""
    for account_id, state in sorted(shown.state.clients.items()):
        yield {"account_id": account_id, **members(state, without="configured")}


def signing_keys(shown: Shown) -> Iterator[Item]:
    """Every signing key there ever was, oldest first."""
    for key in shown.state.ring.keys:
        status = shown.state.ring.status(key, shown.at)
        yield {"status": status, **members(key, without="retired")}


def policies(shown: Shown) -> Iterator[Item]:
    """The policy in force, if one was adopted."""
    if shown.state.policy.policy is not None:
        yield {"version": shown.state.policy_version, **members(shown.state.policy.policy)}


def _listed(accounts: Iterable[UUID | None]) -> Iterator[Item]:
    for account_id in sorted(one for one in accounts if one is not None):
        yield {"account_id": account_id}


SECTIONS: Final[dict[str, Callable[[Shown], Iterator[Item]]]] = {
    "accounts": accounts,
    "administrators": lambda shown: _listed(shown.state.roster.members),
    "api_keys": api_keys,
    "break_glass": break_glass,
    "clients": clients,
    "counters": counters,
    "credentials": credentials,
    "factors": factors,
    "first_admin": lambda shown: _listed([shown.state.seat.account_id]),
    "group_mappings": mappings,
    "identities": identities,
    "policy": policies,
    "providers": providers,
    "roles": roles,
    "sessions": sessions,
    "signing_keys": signing_keys,
    "tokens": tokens,
}
"""The parts of a state, by name."""
