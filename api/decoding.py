"""From bytes to typed structs, strictly: what is malformed is a 400, never a guess."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from uuid import UUID

import msgspec

from gatebook.api.problems import Problem, invalid
from gatebook.domain.errors import InvalidValue

MAX_PARAMETERS: Final = 32
JSON_TYPE: Final = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)
UUID_TEXT: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I | re.A)
INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)
INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_TIME: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""

_NAME: Final = re.compile(rb'("[^"]*")\s*:|"[^"]*"')
_PLACE: Final = re.compile(r" - at `(?:key in )?\$([^`]*)`$")
LONGEST: Final = 300
"""Characters of a fault's text or place that are told."""

_LONG_NAME: Final = re.compile(r"`([^`]{64})[^`]+`")
_MEMBER: Final = re.compile(r"`([^`]*)`")


def microseconds(instant: datetime) -> int:
    """An instant as microseconds since the epoch. Raises InvalidValue outside 1970 to 9999 UTC.

    An offset can carry a time over the end of the calendar, where it could not be shown again.
    """
    at = (instant - _EPOCH) // timedelta(microseconds=1)
    if not 0 <= at <= END_OF_TIME:
        raise InvalidValue("A time is between the years 1970 and 9999, in UTC.")
    return at


def instant(at: int) -> datetime:
    """Microseconds since the epoch as an instant in UTC; the last one for what is past it.

    What stands in the log must be shown, whatever it says.
    """
    return _EPOCH + timedelta(microseconds=min(max(at, 0), END_OF_TIME))


def maybe_instant(at: int | None) -> datetime | None:
    """Like `instant`, for what may be missing."""
    return None if at is None else instant(at)


def maybe_microseconds(instant: datetime | None) -> int | None:
    """Like `microseconds`, for what may be missing."""
    return None if instant is None else microseconds(instant)


def check_media_type(content_type: str | None) -> None:
    """Raises a Problem for anything but JSON in UTF-8."""
    if content_type is None or JSON_TYPE.fullmatch(content_type.strip()) is None:
        raise Problem("unsupported-media-type", "Send the body as application/json.")


