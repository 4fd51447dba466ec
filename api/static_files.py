"""The pages' style and script: a closed table in memory, each file under the hash of its bytes."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Any, Final

import msgspec

from gatebook.api.call import Call
from gatebook.api.reply import Reply, Text
from gatebook.api.route import PUBLIC, Handler, Route

TYPES: Final = {
    "style.css": "text/css; charset=utf-8",
    "passkey.js": "text/javascript; charset=utf-8",
}
CACHED: Final = "public, max-age=3600"


class StaticFile(msgspec.Struct, frozen=True):
    """A file as it is served."""

    text: Text
    tag: str


def _read(name: str) -> StaticFile:
    content = (files("gatebook.api") / "static" / name).read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return StaticFile(Text(content, TYPES[name]), tag)


def _serving(file: StaticFile) -> Handler:
    headers = {"ETag": file.tag, "Cache-Control": CACHED}

    def serve(call: Call[Any, Any]) -> Reply:
        known = {one.strip().removeprefix("W/") for one in (call.if_none_match or "").split(",")}
        if file.tag in known or "*" in known:
            return Reply(304, headers=headers)
        return Reply(200, file.text, headers)

    return serve


STATIC: Final = tuple(
    Route(
        "GET",
        f"/static/{name}",
        _serving(_read(name)),
        PUBLIC,
        f"The pages' {name}",
        {200: None, 304: None},
        media_type=kind,
    )
    for name, kind in TYPES.items()
)
