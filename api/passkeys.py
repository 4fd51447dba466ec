"""Passkeys: registered, used to sign in, listed, removed."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from gatebook.api import cookies, decoding, lists
from gatebook.api import credential_schemas as c
from gatebook.api import passkey_schemas as p
from gatebook.api.auth import answer_of
from gatebook.api.call import Call
from gatebook.api.problems import invalid
from gatebook.api.reply import Reply
from gatebook.api.schemas import Nothing, Paging
from gatebook.domain.application.passkey_challenges import LIFETIME
from gatebook.domain.application.passkey_logins import PasskeyAttempt
from gatebook.domain.application.passkeys import PasskeyView
from gatebook.domain.ceremonies import ShownAssertion, ShownAttestation
from gatebook.domain.passkey import Passkey
from gatebook.store.webauthn import ALGORITHMS

TIMEOUT: Final = LIFETIME // 1_000
"""Milliseconds."""


def register_options(call: Call[Nothing, None]) -> Reply:
    """POST /v1/auth/passkeys/register/options"""
    house = call.house
    offer = house.passkeys.offer(call.by())
    body = p.Creation(
        p.CreationOptions(
            rp=p.RelyingParty(house.settings.rp_id, house.settings.webauthn.rp_name),
            user=p.UserEntity(_encoded(offer.account_id.bytes), offer.username, offer.username),
            challenge=_encoded(offer.challenge),
            pub_key_cred_params=[p.Algorithm(int(one)) for one in ALGORITHMS],
            timeout=TIMEOUT,
            exclude_credentials=[_descriptor(one) for one in offer.excluded],
            authenticator_selection=p.Selection(),
            attestation="none",
        )
    )
    return Reply(200, body)


def register(call: Call[p.Registration, None]) -> Reply:
    """POST /v1/auth/passkeys/register/verify"""
    passkeys, body = call.house.passkeys, call.body
    sent = body.credential
    shown = ShownAttestation(
        credential_id=_credential_id(sent.id, sent.raw_id),
        client_data=_decoded(sent.response.client_data),
        attestation_object=_decoded(sent.response.attestation_object),
        transports=tuple(sent.response.transports),
    )
    return call.command(
        lambda by: passkeys.register(by, shown, body.name),
        lambda added: Reply(
            201, _shown(added[0]), cookies=cookies.of_reissued(call.site, added[1])
        ),
    )


def login_options(call: Call[p.LoginOptions, None]) -> Reply:
    """POST /v1/auth/passkeys/login/options"""
    offer = call.house.passkey_logins.offer(call.body.mfa_token, call.device)
    body = p.Use(
        p.RequestOptions(
            challenge=_encoded(offer.challenge),
            timeout=TIMEOUT,
            rp_id=call.house.settings.rp_id,
            allow_credentials=[_descriptor(one) for one in offer.allowed],
            user_verification="required" if offer.verified else "preferred",
        )
    )
    return Reply(200, body)


def login(call: Call[p.PasskeyLogin, c.LoginQuery]) -> Reply:
    """POST /v1/auth/passkeys/login/verify"""
    sent, logins = call.body.credential, call.house.passkey_logins
    handle = sent.response.user_handle
    attempt = PasskeyAttempt(
        shown=ShownAssertion(
            credential_id=_credential_id(sent.id, sent.raw_id),
            client_data=_decoded(sent.response.client_data),
            authenticator_data=_decoded(sent.response.authenticator_data),
            signature=_decoded(sent.response.signature),
            user_handle=None if handle is None else _decoded(handle),
        ),
        delivery=call.delivery(browser=call.query.session == "cookie"),
        device=call.device,
        mfa_token=call.body.mfa_token,
    )
    return call.command(
        lambda by: logins.login(by, attempt),
        lambda signed_in: answer_of(call.site, 200, signed_in),
    )


def browse(call: Call[None, Paging]) -> Reply:
    """GET /v1/auth/passkeys"""
    call.house.notice_erasures()
    found = call.house.passkeys.views(call.caller.account_id)
    return Reply(200, lists.short_page(call, "passkeys", found, _key, _shown))


def remove(call: Call[None, None]) -> Reply:
    """DELETE /v1/auth/passkeys/{passkey_id}"""
    call.house.passkeys.remove(call.by(), call.path["passkey_id"])
    return Reply(204)


def _key(view: PasskeyView) -> str:
    return f"{view.created_at:020d}{view.id}"


def _shown(view: PasskeyView) -> p.Passkey:
    return p.Passkey(
        id=view.id,
        name=view.name,
        created_at=decoding.instant(view.created_at),
        last_used_at=decoding.maybe_instant(view.last_used_at),
        backed_up=view.backed_up,
    )


def _descriptor(one: Passkey) -> p.Descriptor:
    return p.Descriptor(_encoded(one.credential_id), "public-key", list(one.transports))


def _credential_id(named: str, raw: str) -> bytes:
    if named != raw:
        raise invalid("id and rawId differ.", "/credential/rawId")
    return _decoded(raw)


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """Canonical base64url only: no two texts stand for the same bytes."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise invalid("This is not base64url.", "/credential") from error
    if _encoded(raw) != text:
        raise invalid("This is not canonical base64url.", "/credential")
    return raw
