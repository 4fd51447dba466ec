"""One-time codes (RFC 6238): SHA-1, six digits, thirty seconds; the URI and its QR code."""

from __future__ import annotations

import hmac
from base64 import b32encode
from io import BytesIO
from typing import Final
from urllib.parse import quote, urlencode

import segno
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

DIGITS: Final = 6
PERIOD: Final = 30
"""Seconds."""

_STEP: Final = PERIOD * 1_000_000


class TotpCodes:
    """The `Codes` port."""

    def matching_step(self, key: bytes, code: str, at: int) -> int | None:
        """The newest step around an instant whose code this is, all three compared."""
        given, now = code.encode(), at // _STEP
        steps = [step for step in (now + 1, now, now - 1) if step >= 0]
        same = [hmac.compare_digest(code_at(key, step), given) for step in steps]
        return steps[same.index(True)] if any(same) else None


def code_at(key: bytes, step: int) -> bytes:
    """The six digits of a step."""
    return TOTP(key, DIGITS, SHA1(), PERIOD).generate(step * PERIOD)  # noqa: S303 - RFC 6238


def base32(key: bytes) -> str:
    """A secret as people type it."""
    return b32encode(key).rstrip(b"=").decode()


def provisioning_uri(key: bytes, issuer: str, username: str) -> str:
    """The `otpauth://` URI that authenticator apps read."""
    label = f"{quote(issuer, safe='')}:{quote(username, safe='@')}"
    query = {
        "secret": base32(key),
        "issuer": issuer,
        "algorithm": "SHA1",
        "digits": DIGITS,
        "period": PERIOD,
    }
    return f"otpauth://totp/{label}?{urlencode(query, quote_via=quote)}"


def qr_svg(text: str) -> str:
    """A QR code as an SVG document."""
    drawn = BytesIO()
    segno.make(text, error="m", micro=False).save(
        drawn, kind="svg", scale=4, border=4, xmldecl=False, nl=False
    )
    return drawn.getvalue().decode()