def decode_body(raw: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Decodes a body straight into its struct. Raises a Problem that names each fault's place."""
    try:
        body = decoder.decode(raw)
        if not _is_plain(raw):
            json.loads(raw, object_pairs_hook=_checked)
    except msgspec.ValidationError as error:
        raise _fault(str(error)) from error
    except RecursionError as error:
        raise invalid("The body is nested too deeply.") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise invalid(_syntax(error)) from error
    return body


def _is_plain(raw: bytes) -> bool:
    """Whether JSON that msgspec took has certainly no member twice, no NUL and only UTF-8.

    Without an escape every `"` begins or ends a string, and the names are those before a colon.
    """
    if b"\\" in raw or not raw.isascii():
        return False
    names = [name for name in _NAME.findall(raw) if name]
    return len(names) == len(set(names))


def _syntax(error: Exception) -> str:
    if isinstance(error, _Refused | msgspec.DecodeError):
        return f"The body is not acceptable JSON: {error}."
    return "The body is not acceptable JSON."


class _Refused(ValueError):
    """JSON that is well formed, but that readers understand in different ways."""


def _checked(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise _Refused("a member stands twice")
    for _, value in pairs:
        _check_text(value)


def _check_text(value: Any) -> None:
    match value:
        case str() if "\0" in value:
            raise _Refused("a string holds the character NUL")
        case list():
            for one in value:
                _check_text(one)
        case _:
            pass


def _fault(message: str) -> Problem:
    # What was sent is named, not repeated: a name may be as long as the body.
    message = _LONG_NAME.sub(lambda found: f"`{found[1]}…`", message)
    place = _PLACE.search(message)
    steps = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", place[1]) if place else []
    pointer = "".join(f"/{_escaped(name or index)}" for name, index in steps)
    text = _PLACE.sub("", message)
    named = _MEMBER.search(text)
    if named is not None and text.startswith("Object "):
        pointer += f"/{_escaped(named[1])}"
    return invalid(f"{text[:LONGEST]}.", pointer[:LONGEST])


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


class QueryReader:
    """Reads one route's query string: typed, each parameter at most once.

    Unknown parameters are refused, but where the struct lets them be: others add theirs there.
    """

    def __init__(self, struct: type[msgspec.Struct] | None) -> None:
        self._struct = struct
        fields = msgspec.structs.fields(struct) if struct is not None else ()
        self._kinds = {field.encode_name: _kinds(field.type) for field in fields}
        config = struct.__struct_config__ if struct is not None else None
        self._open = config is not None and not config.forbid_unknown_fields

    def read(self, query: str) -> Any:
        """The parameters as the route's struct; None for a route that takes none."""
        found = _pairs(query)
        for name, value in found.items():
            kinds = self._kinds.get(name)
            if kinds is None and self._open:
                continue
            if kinds is None:
                raise invalid(f"There is no query parameter {name[:64]!r} here.", _pointer(name))
            _check_parameter(name, value, kinds)
        if self._struct is None:
            return None
        try:
            return msgspec.convert(found, self._struct, strict=False)
        except (msgspec.ValidationError, ValueError, OverflowError) as error:
            raise _fault(str(error)) from error


def _pointer(name: str) -> str:
    return "/" + _escaped(name[:64])


def _kinds(annotation: Any) -> frozenset[type]:
    found = msgspec.inspect.type_info(annotation)
    parts = found.types if isinstance(found, msgspec.inspect.UnionType) else (found,)
    return frozenset(type(_plain(part)) for part in parts)


def _plain(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    return kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind


def _check_parameter(name: str, value: str, kinds: frozenset[type]) -> None:
    """Refuses what the lenient conversion would take for something else."""
    lenient = not kinds & {msgspec.inspect.StrType, msgspec.inspect.LiteralType}
    if lenient and value.lower() in ("null", ""):
        raise invalid("A value is needed.", _pointer(name))
    if msgspec.inspect.DateTimeType in kinds and INSTANT.fullmatch(value) is None:
        raise invalid("Expected a time like 2026-01-31T12:00:00Z.", _pointer(name))
    if msgspec.inspect.IntType in kinds and INTEGER.fullmatch(value) is None:
        raise invalid("Expected an integer.", _pointer(name))
    if msgspec.inspect.UUIDType in kinds and UUID_TEXT.fullmatch(value) is None:
        raise invalid("Expected a UUID.", _pointer(name))
    if msgspec.inspect.BoolType in kinds and value not in ("true", "false"):
        raise invalid("Expected true or false.", _pointer(name))


def _pairs(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    if not query:
        return found
    parts = query.split("&")
    if len(parts) > MAX_PARAMETERS:
        raise invalid(f"At most {MAX_PARAMETERS} query parameters.")
    for part in parts:
        name, _, value = part.partition("=")
        key, text = unquoted(name), unquoted(value)
        if key in found:
            raise invalid("The query parameter stands twice.", _pointer(key))
        found[key] = text
    return found


def unquoted(text: str) -> str:
    """Percent-decoded text, as forms have it. Raises a Problem for what is not UTF-8."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", text) or not text.isascii():
        raise invalid("It is not percent-encoded UTF-8.")
    try:
        plain = unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid("It is not percent-encoded UTF-8.") from error
    if "\0" in plain:
        raise invalid("It holds the character NUL.")
    return plain


UUID_NAMES: Final = frozenset(
    {
        "account_id",
        "credential_id",
        "identity_id",
        "jti",
        "key_id",
        "mapping_id",
        "passkey_id",
        "provider_id",
        "session_id",
    }
)
"""Names in paths that stand for a UUID."""


def path_value(name: str, text: str) -> UUID | int | str:
    """A value in the path, by its name. Raises a Problem: what cannot be is not there."""
    if name in UUID_NAMES:
        if UUID_TEXT.fullmatch(text):
            return UUID(text)
    elif name == "position":
        if re.fullmatch(r"[1-9][0-9]{0,17}", text):
            return int(text)
    elif text and text.isprintable() and len(text) <= 200:
        return text
    raise Problem("not-found", "There is nothing here.")
