"""The protocol with a provider (OpenID Connect Core 1.0, section 3.1; RFC 7636, 9207).

Everything goes through the guarded client. What a provider publishes is remembered for a while,
by the version of its configuration: an edit counts for the next sign-in, on every process.
"""

from __future__ import annotations

import hashlib
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote_plus, urlencode
from uuid import UUID

import msgspec

from gatebook.domain import federated_claims
from gatebook.domain.application.providers import ProviderView
from gatebook.domain.federated_claims import Federated, FederationRefused
from gatebook.domain.ports import Clock
from gatebook.domain.provider import Configuration
from gatebook.store import id_tokens
from gatebook.store.id_tokens import ALGORITHMS, Expected
from gatebook.store.outbound import Fetched, Outbound, OutboundFailed, OutboundRefused

METADATA_LIFETIME: Final = 3600.0
KEYS_LIFETIME: Final = 3600.0
REFETCH_AFTER: Final = 1.0
"""Seconds: how long what is published is believed; how often an unknown kid may ask again."""

MOST_KEYS: Final = 100
T = TypeVar("T")
SECOND: Final = 1_000_000


class Metadata(msgspec.Struct, frozen=True):
    """A provider's metadata (OpenID Connect Discovery 1.0, section 3), as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    id_token_signing_alg_values_supported: list[str]
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    authorization_response_iss_parameter_supported: bool = False
    backchannel_logout_supported: bool = False


class Party(msgspec.Struct, frozen=True):
    """A provider at a version of its configuration, with its secret."""

    provider_id: UUID
    version: int
    configuration: Configuration
    secret: str


class _TokenAnswer(msgspec.Struct, frozen=True):
    id_token: str | None = None
    access_token: str | None = None


class _Known(msgspec.Struct):
    """What one provider has published, as it was last asked."""

    metadata: Metadata | None = None
    metadata_at: float = 0.0
    keys: list[dict[str, Any]] = []
    keys_at: float = float("-inf")
    refetched_at: float = float("-inf")


class Relying:
    """Speaks with providers. One instance serves any number of threads."""

    def __init__(self, outbound: Outbound, clock: Clock) -> None:
        self._outbound = outbound
        self._clock = clock
        self._known: dict[tuple[UUID, int], _Known] = {}
        self._guard = threading.Lock()

    def metadata(self, party: Party, *, fresh: bool = False) -> Metadata:
        """The provider's metadata. Raises FederationRefused."""
        known = self._of(party)
        if known.metadata is None or fresh or _old(known.metadata_at, METADATA_LIFETIME):
            known.metadata = self._discover(party.configuration.issuer)
            known.metadata_at = time.monotonic()
        return known.metadata

    def keys(self, party: Party, *, fresh: bool = False) -> list[dict[str, Any]]:
        """The provider's published keys. Raises FederationRefused."""
        known, metadata = self._of(party), self.metadata(party)
        if fresh or _old(known.keys_at, KEYS_LIFETIME):
            known.keys = self._fetch_keys(metadata.jwks_uri)
            known.keys_at = time.monotonic()
        return known.keys

    def authorization_url(
        self, party: Party, *, redirect_uri: str, state: str, nonce: str, verifier: str
    ) -> str:
        """Where the browser is sent to sign in."""
        metadata, c = self.metadata(party), party.configuration
        try:
            self._outbound.check(metadata.authorization_endpoint)
        except (OutboundFailed, OutboundRefused) as error:
            raise FederationRefused("discovery_failed", str(error)) from error
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        query = urlencode(
            {
                "response_type": "code",
                "client_id": c.client_id,
                "redirect_uri": redirect_uri,
                "scope": " ".join(c.scopes),
                "state": state,
                "nonce": nonce,
                "code_challenge": challenge.decode(),
                "code_challenge_method": "S256",
            }
        )
        separator = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{separator}{query}"

    def end_session_url(
        self, party: Party, *, post_logout_redirect_uri: str, state: str
    ) -> str | None:
        """Where the browser is sent to sign out there (RP-Initiated Logout 1.0, section 2).

        None for a provider that has no such place. Raises FederationRefused when it cannot be
        asked, or names a place that is not to be reached.
        """
        endpoint = self.metadata(party).end_session_endpoint
        if endpoint is None:
            return None
        try:
            self._outbound.check(endpoint)
        except (OutboundFailed, OutboundRefused) as error:
            raise FederationRefused("discovery_failed", str(error)) from error
        query = urlencode(
            {
                "client_id": party.configuration.client_id,
                "post_logout_redirect_uri": post_logout_redirect_uri,
                "state": state,
            }
        )
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    def check_issuer(self, party: Party, given: str | None) -> None:
        """RFC 9207, section 2.4: the `iss` parameter, required where it is advertised."""
        if given is None:
            if self.metadata(party).authorization_response_iss_parameter_supported:
                raise FederationRefused("iss_param_missing")
        elif given != party.configuration.issuer:
            raise FederationRefused("iss_param_mismatch")

    def sign_in(
        self, party: Party, *, code: str, redirect_uri: str, nonce: str, verifier: str
    ) -> Federated:
        """Redeems a code, and says for whom the provider vouches. Raises FederationRefused."""
        c = party.configuration
        answer = self._redeem(party, code=code, redirect_uri=redirect_uri, verifier=verifier)
        if answer.id_token is None:
            raise FederationRefused("id_token_missing")
        claims = id_tokens.id_token(
            answer.id_token,
            lambda kid, algorithm: self._key(party, kid, algorithm),
            self._expected(c),
            nonce=nonce,
            access_token=answer.access_token,
        )
        sub = federated_claims.subject(claims)
        groups = federated_claims.groups(claims, c.groups_claim)
        if groups is None and c.fetch_userinfo:
            userinfo = self._userinfo(party, answer.access_token, sub)
            groups = federated_claims.groups(userinfo, c.groups_claim)
        if groups is None:
            raise FederationRefused("groups_missing", c.groups_claim)
        sid = claims.get("sid")
        return Federated(
            issuer=c.issuer,
            sub=sub,
            groups=groups,
            sid=sid if isinstance(sid, str) and len(sid) <= 500 else "",
            email=federated_claims.email(claims, c.allowed_domains),
            name=federated_claims.line(claims, "name", 200),
            username=federated_claims.line(claims, "preferred_username", 64),
            amr=federated_claims.methods(claims),
        )

    def addressee(self, token: str, candidates: Sequence[ProviderView]) -> UUID:
        """The provider that a logout token says it is from. Nothing of it is believed yet."""
        issuer, audiences = id_tokens.addressed(token)
        for one in candidates:
            if one.configuration.issuer == issuer and one.configuration.client_id in audiences:
                return one.provider_id
        raise FederationRefused("id_token_iss_mismatch", "no provider is meant")

    def logout(self, party: Party, token: str) -> dict[str, Any]:
        """The claims of a back-channel logout token. Raises FederationRefused."""
        return id_tokens.logout_token(
            token,
            lambda kid, algorithm: self._key(party, kid, algorithm),
            self._expected(party.configuration),
        )

    # --- details

    def _of(self, party: Party) -> _Known:
        with self._guard:
            place = (party.provider_id, party.version)
            if place not in self._known:
                for other in [key for key in self._known if key[0] == party.provider_id]:
                    del self._known[other]
            return self._known.setdefault(place, _Known())

    def _expected(self, c: Configuration) -> Expected:
        now = self._clock.now() // SECOND
        return Expected(c.issuer, c.client_id, now, c.iat_window // SECOND, c.at_hash_required)

    def _discover(self, issuer: str) -> Metadata:
        url = issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            metadata = _decoded(self._outbound.get(url), Metadata)
        except (OutboundFailed, OutboundRefused, msgspec.MsgspecError) as error:
            raise FederationRefused("discovery_failed", str(error)) from error
        if metadata.issuer != issuer:
            raise FederationRefused("discovery_failed", "it says that it is another issuer")
        if not set(ALGORITHMS) & set(metadata.id_token_signing_alg_values_supported):
            raise FederationRefused("alg_rejected", "it signs with no algorithm that is accepted")
        return metadata

    def _fetch_keys(self, url: str) -> list[dict[str, Any]]:
        try:
            found = _decoded(self._outbound.get(url), dict[str, Any]).get("keys")
        except (OutboundFailed, OutboundRefused, msgspec.MsgspecError) as error:
            raise FederationRefused("jwks_unreachable", str(error)) from error
        if not isinstance(found, list) or len(found) > MOST_KEYS:
            raise FederationRefused("jwks_unreachable", "it publishes no set of keys")
        return [one for one in found if isinstance(one, dict)]

    def _key(self, party: Party, kid: str | None, algorithm: str) -> Mapping[str, Any]:
        """The one key that fits; the set is asked for once more when the kid is unknown."""
        found = _fitting(self.keys(party), kid, algorithm)
        known = self._of(party)
        if not found and _old(known.refetched_at, REFETCH_AFTER):
            known.refetched_at = time.monotonic()
            found = _fitting(self.keys(party, fresh=True), kid, algorithm)
        if len(found) != 1:
            raise FederationRefused("unknown_key", f"{len(found)} keys fit")
        return found[0]

    def _redeem(self, party: Party, *, code: str, redirect_uri: str, verifier: str) -> _TokenAnswer:
        c, metadata = party.configuration, self.metadata(party)
        form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ]
        headers = {"Accept": "application/json"}
        if c.client_auth == "client_secret_basic":
            # RFC 6749, section 2.3.1: both halves are form-encoded first.
            pair = f"{quote_plus(c.client_id)}:{quote_plus(party.secret)}"
            headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()
        else:
            form += [("client_id", c.client_id), ("client_secret", party.secret)]
        try:
            return _decoded(
                self._outbound.post(metadata.token_endpoint, form, headers), _TokenAnswer
            )
        except (OutboundFailed, OutboundRefused, msgspec.MsgspecError) as error:
            raise FederationRefused("token_endpoint_failed", str(error)) from error

    def _userinfo(self, party: Party, access_token: str | None, sub: str) -> dict[str, Any]:
        endpoint = self.metadata(party).userinfo_endpoint
        if endpoint is None or access_token is None:
            raise FederationRefused("userinfo_failed", "there is no endpoint or no access token")
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        try:
            claims = _decoded(self._outbound.get(endpoint, headers), dict[str, Any])
        except (OutboundFailed, OutboundRefused, msgspec.MsgspecError) as error:
            raise FederationRefused("userinfo_failed", str(error)) from error
        if claims.get("sub") != sub:
            raise FederationRefused("userinfo_sub_mismatch")
        return claims


def _decoded(fetched: Fetched, kind: type[T]) -> T:
    if fetched.status != 200:
        raise OutboundFailed(f"The answer has the status {fetched.status}.")
    if fetched.headers.get("content-type", "").partition(";")[0].strip() not in (
        "application/json",
        "application/jwk-set+json",
    ):
        raise OutboundFailed("The answer is not JSON.")
    return msgspec.json.decode(fetched.body, type=kind)


def _fitting(keys: list[dict[str, Any]], kid: str | None, algorithm: str) -> list[dict[str, Any]]:
    """Keys of that kid; without a kid, every key that could have signed it (Core 1.0, 10.1)."""
    named = keys if kid is None else [key for key in keys if key.get("kid") == kid]
    return [key for key in named if id_tokens.fits(key, algorithm)]


def _old(at: float, lifetime: float) -> bool:
    return time.monotonic() - at > lifetime
