"""The cookies that Gatebook sets, by name and attributes (RFC 6265bis).

Under TLS every name has the `__Host-` prefix, so that no other host and no plain-HTTP page can set
it. Plain HTTP is spoken on loopback only; there neither the prefix nor `Secure` would work.
"""

from __future__ import annotations

from typing import Final

from gatebook.api.site import Site
from gatebook.domain.application.browser import BrowserSession

SESSION: Final = "gatebook_session"
CSRF: Final = "gatebook_csrf"
DEVICE: Final = "gatebook_device"
PRE_LOGIN: Final = "gatebook_oidc"
FORM: Final = "gatebook_form"

DEVICE_LIFETIME: Final = 365 * 86_400
"""Seconds."""

LONGEST: Final = 4096


def name_of(site: Site, cookie: str) -> str:
    """The cookie's name on this site."""
    return f"__Host-{cookie}" if site.secure else cookie


def set_cookie(
    site: Site, cookie: str, value: str, lifetime: int, *, readable: bool = False
) -> str:
    """A Set-Cookie value. `lifetime` in seconds; 0 removes it."""
    parts = [f"{name_of(site, cookie)}={value}", "Path=/", f"Max-Age={lifetime}", "SameSite=Lax"]
    if not readable:
        parts.append("HttpOnly")
    if site.secure:
        parts.append("Secure")
    return "; ".join(parts)


def of_session(site: Site, session: BrowserSession) -> list[str]:
    """What a sign-in sets: session and CSRF token."""
    return [
        set_cookie(site, SESSION, session.cookie, session.expires_in),
        of_csrf(site, session.csrf_token, session.expires_in),
    ]


def of_reissued(site: Site, session: BrowserSession | None) -> list[str]:
    """The same for a session that goes on under a new id; nothing for one without cookies."""
    return [] if session is None else of_session(site, session)


def of_csrf(site: Site, csrf_token: str, lifetime: int) -> str:
    """The CSRF token anew, for a page that lost it. `lifetime` in seconds."""
    return set_cookie(site, CSRF, csrf_token, lifetime, readable=True)


def of_device(site: Site, device: str) -> list[str]:
    """What lets the owner's next sign-in from here be counted apart from strangers' tries."""
    return [set_cookie(site, DEVICE, device, DEVICE_LIFETIME)] if device else []


def cleared(site: Site) -> list[str]:
    """What signing out removes."""
    return [
        set_cookie(site, SESSION, "", 0),
        set_cookie(site, CSRF, "", 0, readable=True),
    ]


def read(header: str | None, name: str) -> str | None:
    """One cookie of a Cookie header; None when it is absent or empty, "" when it cannot be ours.

    Two of one name cannot both be ours: which of them counts must not be anybody's guess.
    """
    if header is None:
        return None
    found = [
        value.strip()
        for part in header.split(";")
        for key, separator, value in (part.partition("="),)
        if separator and key.strip() == name
    ]
    if not any(found):
        return None
    return found[0] if len(found) == 1 and len(found[0]) <= LONGEST else ""
