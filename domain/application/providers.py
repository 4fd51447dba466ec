"""Commands on identity providers and on what their groups stand for."""

from __future__ import annotations

from uuid import UUID

import msgspec

from gatebook.domain import account as accounts
from gatebook.domain import group_mapping, identity, provider
from gatebook.domain.access import Federations
from gatebook.domain.application.accounts import Accounts
from gatebook.domain.application.core import By, Decision, Gatebook, Loaded
from gatebook.domain.application.roles import Roles
from gatebook.domain.errors import NotFound, StaleVersion
from gatebook.domain.provider import Configuration


class ProviderView(msgspec.Struct, frozen=True):
    """A provider as configured, without its secret."""

    provider_id: UUID
    version: int
    configuration: Configuration


class Providers:
    """The provider and group-mapping commands."""

    def __init__(
        self, app: Gatebook, accounts_: Accounts, roles: Roles, federations: Federations
    ) -> None:
        self._app = app
        self._accounts = accounts_
        self._roles = roles
        self._federations = federations

    def create(self, by: By, configuration: Configuration, client_secret: str) -> ProviderView:
        """A provider to sign in with."""
        provider_id = self._app.ids.ordered()

        def decide(_now: int) -> Decision[ProviderView]:
            events = provider.create(configuration, client_secret, provider.Provider())
            entries = Loaded(provider_id, 0, provider.Provider()).entries(events)
            return Decision(ProviderView(provider_id, 1, configuration), entries)

        return self._app.run(by, decide)

    def change(
        self,
        by: By,
        provider_id: UUID,
        changes: dict[str, object],
        client_secret: str | None,
        *,
        if_match: int | None = None,
    ) -> ProviderView:
        """Replaces the named fields; the secret stays unless another is given.

        What is believed of a provider decides who gets the roles that its groups stand for:
        whoever changes that must hold what those roles give.
        """

        def decide(now: int) -> Decision[ProviderView]:
            loaded = self.load(provider_id, if_match)
            configured = loaded.state.configuration
            assert configured is not None  # load raises otherwise
            wanted = msgspec.structs.replace(configured, **changes)
            expected = {}
            if provider.believed(wanted) != provider.believed(configured):
                for mapping in self._federations.mappings(provider_id):
                    mapped = self._app.version(mapping.mapping_id)
                    expected[mapping.mapping_id] = mapped
                    self._roles.reached(by, mapping.role, "provider.change", str(provider_id), now)
            events = provider.change(wanted, client_secret, loaded.state)
            view = ProviderView(provider_id, loaded.version + len(events), wanted)
            return Decision(view, loaded.entries(events), expected=expected)

        return self._app.run(by, decide)

    def remove(self, by: By, provider_id: UUID, *, if_match: int | None = None) -> None:
        """Removes a provider that no account and no mapping depends on."""

        def decide(_now: int) -> Decision[None]:
            loaded = self.load(provider_id, if_match)
            linked = self._federations.linked(provider_id)
            mapped = len(self._federations.mappings(provider_id))
            return Decision(None, loaded.entries(provider.remove(linked, mapped, loaded.state)))

        self._app.run(by, decide)

    def map_group(self, by: By, provider_id: UUID, group: str, role: str) -> UUID:
        """Lets a group stand for a role. Whoever maps it must hold what the role gives."""
        mapping_id = group_mapping.stream_id(provider_id, group, role)

        def decide(now: int) -> Decision[UUID]:
            held = self.load(provider_id)
            defined = self._roles.grantable(by, role, "group-mapping.add", str(provider_id), now)
            loaded = self._load_mapping(mapping_id)
            events = group_mapping.add(provider_id, group, role, loaded.state)
            expected = {provider_id: held.version, defined.stream_id: defined.version}
            return Decision(mapping_id, loaded.entries(events), expected=expected)

        return self._app.run(by, decide)

    def unmap_group(self, by: By, mapping_id: UUID) -> None:
        """Ends a mapping. What it granted ends at each member's next sign-in.

        Whoever ends it must hold what the role gives: he could keep those above him out.
        """

        def decide(now: int) -> Decision[None]:
            loaded = self._load_mapping(mapping_id)
            role = loaded.state.role
            self._roles.reached(by, role, "group-mapping.remove", str(mapping_id), now)
            return Decision(None, loaded.entries(group_mapping.remove(loaded.state)))

        self._app.run(by, decide)

    def unlink(self, by: By, account_id: UUID, identity_id: UUID) -> None:
        """Ends the link between an identity and an account. Raises NotFound and LastAdmin.

        The roles that the provider's groups gave go with it: no sign-in would ever take them away.
        Sessions and tokens end by the account's epoch, so one that is being opened ends too.
        """

        def decide(now: int) -> Decision[None]:
            held = self._accounts.load_for_change(by, account_id, now, None).loaded
            loaded = self._app.load(
                identity_id, identity.Identity(), identity.evolve, of="identity"
            )
            linked_to, provider_id = loaded.state.account_id, loaded.state.provider_id
            if linked_to != account_id or provider_id is None:
                raise NotFound("There is no such identity.")
            events = accounts.decide(accounts.RevokeTokens(), held.state)
            source = group_mapping.source_of(provider_id)
            for role, grant in sorted(held.state.grants.items()):
                if grant.source == source:
                    events += accounts.decide(accounts.RevokeRole(role), held.state)
            entries = loaded.entries(identity.unlink(loaded.state))
            entries += self._accounts.with_roster(held, events)
            return Decision(None, entries, subject=account_id)

        self._app.run(by, decide)

    def view(self, provider_id: UUID) -> ProviderView:
        """A provider as it is configured. Raises NotFound."""
        loaded = self.load(provider_id)
        assert loaded.state.configuration is not None  # load raises otherwise
        return ProviderView(provider_id, loaded.version, loaded.state.configuration)

    def view_at(self, provider_id: UUID, position: int) -> ProviderView:
        """A provider as it was configured at a position of the log. Raises NotFound."""
        state, version = provider.Provider(), 0
        for recorded in self._app.event_log.stream(provider_id, upto_position=position):
            if recorded.event.STREAM != "provider":
                break
            state = provider.evolve(state, recorded.event)  # type: ignore[arg-type]  # by STREAM
            version = recorded.version
        if state.configuration is None:
            raise NotFound("There was no such provider then.")
        return ProviderView(provider_id, version, state.configuration)

    def all(self) -> list[ProviderView]:
        """Every provider."""
        return [self.view(provider_id) for provider_id in self._federations.provider_ids()]

    def load(self, provider_id: UUID, if_match: int | None = None) -> Loaded[provider.Provider]:
        """A provider with its secret. Raises NotFound and StaleVersion."""
        loaded = self._app.load(provider_id, provider.Provider(), provider.evolve, of="provider")
        if loaded.state.configuration is None:
            raise NotFound("There is no such provider.")
        if if_match is not None and if_match != loaded.version:
            raise StaleVersion(if_match, loaded.version)
        return loaded

    def _load_mapping(self, mapping_id: UUID) -> Loaded[group_mapping.GroupMapping]:
        return self._app.load(
            mapping_id, group_mapping.GroupMapping(), group_mapping.evolve, of="group-mapping"
        )
