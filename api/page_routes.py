"""The routes of the pages: what a browser shows, for whoever signs in without a program."""

from __future__ import annotations

from typing import Final

from gatebook.api import page_logout, pages
from gatebook.api import page_schemas as g
from gatebook.api.page_templates import HTML
from gatebook.api.return_to import LOGIN_PAGE
from gatebook.api.route import PUBLIC, Route
from gatebook.api.static_files import STATIC

BODY_LIMIT: Final = 32_768
"""Bytes: the longest name, password and path, percent-encoded."""

# A table: address and handler, need and summary, shapes of replies, body and query.
# fmt: off
PAGES: Final = (
    Route("GET", LOGIN_PAGE, pages.show,
          PUBLIC, "The login page; for whoever is signed in, who he is",
          {200: None}, query=g.LoginPageQuery, media_type=HTML, page=True),
    Route("POST", LOGIN_PAGE, pages.sign_in,
          PUBLIC, "The login page's form: name and password",
          {200: None, 303: None}, body=g.PasswordForm, media_type=HTML, page=True,
          problems=("invalid-credentials", "csrf"), throttle="login",
          body_limit=BODY_LIMIT),
    Route("POST", f"{LOGIN_PAGE}/second-factor", pages.second_factor,
          PUBLIC, "The login page's second form: a code",
          {303: None}, body=g.CodeForm, media_type=HTML, page=True,
          problems=("invalid-credentials", "csrf"), throttle="login",
          body_limit=BODY_LIMIT),
    Route("POST", "/logout", page_logout.sign_out,
          PUBLIC, "The sign-out button, which signs out at the identity provider too",
          {303: None}, body=g.SignOutForm, media_type=HTML, page=True, problems=("csrf",),
          body_limit=BODY_LIMIT),
    *STATIC,
)
# fmt: on
