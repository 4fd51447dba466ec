"""An account's life as one HTML page: no network, no font or script of others, nothing loaded."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from typing import Any, Final

import msgspec
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from gatebook.tools.timeline import Life, Moment, Row, end_of, rows

_TEMPLATES: Final = files("gatebook.tools") / "templates"
_STYLE: Final = "\n".join(
    (_TEMPLATES / name).read_text() for name in ("timeline.css", "timeline_chart.css")
)
_SCRIPT: Final = (_TEMPLATES / "timeline.js").read_text()
_ENDS: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
"""JSON stays JSON by it, and ends no element of the page."""

_template = Environment(
    autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
).from_string((_TEMPLATES / "timeline.html").read_text())


def page(life: Life) -> str:
    """The page. Whatever the log holds is text in it."""
    account = life.account
    lines = rows(life.bands, life.end)
    days = groupby(life.moments, key=lambda one: _written(one.at, "%A, %-d %B %Y"))
    return _template.render(
        account=account,
        title=account["username"] or f"erased account {account['id']}",
        policy=_policy(),
        style=Markup(_STYLE),  # noqa: S704 - ours, and without a closing tag
        script=Markup(_SCRIPT),  # noqa: S704 - the same
        chart=Markup(_chart(life, lines)),  # noqa: S704 - see _ENDS
        begin=_written(life.begin, "%-d %B %Y, %H:%M"),
        end=_written(life.end, "%-d %B %Y, %H:%M"),
        figures=_figures(life),
        days=[(day, [_shown(one) for one in found]) for day, found in days],
        left_out=life.left_out,
        made=_written(life.now, "%Y-%m-%d %H:%M:%S UTC"),
    )


def _policy() -> str:
    """What the page may do: be itself."""
    style, script = (
        b64encode(sha256(text.encode()).digest()).decode() for text in (_STYLE, _SCRIPT)
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _chart(life: Life, lines: list[Row]) -> str:
    """What the script draws. Times in milliseconds."""
    drawn = {
        "begin": life.begin // 1000,
        "end": life.end // 1000,
        "rows": [_row(line, life) for line in lines],
        "events": [
            {"at": one.at // 1000, "position": one.position, "tone": one.tone, "text": one.text}
            for one in life.moments
        ],
    }
    return msgspec.json.encode(drawn).decode().translate(_ENDS)


def _row(line: Row, life: Life) -> dict[str, Any]:
    return {
        "group": line.group,
        "label": line.label,
        "bands": [
            {
                "begin": band.begin // 1000,
                "end": end_of(band, life.end) // 1000,
                "label": band.label,
                "kind": f"{band.kind}",
                "position": band.position,
                "lasts": end_of(band, life.end) >= life.end,
            }
            for band in line.bands
        ],
    }


def _figures(life: Life) -> list[tuple[str, int, str]]:
    """(What, how many, tone)."""
    types = [one.type for one in life.moments]
    locks = sum(band.group == "Locks" for band in life.bands)
    lasting = sum(b.group == "Sessions" and end_of(b, life.end) >= life.end for b in life.bands)
    return [
        ("events", len(types) + life.left_out, ""),
        ("sign-ins", types.count("login.succeeded"), "good"),
        ("failed", types.count("login.failed"), "bad"),
        ("locks", locks, "bad"),
        ("open sessions", lasting, "good"),
    ]


def _shown(one: Moment) -> dict[str, Any]:
    event = one.event
    source = event["source"]
    facts = [
        ("Recorded", event["recorded_at"]),
        ("Type", one.type),
        ("By", one.actor),
        ("From", f"{source['ip']}, {source['user_agent']}" if source else None),
        ("Request", event["request_id"]),
        ("Stream", f"{event['stream']['type']} {event['stream']['id']}"),
        ("Version", event["stream"]["version"]),
        *(
            (name, _value(value))
            for name, value in _flat(event["data"])
            if name != "account_id"  # whose page it is
        ),
    ]
    return {
        "position": one.position,
        "time": _written(one.at, "%H:%M:%S"),
        "machine": event["recorded_at"],
        "tone": one.tone,
        "text": one.text,
        "actor": one.actor,
        "category": one.category,
        "facts": [(name, value) for name, value in facts if value not in (None, "")],
    }


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """The members of what an event says, those of its parts by their paths."""
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            found += _flat(value, f"{before}{name}.")
        else:
            found.append((f"{before}{name}", value))
    return found


def _value(value: Any) -> str | None:
    if value is None or value == []:
        return None
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _written(at: int, form: str) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).strftime(form)
