"""`gatebook audit explain --event`: a recorded decision, made again."""

from __future__ import annotations

from typing import Any, Final

from gatebook.tools.desk import DONE, REFUSED, Desk

SAID: Final = {
    "agrees": "The same is decided now.",
    "disagrees": "Something else is decided now.",
    "unknown": "It cannot be decided again.",
    "no-decision": "Nothing was decided here.",
}


def explain_event(desk: Desk, position: int) -> int:
    """Shows it. Returns the exit code: 1 when something else is decided now."""
    with desk.api() as api:
        found = api.get(f"/v1/audit/events/{position}/decision")
    code = REFUSED if found["outcome"] == "disagrees" else DONE
    if desk.as_json:
        desk.show(found)
        return code
    event = found["event"]
    desk.say(f"event {position}, {event['type']}, {event['recorded_at']}")
    desk.say(f"then: {found['then']}")
    desk.say(f"now:  {_now(found)}")
    desk.say(f"{SAID[found['outcome']]} {found['why']}")
    if found["inputs"]:
        desk.say("")
        inputs = [
            {"input": name.replace("_", " "), "value": value}
            for name, value in found["inputs"].items()
        ]
        desk.table(inputs, ("input", "value"))
    if found["outcome"] == "disagrees" and found["now"]:
        desk.say("")
        desk.table(found["now"], ("type", "data"))
    return code


def _now(found: dict[str, Any]) -> str:
    if found["refusal"]:
        return f"It is refused: {found['refusal']}"
    if found["now"]:
        return " ".join(one["text"] for one in found["now"])
    return "Nothing is recorded." if found["outcome"] == "disagrees" else "-"
