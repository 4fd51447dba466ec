"""Signing out in the browser, here and at the identity provider (RP-Initiated Logout 1.0)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any
from uuid import UUID

import msgspec

from gatebook.api import cookies, page_forms
from gatebook.api import page_schemas as g
from gatebook.api.call import Call
from gatebook.api.pages import STALE_FORM, login_page, visitor
from gatebook.api.providers import party_of
from gatebook.api.reply import Reply
from gatebook.api.return_to import LOGIN_PAGE
from gatebook.domain.errors import NotFound
from gatebook.domain.federated_claims import FederationRefused


def sign_out(call: Call[g.SignOutForm, None]) -> Reply:
    """POST /logout. The session here ends first: a provider that is away keeps nobody signed in."""
    if not page_forms.matches(call, call.body.form_token):
        return login_page(call, 403, LOGIN_PAGE, alert=STALE_FORM)
    there, caller = LOGIN_PAGE, visitor(call)
    if caller is not None:
        provider_id = call.house.federations.provider_of(caller.id)
        known = msgspec.structs.replace(call, principal=caller)
        call.house.sessions.logout(known.by(), everywhere=False)
        if provider_id is not None:
            there = _at_the_provider(call, provider_id) or LOGIN_PAGE
    return Reply(303, headers={"Location": there}, cookies=cookies.cleared(call.site))


def _at_the_provider(call: Call[Any, Any], provider_id: UUID) -> str | None:
    """Where its session ends; None when it has no such place, or cannot be asked.

    The state is what it must send back if it is a provider like others; nothing hangs on it here.
    """
    state = urlsafe_b64encode(call.house.ids.secret(16)).rstrip(b"=").decode()
    try:
        return call.house.relying.end_session_url(
            party_of(call, provider_id),
            post_logout_redirect_uri=call.site.base_url + LOGIN_PAGE,
            state=state,
        )
    except (FederationRefused, NotFound):
        return None
