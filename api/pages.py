"""The login page: a password, a second factor, a passkey, an identity provider.

It works without a script. Behind its forms are the commands that the API calls, so a sign-in here
costs, counts and leaves behind what a sign-in there does.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from gatebook.api import authentication, page_forms
from gatebook.api import page_schemas as g
from gatebook.api.auth import answer_of
from gatebook.api.authentication import Shown
from gatebook.api.call import Call
from gatebook.api.page_templates import page
from gatebook.api.problems import BEARER, Problem
from gatebook.api.reply import Reply
from gatebook.api.return_to import LOGIN_PAGE, local_path
from gatebook.domain.access import Caller
from gatebook.domain.application.logins import Attempt
from gatebook.domain.application.second_factors import GivenCode
from gatebook.domain.application.sessions import SignedIn
from gatebook.domain.errors import InvalidCredentials, MfaRequired

ERRORS: Final = {
    "sign-in-failed": "You could not be signed in. Try again, or ask whoever runs this service.",
    "cancelled": "The sign-in was cancelled.",
}
"""What an address can make the page say: these sentences, and no other."""

WRONG_PASSWORD: Final = "The username or the password is wrong."  # noqa: S105 - a sentence
WRONG_CODE: Final = "That code does not count. Try another, or start again."
NO_CODE: Final = "Enter the six digits of one code, or one recovery code."
STALE_FORM: Final = "This page was open for too long, or cookies are off. Please try again."
SIGN_IN_AGAIN: Final = "That took too long. Please sign in again."

_DIGITS: Final = re.compile(r"[0-9]{6}", re.ASCII)


class Provider(msgspec.Struct, frozen=True):
    """A link to sign in with somebody else's account."""

    name: str
    href: str


def show(call: Call[None, g.LoginPageQuery]) -> Reply:
    """GET /login"""
    return_to = local_path(call.query.return_to)
    caller, alert = visitor(call), ERRORS.get(call.query.error, "")
    if caller is not None:
        return _signed_in(call, caller, return_to, alert)
    return login_page(call, 200, return_to, alert=alert)


def sign_in(call: Call[g.PasswordForm, None]) -> Reply:
    """POST /login"""
    body, house = call.body, call.house
    return_to = local_path(body.return_to)
    if not page_forms.matches(call, body.form_token):
        return login_page(call, 403, return_to, alert=STALE_FORM, username=body.username)
    attempt = Attempt(
        name=body.username,
        plaintext=house.plaintext(body.password),
        delivery=call.delivery(browser=True),
        device=call.device,
    )
    try:
        signed_in = house.logins.login(call.by(), attempt)
    except MfaRequired as due:
        return _code_page(call, 200, return_to, due.mfa_token, due.methods)
    except InvalidCredentials:
        return login_page(call, 401, return_to, alert=WRONG_PASSWORD, username=body.username)
    return _welcome(call, return_to, signed_in)


def second_factor(call: Call[g.CodeForm, None]) -> Reply:
    """POST /login/second-factor"""
    body, challenges = call.body, call.house.challenges
    return_to, token = local_path(body.return_to), body.mfa_token
    if not page_forms.matches(call, body.form_token):
        return login_page(call, 403, return_to, alert=STALE_FORM)
    try:
        account_id = challenges.account_of(token)
    except InvalidCredentials:
        return login_page(call, 401, return_to, alert=SIGN_IN_AGAIN)
    methods = call.house.second_factors.load(account_id).state.methods
    given = _given(body)
    if given is None:
        return _code_page(call, 400, return_to, token, methods, alert=NO_CODE)
    try:
        signed_in = challenges.finish(
            call.by(), token, given, call.delivery(browser=True), call.device
        )
    except InvalidCredentials:
        return _code_page(call, 401, return_to, token, methods, alert=WRONG_CODE)
    return _welcome(call, return_to, signed_in)


def visitor(call: Call[Any, Any]) -> Caller | None:
    """Who is signed in in this browser, if anybody is."""
    if call.session_cookie is None:
        return None
    shown = Shown("GET", call.site.base_url + LOGIN_PAGE, session_cookie=call.session_cookie)
    try:
        return authentication.authenticate(call.house, shown, call.now)
    except Problem:
        return None


def login_page(
    call: Call[Any, Any], status: int, return_to: str, *, alert: str = "", username: str = ""
) -> Reply:
    """The page with every way in."""
    settings = call.house.settings
    return _with_form(
        call,
        "login",
        status,
        return_to=return_to,
        alert=alert,
        username=username[:200],
        providers=_providers(call, return_to),
        passkeys=bool(settings.rp_id),
    )


# --- details


def _code_page(
    call: Call[Any, Any],
    status: int,
    return_to: str,
    mfa_token: str,
    methods: list[str],
    *,
    alert: str = "",
) -> Reply:
    return _with_form(
        call,
        "second_factor",
        status,
        return_to=return_to,
        alert=alert,
        mfa_token=mfa_token,
        methods=methods,
    )


def _signed_in(call: Call[Any, Any], caller: Caller, return_to: str, alert: str) -> Reply:
    """Who is signed in, and the way out.

    A browser holds the redirects of a form against the page's policy too (CSP 3, 6.4.2), and the
    way out of a federated session leads by addresses that only its provider knows. There is no
    field on this page that could be led astray.
    """
    federated = call.house.federations.provider_of(caller.id) is not None
    loopback = call.house.settings.outbound.allow_loopback_http
    beyond = ("https: http:" if loopback else "https:") if federated else ""
    onward = return_to if return_to != LOGIN_PAGE else ""
    username = caller.username or str(caller.account_id)
    return _with_form(
        call, "signed_in", 200, beyond=beyond, username=username, onward=onward, alert=alert
    )


def _with_form(call: Call[Any, Any], name: str, status: int, **values: Any) -> Reply:
    token = page_forms.issue(call)
    site = call.house.settings.webauthn.rp_name
    shown = page(name, status, site=site, form_token=token.field, **values)
    headers = shown.headers | (BEARER if status == 401 else {})
    return Reply(status, shown.body, headers, [token.cookie])


def _welcome(call: Call[Any, Any], return_to: str, signed_in: SignedIn) -> Reply:
    kept = answer_of(call.site, 303, signed_in).cookies
    return Reply(303, headers={"Location": return_to}, cookies=kept)


def _providers(call: Call[Any, Any], return_to: str) -> list[Provider]:
    return [
        Provider(
            one.name,
            "/auth/oidc/login?"
            + urlencode({"provider": str(one.provider_id), "return_to": return_to}),
        )
        for one in call.house.federations.providers()
        if one.enabled
    ]


def _given(body: g.CodeForm) -> GivenCode | None:
    """The one code of the form; None for none, for two, and for what can be none."""
    code, recovery = "".join(body.totp_code.split()), body.recovery_code.strip()
    if recovery and not code:
        return GivenCode("recovery-code", recovery)
    if _DIGITS.fullmatch(code) and not recovery:
        return GivenCode("totp", code)
    return None
