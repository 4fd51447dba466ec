"""What the API must know of where it is served."""

from __future__ import annotations

import threading
from ipaddress import IPv4Network, IPv6Network, ip_network

import msgspec

from gatebook.store import tls
from gatebook.store.settings import Settings


class Site(msgspec.Struct, frozen=True):
    """The addresses and limits of this server, and what is shared by its threads.

    `base_url` has no slash at its end. `problem_base` begins the type URIs of problems. `secure`:
    browsers come by https, whatever this listener speaks.
    `questions` bounds those about the past that are answered at one time: some take seconds.
    `stopping` is set when the process is asked to end, so that long polls end early. `operator`
    is the user at the command line when there is no listener: then nobody is asked for a token.
    """

    base_url: str
    problem_base: str
    secure: bool
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    max_body: int
    waiters: threading.BoundedSemaphore
    questions: threading.BoundedSemaphore
    stopping: threading.Event
    worker: str = "0"
    operator: str | None = None
    certificate: tls.Certificate | None = None


def site_of(
    settings: Settings,
    *,
    threads: int,
    address: str,
    worker: str = "0",
    certificate: tls.Certificate | None = None,
) -> Site:
    """The site that settings describe. `address` is the listener's, for want of a public URL."""
    server = settings.server
    public_url = server.public_url.rstrip("/")
    return Site(
        base_url=public_url or f"{server.scheme}://{address}",
        problem_base=f"{public_url}/problems/" if public_url else "urn:gatebook:api/problems/",
        secure=server.is_secure,
        trusted_proxies=tuple(ip_network(one, strict=False) for one in server.trusted_proxies),
        max_body=int(server.max_body),
        waiters=threading.BoundedSemaphore(max(1, threads // 4)),
        questions=threading.BoundedSemaphore(max(1, threads // 2)),
        stopping=threading.Event(),
        worker=worker,
        certificate=certificate,
    )
