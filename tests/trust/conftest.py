"""One signed log a store, written once by a house; each test hurts a copy of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.served import Deployment
from tests.trust.evidence import Copy, Original, clone_file, clone_schema, write_original


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def original(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Original]:
    directory = tmp_path_factory.mktemp("original")
    made: list[str] = []
    if request.param == "sqlite":
        copies = tmp_path_factory.mktemp("copies")
        url = f"sqlite:///{directory}/gatebook.db"

        def clone(source: str) -> str:
            return clone_file(source, copies)
    else:
        server = request.getfixturevalue("postgres")
        url = server.url()

        def clone(source: str) -> str:
            made.append(clone_schema(server, source))
            return made[-1]

    deployment = Deployment(Path(directory), url)
    write_original(deployment)
    yield Original(deployment, url, clone)
    for schema in made:
        server.drop(schema)


@pytest.fixture
def copy(original: Original) -> Copy:
    return original.copy()
