"""The routes of machines: API keys, OAuth 2 clients and the OAuth 2 endpoints."""

from __future__ import annotations

from typing import Final

from gatebook.api import api_key_schemas as k
from gatebook.api import api_keys, clients, oauth2
from gatebook.api import oauth2_schemas as o
from gatebook.api import schemas as s
from gatebook.api.route import PUBLIC, Route, needs, own_or

ACCOUNT: Final = "/v1/accounts/{account_id}"
CLIENT: Final = f"{ACCOUNT}/client"
KEY: Final = f"{ACCOUNT}/api-keys/{{key_id}}"

# A table: address and handler, need and summary, shapes of replies, body and query.
# fmt: off
API_KEYS: Final = (
    Route("POST", f"{ACCOUNT}/api-keys", api_keys.create,
          needs("credentials.write"), "Make an API key; it is shown once",
          {201: k.MintedApiKey}, body=k.NewApiKey, problems=("conflict",)),
    Route("GET", f"{ACCOUNT}/api-keys", api_keys.browse,
          own_or("credentials.read"), "List an account's API keys that count now",
          {200: s.Page[k.ApiKey]}, query=s.Paging),
    Route("GET", KEY, api_keys.show,
          own_or("credentials.read"), "Show an API key",
          {200: k.ApiKey}),
    Route("DELETE", KEY, api_keys.revoke,
          own_or("credentials.write"), "Revoke an API key",
          {204: None}),
    Route("POST", f"{KEY}/rotate", api_keys.rotate,
          own_or("credentials.write"), "Make the key that follows this one; it is shown once",
          {201: k.MintedApiKey}, body=k.KeyRotation, problems=("conflict",)),
)
CLIENTS: Final = (
    Route("GET", CLIENT, clients.show,
          needs("credentials.read"), "Show how an account may act as an OAuth 2 client",
          {200: k.Client}),
    Route("PUT", CLIENT, clients.configure,
          needs("credentials.write"), "Configure an OAuth 2 client",
          {200: k.Client}, body=k.ClientBody, problems=("conflict",), if_match=True),
    Route("DELETE", CLIENT, clients.remove,
          needs("credentials.write"), "Remove what was configured",
          {204: None}, if_match=True),
)
OAUTH2: Final = (
    Route("POST", "/oauth2/token", oauth2.token,
          PUBLIC, "A token for a client, or the next pair of a sign-in (RFC 6749)",
          {200: o.TokenAnswer}, body=o.TokenForm, problems=("unauthenticated",),
          by_body=True, form=True, dpop=True),
    Route("POST", "/oauth2/introspect", oauth2.introspect,
          PUBLIC, "What a token stands for now (RFC 7662); the caller authenticates",
          {200: o.Introspection}, body=o.PresentedForm, problems=("unauthenticated",), form=True),
    Route("POST", "/oauth2/revoke", oauth2.revoke,
          PUBLIC, "Give up a token (RFC 7009)",
          {200: None}, body=o.PresentedForm, problems=("unauthenticated",),
          by_body=True, form=True),
)
# fmt: on

MACHINES: Final = (*API_KEYS, *CLIENTS, *OAUTH2)
