"""The second factor's code, as requests carry it."""

from __future__ import annotations

from gatebook.api.problems import invalid
from gatebook.domain.application.second_factors import GivenCode


def given_code(totp_code: str | None, recovery_code: str | None) -> GivenCode | None:
    """The code of a request, if there is one. Raises a Problem for two."""
    if totp_code is not None and recovery_code is not None:
        raise invalid("Send totp_code or recovery_code, not both.", "/recovery_code")
    if totp_code is not None:
        return GivenCode("totp", totp_code)
    if recovery_code is not None:
        return GivenCode("recovery-code", recovery_code)
    return None
