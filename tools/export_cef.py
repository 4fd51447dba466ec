r"""The log in ArcSight's Common Event Format, version 0, a line an event.

`|` and `\` are escaped in the header, `=`, `\` and ends of lines in the extension. What is no
printable character beside those becomes U+FFFD: a name must not steer whoever reads the line.
"""

from __future__ import annotations

import re
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Final

import msgspec

from gatebook.store.checkpoints import parse
from gatebook.store.commands import RELEASE
from gatebook.tools.desk import plain
from gatebook.tools.export_table import KINDS, title_of

CHECKPOINT: Final = "checkpoint"
_FRONT: Final = f"CEF:0|Gatebook|Gatebook|{RELEASE}"
_PLACE: Final = re.compile(r"(?:^| )externalId=([0-9]+)(?: |$)", re.ASCII)
_HEADER: Final = re.compile(r"^CEF:0\|Gatebook\|Gatebook\|(?:[^|\\]|\\.)*\|([a-z_.]+)\|")

_encode = msgspec.json.Encoder().encode


def event_line(event: dict[str, Any], leaf_hash: str) -> str:
    """An event."""
    kind = KINDS[event["type"]]
    stream, profile = event["stream"], event["data"].get("profile") or {}
    pairs: dict[str, Any] = {
        "externalId": event["position"],
        "rt": _milliseconds(event["recorded_at"]),
        "cat": event["category"],
        "outcome": kind.outcome,
        **_actor(event["actor"]),
        "duid": event["account_id"],
        "duser": profile.get("username"),
        **_source(event["source"]),
        **_labelled("cs1", "leafHash", leaf_hash),
        **_labelled("cs2", "stream", f"{stream['type']}/{stream['id']}"),
        **_labelled("cs3", "requestId", event["request_id"]),
        **_labelled("cn1", "streamVersion", stream["version"]),
        "msg": _encode(event["data"]).decode(),
    }
    return _line(event["type"], title_of(event["type"]), kind.severity, pairs)


def checkpoint_line(note: str, recorded_at: str) -> str:
    """The end of a batch whose last event was recorded then."""
    place = {"externalId": parse(note)[0].size, "rt": _milliseconds(recorded_at)}
    pairs = place | _labelled("cs1", "checkpoint", note)
    return _line(CHECKPOINT, "Signed head of the log", 0, pairs)


def place_of(line: str) -> tuple[int, bool]:
    """Up to where the log is exported with this line, and whether it ends a batch.

    Raises ValueError for any other line.
    """
    header = _HEADER.match(line)
    # Nothing that others wrote stands before it: it is the first of the extension.
    place = _PLACE.search(line.split("|", 7)[-1]) if header else None
    if header is None or place is None or header[1] not in (*KINDS, CHECKPOINT):
        raise ValueError("it is no line of this format")
    return int(place[1]), header[1] == CHECKPOINT


def _milliseconds(written: str) -> int:
    return int(datetime.fromisoformat(written).timestamp() * 1000)


def _line(kind: str, name: str, severity: int, pairs: dict[str, Any]) -> str:
    extension = " ".join(
        f"{key}={_value(value)}" for key, value in pairs.items() if value not in (None, "")
    )
    return f"{_FRONT}|{_field(kind)}|{_field(name)}|{severity}|{extension}"


def _field(text: str) -> str:
    return plain(text).replace("\\", "\\\\").replace("|", "\\|")


def _value(value: Any) -> str:
    written = str(value).replace("\\", "\\\\").replace("=", "\\=")
    return "\\n".join(plain(part) for part in re.split(r"\r\n|\r|\n", written))


def _labelled(key: str, label: str, value: Any) -> dict[str, Any]:
    return {f"{key}Label": label, key: value} if value not in (None, "") else {}


def _actor(actor: dict[str, str]) -> dict[str, Any]:
    if actor["type"] == "account":
        return {"suid": actor["id"]}
    return {"suser": actor["id"] or actor["type"]}


def _source(source: dict[str, str] | None) -> dict[str, Any]:
    if source is None:
        return {}
    agent = {"requestClientApplication": source["user_agent"]}
    try:
        address = ip_address(source["ip"])
    except ValueError:
        return agent
    if address.version == 4:
        return {"src": source["ip"], **agent}
    return {**_labelled("c6a2", "Source IPv6 Address", source["ip"]), **agent}
