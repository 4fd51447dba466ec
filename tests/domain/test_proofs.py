"""What was proved, and what it is worth."""

from __future__ import annotations

import pytest

from gatebook.domain.proofs import (
    BREAK_GLASS,
    PASSWORD,
    RECOVERY_CODE,
    TOTP,
    acr_of,
    amr_of,
    passkey,
)


@pytest.mark.parametrize(
    ("proofs", "amr", "acr"),
    [
        ((PASSWORD,), ("pwd",), "aal1"),
        ((BREAK_GLASS,), ("pwd",), "aal1"),
        ((PASSWORD, TOTP), ("pwd", "otp", "mfa"), "aal2"),
        ((PASSWORD, RECOVERY_CODE), ("pwd", "recovery", "mfa"), "aal2"),
        ((passkey(verified=True, synced=False),), ("hwk", "user", "mfa"), "aal2"),
        ((passkey(verified=True, synced=True),), ("swk", "user", "mfa"), "aal2"),
        ((passkey(verified=False, synced=True),), ("swk",), "aal1"),
        ((PASSWORD, passkey(verified=False, synced=False)), ("pwd", "hwk", "mfa"), "aal2"),
        ((PASSWORD, PASSWORD), ("pwd",), "aal1"),
        ((TOTP, RECOVERY_CODE), ("otp", "recovery"), "aal1"),
        ((), (), "aal1"),
    ],
)
def test_methods_and_level(proofs, amr, acr):
    """Two different kinds of factor make aal2; the same kind twice does not."""
    assert amr_of(proofs) == amr
    assert acr_of(proofs) == acr
