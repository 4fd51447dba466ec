"""The pages' templates, read once, and the headers that every page has."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined

from gatebook.api.problems import PROBLEMS, Problem
from gatebook.api.reply import Reply, Text

HTML: Final = "text/html; charset=utf-8"
TEMPLATES: Final = ("base", "parts", "login", "second_factor", "signed_in", "problem")

_DIRECTIVES: Final = (
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'self'{beyond}",
    "frame-ancestors 'none'",
    "base-uri 'none'",
)

HEADERS: Final = {
    "Content-Security-Policy": "; ".join(_DIRECTIVES).format(beyond=""),
    # Not no-referrer: with it a browser sends `Origin: null` with our own forms too (Fetch
    # standard, "append a request Origin header"), and they could not be told from others'.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_environment = Environment(
    loader=DictLoader(
        {
            f"{name}.html": (files("gatebook.api") / "templates" / f"{name}.html").read_text()
            for name in TEMPLATES
        }
    ),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def page(name: str, status: int, *, beyond: str = "", **values: Any) -> Reply:
    """A page. `beyond` is where its forms may lead besides this site, for the policy."""
    content = _environment.get_template(f"{name}.html").render(values).encode()
    headers = dict(HEADERS)
    if beyond:
        policy = "; ".join(_DIRECTIVES).format(beyond=f" {beyond}")
        headers["Content-Security-Policy"] = policy
    return Reply(status, Text(content, HTML), headers)


def problem_page(problem: Problem) -> Reply:
    """A refusal, for people."""
    status, title = PROBLEMS[problem.slug]
    shown = page("problem", status, site="Gatebook", title=title, detail=problem.detail)
    return Reply(status, shown.body, problem.headers | shown.headers, problem.cookies)
