"""Class 3, generated: every change against every way of use, on both stores.

What a change ends is refused from the moment its request was answered; everything else goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.passkeys import MORE as WEBAUTHN
from tests.api.served import Deployment, Served
from tests.federation.hostile import Provider, running
from tests.matrix.changes import CHANGES
from tests.matrix.ways import WAYS
from tests.matrix.world import World

SERVER = 'workers = 2\nthreads = 16\ntrusted_proxies = ["127.0.0.1"]'
MORE = WEBAUTHN + "[outbound]\nallow_loopback_http = true\n"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """A provider that does everything right."""
    with running() as one:
        yield one


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with everything switched on."""
    url = "sqlite:///gatebook.db"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres").url())
    deployment = Deployment(tmp_path_factory.mktemp("matrix"), url, server=SERVER, more=MORE)
    deployment.create()
    with deployment.served() as server:
        yield server


@pytest.mark.parametrize("name", CHANGES)
def test_what_ends_ends_and_nothing_else(served: Served, provider: Provider, name: str) -> None:
    """All ways work; the change; those that it ends are shut, all others still work."""
    change, world = CHANGES[name], World(served, provider)
    assert [way for way, arm in WAYS.items() if not arm(world)()] == []
    change.before(world)
    armed = {way: arm(world) for way, arm in WAYS.items()}

    change.do(world)

    let_in = {way for way, fire in armed.items() if fire()}
    wrongly_in, wrongly_out = let_in & change.ends, set(WAYS) - change.ends - let_in
    assert not wrongly_in, f"served although it has ended: {sorted(wrongly_in)}"
    assert not wrongly_out, f"refused although nothing ended it: {sorted(wrongly_out)}"
