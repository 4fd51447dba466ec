"""Problems: every refusal has one, and none says more than it should."""

from __future__ import annotations

import re

import pytest

from gatebook.api.problems import PROBLEMS, REFUSALS, document, of_refusal
from gatebook.api.routes import ROUTES
from gatebook.domain import errors
from gatebook.domain.errors import Refusal


def made(kind: type[Refusal]) -> Refusal:
    """A refusal of that kind, its detail the truth."""
    if kind is errors.StaleVersion:
        return errors.StaleVersion(1, 2)
    if kind is errors.Forbidden:
        return errors.Forbidden("audit.read")
    if kind is errors.GrantRefused:
        return errors.GrantRefused("invalid_scope", "the truth")
    if kind is errors.MfaRequired:
        return errors.MfaRequired("gbm_token", ("totp",))
    return kind("the truth")


def every(kind: type[Refusal]) -> list[type[Refusal]]:
    return [
        *kind.__subclasses__(),
        *(deeper for one in kind.__subclasses__() for deeper in every(one)),
    ]


def test_every_refusal_has_a_problem() -> None:
    """No refusal is missing from the table, and none in it is unknown."""
    assert set(every(Refusal)) == set(REFUSALS)
    assert set(REFUSALS.values()) <= set(PROBLEMS)


@pytest.mark.parametrize("kind", every(Refusal))
def test_statuses(kind: type[Refusal]) -> None:
    """A refusal is the caller's, 4xx, unless the server cannot serve now: 503, try again."""
    problem = of_refusal(made(kind))

    later = kind in (errors.Overloaded, errors.StoreUnavailable)
    assert (problem.status == 503) == later
    assert ("Retry-After" in problem.headers) == later
    assert later or 400 <= problem.status < 500


@pytest.mark.parametrize("kind", [errors.InvalidCredentials, errors.StoreUnavailable])
def test_the_truth_stays_here(kind: type[Refusal]) -> None:
    """What must not be told is not told."""
    assert "the truth" not in of_refusal(made(kind)).detail


def test_slugs() -> None:
    """A type is a URI that ends in its slug; every slug a route names is in the table."""
    for slug in PROBLEMS:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", slug)
    for route in ROUTES:
        assert set(route.slugs) <= set(PROBLEMS)
    said = document(of_refusal(errors.WeakPassword("x")), "https://a.example/problems/", "r")
    assert said.type == "https://a.example/problems/weak-password"
