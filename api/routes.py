"""Every route there is. Nothing is served that is not in this table."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from gatebook.api import (
    accounts,
    audit,
    auth,
    bootstrap,
    credentials,
    exports,
    keys,
    meta,
    openapi,
    passkeys,
    past_schemas,
    roles,
    second_factors,
    sessions,
    tokens,
)
from gatebook.api import credential_schemas as c
from gatebook.api import passkey_schemas as p
from gatebook.api import schemas as s
from gatebook.api import second_factor_schemas as f
from gatebook.api.break_glass_routes import BREAK_GLASS
from gatebook.api.call import Call
from gatebook.api.checkpoint_routes import CHECKPOINTS
from gatebook.api.events import Event
from gatebook.api.federation_routes import FEDERATION
from gatebook.api.machine_routes import MACHINES
from gatebook.api.metrics import CONTENT_TYPE
from gatebook.api.oauth2_schemas import Metadata
from gatebook.api.page_routes import PAGES
from gatebook.api.past_routes import PAST
from gatebook.api.reply import JSON, Reply, Text
from gatebook.api.route import ANY, PUBLIC, Route, needs, own_or
from gatebook.api.session_schemas import OthersQuery
from gatebook.store.settings import Settings

ACCOUNT: Final = "/v1/accounts/{account_id}"


def _openapi(call: Call[Any, Any]) -> Reply:
    headers = {"Cache-Control": f"public, max-age={meta.JWKS_MAX_AGE}"}
    return Reply(200, Text(described(call.house.settings.breakglass.enabled), JSON), headers)


@cache
def described(break_glass: bool = True) -> bytes:
    """The OpenAPI document of the listener's routes."""
    return openapi.document(one for one in ROUTES if break_glass or one not in BREAK_GLASS)


