"""The shapes of one-time codes, recovery codes and the second step of a sign-in."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from gatebook.api.schemas import Password, Request

TotpCode = Annotated[str, Meta(pattern="^[0-9]{6}$", min_length=6, max_length=6)]
"""Six ASCII digits. The length is said too: `$` alone would let a line feed through."""

RecoveryCode = Annotated[str, Meta(min_length=1, max_length=64)]
MfaToken = Annotated[str, Meta(max_length=200)]


class SecondStep(Request, frozen=True):
    """The token of a sign-in that waits, and one code."""

    mfa_token: MfaToken
    totp_code: TotpCode | None = None
    recovery_code: RecoveryCode | None = None


class TotpOffer(msgspec.Struct, frozen=True):
    """A secret in base32, as a URI and as a QR code (an SVG document). Shown once."""

    secret: str
    otpauth_uri: str
    qr_svg: str


class TotpConfirmation(Request, frozen=True):
    """The code that the authenticator app shows."""

    code: TotpCode


class TotpRemoval(Request, frozen=True):
    """A code, or one's password: exactly one."""

    code: TotpCode | None = None
    password: Password | None = None


class RecoveryCodes(msgspec.Struct, frozen=True):
    """Ten codes, each of which stands in for a second factor once. Shown once."""

    codes: list[str]
