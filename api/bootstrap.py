"""The first administrator, by the one-time token."""

from __future__ import annotations

from gatebook.api.auth import answer_of
from gatebook.api.call import Call
from gatebook.api.credential_schemas import BootstrapBody, BootstrapState
from gatebook.api.reply import Reply
from gatebook.domain.application.core import By
from gatebook.domain.application.sessions import SignedIn
from gatebook.domain.errors import InvalidCredentials, SeatTaken

BODY_LIMIT = 4096
"""Bytes: nobody is known yet, so little is read."""


def state(call: Call[None, None]) -> Reply:
    """GET /v1/bootstrap"""
    return Reply(200, BootstrapState(available=call.house.bootstrap.available()))


def seat(call: Call[BootstrapBody, None]) -> Reply:
    """POST /v1/bootstrap. Once the seat is taken no token is looked at any more."""
    body, house = call.body, call.house

    def seated(by: By) -> SignedIn:
        if not house.bootstrap.available():
            raise SeatTaken("The first admin exists already.")
        if not house.bootstrap_token_matches(body.token):
            raise InvalidCredentials("This is not the bootstrap token.")
        return house.bootstrap.with_token(by, body.username, house.plaintext(body.password))

    return call.command(seated, lambda given: answer_of(call.site, 201, given))
