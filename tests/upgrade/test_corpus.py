"""The logs of every release are read: each event, each read model, each account, each secret."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatebook.api.local import local_client
from gatebook.domain import catalogue
from gatebook.store.commands import RELEASE
from gatebook.store.house import House, open_house
from gatebook.store.settings import Settings
from tests.api.served import PASSWORD, Deployment
from tests.upgrade.make_corpus import EXPECTED, HERE, KEYS, LOG, MASTER, accounts, corpus_of, folded

CORPORA = sorted(HERE.glob("corpus-*"))


@pytest.fixture(params=CORPORA, ids=lambda path: path.name)
def corpus(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture
def house(corpus: Path, tmp_path: Path) -> Iterator[House]:
    """The corpus as the store of a deployment that this program opens."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db")
    for name, here in ((LOG, "gatebook.db"), (KEYS, "gatebook.keys.db"), (MASTER, MASTER)):
        shutil.copyfile(corpus / name, tmp_path / here)
        (tmp_path / here).chmod(0o600)
    opened = open_house(Settings.load(deployment.config, {}))
    yield opened
    opened.close()


@pytest.fixture
def expected(corpus: Path) -> Any:
    return json.loads((corpus / EXPECTED).read_text())


def test_every_topic_of_this_release_is_in_its_corpus(tmp_path: Path) -> None:
    """A topic cannot be released without a log that holds it: run make_corpus before."""
    assert corpus_of(RELEASE) in CORPORA
    assert sum(path.stat().st_size for path in corpus_of(RELEASE).iterdir()) < 300 * 1024


def test_every_event_is_read(house: House, corpus: Path, expected: Any) -> None:
    """Nothing in the log is unknown, and what was sealed and not erased opens."""
    recorded = house.store.read(0, 100_000, expected["head"])
    assert [each.position for each in recorded] == list(range(1, expected["head"] + 1))
    if corpus == corpus_of(RELEASE):
        assert {each.topic for each in recorded} | {"store.backed_up.1"} == set(catalogue.BY_TOPIC)


def test_read_models_come_to_the_same(house: House, expected: Any) -> None:
    """A read model of a version that a release had is the same to the byte.

    One of a newer version may differ, and must be built without a failure.
    """
    now = folded(house, expected["head"])
    then = expected["read_models"]
    assert set(then) <= set(now)
    for name, versions in now.items():
        for version, digests in versions.items():
            assert then.get(name, {}).get(version, digests) == digests, (name, version)


def test_accounts_are_what_they_were(house: House, expected: Any) -> None:
    """Every account is shown as the release showed it, names and all."""
    house.prepare()
    assert accounts(house) == expected["accounts"]


def test_a_password_of_then_signs_in(house: House) -> None:
    """Hashes, pepper and keys of the release still do."""
    house.prepare()
    with local_client(house, "tester", "sign in") as api:
        body = {"username": "ada", "password": PASSWORD}
        assert api.post("/v1/auth/login", json=body).status_code == 200
        assert api.post("/v1/auth/login", json=body | {"password": "x"}).status_code == 401
