"""Signing in with an identity provider, and being signed out by it.

One append holds everything a sign-in leads to: the account if it is new, its link, the roles that
its groups give and take, the first administrator's seat, the session. A crash before it leaves
nothing, and the next try is the first.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain import account as accounts
from gatebook.domain import (
    administrators,
    federation,
    first_admin,
    group_mapping,
    identity,
    session,
)
from gatebook.domain.access import Federations
from gatebook.domain.account import Account, Profile
from gatebook.domain.application.accounts import Accounts
from gatebook.domain.application.core import HOUR, By, Decision, Gatebook, Loaded
from gatebook.domain.application.providers import Providers
from gatebook.domain.application.roles import Roles
from gatebook.domain.application.sessions import Delivery, Sessions, SignedIn, SignIn
from gatebook.domain.envelope import Entry, account_actor, uuid8_of
from gatebook.domain.errors import Conflict, InvalidValue, LastAdmin
from gatebook.domain.federated_claims import Federated, FederationRefused
from gatebook.domain.permissions import ADMIN
from gatebook.domain.proofs import federated

MANY = 50
"""How often a sign-in is decided: fifty that race for the first administrator's seat all end."""


class FirstAdminRule(msgspec.Struct, frozen=True):
    """Who may take the first administrator's seat by federation: members of any of the groups.

    `provider` is an id or a name; empty: any provider.
    """

    groups: frozenset[str] = frozenset()
    provider: str = ""

    def allows(self, provider_id: UUID, name: str, groups: tuple[str, ...]) -> bool:
        """Whether somebody with these groups at that provider may."""
        named = self.provider in ("", str(provider_id), name)
        return named and not self.groups.isdisjoint(groups)


class Arrival(msgspec.Struct, frozen=True):
    """Somebody came back from a provider. `state` is what his sign-in was begun with, once."""

    provider_id: UUID
    federated: Federated
    state: bytes
    delivery: Delivery


