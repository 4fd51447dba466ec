"""Requests whose bodies hold what the answer before them gave, as a refresh token."""

from __future__ import annotations

import re
from urllib.parse import quote

import msgspec

from gatebook.tools.bench.subject import Request


def is_form(request: Request) -> bool:
    """Whether its body is a form rather than JSON."""
    return not request.body.lstrip().startswith("{")


def chain(request: Request, renewed: str) -> tuple[str, str, str]:
    """A body in three: before the text that is renewed, that text, and behind it.

    Raises ValueError when there is none.
    """
    name = re.escape(renewed)
    found = re.search(
        rf"(?:^|&){name}=([^&]*)" if is_form(request) else rf'"{name}"\s*:\s*"([^"]*)"',
        request.body,
    )
    if found is None:
        raise ValueError(f"the body of {request.path} has no {renewed}")
    return request.body[: found.start(1)], found[1], request.body[found.end(1) :]


def with_renewed(request: Request, renewed: str, text: str) -> Request:
    """The request with another text in its place."""
    before, _, behind = chain(request, renewed)
    put = quote(text, safe="") if is_form(request) else text
    return msgspec.structs.replace(request, body=before + put + behind)
