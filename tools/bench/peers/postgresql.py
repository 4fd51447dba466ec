"""A PostgreSQL of a peer's own, on a port of loopback: a JDBC driver knows no unix sockets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gatebook.tools.bench.peers.running import HOST, Pids, free_port
from gatebook.tools.bench.subject import Missing
from gatebook.tools.bench.usage import family


@contextlib.contextmanager
def postgresql() -> Iterator[tuple[int, Pids]]:
    """Its port, and its processes. Its superuser is `postgres`, who needs no password.

    It waits for the disk at each commit, and is gone after the block. Raises Missing.
    """
    # It belongs to the tests, which are there whenever this runs: from the repository.
    from tests.postgres import binaries, running_cluster

    try:
        binaries()
    except AssertionError as error:
        raise Missing(str(error)) from error
    with running_cluster() as cluster:
        cluster.stop("fast")
        port, home = free_port(), cluster.home / "cluster"
        with (home / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"listen_addresses = '{HOST}'\nport = {port}\n")
        cluster.start()
        first = int((home / "postmaster.pid").read_text().split()[0])
        yield port, lambda: family(first)