class Federation:
    """The commands of federated sign-ins."""

    def __init__(
        self,
        app: Gatebook,
        accounts_: Accounts,
        roles: Roles,
        sessions: Sessions,
        providers: Providers,
        federations: Federations,
        rule: FirstAdminRule,
    ) -> None:
        self._app = app
        self._accounts = accounts_
        self._roles = roles
        self._sessions = sessions
        self._providers = providers
        self._federations = federations
        self._rule = rule

    def sign_in(self, by: By, arrival: Arrival) -> SignedIn:
        """Opens a session for whom the provider vouches. Raises FederationRefused."""
        fresh_id = self._app.ids.account()

        def decide(now: int) -> Decision[SignedIn]:
            return self._decide(arrival, fresh_id, now)

        signed_in = self._accounts.run_creation(by, fresh_id, decide, attempts=MANY)
        if signed_in.account_id != fresh_id:
            self._app.keys.destroy_subject(fresh_id)  # of an account that a race made needless
        return signed_in

    def refused(self, by: By, provider_id: UUID | None, refusal: FederationRefused) -> None:
        """Records why a sign-in was refused; so many an hour one by one, and no more."""

        def decide(now: int) -> Decision[None]:
            stream_id = federation.failures_stream_id(provider_id, now // HOUR)
            if self._app.version(stream_id) >= federation.MAX_FAILURES_AN_HOUR:
                return Decision(None)
            event = federation.FederatedLoginFailed(
                provider_id=provider_id, reason=refusal.reason, account_id=refusal.account_id
            )
            entry = Entry(stream_id, 0, event)
            return Decision(
                None, [entry], subject=refusal.account_id, unordered=frozenset({stream_id})
            )

        self._app.run(by, decide)

    def logout(self, by: By, provider_id: UUID, *, jti: str, sub: str, sid: str) -> int:
        """Ends the sessions that a provider's logout token names. Returns how many.

        A token counts once; its mark stands in the same append as the ends of the sessions.
        """

        def decide(_now: int) -> Decision[int]:
            stream_id = federation.logout_stream_id(provider_id, jti)
            if self._app.version(stream_id):
                return Decision(0)
            configured = self._providers.load(provider_id).state.configuration
            assert configured is not None  # load raises otherwise
            found = self._named(configured.issuer, sub, sid)
            ends = [e for one in found for e in self._sessions.ended(one, "provider-logout")]
            event = federation.ProviderLogoutReceived(provider_id=provider_id, sessions=len(ends))
            entries = [*Loaded(stream_id, 0, None).entries([event]), *ends]
            return Decision(len(ends), entries)

        return self._app.run(by, decide)

    # --- details

    def _decide(self, arrival: Arrival, fresh_id: UUID, now: int) -> Decision[SignedIn]:
        app, provider_id, who = self._app, arrival.provider_id, arrival.federated
        held = self._providers.load(provider_id)
        configured = held.state.configuration
        if configured is None or not configured.enabled:
            raise FederationRefused("provider_disabled")
        spent = federation.login_stream_id(arrival.state)
        if app.version(spent):
            raise FederationRefused("pre_login_spent")
        link = self._load_link(who)
        known = link.state.account_id
        standing = self._standing(known) if known else None
        if standing is None and not configured.create_accounts:
            raise FederationRefused("account_creation_disabled")
        profile = self._profile(who, fresh_id) if standing is None else None
        before = standing or Loaded(fresh_id, 1, _born(profile))
        changes = self._changes(arrival, configured.name, before.state, now)
        after = before.state
        for event in changes.events:
            after = accounts.evolve(after, event)
        if not after.roles(now):
            raise FederationRefused("unmapped_groups", account_id=known)
        entries: list[Entry] = []
        if profile is not None:
            entries += self._accounts.creation(fresh_id, "human", profile, None)
        entries += _linked(link, before.stream_id, arrival)
        entries += self._with_roster(before, changes.events)
        if changes.seat is not None:
            taken = first_admin.take(before.stream_id, "oidc", changes.seat.state)
            entries += changes.seat.entries(taken)
        entries += Loaded(spent, 0, None).entries(
            [
                federation.FederatedLoginCompleted(
                    account_id=before.stream_id, provider_id=provider_id
                )
            ]
        )
        opened, signed_in = self._open(before.stream_id, after, arrival, now)
        expected = {provider_id: held.version, link.stream_id: link.version, **changes.read}
        return Decision(
            signed_in,
            entries + opened,
            subject=before.stream_id,
            actor=account_actor(before.stream_id),
            expected={k: v for k, v in expected.items() if not _written(k, entries)},
        )

    def _standing(self, known: UUID) -> Loaded[Account]:
        """The linked account as it stands. Raises FederationRefused when it may not sign in."""
        loaded = self._accounts.load(known).loaded
        match loaded.state.status:
            case "active":
                return loaded
            case "inactive":
                raise FederationRefused("account_inactive", account_id=known)
            case _:
                raise FederationRefused("account_deleted", account_id=known)

    def _load_link(self, who: Federated) -> Loaded[identity.Identity]:
        stream_id = self._hash_id("identity", who.issuer, who.sub)
        return self._app.load(stream_id, identity.Identity(), identity.evolve)

    def _profile(self, who: Federated, fresh_id: UUID) -> Profile:
        """A free username: what the provider suggests, else with a few digits of who it is.

        Of one who was unlinked the account before has those; then digits of the new one's id.

        An account is never found by a name or an address: anybody may have registered those.
        """
        suffix = self._hash("identity", who.issuer, who.sub).hex()[:8]
        suggested = [name for name in (who.username, who.email.partition("@")[0]) if name]
        candidates = [*suggested, *(f"{name[:48]}-{suffix}" for name in suggested)]
        for name in [*candidates, f"user-{suffix}", f"user-{fresh_id.hex[-12:]}"]:
            try:
                if self._accounts.load_name(name).state.owner is None:
                    return self._accounts.profile(name, who.name, who.email)
            except InvalidValue:
                continue
        raise Conflict("No free username was found for this identity.")

    def _changes(self, arrival: Arrival, name: str, state: Account, now: int) -> _Changes:
        """What the groups give and take. Roles granted otherwise are left as they are."""
        provider_id, groups = arrival.provider_id, arrival.federated.groups
        source = group_mapping.source_of(provider_id)
        wanted, read, events = set[str](), dict[UUID, int](), list[accounts.Happening]()
        for mapping in self._federations.mappings(provider_id):
            read[mapping.mapping_id] = self._app.version(mapping.mapping_id)
            if mapping.group in groups:
                wanted.add(mapping.role)
        for role in sorted(wanted):
            defined = self._roles.load(role)
            read[defined.stream_id] = defined.version
            grant = state.grants.get(role)
            generation = defined.state.generation
            lasting = grant is not None and grant.generation == generation and grant.holds(now)
            if defined.state.permissions is None or (
                lasting and grant is not None and grant.source != source
            ):
                continue
            command = accounts.GrantRole(role, None, source, now, generation)
            events += accounts.decide(command, state)
        for role, grant in sorted(state.grants.items()):
            if grant.source == source and role not in wanted:
                events += accounts.decide(accounts.RevokeRole(role), state)
        seat = self._seat() if self._rule.allows(provider_id, name, groups) else None
        if seat is not None:
            events.append(
                accounts.RoleGranted(
                    role=ADMIN, generation=1, expires_at=None, source="first-admin"
                )
            )
        return _Changes(events, read, seat)

    def _seat(self) -> Loaded[first_admin.Seat] | None:
        """The first administrator's seat, while it is free and there is no administrator."""
        seat = self._app.load(first_admin.STREAM_ID, first_admin.Seat(), first_admin.evolve)
        roster = self._app.load(
            administrators.STREAM_ID, administrators.Roster(), administrators.evolve
        )
        return None if seat.state.account_id is not None or roster.state.members else seat

    def _with_roster(
        self, before: Loaded[Account], events: list[accounts.Happening]
    ) -> list[Entry]:
        """The last administrator keeps the role, whatever his provider says by now."""
        try:
            return self._accounts.with_roster(before, events)
        except LastAdmin:
            kept = [
                e for e in events if not (isinstance(e, accounts.RoleRevoked) and e.role == ADMIN)
            ]
            return self._accounts.with_roster(before, kept)

    def _open(
        self, account_id: UUID, state: Account, arrival: Arrival, now: int
    ) -> tuple[list[Entry], SignedIn]:
        who, provider_id = arrival.federated, arrival.provider_id
        sign_in = SignIn(
            account_id=account_id,
            epoch=state.epoch,
            roles=sorted(state.roles(now)),
            origin="federation",
            proofs=(federated(who.amr),),
            delivery=arrival.delivery,
        )
        opened, signed_in = self._sessions.open(sign_in, now)
        [session_id] = {
            e.originator_id for e in opened if isinstance(e.event, session.SessionOpened)
        }
        [ends_at] = [
            e.event.expires_at for e in opened if isinstance(e.event, session.SessionOpened)
        ]
        version = max(e.originator_version for e in opened if e.originator_id == session_id)
        vouched = session.SessionFederated(
            account_id=account_id,
            provider_id=provider_id,
            subject_hash=self._hash("federated-subject", who.issuer, who.sub),
            sid_hash=self._hash("federated-sid", who.issuer, who.sid) if who.sid else b"",
            expires_at=ends_at,
        )
        return [*opened, Entry(session_id, version + 1, vouched)], signed_in

    def _named(self, issuer: str, sub: str, sid: str) -> list[UUID]:
        """The sessions that a logout token means: that of its `sid`, else those of its `sub`."""
        found: list[UUID] = []
        if sid:
            sid_hash = self._hash("federated-sid", issuer, sid)
            found = self._federations.sessions_of_sid(sid_hash)
        if sub and not found:
            subject_hash = self._hash("federated-subject", issuer, sub)
            found = self._federations.sessions_of_subject(subject_hash)
        return found

    def _hash(self, purpose: str, *parts: str) -> bytes:
        return self._app.keys.derive(purpose, *(part.encode() for part in parts))[:16]

    def _hash_id(self, purpose: str, *parts: str) -> UUID:
        return uuid8_of(self._app.keys.derive(purpose, *(part.encode() for part in parts)))


class _Changes(msgspec.Struct, frozen=True):
    """What a sign-in changes of an account's roles, and the streams that this was read from."""

    events: list[accounts.Happening]
    read: dict[UUID, int]
    seat: Loaded[first_admin.Seat] | None


def _linked(link: Loaded[identity.Identity], account_id: UUID, arrival: Arrival) -> list[Entry]:
    """The link, if it is new, and the groups that the identity came with, if those are."""
    who, state = arrival.federated, link.state
    events: list[identity.Happening] = []
    if state.account_id is None:
        subject = identity.Subject(who.issuer, who.sub)
        events += identity.link(account_id, arrival.provider_id, subject, state)
        state = identity.evolve(state, events[0])
    return link.entries([*events, *identity.present(who.groups, state)])


def _born(profile: Profile | None) -> Account:
    created = accounts.AccountCreated(kind="human", profile=profile)
    return accounts.evolve(Account(), created)


def _written(stream_id: UUID, entries: list[Entry]) -> bool:
    return any(entry.originator_id == stream_id for entry in entries)
