"""What a handler answers, and how it becomes bytes."""

from __future__ import annotations

from typing import Final

import msgspec

JSON: Final = "application/json"

_encoder = msgspec.json.Encoder()


class Text(msgspec.Struct, frozen=True):
    """A body that is rendered already."""

    content: bytes
    media_type: str


class Reply(msgspec.Struct, frozen=True):
    """A status, a body (a struct becomes JSON, a Text stays as it is), headers and cookies.

    Each cookie is the value of one Set-Cookie header.
    """

    status: int
    body: msgspec.Struct | Text | None = None
    headers: dict[str, str] = {}
    cookies: list[str] = []


class Rendered(msgspec.Struct, frozen=True, array_like=True):
    """An answer as it goes out, and as it is remembered for an Idempotency-Key."""

    status: int
    headers: dict[str, str]
    body: bytes
    media_type: str = JSON
    cookies: list[str] = []


def render(reply: Reply) -> Rendered:
    """The bytes of a reply."""
    body = reply.body
    if isinstance(body, Text):
        return Rendered(reply.status, reply.headers, body.content, body.media_type, reply.cookies)
    content = b"" if body is None else _encoder.encode(body)
    return Rendered(reply.status, reply.headers, content, cookies=reply.cookies)


def remember(rendered: Rendered) -> bytes:
    """How an answer is kept."""
    return msgspec.msgpack.encode(rendered)


def recall(kept: bytes) -> Rendered:
    """The answer that was kept."""
    return msgspec.msgpack.decode(kept, type=Rendered)
