"""What a provider says of somebody, and the rules for believing it: anything odd is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from gatebook.domain.errors import Refusal
from gatebook.domain.federation import Reason

MOST_GROUPS: Final = 1_000
LONGEST_SUB: Final = 255
"""OpenID Connect Core 1.0, section 2."""


class FederationRefused(Refusal):
    """A federated sign-in that goes no further. `reason` is for the log, not for the browser.

    `account_id` is whose it was, once that is known.
    """

    def __init__(self, reason: Reason, detail: str = "", *, account_id: UUID | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.account_id = account_id


class Federated(msgspec.Struct, frozen=True):
    """A subject whom a provider vouches for, after every check of what it said.

    `sid` is the provider's own session (Front- and Back-Channel Logout 1.0), or "".
    """

    issuer: str
    sub: str
    groups: tuple[str, ...]
    sid: str = ""
    email: str = ""
    name: str = ""
    username: str = ""
    amr: tuple[str, ...] = ()


def subject(claims: Mapping[str, Any]) -> str:
    """The `sub`: a string of 1 to 255 characters. Raises FederationRefused."""
    sub = claims.get("sub")
    if not isinstance(sub, str) or not 1 <= len(sub) <= LONGEST_SUB or not sub.isprintable():
        raise FederationRefused("subject_missing")
    return sub


def groups(claims: Mapping[str, Any], path: str) -> tuple[str, ...] | None:
    """The groups at a claim; None when there is no such claim.

    `path` is a dotted path, or a URL that is the claim's own name. One string is one group. A
    number, a truth value, an object, or a list with anything but strings is refused.
    """
    found = _at(claims, path)
    if found is None:
        return None
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
        raise FederationRefused("groups_malformed", path)
    if len(found) > MOST_GROUPS:
        raise FederationRefused("groups_malformed", f"more than {MOST_GROUPS}")
    return tuple(dict.fromkeys(found))


def email(claims: Mapping[str, Any], allowed_domains: Sequence[str]) -> str:
    """The verified address, or "". Raises FederationRefused when the domains are restricted.

    A subdomain is another domain. `email_verified` must be the truth value itself.
    """
    address = claims.get("email")
    verified = claims.get("email_verified") is True
    well_formed = isinstance(address, str) and _is_address(address)
    if not allowed_domains:
        return str(address) if well_formed and verified else ""
    if not well_formed:
        raise FederationRefused("email_missing")
    if not verified:
        raise FederationRefused("email_not_verified")
    if str(address).rpartition("@")[2].lower() not in allowed_domains:
        raise FederationRefused("email_domain_not_allowed")
    return str(address)


def line(claims: Mapping[str, Any], name: str, longest: int) -> str:
    """A claim that is shown: one line of text, cut to a length, or ""."""
    value = claims.get(name)
    if not isinstance(value, str):
        return ""
    return "".join(character for character in value if character.isprintable())[:longest].strip()


def methods(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The `amr` of an ID token (RFC 8176): a list of words, else nothing."""
    amr = claims.get("amr")
    if not isinstance(amr, list) or not all(isinstance(one, str) for one in amr):
        return ()
    return tuple(one for one in amr if one.isascii() and one.isidentifier())[:10]


def _is_address(text: str) -> bool:
    """One that an account may have, too."""
    local, _, domain = text.partition("@")
    return bool(local and domain) and "@" not in domain and len(text) <= 254 and text.isprintable()


def _at(claims: Mapping[str, Any], path: str) -> Any:
    if path.startswith(("https://", "http://")):
        return claims.get(path)
    found: Any = claims
    for step in path.split("."):
        if not isinstance(found, Mapping):
            raise FederationRefused("groups_malformed", path)
        found = found.get(step)
        if found is None:
            return None
    return found
