"""The parsers, under whatever bytes there are: a struct or a 400, nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatebook.api import headers
from gatebook.api.accounts import NewAccount
from gatebook.api.audit import AuditQuery
from gatebook.api.decoding import QueryReader, decode_body, instant, microseconds, path_value
from gatebook.api.problems import Problem

DECODER = msgspec.json.Decoder(NewAccount)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["username", "type", "x"]) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


def outcome(read: Callable[[], Any]) -> tuple[Any, int | None]:
    """What was read, or the status of the problem that it is. Nothing else may be raised."""
    try:
        return read(), None
    except Problem as problem:
        return None, problem.status


@given(st.binary(max_size=300))
def test_any_bytes(raw: bytes) -> None:
    """Arbitrary bytes are no account."""
    assert outcome(lambda: decode_body(raw, DECODER)) == (None, 400)


@given(JSON)
def test_any_json(value: Any) -> None:
    """Arbitrary JSON is an account only if a strict reader finds one in it."""
    raw = json.dumps(value).encode()
    body, status = outcome(lambda: decode_body(raw, DECODER))

    assert status in (None, 400)
    if status is None:
        assert isinstance(value, dict)
        assert value["username"] == body.username


@given(st.text(max_size=200))
def test_any_query(query: str) -> None:
    """An arbitrary query string is read, or a 400."""
    found, status = outcome(lambda: QueryReader(AuditQuery).read(query))

    assert status in (None, 400)
    assert status == 400 or isinstance(found, AuditQuery)


@given(st.text(max_size=60))
def test_any_authorization(value: str) -> None:
    """An arbitrary Authorization header gives a token of the allowed characters, or a 401."""
    token, status = outcome(lambda: headers.credentials(value)[1])

    assert status in (None, 401)
    if status is None:
        assert (value[:7].lower(), value[7:]) == ("bearer ", token)
        assert token.isascii()


@given(st.sampled_from(["account_id", "jti", "position", "role", "kid"]), st.text(max_size=60))
def test_any_path(name: str, text: str) -> None:
    """An arbitrary value in the path is of its type, or there is nothing there."""
    value, status = outcome(lambda: path_value(name, text))

    assert status in (None, 404)
    if status is None:
        assert str(value) == (text.lower() if name in ("account_id", "jti") else text)


@given(st.integers(0, 10**16))
def test_instants(at: int) -> None:
    """Microseconds become an instant and come back."""
    assert at == microseconds(instant(at))


@pytest.mark.parametrize("hours", [-14, 0, 14])
def test_offsets(hours: int) -> None:
    """The offset of a time changes how it is written, not when it is."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    assert microseconds(moment.astimezone(_zone(hours))) == microseconds(moment)


def _zone(hours: int) -> Any:
    return datetime.fromisoformat(f"2026-01-01T00:00:00{hours:+03d}:00").tzinfo


def test_pointers() -> None:
    """A fault is named by a JSON pointer, escaped."""
    for raw, pointer in (
        (b'{"username":1,"type":"human"}', "/username"),
        (b'{"username":"a","type":"human","a/b~c":1}', "/a~1b~0c"),
        (b'{"type":"human"}', "/username"),
        (b"[]", ""),
    ):
        with pytest.raises(Problem) as caught:
            decode_body(raw, DECODER)
        assert [fault.pointer for fault in caught.value.faults] == [pointer]


def test_timedelta_is_exact() -> None:
    """No microsecond is lost far from the epoch."""
    assert instant(253_402_300_799_999_999) - instant(0) == timedelta(
        microseconds=253_402_300_799_999_999
    )
