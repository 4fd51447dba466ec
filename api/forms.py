"""Bodies of the OAuth 2 endpoints: application/x-www-form-urlencoded, read strictly (RFC 6749)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from gatebook.api.decoding import MAX_PARAMETERS, unquoted
from gatebook.api.problems import Problem, invalid

FORM: Final = "application/x-www-form-urlencoded"
_TYPE: Final = re.compile(rf'{FORM}(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)


def check_media_type(content_type: str | None) -> None:
    """Raises a Problem for anything but a form in UTF-8."""
    if content_type is None or _TYPE.fullmatch(content_type.strip()) is None:
        raise Problem("unsupported-media-type", f"Send the body as {FORM}.")


def decoder(struct: type[msgspec.Struct]) -> Callable[[bytes], Any]:
    """Reads forms into a struct whose fields are text, or lists of text that may stand repeatedly.

    Parameters without a value count as left out, unknown ones are ignored (RFC 6749, 3.1).
    """
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
    repeated = {name for name, kind in fields.items() if kind == list[str]}

    def decode(raw: bytes) -> Any:
        found: dict[str, list[str]] = {}
        for name, value in _pairs(raw):
            if name in found and name not in repeated:
                raise invalid(f"The parameter {name[:64]!r} stands twice.")
            found.setdefault(name, []).append(value)
        given = {
            name: values if name in repeated else values[0]
            for name, values in found.items()
            if name in fields and any(values)
        }
        try:
            return msgspec.convert(given, struct)
        except msgspec.ValidationError as error:
            raise invalid(f"{error}."[:300]) from error

    return decode


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise invalid("The body is not percent-encoded UTF-8.") from error
    parts = text.split("&") if text else []
    if len(parts) > MAX_PARAMETERS:
        raise invalid(f"At most {MAX_PARAMETERS} parameters.")
    pairs = (part.partition("=") for part in parts)
    return [(unquoted(name), unquoted(value)) for name, _, value in pairs]
