"""Who runs the command, what he may write, and whom he trusts."""

from __future__ import annotations

import errno
import os
import pwd
import re
import ssl
from pathlib import Path
from typing import Final

import httpx

OPERATOR_VARIABLE: Final = "GATEBOOK_OPERATOR"
_OPERATOR: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}", re.ASCII)


def local_user() -> str:
    """The operating-system user, as the log names him; whom the installed `gatebook` ran for.

    Who can say another name here has the store in his hands anyway.
    """
    named = os.environ.get(OPERATOR_VARIABLE, "")  # noqa: TID251 - what dist/gatebook.sh says
    if _OPERATOR.fullmatch(named):
        return named
    return _user()


def session_file() -> Path:
    """Where `gatebook login` keeps its tokens, readable by their owner only."""
    base = os.environ.get("XDG_STATE_HOME")  # noqa: TID251 - the XDG base directory
    return (Path(base) if base else Path.home() / ".local" / "state") / "gatebook" / "session.json"


def denied(error: OSError) -> str:
    """What to add to a refusal when the user has no right: on an installed machine it is not he."""
    if error.errno not in (errno.EACCES, errno.EPERM):
        return ""
    return f"; this runs as the user {_user()}: name a place where that user may write"


def remote(server: str, headers: dict[str, str] | None = None) -> httpx.Client:
    """A client of a server, which trusts whom this machine trusts, or SSL_CERT_FILE names."""
    context = ssl.create_default_context()
    return httpx.Client(base_url=server, headers=headers, timeout=60, verify=context)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
