"""The routes of federation: sign-ins with identity providers, and their configuration."""

from __future__ import annotations

from typing import Final

from gatebook.api import federation, identities, providers
from gatebook.api import federation_schemas as f
from gatebook.api import schemas as s
from gatebook.api.past_schemas import PastPaging
from gatebook.api.route import PUBLIC, Route, needs, own_or

PROVIDERS: Final = "/v1/auth/oidc/providers"
PROVIDER: Final = f"{PROVIDERS}/{{provider_id}}"
MAPPINGS: Final = "/v1/auth/oidc/group-mappings"
IDENTITIES: Final = "/v1/accounts/{account_id}/identities"

# A table: address and handler, need and summary, shapes of replies, body and query.
# fmt: off
FEDERATION: Final = (
    Route("GET", "/auth/oidc/login", federation.login,
          PUBLIC, "Go to an identity provider to sign in",
          {302: None}, query=f.LoginQuery, problems=("not-found", "forbidden"),
          throttle="login"),
    Route("GET", providers.CALLBACK, federation.callback,
          PUBLIC, "Come back from an identity provider",
          {302: None}, query=f.CallbackQuery),
    Route("POST", "/auth/oidc/back-channel-logout", federation.back_channel_logout,
          PUBLIC, "An identity provider ends sessions (Back-Channel Logout 1.0)",
          {200: None}, body=f.LogoutForm, form=True, body_limit=65_536),
    Route("POST", PROVIDERS, providers.create,
          needs("oidc.write"), "Configure an identity provider",
          {201: f.Provider}, body=f.NewProvider, problems=("provider-unusable",)),
    Route("GET", PROVIDERS, providers.browse,
          needs("oidc.read"), "List identity providers, now or as they stood",
          {200: s.Page[f.Provider]}, query=PastPaging),
    Route("POST", f"{PROVIDERS}/test", providers.trial,
          needs("oidc.write"), "Try a configuration out; nothing is kept",
          {200: f.Trial}, body=f.NewProvider),
    Route("GET", PROVIDER, providers.show,
          needs("oidc.read"), "Show an identity provider, now or as it stood, without its secret",
          {200: f.Provider}, query=s.AsOf),
    Route("PATCH", PROVIDER, providers.change,
          needs("oidc.write"), "Change an identity provider",
          {200: f.Provider}, body=f.ProviderChanges, problems=("conflict",), if_match=True),
    Route("DELETE", PROVIDER, providers.remove,
          needs("oidc.write"), "Remove an identity provider that nothing depends on",
          {204: None}, problems=("conflict",), if_match=True),
    Route("POST", f"{PROVIDER}/refresh", providers.refresh,
          needs("oidc.write"), "Ask the provider for its metadata and keys anew",
          {200: f.Refreshed}, body=s.Nothing, problems=("provider-unusable",)),
    Route("POST", MAPPINGS, providers.map_group,
          needs("oidc.write"), "Let a provider's group stand for a role",
          {201: f.Mapping}, body=f.NewMapping, problems=("not-found", "conflict", "forbidden")),
    Route("GET", MAPPINGS, providers.mappings,
          needs("oidc.read"), "List group mappings, now or as they stood",
          {200: s.Page[f.Mapping]}, query=PastPaging),
    Route("DELETE", f"{MAPPINGS}/{{mapping_id}}", providers.unmap_group,
          needs("oidc.write"), "End a group mapping",
          {204: None}),
    Route("GET", IDENTITIES, identities.browse,
          own_or("credentials.read"), "List the provider identities linked to an account",
          {200: s.Page[f.Identity]}, query=s.Paging),
    Route("DELETE", f"{IDENTITIES}/{{identity_id}}", identities.unlink,
          needs("credentials.write"), "Unlink a provider identity; its roles and sessions end",
          {204: None}, problems=("last-admin",)),
)
# fmt: on
