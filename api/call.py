"""One call of a handler: who calls, from where, with what; and how a command is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from gatebook.api import cookies
from gatebook.api.metrics import Metrics
from gatebook.api.reply import Rendered, Reply, recall, remember, render
from gatebook.api.site import Site
from gatebook.domain import idempotency
from gatebook.domain.access import Caller
from gatebook.domain.application.core import By, Idempotency, local
from gatebook.domain.application.sessions import Delivery
from gatebook.domain.envelope import ANONYMOUS, Source, account_actor, uuid8_of
from gatebook.domain.errors import Remembered
from gatebook.store.house import House

B = TypeVar("B")
Q = TypeVar("Q")
T = TypeVar("T")


class Retry(msgspec.Struct, frozen=True):
    """An Idempotency-Key with what it stands for: the caller, the request and its body."""

    key: bytes
    caller: bytes
    request: bytes
    body: bytes
    by_body: bool


class Call(msgspec.Struct, Generic[B, Q], frozen=True):
    """A request that has passed every check before its handler.

    `now` is in microseconds since the epoch; `principal` is None on public routes. `device` and
    `session_cookie` are those cookies, if they were sent. `jkt` names the key that a DPoP proof
    was made with, where tokens are given. `cookies`, `user_agent` and `if_none_match` are those
    headers.
    """

    house: House
    site: Site
    metrics: Metrics
    request_id: str
    source: Source
    now: int
    principal: Caller | None
    path: dict[str, Any]
    body: B
    query: Q
    if_match: int | None
    retry: Retry | None
    device: str | None = None
    jkt: str = ""
    authorization: str | None = None
    session_cookie: str | None = None
    cookies: str | None = None
    user_agent: str | None = None
    if_none_match: str | None = None

    @property
    def account_id(self) -> UUID:
        """The account named in the path."""
        account_id: UUID = self.path["account_id"]
        return account_id

    @property
    def caller(self) -> Caller:
        """Who calls, on routes that are not public."""
        assert self.principal is not None  # the pipeline lets nobody else in
        return self.principal

    def cookie(self, name: str) -> str | None:
        """One cookie of ours, if it was sent, once."""
        return cookies.read(self.cookies, cookies.name_of(self.site, name))

    def delivery(self, *, browser: bool) -> Delivery:
        """How the session of a sign-in is handed over: as tokens, or to a browser as cookies."""
        return Delivery(browser=browser, jkt="" if browser else self.jkt, held=self.session_cookie)

    def by(self) -> By:
        """Who gives a command."""
        principal = self.principal
        if self.site.operator is not None:
            return msgspec.structs.replace(local(self.site.operator), request_id=self.request_id)
        if principal is None:
            return By(actor=ANONYMOUS, request_id=self.request_id, source=self.source)
        return By(
            actor=account_actor(principal.account_id),
            request_id=self.request_id,
            source=self.source,
            permissions=principal.permissions,
            account_id=principal.account_id,
            epoch=principal.epoch,
            presented=(principal.kind, principal.id),
            session_id=principal.session_id,
            auth_time=principal.auth_time,
            acr=principal.acr,
        )

    def command(
        self, give: Callable[[By], T], reply: Callable[[T], Reply], by: By | None = None
    ) -> Reply:
        """Gives a command and answers with its result, once for an Idempotency-Key.

        Raises Remembered when it was given before, IdempotencyMismatch when the key stood for
        another request. The memory is asked here already, so that a repeated request costs no
        password hash; what counts is that the application asks again as it decides.
        """
        retry, by = self.retry, by or self.by()
        if retry is None:
            return reply(give(by))
        derive = self.house.app.keys.derive
        request_hash = derive("idempotency", b"request", retry.request, retry.body)
        scope = request_hash if retry.by_body else b""
        stream_id = uuid8_of(
            derive("idempotency", b"stream", retry.caller, retry.request, retry.key, scope)
        )
        done = self.house.app.load(stream_id, idempotency.Done(), idempotency.evolve)
        unseal = self.house.app.keys.open_answer
        idempotency.check(request_hash, self.now, done.state, unseal)
        memory = Idempotency(
            stream_id=stream_id,
            request_hash=request_hash,
            render=lambda result: remember(render(reply(result))),
        )
        return reply(give(msgspec.structs.replace(by, idempotency=memory)))


def remembered(before: Remembered) -> Rendered:
    """The answer that was given the first time."""
    return recall(before.answer)
