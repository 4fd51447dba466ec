"""One-time codes, recovery codes, and the second step of a sign-in."""

from __future__ import annotations

import msgspec

from gatebook.api import cookies
from gatebook.api import credential_schemas as c
from gatebook.api import second_factor_schemas as f
from gatebook.api.auth import answer_of
from gatebook.api.call import Call, remembered
from gatebook.api.codes import given_code
from gatebook.api.problems import invalid
from gatebook.api.reply import Reply
from gatebook.api.schemas import Nothing
from gatebook.domain.application.enrolments import OfferedTotp
from gatebook.domain.application.second_factors import GivenCode
from gatebook.domain.attempts import Method
from gatebook.domain.errors import InvalidCredentials, Remembered
from gatebook.store.totp import base32, provisioning_uri, qr_svg

_SIGNED_IN = msgspec.json.Decoder(c.SignedIn)


def second_step(call: Call[f.SecondStep, c.LoginQuery]) -> Reply:
    """POST /v1/auth/mfa"""
    body, challenges = call.body, call.house.challenges
    given = given_code(body.totp_code, body.recovery_code)
    if given is None:
        raise invalid("Send totp_code or recovery_code.", "/totp_code")
    delivery = call.delivery(browser=call.query.session == "cookie")
    try:
        return call.command(
            lambda by: challenges.finish(by, body.mfa_token, given, delivery, call.device),
            lambda signed_in: answer_of(call.site, 200, signed_in),
        )
    except Remembered as before:
        _refuse_while_locked(call, before, given)
        raise


def _refuse_while_locked(
    call: Call[f.SecondStep, c.LoginQuery], before: Remembered, given: GivenCode
) -> None:
    """A lock of either step holds for a repeated request too."""
    house = call.house
    account_id = _SIGNED_IN.decode(remembered(before).body).account_id
    methods: tuple[Method, ...] = ("password", given.method)
    for method in methods:
        counter = house.challenges.counter(account_id, method, call.device)
        if house.tries.load(counter).state.locked(call.now):
            house.refused.count(account_id, method, call.now)
            raise InvalidCredentials(f"The {method} is locked.")


def offer_totp(call: Call[Nothing, None]) -> Reply:
    """POST /v1/auth/totp"""
    issuer = call.house.settings.webauthn.rp_name

    def shown(offered: OfferedTotp) -> Reply:
        uri = provisioning_uri(offered.key, issuer, offered.username)
        return Reply(200, f.TotpOffer(base32(offered.key), uri, qr_svg(uri)))

    return call.command(call.house.enrolments.offer_totp, shown)


def confirm_totp(call: Call[f.TotpConfirmation, None]) -> Reply:
    """POST /v1/auth/totp/confirm"""
    enrolments, code = call.house.enrolments, call.body.code
    return call.command(
        lambda by: enrolments.confirm_totp(by, code),
        lambda reissued: Reply(204, cookies=cookies.of_reissued(call.site, reissued)),
    )


def remove_totp(call: Call[f.TotpRemoval, None]) -> Reply:
    """DELETE /v1/auth/totp"""
    house, body = call.house, call.body
    if (body.code is None) == (body.password is None):
        raise invalid("Send exactly one of code and password.")
    if body.code is not None:
        house.enrolments.remove_totp_by_code(call.by(), body.code)
    if body.password is not None:
        house.enrolments.remove_totp_by_password(call.by(), house.plaintext(body.password))
    return Reply(204)


def generate_recovery_codes(call: Call[Nothing, None]) -> Reply:
    """POST /v1/auth/recovery-codes"""
    enrolments = call.house.enrolments
    return call.command(
        enrolments.generate_recovery_codes, lambda codes: Reply(201, f.RecoveryCodes(codes))
    )
