"""The API in this process, for the command line: the same routes, the caller an operator.

There is no listener: who can run this can read the store and its keys anyway. Every command is an
event with the actor `local:<user>`; reading past the API is one too (`console.used`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import msgspec

from gatebook.api.app import create_app
from gatebook.api.metrics import Metrics
from gatebook.api.routes import routes
from gatebook.api.site import site_of
from gatebook.domain import deployment
from gatebook.domain.application.core import local
from gatebook.projections.follower import Follower
from gatebook.projections.registry import PROJECTIONS
from gatebook.store.house import House
from gatebook.store.tree_signer import sign_now

READS = frozenset({"GET", "HEAD"})
HEAD = "/v1/audit/checkpoint"


@contextmanager
def local_client(house: House, user: str, words: str) -> Iterator[httpx.Client]:
    """A client of the API whose caller is an operating-system user.

    `words` are the command's, recorded once when it reads. Read models that follow are brought
    level first, unless a server does that already.
    """
    site = msgspec.structs.replace(
        site_of(house.settings, threads=1, address=house.settings.server.listen), operator=user
    )
    app = create_app(house, site, routes(house.settings), Metrics(house))
    told = False

    def tell(request: httpx.Request) -> None:
        nonlocal told
        if request.method in READS and not told:
            told = True
            record_use(house, user, words)
            follow_up(house)
        elif request.url.path == HEAD:
            follow_up(house)  # whoever follows the log here asks again, and nobody else may sign

    transport = httpx.WSGITransport(app=app)
    base_url = site.base_url
    with httpx.Client(
        transport=transport, base_url=base_url, event_hooks={"request": [tell]}, timeout=60
    ) as client:
        yield client


def record_use(house: House, user: str, words: str) -> None:
    """Records that somebody read from the store at the command line."""
    event = deployment.ConsoleUsed(command=words)
    house.app.record_one(event, deployment.STREAM_ID, local(user))


def follow_up(house: House) -> None:
    """Brings the following read models and the tree level, when no follower runs."""
    with house.store.lease("follower") as lease:
        if not lease.held():
            return
        follower = Follower(house.store, PROJECTIONS, house.clock)
        follower.prepare()
        while follower.round():
            pass
        sign_now(house)
