"""The shapes of requests and answers, as the contract has them. Times are RFC 3339 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

T = TypeVar("T")

Instant = Annotated[datetime, Meta(tz=True)]
Password = Annotated[str, Meta(max_length=4096)]
Name = Annotated[str, Meta(max_length=1024)]
Line = Annotated[str, Meta(max_length=1024)]
Limit = Annotated[int, Meta(ge=1, le=500)]
Position = Annotated[int, Meta(ge=0, le=2**62)]
Cursor = Annotated[str, Meta(min_length=1, max_length=512)]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body or a query: closed."""


class Nothing(Request, frozen=True):
    """A body without members, or no body at all."""


class Paging(Request, frozen=True, kw_only=True):
    """Which part of a list."""

    limit: Limit = 50
    after: Cursor | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list; `next` goes on behind it, null at the end."""

    items: list[T]
    next: str | None


# --- meta


class Health(msgspec.Struct, frozen=True):
    """The process serves."""

    status: Literal["ok"]


class Standing(msgspec.Struct, frozen=True):
    """How a read model stands. `lag` is in events."""

    name: str
    status: str
    position: int
    lag: int


class Readiness(msgspec.Struct, frozen=True):
    """Whether requests can be served, and what is not as it should be."""

    status: Literal["ready", "not-ready"]
    problems: list[str]


class FullReadiness(Readiness, frozen=True):
    """With where the log and each read model stand: for the machine room."""

    position: int
    projections: list[Standing]
    warnings: list[str] = []


# --- accounts


class Account(msgspec.Struct, frozen=True):
    """An account. What was erased is null."""

    id: UUID
    username: str | None
    type: str
    status: str
    display_name: str | None
    email: str | None
    roles: list[str]
    created_at: datetime
    updated_at: datetime
    version: int


class NewAccount(Request, frozen=True):
    """An account to be."""

    username: Name
    type: Literal["human", "system"]
    display_name: Line = ""
    email: Line = ""
    password: Password | None = None


class AccountChanges(Request, frozen=True):
    """What is to change; what is not named stays. An empty string clears."""

    username: Name | UnsetType = UNSET
    display_name: Line | UnsetType = UNSET
    email: Line | UnsetType = UNSET
    status: Literal["active", "inactive"] | UnsetType = UNSET


class AccountQuery(Paging, frozen=True, kw_only=True):
    """Which accounts. `q`: part of a name or an e-mail. `username`: that one, as names compare."""

    username: Annotated[str, Meta(max_length=200)] | None = None
    status: Literal["active", "inactive", "deleted"] | None = None
    type: Literal["human", "system"] | None = None
    role: Annotated[str, Meta(max_length=63)] | None = None
    q: Annotated[str, Meta(max_length=200)] | None = None


class AsOf(Request, frozen=True):
    """A place in the past: a time, or a position of the log."""

    at: Instant | None = None
    position: Annotated[int, Meta(ge=1, le=2**62)] | None = None


class Erasure(Request, frozen=True):
    """`confirm` is the account's username."""

    confirm: Name


class NewPassword(Request, frozen=True):
    """A password for another's account."""

    password: Password


class HistoryEntry(msgspec.Struct, frozen=True):
    """Something that happened to the account, in plain words."""

    position: int
    at: datetime
    type: str
    text: str
    actor: str


# --- roles


class RoleBody(Request, frozen=True):
    """What a role is to stand for."""

    permissions: Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=100)]
    description: Annotated[str, Meta(max_length=500)] = ""


class Role(msgspec.Struct, frozen=True):
    """A role and what it stands for."""

    name: str
    permissions: list[str]
    description: str
    built_in: bool


class Permission(msgspec.Struct, frozen=True):
    """A permission with a line about it."""

    name: str
    description: str


class Grant(msgspec.Struct, frozen=True):
    """A role that an account holds, until `expires_at` if that is set."""

    role: str
    expires_at: datetime | None


class GrantQuery(Request, frozen=True):
    """Until when the grant is to last."""

    expires_at: Instant | None = None
