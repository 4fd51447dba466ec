"""The log in the Open Cybersecurity Schema Framework, a JSON line an event.

Sign-ins, sessions and tokens are Authentication (3002), what changes an account is Account Change
(3001); `export_table` has the rest. What OCSF has no place for is under `unmapped`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from gatebook.store.checkpoints import NoteRefused, parse
from gatebook.store.commands import RELEASE
from gatebook.tools.export_table import (
    ACCOUNT,
    API,
    AUTHENTICATION,
    BASE,
    ENTITY,
    KINDS,
    LIFECYCLE,
    Kind,
    title_of,
)

VERSION: Final = "1.5.0"
PRODUCT: Final = {"name": "Gatebook", "vendor_name": "Gatebook", "version": RELEASE}
SUCCESS, FAILURE, OTHER = 1, 2, 99

_SEVERITIES: Final = (
    (1, "Informational"), (1, "Informational"), (1, "Informational"), (2, "Low"), (3, "Medium"),
    (3, "Medium"), (3, "Medium"), (4, "High"), (4, "High"), (5, "Critical"), (5, "Critical"),
)  # fmt: skip
_STATUSES: Final = {"success": (1, "Success"), "failure": (2, "Failure")}

_encode = msgspec.json.Encoder().encode


def event_line(event: dict[str, Any], leaf_hash: str) -> str:
    """An event."""
    kind = KINDS[event["type"]]
    written = _base(kind, title_of(event["type"])) | {
        "time": _milliseconds(event["recorded_at"]),
        "metadata": _metadata(event),
        "unmapped": {
            "account_id": event["account_id"],
            "actor": event["actor"],
            "category": event["category"],
            "data": event["data"],
            "leaf_hash": leaf_hash,
            "stream": event["stream"],
        },
    }
    if kind.outcome:
        written["status_id"], written["status"] = _STATUSES[kind.outcome]
    return _encode(written | _parts(kind, event)).decode()


def checkpoint_line(note: str, recorded_at: str) -> str:
    """The end of a batch whose last event was recorded then: a Base Event, since no class fits."""
    kind = Kind(BASE, 99, 0)
    head = parse(note)[0]
    written = _base(kind, f"Signed head of {head.size} events") | {
        "time": _milliseconds(recorded_at),
        "metadata": {"version": VERSION, "product": PRODUCT, "log_name": head.origin},
        "unmapped": {"checkpoint": note},
    }
    return _encode(written).decode()


def place_of(line: str) -> tuple[int, bool]:
    """Up to where the log is exported with this line, and whether it ends a batch.

    Raises ValueError for any other line.
    """
    try:
        found = msgspec.json.decode(line)
        if "checkpoint" in found["unmapped"]:
            return parse(found["unmapped"]["checkpoint"])[0].size, True
        return int(found["metadata"]["sequence"]), False
    except (msgspec.DecodeError, NoteRefused, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


def _base(kind: Kind, message: str) -> dict[str, Any]:
    """What every class of OCSF has."""
    severity_id, severity = _SEVERITIES[kind.severity]
    return {
        "activity_id": kind.activity,
        "activity_name": kind.ocsf.activities[kind.activity],
        "category_uid": kind.ocsf.category_uid,
        "category_name": kind.ocsf.category,
        "class_uid": kind.ocsf.uid,
        "class_name": kind.ocsf.name,
        "type_uid": kind.ocsf.uid * 100 + kind.activity,
        "type_name": f"{kind.ocsf.name}: {kind.ocsf.activities[kind.activity]}",
        "severity_id": severity_id,
        "severity": severity,
        "message": message,
    }


def _metadata(event: dict[str, Any]) -> dict[str, Any]:
    found = {
        "version": VERSION,
        "product": PRODUCT,
        "uid": event["id"],
        "sequence": event["position"],
        "event_code": event["type"],
        "log_name": "gatebook",
        "original_time": event["recorded_at"],
    }
    return found | _given(correlation_uid=event["request_id"])


def _parts(kind: Kind, event: dict[str, Any]) -> dict[str, Any]:
    """What the class wants beside that: whom, what, by whom and from where."""
    found: dict[str, Any] = {}
    source = event["source"]
    if kind.ocsf is not LIFECYCLE:
        found["actor"] = _actor(event["actor"])
    origin = _given(ip=source["ip"]) if source else {}
    if kind.ocsf in (AUTHENTICATION, ACCOUNT):
        found["user"] = _user(event)
    if kind.ocsf is API:
        found["src_endpoint"] = origin or {"name": "unknown"}  # this class cannot be without
    elif kind.ocsf is not LIFECYCLE and origin:
        found["src_endpoint"] = origin
    if kind.ocsf in (AUTHENTICATION, ACCOUNT, ENTITY, API) and source:
        found["http_request"] = {"user_agent": source["user_agent"]}
    return found | _own_parts(kind, event)


def _own_parts(kind: Kind, event: dict[str, Any]) -> dict[str, Any]:
    data, stream = event["data"], event["stream"]
    if kind.ocsf is AUTHENTICATION:
        session = {"session": {"uid": stream["id"]}} if stream["type"] == "session" else {}
        return {"service": {"name": "Gatebook"}} | session
    if kind.ocsf is ACCOUNT:
        return {"policy": {"name": _role(event)}} if kind.activity in (7, 8) else {}
    if kind.ocsf is ENTITY:
        named = data.get("name") or data.get("kid") or stream["id"]
        return {"entity": {"name": str(named), "uid": stream["id"], "type": stream["type"]}}
    if kind.ocsf is API:
        return {"api": {"operation": data.get("action") or event["type"]}}
    if kind.ocsf is LIFECYCLE:
        return {"app": PRODUCT}
    return {"log_name": "gatebook"}


def _role(event: dict[str, Any]) -> str:
    return str(event["data"].get("role", "admin"))


def _user(event: dict[str, Any]) -> dict[str, Any]:
    """Whom it is about; a name where the event has one that can still be opened."""
    profile = event["data"].get("profile") or {}
    uid = event["account_id"]
    return _given(uid=uid, name=profile.get("username") or (None if uid else "unknown"))


def _actor(actor: dict[str, str]) -> dict[str, Any]:
    match actor["type"]:
        case "account":
            return {"user": {"uid": actor["id"]}}
        case "local":
            return {"user": {"name": actor["id"], "domain": "local"}}
        case kind:
            return {"app_name": "Gatebook" if kind == "system" else kind}


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _milliseconds(written: str) -> int:
    return int(datetime.fromisoformat(written).timestamp() * 1000)
