"""Adds lines to golden.txt for topics that have none. Existing lines are never touched.

Run: python -m tests.wire.make_golden
"""

from __future__ import annotations

from pathlib import Path

from gatebook.store.mapper import EventMapper
from tests.wire.samples import ENTRIES, METADATA, FixedKeys

GOLDEN = Path(__file__).with_name("golden.txt")


def golden() -> dict[str, bytes]:
    """Name to bytes, as they stand in the file."""
    if not GOLDEN.exists():
        return {}
    lines = (line.split() for line in GOLDEN.read_text().splitlines())
    return {name: bytes.fromhex(digits) for name, digits in lines}


def made() -> dict[str, bytes]:
    """Name to bytes, as this program makes them."""
    mapper = EventMapper(FixedKeys())
    found = {topic: mapper.to_stored_event(entry).state for topic, entry in ENTRIES.items()}
    return found | {
        f"metadata:{name}": mapper.encode_metadata(metadata) for name, metadata in METADATA.items()
    }


if __name__ == "__main__":
    known = golden()
    with GOLDEN.open("a") as file:
        for name, stored in made().items():
            if name not in known:
                file.write(f"{name} {stored.hex()}\n")
