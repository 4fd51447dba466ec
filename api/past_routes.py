"""The routes of questions about the past."""

from __future__ import annotations

from typing import Final

from gatebook.api import explaining, past
from gatebook.api import past_schemas as p
from gatebook.api import schemas as s
from gatebook.api.route import Route, needs

# A table: address and handler, need and summary, shapes of replies, body and query.
# fmt: off
PAST: Final = (
    Route("GET", "/v1/audit/access", past.access,
          needs("audit.read"), "Who held what, now or at a time or position",
          {200: p.AccessTable}, query=p.AccessQuery),
    Route("GET", "/v1/audit/sessions/{session_id}", past.session,
          needs("audit.read"), "Show what a session was worth, now or at a time or position",
          {200: p.PastSession}, query=s.AsOf),
    Route("GET", "/v1/audit/tokens/{jti}", past.token,
          needs("audit.read"), "Show what an access token was worth, now or at a time or position",
          {200: p.PastToken}, query=s.AsOf),
    Route("GET", "/v1/audit/explain", explaining.explained,
          needs("audit.read"), "Why an account holds a permission, or does not",
          {200: p.ExplainedAccess}, query=p.ExplainQuery, problems=("not-found",)),
    Route("GET", "/v1/audit/diff", explaining.diff,
          needs("audit.read"), "Who gained and lost what between two moments",
          {200: p.AccessDiff}, query=p.DiffQuery),
)
# fmt: on
