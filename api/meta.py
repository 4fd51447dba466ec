"""Health, readiness, metrics, and what others must know of this server."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from gatebook.api.call import Call
from gatebook.api.credential_schemas import KeySet
from gatebook.api.metrics import CONTENT_TYPE
from gatebook.api.oauth2_schemas import Metadata
from gatebook.api.reply import Reply, Text
from gatebook.api.schemas import FullReadiness, Health, Readiness, Standing
from gatebook.domain.client import AUTH_METHODS
from gatebook.projections import engine, tree_tables
from gatebook.projections.checked import checked
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.house import House
from gatebook.store.jose import ALGORITHMS
from gatebook.store.tls import Certificate

ENDING_DAYS: Final = 14
UNCOVERED_SECONDS: Final = 60
JWKS_MAX_AGE: Final = 300
"""Seconds. A rotation publishes the new key at least so long before it signs."""


def health(_call: Call[None, None]) -> Reply:
    """GET /v1/health"""
    return Reply(200, Health(status="ok"))


def ready(call: Call[None, None]) -> Reply:
    """GET /v1/ready. How far the log goes is not for everybody: refused tries would show in it."""
    found = readiness(call.house, call.site.certificate)
    said = Readiness(found.status, found.problems)
    return Reply(200 if found.status == "ready" else 503, said)


def ready_in_full(call: Call[None, None]) -> Reply:
    """GET /v1/ready on the management listener"""
    found = readiness(call.house, call.site.certificate)
    return Reply(200 if found.status == "ready" else 503, found)


def readiness(house: House, certificate: Certificate | None = None) -> FullReadiness:
    """What stands in the way of serving, in words; nothing if all is well.

    A read model that follows may be behind, but not halted.
    """
    problems: list[str] = []
    standings: list[Standing] = []
    position = 0
    warnings: list[str] = []
    try:
        problems += tree_problems(house)
        for one in engine.status(house.store, PROJECTIONS):
            position = one.head
            standings.append(Standing(one.name, one.status, one.position, one.lag))
            if one.error_position is not None:
                problems.append(f"The read model {one.name} halted at event {one.error_position}.")
            elif one.status != "live":
                problems.append(f"The read model {one.name} is {one.status}.")
            elif one.lag < 0:
                problems.append(f"The read model {one.name} has seen more than the log holds.")
            elif one.version != one.wanted:
                program = "a newer" if one.version > one.wanted else "an older"
                problems.append(
                    f"The read model {one.name} is {program} program's: it has version "
                    f"{one.version}, and this program needs {one.wanted}."
                )
            elif not one.ready:
                problems.append(f"The read model {one.name} is {one.lag} events behind.")
        problems += [
            f"The read model {one.name} is not what the log says: rows that differ: {one.drifted}, "
            f"the first in {one.table}. See RUNBOOK, Read models, before any rebuild."
            for one in checked(house.store).values()
            if one.drifted
        ]
        tree = tree_tables.state(house.store)
        standings.append(Standing("tree", _tree_status(tree), tree.size, position - tree.size))
        warnings += head_warnings(house, position)
    except Exception as error:
        problems.append(f"The store does not answer ({type(error).__name__}).")
    try:
        house.app.keys.derive("ready")
    except Exception as error:
        problems.append(f"The keyring cannot be used ({type(error).__name__}).")
    if certificate is not None:
        days = certificate.days_left(house.clock.now())
        if days <= 0:
            problems.append("The certificate has expired.")
        elif days < ENDING_DAYS:
            warnings.append(f"The certificate ends in {days:.0f} days.")
    state: Literal["ready", "not-ready"] = "not-ready" if problems else "ready"
    return FullReadiness(state, problems, position, standings, warnings)


def tree_problems(house: House) -> list[str]:
    """What is wrong with the signing of heads, in words, with the witness by its name.

    An auditor wants no operation that leaves no evidence, so each is a reason not to serve.
    """
    configured = house.settings.audit.witness_files
    halted = tree_tables.state(house.store).halted
    stopped = [] if halted is None else [f"Heads of the log are no longer signed: {halted}."]
    return stopped + [
        f"The witness {one.name} {one.trouble}."
        for one in tree_tables.in_trouble(house.store, configured)
    ]


def head_warnings(house: House, position: int) -> list[str]:
    """Events that no signed head has covered for a minute: does a follower run anywhere?"""
    head = tree_tables.newest_head(house.store)
    if head is None or head.size >= position:
        return []
    age = (house.clock.now() - head.signed_at) // 1_000_000
    if age <= UNCOVERED_SECONDS:
        return []
    return [f"The newest signed head is {age} s old, and {position - head.size} events are newer."]


def _tree_status(tree: tree_tables.State) -> str:
    return "live" if tree.halted is None else "halted"


def jwks(call: Call[None, None]) -> Reply:
    """GET /.well-known/jwks.json"""
    published = call.house.access.keys()
    keys = [msgspec.json.decode(key.public_jwk, type=dict[str, str]) for key in published]
    return Reply(200, KeySet(keys), {"Cache-Control": f"public, max-age={JWKS_MAX_AGE}"})


def metadata(call: Call[None, None]) -> Reply:
    """GET /.well-known/openid-configuration and /.well-known/oauth-authorization-server"""
    published = call.house.access.keys()
    base, signed = call.site.base_url, list(ALGORITHMS)
    body = Metadata(
        issuer=call.house.settings.issuer,
        jwks_uri=f"{base}/.well-known/jwks.json",
        token_endpoint=f"{base}/oauth2/token",
        introspection_endpoint=f"{base}/oauth2/introspect",
        revocation_endpoint=f"{base}/oauth2/revoke",
        response_types_supported=[],
        grant_types_supported=["client_credentials", "refresh_token"],
        token_endpoint_auth_methods_supported=[*AUTH_METHODS, "none"],
        token_endpoint_auth_signing_alg_values_supported=signed,
        introspection_endpoint_auth_methods_supported=[*AUTH_METHODS, "Bearer"],
        introspection_endpoint_auth_signing_alg_values_supported=signed,
        revocation_endpoint_auth_methods_supported=[*AUTH_METHODS, "none"],
        revocation_endpoint_auth_signing_alg_values_supported=signed,
        access_token_signing_alg_values_supported=sorted({key.algorithm for key in published}),
        dpop_signing_alg_values_supported=signed,
    )
    return Reply(200, body, {"Cache-Control": f"public, max-age={JWKS_MAX_AGE}"})


def metrics(call: Call[None, None]) -> Reply:
    """GET /metrics"""
    return Reply(200, Text(call.metrics.text(), CONTENT_TYPE))
