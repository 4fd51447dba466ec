"""One call of a handler: who calls, from where, with what; and how a command is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from gatebook.api.metrics import Metrics
from gatebook.api.reply import Rendered, Reply, recall, remember, render
from gatebook.api.site import Site
from gatebook.domain import idempotency
from gatebook.domain.application.core import By, Idempotency, local
from gatebook.domain.envelope import ANONYMOUS, Source, account_actor, uuid8_of
from gatebook.domain.errors import Remembered
from gatebook.domain.ports import LiveToken
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

    `now` is in microseconds since the epoch; `principal` is None on public routes.
    """

    house: House
    site: Site
    metrics: Metrics
    request_id: str
    source: Source
    now: int
    principal: LiveToken | None
    path: dict[str, Any]
    body: B
    query: Q
    if_match: int | None
    retry: Retry | None

    @property
    def account_id(self) -> UUID:
        """The account named in the path."""
        account_id: UUID = self.path["account_id"]
        return account_id

    @property
    def caller(self) -> LiveToken:
        """Who calls, on routes that are not public."""
        assert self.principal is not None  # the pipeline lets nobody else in
        return self.principal

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
            token_id=principal.jti,
            session_id=principal.session_id,
        )

    def command(self, give: Callable[[By], T], reply: Callable[[T], Reply]) -> Reply:
        """Gives a command and answers with its result, once for an Idempotency-Key.

        Raises Remembered when it was given before, IdempotencyMismatch when the key stood for
        another request. The memory is asked here already, so that a repeated request costs no
        password hash; what counts is that the application asks again as it decides.
        """
        retry = self.retry
        if retry is None:
            return reply(give(self.by()))
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
        return reply(give(msgspec.structs.replace(self.by(), idempotency=memory)))


def remembered(before: Remembered) -> Rendered:
    """The answer that was given the first time."""
    return recall(before.answer)
