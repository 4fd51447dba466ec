"""What no page of another site can send: a form token that belongs to this browser.

Without it somebody could sign his victim in as himself, and read later what was done there. The
cookie is random and read by nobody; the field in the form is derived from it, so that neither alone
is worth anything.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from typing import Any, Final

import msgspec

from gatebook.api import cookies
from gatebook.api.call import Call

LIFETIME: Final = 86_400
"""Seconds."""

_VALUE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class FormToken(msgspec.Struct, frozen=True):
    """The field that a form carries, and the Set-Cookie value that it belongs to."""

    field: str
    cookie: str


def issue(call: Call[Any, Any]) -> FormToken:
    """A token for the page that is answered. The browser's own is kept: other pages hold it too."""
    value = _held(call) or _encoded(call.house.ids.secret(32))
    cookie = cookies.set_cookie(call.site, cookies.FORM, value, LIFETIME)
    return FormToken(_field(call, value), cookie)


def matches(call: Call[Any, Any], field: str) -> bool:
    """Whether the form came from a page that was given to this browser."""
    value = _held(call)
    if value is None:
        return False
    return hmac.compare_digest(_field(call, value).encode(), field.encode())


def _held(call: Call[Any, Any]) -> str | None:
    value = call.cookie(cookies.FORM)
    return value if value is not None and _VALUE.fullmatch(value) else None


def _field(call: Call[Any, Any], value: str) -> str:
    return _encoded(call.house.keyring.derive("page-form", value.encode()))


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
