"""Refusals: commands turned down. Nothing is recorded for them; each knows the truth of its cause.

What the wire says is decided in `gatebook.api.problems`, and may be less.
"""

from __future__ import annotations


class Refusal(Exception):
    """A command turned down. Never raised itself."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotFound(Refusal):
    """There is no such thing."""


class InvalidValue(Refusal):
    """A value that can never be right. `pointer` is a JSON pointer to it in the request."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.pointer = pointer


class UsernameTaken(Refusal):
    """Another account holds this name, or held it before it was deleted."""


class GrantRefused(Refusal):
    """An OAuth 2 client asked for what it may not have. `error` is the word of RFC 6749."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error


class WeakPassword(Refusal):
    """A password that the rules refuse. The detail names the rule, never the password."""


class InvalidCredentials(Refusal):
    """The caller did not prove who he is. Why is in the log, not on the wire."""


class MfaRequired(Refusal):
    """The first factor was right; a second one is due. `methods` as an answer names them."""

    def __init__(self, mfa_token: str, methods: list[str]) -> None:
        super().__init__("The password is right; now a second factor is needed.")
        self.mfa_token = mfa_token
        self.methods = methods


class StaleSignIn(Refusal):
    """Factors are changed by a person who signed in a short while ago, and by nothing else."""


class Forbidden(Refusal):
    """The caller lacks a permission."""

    def __init__(self, permission: str, detail: str | None = None) -> None:
        super().__init__(detail or f"This needs the permission {permission}.")
        self.permission = permission


class LastAdmin(Refusal):
    """It would leave no active account that holds `admin` without an end."""


class SelfLockout(Refusal):
    """The caller would shut himself out."""


class Conflict(Refusal):
    """It does not fit the state things are in."""


class StaleVersion(Refusal):
    """The caller acted on an older version than the current one (If-Match)."""

    def __init__(self, expected: int, current: int) -> None:
        super().__init__(f"Version {expected} was expected; the current version is {current}.")
        self.current = current


class SeatTaken(Refusal):
    """The first admin exists already, whichever way he came."""


class IdempotencyMismatch(Refusal):
    """The same Idempotency-Key came with another request."""


class Overloaded(Refusal):
    """A queue is full. Try again after `retry_after` seconds."""

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class StoreUnavailable(Refusal):
    """The log cannot be written or read now. Nothing was recorded."""

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Remembered(Exception):
    """Not a refusal: this command was carried out before; here is the answer given then."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("answered before")
        self.answer = answer
