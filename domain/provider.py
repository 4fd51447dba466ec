"""An identity provider: who it is, how it is spoken to, and what is believed of what it says."""

from __future__ import annotations

import re
from typing import Final, Literal, assert_never
from uuid import UUID

import msgspec

from gatebook.domain.errors import Conflict, InvalidValue, NotFound
from gatebook.domain.event import Event

SECOND: Final = 1_000_000
SHORTEST_IAT_WINDOW: Final = 1 * SECOND
LONGEST_IAT_WINDOW: Final = 600 * SECOND

ClientAuth = Literal["client_secret_basic", "client_secret_post"]

_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,100}", re.ASCII)
_DOMAIN = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}", re.ASCII
)


class Configuration(msgspec.Struct, frozen=True, array_like=True):
    """All that is configured of a provider but its secret.

    `groups_claim` is a dotted path, or a whole URL that is the claim's very name. `iat_window`, in
    microseconds, is how old an ID token may be. `allowed_domains` empty: any address, or none.
    `at_hash_required` False is for a provider whose ID tokens come without the access token's hash
    (OpenID Connect Core 1.0, section 3.1.3.6); one that is there is checked all the same.
    """

    name: str
    issuer: str
    client_id: str
    client_auth: str = "client_secret_basic"
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = "groups"
    fetch_userinfo: bool = False
    allowed_domains: tuple[str, ...] = ()
    create_accounts: bool = True
    enabled: bool = True
    iat_window: int = 300 * SECOND
    at_hash_required: bool = True


class ProviderSecret(msgspec.Struct, frozen=True, array_like=True):
    """What Gatebook shows the provider to be known by it."""

    client_secret: str


class _ProviderEvent(Event, frozen=True):
    STREAM = "provider"
    CATEGORY = "config"


class _ConfiguredEvent(_ProviderEvent, frozen=True):
    SECRET = "secret"  # noqa: S105 - the name of a field
    configuration: Configuration
    secret: ProviderSecret | None

    def key_name(self, stream_id: UUID) -> str:
        """Sealed under the provider's own key: it is nobody's personal data."""
        return f"provider:{stream_id}"


class ProviderCreated(_ConfiguredEvent, frozen=True):
    """People may sign in with this provider from here on."""

    TOPIC = "provider.created.1"


class ProviderChanged(_ConfiguredEvent, frozen=True):
    """The whole configuration as it is from here on."""

    TOPIC = "provider.changed.1"


class ProviderRemoved(_ProviderEvent, frozen=True):
    """Nobody signs in with this provider any more."""

    TOPIC = "provider.removed.1"


Happening = ProviderCreated | ProviderChanged | ProviderRemoved


class Provider(msgspec.Struct, frozen=True):
    """A provider as configured last; None while there is none."""

    configuration: Configuration | None = None
    secret: str | None = None


def create(configuration: Configuration, client_secret: str, state: Provider) -> list[Happening]:
    """A provider to sign in with. Raises InvalidValue."""
    if state.configuration is not None:
        raise Conflict("There is such a provider already.")
    check(configuration, client_secret)
    secret = ProviderSecret(client_secret)
    return [ProviderCreated(configuration=configuration, secret=secret)]


def change(
    configuration: Configuration, client_secret: str | None, state: Provider
) -> list[Happening]:
    """The configuration is another; without a secret the old one stays. Same again: nothing."""
    if state.configuration is None:
        raise NotFound("There is no such provider.")
    secret = state.secret if client_secret is None else client_secret
    if secret is None:
        raise InvalidValue("The provider needs its client_secret anew.", "/client_secret")
    check(configuration, secret)
    if configuration.issuer != state.configuration.issuer:
        raise Conflict(
            "A provider's issuer stays what it is: identities are linked to it. Create another."
        )
    if configuration == state.configuration and secret == state.secret:
        return []
    return [ProviderChanged(configuration=configuration, secret=ProviderSecret(secret))]


def believed(configuration: Configuration) -> tuple[object, ...]:
    """All of it that decides whom the provider's word lets in, and with which groups."""
    c = configuration
    return (
        c.client_id,
        c.scopes,
        c.groups_claim,
        c.fetch_userinfo,
        c.allowed_domains,
        c.create_accounts,
        c.enabled,
        c.iat_window,
        c.at_hash_required,
    )


def remove(linked: int, mapped: int, state: Provider) -> list[Happening]:
    """Removes it. Raises Conflict while accounts are linked to it or mappings name it."""
    if state.configuration is None:
        raise NotFound("There is no such provider.")
    if linked:
        raise Conflict(f"Accounts are linked to this provider ({linked}). Unlink or delete them.")
    if mapped:
        raise Conflict(f"Group mappings name this provider ({mapped}). Remove them first.")
    return [ProviderRemoved()]


def check(configuration: Configuration, client_secret: str) -> None:
    """Raises InvalidValue for what can never work. The outbound client judges where it leads."""
    c = configuration
    rules: tuple[tuple[bool, str, str], ...] = (
        (bool(_NAME.fullmatch(c.name)), "name", "A name has 1 to 100 characters."),
        (
            c.issuer.startswith(("https://", "http://"))
            and len(c.issuer) <= 500
            and not {"?", "#"} & set(c.issuer),
            "issuer",
            "An issuer is an https URL without query and fragment (OIDC Discovery 1.0, section 3).",
        ),
        (1 <= len(c.client_id) <= 500, "client_id", "A client_id has 1 to 500 characters."),
        (1 <= len(client_secret) <= 2000, "client_secret", "A secret has 1 to 2000 characters."),
        (
            c.client_auth in ("client_secret_basic", "client_secret_post"),
            "client_auth",
            "client_auth is client_secret_basic or client_secret_post.",
        ),
        ("openid" in c.scopes, "scopes", "The scopes hold `openid`."),
        (
            len(c.scopes) <= 30 and all(_SCOPE.fullmatch(one) for one in c.scopes),
            "scopes",
            "A scope is one word (RFC 6749, section 3.3).",
        ),
        (_is_claim(c.groups_claim), "groups_claim", "A claim is a dotted path or a URL."),
        (
            len(c.allowed_domains) <= 100
            and all(_DOMAIN.fullmatch(one) for one in c.allowed_domains),
            "allowed_domains",
            "An allowed domain is a name in lower case, like example.org.",
        ),
        (
            SHORTEST_IAT_WINDOW <= c.iat_window <= LONGEST_IAT_WINDOW,
            "iat_window",
            "iat_window is 1 to 600 seconds.",
        ),
    )
    for kept, field, sentence in rules:
        if not kept:
            raise InvalidValue(sentence, f"/{field}")


def _is_claim(path: str) -> bool:
    if not 1 <= len(path) <= 200 or not path.isprintable():
        return False
    return path.startswith(("https://", "http://")) or all(path.split("."))


def evolve(_state: Provider, event: Happening) -> Provider:
    """The state after an event."""
    match event:
        case ProviderCreated() | ProviderChanged():
            secret = event.secret.client_secret if event.secret is not None else None
            return Provider(configuration=event.configuration, secret=secret)
        case ProviderRemoved():
            return Provider()
        case _:
            assert_never(event)
