"""Where a sign-in leads afterwards: a path of this site, and nowhere else."""

from __future__ import annotations

import re
from typing import Final

from gatebook.api.problems import invalid

LOGIN_PAGE: Final = "/login"

_LOCAL: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*", re.ASCII)


def local_path(return_to: str) -> str:
    """The path; the login page's for none. Raises a Problem for what leads elsewhere.

    A browser takes `//host` and `/\\host` for another host.
    """
    if not return_to:
        return LOGIN_PAGE
    if _LOCAL.fullmatch(return_to) is None:
        raise invalid("return_to is a path of this site, like /start.", "/return_to")
    return return_to
