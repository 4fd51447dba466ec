"""The routes of break-glass. While it is off they are not in the application at all."""

from __future__ import annotations

from typing import Final

from gatebook.api import break_glass
from gatebook.api import break_glass_schemas as b
from gatebook.api import schemas as s
from gatebook.api.route import PUBLIC, Route, needs

ADMIN: Final = needs("auth.breakglass.admin")
CREDENTIALS: Final = "/v1/auth/breakglass/credentials"

# A table, as in gatebook.api.routes.
# fmt: off
BREAK_GLASS: Final = (
    Route("POST", "/auth/breakglass/login", break_glass.login,
          PUBLIC, "Sign in with a break-glass password; any failure is one and the same 401",
          {204: None}, body=b.EmergencyLogin, problems=("invalid-credentials",),
          throttle="break-glass", lenient=True),
    Route("GET", CREDENTIALS, break_glass.browse,
          ADMIN, "List the break-glass credentials",
          {200: s.Page[b.EmergencyCredential]}, query=s.Paging),
    Route("POST", CREDENTIALS, break_glass.set_password,
          ADMIN, "Set or replace an account's break-glass password; sessions it opened end",
          {201: b.EmergencyCredential}, body=b.NewEmergencyCredential,
          problems=("not-found", "weak-password")),
    Route("POST", f"{CREDENTIALS}/{{account_id}}/unlock", break_glass.unlock,
          ADMIN, "Clear the break-glass locks of an account",
          {204: None}, body=s.Nothing),
    Route("DELETE", f"{CREDENTIALS}/{{account_id}}", break_glass.remove,
          ADMIN, "Remove an account's break-glass password; sessions it opened end",
          {204: None}),
)
# fmt: on
