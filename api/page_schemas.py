"""The shapes of the pages: what their addresses and their forms carry."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from gatebook.api.schemas import Name, Password
from gatebook.api.second_factor_schemas import MfaToken

FormToken = Annotated[str, Meta(max_length=100)]
ReturnTo = Annotated[str, Meta(max_length=2000)]
Code = Annotated[str, Meta(max_length=64)]


class LoginPageQuery(msgspec.Struct, frozen=True):
    """What the page is opened with. A provider that signed somebody out may add more."""

    error: Annotated[str, Meta(max_length=100)] = ""
    return_to: ReturnTo = ""


class PasswordForm(msgspec.Struct, frozen=True):
    """The first step. What is left out is an empty one: it costs what a wrong one costs."""

    form_token: FormToken = ""
    username: Name = ""
    password: Password = ""
    return_to: ReturnTo = ""


class CodeForm(msgspec.Struct, frozen=True):
    """The second step: one code, or one recovery code."""

    form_token: FormToken = ""
    mfa_token: MfaToken = ""
    totp_code: Code = ""
    recovery_code: Code = ""
    return_to: ReturnTo = ""


class SignOutForm(msgspec.Struct, frozen=True):
    """The sign-out button."""

    form_token: FormToken = ""
