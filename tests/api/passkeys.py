"""A relying party under test, and whole ceremonies with the software authenticator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.served import Answer, Client, Deployment, Served
from tests.authenticator import ORIGIN, Authenticator

MORE = f'[webauthn]\nrp_id = "localhost"\norigins = ["{ORIGIN}"]\n'
REGISTER, LOGIN = "/v1/auth/passkeys/register", "/v1/auth/passkeys/login"


def relying_party(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with a relying party, on the store that the fixture's parameter names."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    directory = tmp_path_factory.mktemp("passkeys")
    deployment = Deployment(directory, url, server="workers = 2\nthreads = 4", more=MORE)
    deployment.create()
    with deployment.served() as server:
        yield server
    deployment.check_log(set())


def register(client: Client, device: Authenticator, name: str = "", **wrong: Any) -> Answer:
    """A whole registration."""
    options = client.post(f"{REGISTER}/options")
    assert options.status == 200, options.raw
    body = {"credential": device.create(options.body, **wrong), "name": name}
    return client.post(f"{REGISTER}/verify", body)


def login(client: Client, device: Authenticator, **wrong: Any) -> Answer:
    """A whole sign-in without a name."""
    options = client.post(f"{LOGIN}/options", {})
    assert options.status == 200, options.raw
    return client.post(f"{LOGIN}/verify", {"credential": device.get(options.body, **wrong)})


def second(client: Client, token: str, device: Authenticator, **wrong: Any) -> Answer:
    """The second step of a sign-in."""
    options = client.post(f"{LOGIN}/options", {"mfa_token": token})
    assert options.status == 200, options.raw
    credential = device.get(options.body, **wrong)
    return client.post(f"{LOGIN}/verify", {"mfa_token": token, "credential": credential})


def with_passkey(site: Served, **how: Any) -> tuple[Any, Client, Authenticator]:
    """A fresh account with a passkey."""
    account, client = site.signed_in()
    device = Authenticator(**how)
    answer = register(client, device, "a device")
    assert answer.status == 201, answer.raw
    return account, client, device