# A table: address and handler, need and summary, shapes of replies, body and query.
# fmt: off
META: Final = (
    Route("GET", "/v1/health", meta.health,
          PUBLIC, "Whether the process serves",
          {200: s.Health}),
    Route("GET", "/v1/ready", meta.ready,
          PUBLIC, "Whether requests can be served",
          {200: s.Readiness, 503: s.Readiness}),
    Route("GET", "/.well-known/jwks.json", meta.jwks,
          PUBLIC, "The public signing keys",
          {200: c.KeySet}),
    Route("GET", "/.well-known/openid-configuration", meta.metadata,
          PUBLIC, "Server metadata",
          {200: Metadata}),
    Route("GET", "/.well-known/oauth-authorization-server", meta.metadata,
          PUBLIC, "Server metadata",
          {200: Metadata}),
    Route("GET", "/metrics", meta.metrics,
          needs("metrics.read"), "Prometheus metrics of one worker",
          {200: None}, media_type=CONTENT_TYPE),
    Route("GET", "/openapi.json", _openapi,
          PUBLIC, "This interface, described",
          {200: None}, media_type=JSON),
)
AUTH: Final = (
    Route("POST", "/v1/auth/login", auth.login,
          PUBLIC, "Sign in with a password",
          {200: c.SignedIn}, body=c.Login, query=c.LoginQuery,
          problems=("invalid-credentials", "mfa-required"), by_body=True, throttle="login",
          dpop=True),
    Route("POST", "/v1/auth/mfa", second_factors.second_step,
          PUBLIC, "Finish a sign-in with a second factor's code",
          {200: c.SignedIn}, body=f.SecondStep, query=c.LoginQuery,
          problems=("invalid-credentials",), by_body=True, throttle="login", dpop=True),
    Route("POST", "/v1/auth/renew", auth.renew,
          PUBLIC, "Swap a refresh token for the next pair",
          {200: c.SignedIn}, body=c.Renewal, problems=("invalid-credentials",), by_body=True,
          dpop=True),
    Route("POST", "/v1/auth/logout", auth.logout,
          ANY, "End this session, or with all=true every one",
          {204: None}, body=s.Nothing, query=c.LogoutQuery),
    Route("GET", "/v1/auth/me", auth.me,
          ANY, "Who calls, and what he may do",
          {200: c.Me}),
    Route("PUT", "/v1/auth/password", auth.change_password,
          ANY, "Change one's own password; one's other sessions end",
          {204: None}, body=c.PasswordChange,
          problems=("weak-password", "invalid-credentials", "conflict")),
    Route("GET", "/v1/auth/check", auth.check,
          ANY, "For a reverse proxy: whether the caller is in, and may",
          {204: None}, query=c.CheckQuery, problems=("forbidden",)),
    Route("GET", "/v1/auth/sessions", sessions.own_sessions,
          ANY, "List one's own sessions",
          {200: s.Page[c.Session]}, query=s.Paging),
    Route("DELETE", "/v1/auth/sessions", sessions.end_others,
          ANY, "End all of one's own sessions but this one",
          {204: None}, query=OthersQuery, problems=("conflict",)),
    Route("DELETE", "/v1/auth/sessions/{session_id}", sessions.end_own_session,
          ANY, "End one of one's own sessions",
          {204: None}),
    Route("GET", f"{ACCOUNT}/sessions", sessions.sessions_of,
          own_or("credentials.read"), "List an account's sessions",
          {200: s.Page[c.Session]}, query=past_schemas.PastPaging),
    Route("DELETE", f"{ACCOUNT}/sessions/{{session_id}}", sessions.end_session,
          own_or("credentials.write"), "End a session of an account",
          {204: None}),
    Route("GET", "/v1/bootstrap", bootstrap.state,
          PUBLIC, "Whether the first administrator is still to come",
          {200: c.BootstrapState}),
    Route("POST", "/v1/bootstrap", bootstrap.seat,
          PUBLIC, "Become the first administrator with the one-time token",
          {201: c.SignedIn}, body=c.BootstrapBody, body_limit=bootstrap.BODY_LIMIT,
          problems=("invalid-credentials", "seat-taken", "username-taken", "weak-password"),
          by_body=True, throttle="login"),
)
FACTORS: Final = (
    Route("POST", "/v1/auth/totp", second_factors.offer_totp,
          ANY, "Be shown a secret for one-time codes; it counts once it is confirmed",
          {200: f.TotpOffer}, body=s.Nothing, problems=("stale-sign-in",)),
    Route("POST", "/v1/auth/totp/confirm", second_factors.confirm_totp,
          ANY, "Put the secret in force with one of its codes",
          {204: None}, body=f.TotpConfirmation,
          problems=("stale-sign-in", "invalid-credentials")),
    Route("DELETE", "/v1/auth/totp", second_factors.remove_totp,
          ANY, "Remove one's own one-time codes, with a code or the password",
          {204: None}, body=f.TotpRemoval,
          problems=("stale-sign-in", "invalid-credentials", "not-found")),
    Route("POST", "/v1/auth/recovery-codes", second_factors.generate_recovery_codes,
          ANY, "Be shown ten new recovery codes; the former ones are void",
          {201: f.RecoveryCodes}, body=s.Nothing, problems=("stale-sign-in",)),
    Route("POST", "/v1/auth/passkeys/register/options", passkeys.register_options,
          ANY, "Options to make a passkey with",
          {200: p.Creation}, body=s.Nothing, problems=("stale-sign-in",)),
    Route("POST", "/v1/auth/passkeys/register/verify", passkeys.register,
          ANY, "Add the passkey that the browser made",
          {201: p.Passkey}, body=p.Registration, problems=("stale-sign-in",)),
    Route("POST", "/v1/auth/passkeys/login/options", passkeys.login_options,
          PUBLIC, "Options to sign in with a passkey, alone or as the second factor",
          {200: p.Use}, body=p.LoginOptions, problems=("invalid-credentials",)),
    Route("POST", "/v1/auth/passkeys/login/verify", passkeys.login,
          PUBLIC, "Sign in with what the browser's passkey signed",
          {200: c.SignedIn}, body=p.PasskeyLogin, query=c.LoginQuery,
          problems=("invalid-credentials",), by_body=True, throttle="login", dpop=True),
    Route("GET", "/v1/auth/passkeys", passkeys.browse,
          ANY, "List one's own passkeys",
          {200: s.Page[p.Passkey]}, query=s.Paging),
    Route("DELETE", "/v1/auth/passkeys/{passkey_id}", passkeys.remove,
          ANY, "Remove one of one's own passkeys",
          {204: None}, problems=("stale-sign-in",)),
    Route("GET", f"{ACCOUNT}/credentials", credentials.browse,
          own_or("credentials.read"), "List an account's credentials: kinds and dates",
          {200: s.Page[p.AccountCredential]}, query=s.Paging),
    Route("DELETE", f"{ACCOUNT}/credentials/{{credential_id}}", credentials.remove,
          needs("credentials.write"), "Remove a credential of an account",
          {204: None}),
)
ACCOUNTS: Final = (
    Route("POST", "/v1/accounts", accounts.create,
          needs("accounts.write"), "Create an account",
          {201: s.Account}, body=s.NewAccount, problems=("username-taken", "weak-password")),
    Route("GET", "/v1/accounts", accounts.browse,
          needs("accounts.read"), "List accounts",
          {200: s.Page[s.Account]}, query=s.AccountQuery),
    Route("GET", ACCOUNT, accounts.show,
          own_or("accounts.read"), "Show an account, now or as it stood at a time or position",
          {200: s.Account}, query=s.AsOf),
    Route("PATCH", ACCOUNT, accounts.change,
          needs("accounts.write"), "Change an account",
          {200: s.Account}, body=s.AccountChanges,
          problems=("username-taken", "conflict", "last-admin", "self-lockout"), if_match=True),
    Route("DELETE", ACCOUNT, accounts.delete,
          needs("accounts.write"), "Delete an account; its name stays reserved",
          {204: None}, problems=("conflict", "last-admin", "self-lockout"), if_match=True),
    Route("POST", f"{ACCOUNT}/restore", accounts.restore,
          needs("accounts.write"), "Undo a deletion",
          {200: s.Account}, body=s.Nothing, problems=("conflict",), if_match=True),
    Route("POST", f"{ACCOUNT}/erase", accounts.erase,
          needs("accounts.erase"), "Destroy the account's personal data for good",
          {204: None}, body=s.Erasure, problems=("conflict", "last-admin", "self-lockout")),
    Route("GET", f"{ACCOUNT}/history", audit.history,
          own_or("audit.read"), "The account's events in plain words, newest first",
          {200: s.Page[s.HistoryEntry]}, query=s.Paging),
    Route("PUT", f"{ACCOUNT}/password", accounts.set_password,
          needs("credentials.write"), "Set or reset a password; sessions and tokens end",
          {204: None}, body=s.NewPassword, problems=("weak-password", "conflict"),
          if_match=True),
    Route("POST", f"{ACCOUNT}/unlock", accounts.unlock,
          needs("credentials.write"), "Clear a lockout",
          {204: None}, body=s.Nothing, problems=("conflict",)),
)
ROLES: Final = (
    Route("GET", f"{ACCOUNT}/roles", roles.held,
          own_or("roles.read"), "List the roles that an account holds, or held",
          {200: s.Page[s.Grant]}, query=past_schemas.PastPaging),
    Route("GET", f"{ACCOUNT}/roles/{{role}}", roles.holding,
          own_or("roles.read"), "Show a role that an account holds",
          {200: s.Grant}),
    Route("PUT", f"{ACCOUNT}/roles/{{role}}", roles.grant,
          needs("roles.grant"), "Grant a role, for a time or without an end",
          {204: None}, query=s.GrantQuery, problems=("conflict", "last-admin"), if_match=True),
    Route("DELETE", f"{ACCOUNT}/roles/{{role}}", roles.revoke,
          needs("roles.grant"), "Revoke a role",
          {204: None}, problems=("conflict", "last-admin"), if_match=True),
    Route("GET", "/v1/roles", roles.browse,
          needs("roles.read"), "List roles, now or as they stood",
          {200: s.Page[s.Role]}, query=past_schemas.PastPaging),
    Route("GET", "/v1/roles/{role}", roles.show,
          needs("roles.read"), "Show a role, now or as it stood",
          {200: s.Role}, query=s.AsOf),
    Route("PUT", "/v1/roles/{role}", roles.define,
          needs("roles.write"), "Define or redefine a custom role",
          {200: s.Role, 201: s.Role}, body=s.RoleBody, problems=("conflict",), if_match=True),
    Route("DELETE", "/v1/roles/{role}", roles.delete,
          needs("roles.write"), "Delete a custom role that nobody holds",
          {204: None}, problems=("conflict",), if_match=True),
    Route("GET", "/v1/permissions", roles.permissions,
          ANY, "List the permission catalogue",
          {200: s.Page[s.Permission]}, query=s.Paging),
)
TOKENS: Final = (
    Route("POST", "/v1/token/validate", tokens.validate,
          PUBLIC, "Whether a token counts now",
          {200: c.Verdict}, body=c.Presented),
    Route("POST", "/v1/token/issue", tokens.issue,
          needs("tokens.issue"), "Issue a token for a system account",
          {201: c.Issued}, body=c.TokenOrder, problems=("not-found", "conflict")),
    Route("DELETE", "/v1/token/{jti}", tokens.revoke,
          needs("tokens.revoke"), "Revoke a token",
          {204: None}),
    Route("GET", f"{ACCOUNT}/tokens", tokens.browse,
          own_or("tokens.read"), "List an account's tokens that count now, or counted then",
          {200: s.Page[c.ListedToken]}, query=past_schemas.PastPaging),
    Route("DELETE", f"{ACCOUNT}/tokens", tokens.revoke_all,
          needs("tokens.revoke"), "Revoke every token and session of an account",
          {204: None}),
    Route("GET", "/v1/keys", keys.browse,
          needs("keys.read"), "List signing keys",
          {200: s.Page[c.SigningKey]}, query=s.Paging),
    Route("POST", "/v1/keys", keys.create,
          needs("keys.write"), "Publish a new signing key, which does not sign yet",
          {201: c.SigningKey}, body=c.KeyOrder),
    Route("POST", "/v1/keys/rotate", keys.rotate,
          needs("keys.write"), "Publish a new signing key that soon signs in the old one's place",
          {201: c.SigningKey}, body=c.Rotation),
    Route("POST", "/v1/keys/{kid}/retire", keys.retire,
          needs("keys.write"), "Retire a key; what it signed is refused",
          {200: c.SigningKey}, body=s.Nothing, problems=("conflict",)),
)
AUDIT: Final = (
    Route("GET", "/v1/audit", audit.browse,
          needs("audit.read"), "Query the log",
          {200: s.Page[Event]}, query=audit.AuditQuery),
    Route("GET", "/v1/audit/feed", audit.feed,
          needs("audit.read"), "Follow the log",
          {200: audit.Feed}, query=audit.FeedQuery),
    Route("POST", "/v1/audit/exports", exports.begin,
          needs("audit.read"), "Record that a copy of the log is taken; the feed has the events",
          {201: exports.Begun}, body=exports.Export, problems=("not-found",)),
)
# fmt: on

ROUTES: Final = (
    *META,
    *AUTH,
    *FACTORS,
    *ACCOUNTS,
    *ROLES,
    *TOKENS,
    *MACHINES,
    *AUDIT,
    *PAST,
    *CHECKPOINTS,
    *BREAK_GLASS,
    *FEDERATION,
    *PAGES,
)
"""What the listener serves, break-glass only while it is enabled."""


def routes(settings: Settings) -> tuple[Route, ...]:
    """The routes that these settings leave: what is off is not there at all."""
    if settings.breakglass.enabled:
        return ROUTES
    return tuple(route for route in ROUTES if route not in BREAK_GLASS)


_READY = Route("GET", "/v1/ready", meta.ready_in_full, PUBLIC, "Readiness, with all positions",
               {200: s.FullReadiness, 503: s.FullReadiness})  # fmt: skip
MANAGEMENT: Final = (
    *(
        msgspec.structs.replace(route, need=PUBLIC)
        for route in META
        if route.path in ("/v1/health", "/metrics")
    ),
    _READY,
)
"""What the management listener serves: nobody signs in there."""
