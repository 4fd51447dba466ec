"""A made-up schema two steps further on, and a program that migrates to it, to be killed.

Run: python -m tests.upgrade.stepping URL
"""

from __future__ import annotations

import sys

from gatebook.store.log_schema import Steps
from gatebook.store.migration import migrate

TARGET = 3
_COUNT = (
    "INSERT INTO second SELECT n FROM (WITH RECURSIVE up (n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < {}) SELECT n FROM up) AS counted"
)
STEPS: Steps = {
    1: dict.fromkeys(
        ("sqlite", "postgresql"),
        ("CREATE TABLE first (n INTEGER)", "INSERT INTO first VALUES (1)"),
    ),
    2: dict.fromkeys(
        ("sqlite", "postgresql"),
        ("CREATE TABLE second (n INTEGER)", _COUNT.format(2_000_000), "DELETE FROM first"),
    ),
}


def main(url: str) -> None:
    """Says each step once it is done."""

    def tell(former: int, version: int, _seconds: float) -> None:
        print(f"{former} -> {version}", flush=True)

    migrate(url, tell, steps=STEPS, target=TARGET)


if __name__ == "__main__":
    main(sys.argv[1])
