"""A proposed policy, as `audit simulate` reads it: a TOML file, closed like the configuration."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from gatebook.domain.errors import InvalidValue
from gatebook.domain.permissions import CATALOGUE
from gatebook.domain.role import check_name
from gatebook.domain.simulation import LockoutProposal, MappingProposal, Proposal
from gatebook.store.house import House
from gatebook.store.setting_sections import Duration, Section, duration_of
from gatebook.store.settings import one_line
from gatebook.tools.desk import USAGE, Failed, is_id


class LockoutTable(Section, frozen=True):
    """`[lockout]`: what is left out stays as it was."""

    threshold: int | None = None
    duration: Duration | None = None
    reset: Duration | None = None


class RoleTable(Section, frozen=True):
    """`[roles.<name>]`: another definition, or none."""

    permissions: list[str] | None = None
    deleted: bool = False


class MappingTable(Section, frozen=True):
    """`[[mappings]]`: a group that would stand for a role. `provider` is an id or a name."""

    provider: str
    group: str
    role: str
    remove: bool = False


class PasswordsTable(Section, frozen=True):
    """`[passwords]`"""

    max_age: Duration


class MfaTable(Section, frozen=True):
    """`[mfa]`"""

    required_for: list[str]


class PolicyFile(Section, frozen=True):
    """The whole file."""

    lockout: LockoutTable | None = None
    roles: dict[str, RoleTable] = msgspec.field(default_factory=dict)
    mappings: list[MappingTable] = msgspec.field(default_factory=list)
    passwords: PasswordsTable | None = None
    mfa: MfaTable | None = None


def read(path: Path) -> PolicyFile:
    """The file, checked as far as it can be by itself. Raises Failed naming what is wrong."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        found = msgspec.convert(table, PolicyFile, strict=True, dec_hook=_decode)
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}", USAGE) from error
    except msgspec.ValidationError as error:
        raise Failed(f"{path}: {one_line(error)}", USAGE) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failed(f"{path}: {error}", USAGE) from error
    for problem in _problems(found):
        raise Failed(f"{path}: {problem}", USAGE)
    return found


def proposal_of(given: PolicyFile, house: House) -> Proposal:
    """What it proposes for this deployment. Raises Failed for a role or provider it has not."""
    known = {one.name for one in house.access.roles()}
    required = given.mfa.required_for if given.mfa is not None else []
    for name in [*given.roles, *(one.role for one in given.mappings), *required]:
        if name not in known:
            raise Failed(f"there is no role {name!r}: gatebook role list", USAGE)
    lockout = given.lockout
    return Proposal(
        lockout=None
        if lockout is None
        else LockoutProposal(lockout.threshold, lockout.duration, lockout.reset),
        roles={name: _definition(one) for name, one in given.roles.items()},
        mappings=tuple(_mapping(one, house) for one in given.mappings),
        password_max_age=given.passwords.max_age if given.passwords is not None else None,
        mfa_required_for=None if given.mfa is None else frozenset(required),
    )


def _definition(role: RoleTable) -> frozenset[str] | None:
    return None if role.deleted else frozenset(role.permissions or ())


def _mapping(mapping: MappingTable, house: House) -> MappingProposal:
    if is_id(mapping.provider):
        provider_id = UUID(mapping.provider)
    else:
        known = [one for one in house.federations.providers() if one.name == mapping.provider]
        if len(known) != 1:
            raise Failed(
                f"there is no one provider {mapping.provider!r}: gatebook oidc provider list", USAGE
            )
        provider_id = known[0].provider_id
    return MappingProposal(provider_id, mapping.group, mapping.role, mapping.remove)


def _problems(given: PolicyFile) -> list[str]:
    found: list[str] = []
    threshold = given.lockout.threshold if given.lockout is not None else None
    if threshold is not None and threshold < 1:
        found.append("[lockout] threshold is at least 1")
    for name, role in given.roles.items():
        try:
            check_name(name)
        except InvalidValue as error:
            found.append(f"[roles.{name}] {error.detail}")
        if (role.permissions is None) == (not role.deleted):
            found.append(f"[roles.{name}] says permissions = [...], or deleted = true")
        unknown = sorted(set(role.permissions or ()) - CATALOGUE.keys())
        if unknown:
            found.append(f"[roles.{name}] there is no permission {unknown[0]!r}")
    if given == PolicyFile():
        found.append(
            "it proposes nothing: [lockout], [roles.NAME], [[mappings]], [passwords] [mfa]"
        )
    return found


def _decode(kind: type, value: Any) -> Any:
    if kind is Duration:
        return duration_of(value)
    raise NotImplementedError(kind)
