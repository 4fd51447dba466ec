"""One-time codes: the vectors of RFC 6238, the window, offers, one use a step."""

from __future__ import annotations

import pytest

from gatebook.domain import totp
from gatebook.domain.totp import Offer, Totp, TotpSecret
from gatebook.store.totp import TotpCodes, base32, code_at, provisioning_uri, qr_svg
from tests.domain.story import ALICE, HOUR, NOON, SECOND, given

KEY = b"12345678901234567890"
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]
"""RFC 6238, appendix B, SHA-1; ours are the last six of their eight digits."""


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_rfc_6238(seconds, code):
    """The code of a vector belongs to its step, at its time."""
    assert TotpCodes().matching_step(KEY, code[2:], seconds * SECOND) == seconds // 30


def test_the_window_is_one_step_each_way():
    """At any instant three steps count: the one before, the present one, the next."""
    codes, now = TotpCodes(), NOON // (30 * SECOND)
    for step in range(now - 3, now + 4):
        code = code_at(KEY, step).decode()
        expected = step if abs(step - now) <= 1 else None
        assert codes.matching_step(KEY, code, NOON) == expected


def test_the_very_first_step():
    """There is no step before the epoch."""
    assert TotpCodes().matching_step(KEY, code_at(KEY, 0).decode(), 0) == 0


def test_a_code_of_another_secret():
    """Another secret's code belongs to no step."""
    code = code_at(b"another secret here!", NOON // (30 * SECOND)).decode()
    assert TotpCodes().matching_step(KEY, code, NOON) is None


def test_the_uri_is_what_apps_read():
    """Label, issuer and secret are encoded; nothing is left to the default."""
    uri = provisioning_uri(KEY, "Gate book", "älice@example.org")
    assert uri == (
        "otpauth://totp/Gate%20book:%C3%A4lice@example.org?secret=" + base32(KEY) + "&issuer="
        "Gate%20book&algorithm=SHA1&digits=6&period=30"
    )


def test_the_qr_code_is_an_svg_without_script():
    """A document of one path."""
    drawn = qr_svg(provisioning_uri(KEY, "Gatebook", "alice"))
    assert drawn.startswith("<svg ")
    assert drawn.endswith("</svg>")
    assert "script" not in drawn


def offered(expires_at=NOON + HOUR):
    return totp.TotpOffered(account_id=ALICE, secret=TotpSecret(KEY), expires_at=expires_at)


def confirmed(offer=1):
    return totp.TotpConfirmed(account_id=ALICE, secret=TotpSecret(KEY), step=1, offer=offer)


def test_an_offer_waits_until_it_is_confirmed_or_too_old():
    """It can be confirmed once, before its end."""
    offer = totp.evolve_offer(Offer(), offered())

    assert totp.pending(offer, 1, Totp(), NOON) == KEY
    assert totp.pending(offer, 1, Totp(), NOON + HOUR) is None
    assert totp.pending(offer, 1, given(totp.evolve, Totp(), confirmed(1)), NOON) is None
    assert totp.pending(offer, 2, given(totp.evolve, Totp(), confirmed(1)), NOON) == KEY


def test_removal_voids_the_offers():
    """What was offered before a removal cannot be confirmed after it."""
    removed = totp.TotpRemoved(account_id=ALICE, cause="owner", offer=2)
    state = given(totp.evolve, Totp(), confirmed(1), removed)

    assert state.key is None
    assert totp.pending(Offer(KEY, NOON + HOUR), 2, state, NOON) is None
    assert totp.pending(Offer(KEY, NOON + HOUR), 3, state, NOON) == KEY


def test_an_erased_secret_is_no_secret():
    """What cannot be opened any more signs nobody in."""
    erased = totp.TotpConfirmed(account_id=ALICE, secret=None, step=1, offer=1)
    assert totp.evolve(Totp(), erased).key is None
    gone = totp.TotpOffered(account_id=ALICE, secret=None, expires_at=NOON + HOUR)
    assert totp.pending(totp.evolve_offer(Offer(), gone), 1, Totp(), NOON) is None
