"""Four processes and 64 writers on one store, and a reader that must miss nothing."""

from __future__ import annotations

from contextlib import ExitStack
from uuid import uuid4

from tests.store.conftest import OpenStore
from tests.store.notes import check_log
from tests.store.workers import child

PROCESSES, WRITERS, SAVES = 4, 16, 400


def test_a_tailing_reader_misses_nothing(url: str, open_store: OpenStore) -> None:
    """Every position arrives once and in order while 64 writers in 4 processes append."""
    log = open_store(create=True)
    shared, expected = uuid4(), PROCESSES * WRITERS * SAVES
    with ExitStack() as stack:
        children = [
            stack.enter_context(child("append_many", url, WRITERS, SAVES, shared))
            for _ in range(PROCESSES)
        ]
        for process in children:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == "ready\n"
        for process in children:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        seen = 0
        while seen < expected:
            head = log.wait(seen, 30)
            assert head > seen, f"nothing came after {seen} for 30 s"
            for row in log.raw(seen, 500):
                assert seen + 1 == row[0]
                seen = row[0]
        seconds = []
        for process in children:
            assert process.stdout is not None
            seconds.append(float(process.stdout.readline()))
            assert process.wait(30) == 0

    print(f"{expected / max(seconds):.0f} saves/s, slowest process {max(seconds):.1f} s")
    assert expected == check_log(log)
    assert len(log.raw_stream(shared, 0, expected, newest_first=False, limit=expected)) == (
        expected // 2
    )
    # A process that never got its turn would end long after the others.
    assert max(seconds) < 3 * min(seconds) + 1
